-- Speakers who say the same of every image: most of a text is sentences in a row that they said of others.
with said as (
    select
        id,
        unnest(are_used) as is_used,
        unnest(annotators) as annotator,
        string_split(lower(unnest(transcripts)), '. ') as sentence
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
    where is_used and annotator != 'unknown' and len(sentence) > 1
),

repeated as (
    select annotator, said, count(*) as images
    from pairs
    group by annotator, said
    having count(*) >= $min_images
),

counted as (
    select id, annotator, sum(length) as repeated_length, max(images) as images
    from pairs
    join repeated using (annotator, said)
    group by id, annotator
),

whole as (
    select id, annotator, sum(length) as length
    from pairs
    where id in (select id from counted)
    group by id, annotator
)

select
    id,
    round(100 * repeated_length / length)::int
    || ' percent of what one speaker says is said of other images too' as reason,
    images
from counted
join whole using (id, annotator)
where repeated_length > $max_share * length
