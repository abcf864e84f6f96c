-- Transcripts that repeat themselves: a recogniser that lost the thread, or a speaker filling time.
with words as (
    select id, compression_ratio, regexp_extract_all(lower(unnest(transcripts)), '[\p{L}\p{N}]+') as word
    from cap
),

runs as (
    select
        id,
        compression_ratio,
        list_transform(range(1, len(word) - 6), lambda i: array_to_string(word[i:i + 7], ' ')) as run
    from words
    where len(word) >= 8
),

repeats as (
    select
        id,
        any_value(compression_ratio) as compression_ratio,
        max(1 - len(list_distinct(run)) / len(run)) as repeated
    from runs
    group by id
)

select
    id,
    round(100 * repeated)::int || ' percent of its runs of 8 words repeat' as reason,
    round(repeated, 3) as repeated,
    round(compression_ratio, 2) as compression_ratio
from repeats
where repeated > $max_repeated
