-- Images of which two people give different counts of one thing: both are in the caption.
with said as (
    select id, generate_subscripts(transcripts, 1) as place, unnest(transcripts) as text
    from cap
    where len(transcripts) > 1
),

counts as (
    select
        id,
        place,
        string_split(
            unnest(
                regexp_extract_all(
                    lower(text),
                    '\b(?:two|three|four|five|six|seven|eight|nine|ten|[2-9]|10) (?:[a-z]{3,}s|people|men|women|children)\b'
                )
            ),
            ' '
        ) as count_and_thing
    from said
),

things as (
    select
        id,
        count_and_thing[2] as thing,
        coalesce(
            list_position(
                ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'],
                count_and_thing[1]
            ),
            count_and_thing[1]::int
        ) as number,
        list(distinct place) as speakers
    from counts
    group by all
)

select
    id,
    'counts of ' || thing || ' differ' as reason,
    thing,
    list(number order by number) as numbers
from things
group by id, thing
-- Whoever says "two people" and "three people" speaks of groups: one number in common is agreement.
having
    max(len(speakers)) = 1
    and len(list_distinct(flatten(list(speakers)))) > 1
    and max(number) - min(number) >= $min_difference
