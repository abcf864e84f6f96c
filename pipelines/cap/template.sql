-- Speakers who tell every image by one pattern: the first words of their first sentences are always the same.
with said as (
    select
        id,
        unnest(annotators) as annotator,
        string_split(lower(left(unnest(transcripts), 900)), '. ')[1:6] as sentence
    from cap
),

opened as (
    select
        id,
        annotator,
        array_to_string(
            list_transform(sentence, lambda s: array_to_string(string_split(s, ' ')[1:2], ' ')), ' … '
        ) as openings
    from said
    where annotator != 'unknown' and len(sentence) = 6
),

counted as (
    select *, count(*) over (partition by annotator, openings) as times
    from opened
)

select
    id,
    annotator || ' tells ' || times || ' images by one pattern' as reason,
    annotator,
    openings,
    times
from counted
where times >= $min_images
