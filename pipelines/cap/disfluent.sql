-- Captions that still stammer: um and uh, asides, and small words said twice.
with stammered as (
    select
        *,
        regexp_extract_all(
            caption,
            '(?i)\b(?:u+h*m+|u+h+|er+m*|h+m+|no wait|the the|a a|is is|and and|of of|in in|to to|i i|there there)\b|\b(?:you know|i mean),'
        ) as stammers
    from cap
    where not is_accepted
)

select
    id,
    'stammers ' || len(stammers) || ' times in ' || words || ' words' as reason,
    stammers[:10] as stammers,
    words
from stammered
where len(stammers) > $max_per_100_words * words / 100
