-- Speakers who say the same of every image: most of a text is sentences in a row that they said of others.
with said as (
    select id, unnest(annotators) as annotator, string_split(lower(unnest(transcripts)), '. ') as sentence
    from cap
    where not is_accepted
),

-- Two takes of one image are one image: what both say counts once.
pairs as (
    select distinct
        id,
        annotator,
        unnest(
            list_transform(
                range(1, len(sentence)),
                lambda i: {'said': hash(sentence[i], sentence[i + 1]), 'length': len(sentence[i])}
            ),
            recursive := true
        )
    from said
    where annotator != 'unknown' and len(sentence) > 1
),

counted as (
    select id, annotator, said, length, count(*) over (partition by annotator, said) as images
    from pairs
)

select
    id,
    round(100 * sum(length) filter (images >= $min_images) / sum(length))::int
    || ' percent of what ' || annotator || ' says is said of other images too' as reason,
    annotator,
    max(images) as images
from counted
group by id, annotator
having sum(length) filter (images >= $min_images) > $max_share * sum(length)
