-- Texts that repeat themselves: a recogniser or a writer that lost the thread, or a speaker filling time.
with sentences as (
    select
        *,
        string_split(lower(caption), '. ') as sentence
    from cap
),

judged as (
    select
        *,
        greatest(repeated_share, 1 - len(list_distinct(sentence)) / len(sentence)) as repeated
    from sentences
)

select
    id,
    case
        when repeated_share > $max_repeated
            then round(100 * repeated_share)::int || ' percent of its runs of 8 words repeat'
        else round(100 * repeated)::int || ' percent of the caption''s sentences repeat'
    end as reason,
    round(repeated, 3) as repeated,
    round(compression_ratio, 2) as compression_ratio
from judged
where repeated > $max_repeated
