-- The expression says how many there are, and another number was pointed at.
with numbers (word, number) as (
    values
    ('two', 2), ('three', 3), ('four', 4), ('five', 5), ('six', 6), ('seven', 7), ('eight', 8), ('nine', 9),
    ('ten', 10), ('eleven', 11), ('twelve', 12), ('2', 2), ('3', 3), ('4', 4), ('5', 5), ('6', 6), ('7', 7),
    ('8', 8), ('9', 9), ('10', 10), ('11', 11), ('12', 12)
),

-- What is named ends before the first of these words; in the plural it is counted: `two cars`, not `two piece suit`.
named as (
    select
        id,
        count,
        string_split(label, ' ')[1] as word,
        string_split(
            regexp_extract(label, '^(.*?)(?: (?:in|on|at|of|with|near|by|under|behind|above|below|to|from|and|that|who|which)\b.*)?$', 1),
            ' '
        )[-1] as noun
    from points
    where count > 0
)

select id, 'says ' || number || ', but ' || count || ' were pointed at' as reason, number, count
from named
join numbers using (word)
where number != count
    and regexp_matches(noun, '^\p{L}{2,}[^s]s$|^(?:men|women|people|children|feet|teeth|mice|geese)$')
