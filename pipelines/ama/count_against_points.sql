-- The answer to `how many` against the points on the same expression: one of the two is wrong.
with numbers (word, number) as (
    values
    ('no', 0), ('none', 0), ('zero', 0), ('one', 1), ('two', 2), ('three', 3), ('four', 4), ('five', 5), ('six', 6),
    ('seven', 7), ('eight', 8), ('nine', 9), ('ten', 10), ('eleven', 11), ('twelve', 12), ('thirteen', 13),
    ('fourteen', 14), ('fifteen', 15), ('sixteen', 16), ('seventeen', 17), ('eighteen', 18), ('nineteen', 19),
    ('twenty', 20), ('single', 1), ('couple', 2), ('pair', 2), ('dozen', 12)
),

-- What is asked for: between `how many` and the end, or `are there` and the like.
asked as (
    select
        id,
        image_sha256,
        string_split(answer_words, ' ') as words,
        regexp_extract(
            question_words,
            '^how many (?:of the )?(.+?)(?: (?:(?:are|is) (?:there|visible|shown|present|in view)|are|(?:can|do) (?:you|we|i) (?:see|count|find)|appear))*(?: in (?:the|this) (?:image|picture|photo))?$',
            1
        ) as expression
    from ama
    where starts_with(question_words, 'how many ')
),

answered as (
    select id, any_value(image_sha256) as image_sha256, any_value(expression) as expression, list(distinct number order by number) as numbers
    from (
        select asked.*, coalesce(number, try_cast(word as bigint)) as number
        from (select *, unnest(words) as word from asked where expression != '') as asked
        left join numbers using (word)
    )
    where number is not null
    group by id
),

pointed as (
    select
        image_sha256,
        regexp_replace(trim(regexp_replace(lower(nfc_normalize(label)), '[^\p{L}\p{N}]+', ' ', 'g')), '^(?:an?|the) ', '') as expression,
        list(distinct len(points) order by len(points)) as counts
    from current_point_annotations
    where (presence = 'present') = (len(points) > 0)
    group by all
)

select
    id,
    'answer says ' || array_to_string(numbers, ' and ') || ', but ' || array_to_string(counts, ' or ') || ' were pointed at' as reason,
    expression,
    numbers,
    counts
from answered
join pointed using (image_sha256, expression)
where not list_has_any(numbers, counts)
