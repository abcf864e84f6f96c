-- Speakers who tell their images by one pattern: the first sentences begin alike, in the same order.
with said as (
    select
        id,
        unnest(are_used) as is_used,
        unnest(annotators) as annotator,
        string_split(lower(left(unnest(transcripts), 900)), '. ')[1:6] as sentences
    from cap
),

opened as (
    select
        id,
        annotator,
        list_transform(
            sentences, lambda sentence: array_to_string(string_split(sentence, ' ')[1:2], ' ')
        ) as openings
    from said
    where is_used and annotator != 'unknown' and len(sentences) = 6
),

-- Of the six one may be free: six patterns an image, each with another free place.
patterns as (
    select
        id,
        annotator,
        openings,
        unnest(
            list_transform(
                range(1, 7),
                lambda free: hash(
                    list_transform(openings, lambda opening, place: if(place = free, '*', opening))
                )
            )
        ) as pattern
    from opened
),

told as (
    select annotator, count(distinct id) as told from said where is_used group by annotator
),

repeated as (
    select annotator, pattern, count(distinct id) as images
    from patterns
    group by annotator, pattern
    having count(distinct id) >= $min_images
)

select
    id,
    'one speaker tells ' || images || ' of ' || told || ' images by one pattern' as reason,
    images
from patterns
join repeated using (annotator, pattern)
join told using (annotator)
where images >= $min_share * told
qualify row_number() over (partition by id order by images desc, annotator, openings) = 1
