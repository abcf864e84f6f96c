-- Images of which two transcripts give different counts of one thing: both are in the caption.
with said as (
    select
        id,
        generate_subscripts(transcripts, 1) as place,
        unnest(are_used) as is_used,
        unnest(transcripts) as text
    from cap
    where len(transcripts) > 1
),

counts as (
    select
        id,
        place,
        -- "two dogs", or with one word between them, "two brown dogs", which is a thing of its own; not the end of a
        -- longer number, such as "twenty-five dogs" or "2.5 meters".
        unnest(
            regexp_extract_all(
                regexp_replace(
                    lower(text),
                    '\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand)[ -](?:and )?)+[a-z0-9]+|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|[0-9]+) point [a-z0-9]+',
                    'many',
                    'g'
                ),
                '(?:^|[^a-z0-9.,-])((?:two|three|four|five|six|seven|eight|nine|ten|[2-9]|10) (?:[a-z]+ )??(?:[a-z]{2,}[a-rt-z]s|people|men|women|children))\b',
                1
            )
        ) as counted
    from said
    where is_used
),

things as (
    select
        id,
        substr(counted, strpos(counted, ' ') + 1) as thing,
        coalesce(
            list_position(
                ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'],
                split_part(counted, ' ', 1)
            ),
            split_part(counted, ' ', 1)::int
        ) as number,
        list(distinct place) as places
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
-- A transcript with "two people" and "three people" is about groups: a number in common is agreement.
having
    max(len(places)) = 1
    and len(list_distinct(flatten(list(places)))) > 1
    and max(number) - min(number) >= $min_difference
