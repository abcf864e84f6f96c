-- The answer to `how many` against the points on the same expression: one of the two is wrong.
with numbers (word, number) as (
    values
    ('no', 0), ('none', 0), ('zero', 0), ('one', 1), ('two', 2), ('three', 3), ('four', 4), ('five', 5), ('six', 6),
    ('seven', 7), ('eight', 8), ('nine', 9), ('ten', 10), ('eleven', 11), ('twelve', 12), ('thirteen', 13),
    ('fourteen', 14), ('fifteen', 15), ('sixteen', 16), ('seventeen', 17), ('eighteen', 18), ('nineteen', 19),
    ('single', 1)
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
        -- Numbers of several words, and those that are not meant exactly, are left alone.
        and not regexp_matches(
            answer_words,
            -- Nor is `no way to tell` a count, or `this one`.
            '\b(?:no (?:way|idea|clue|telling)|(?:hard|difficult|impossible) to|(?:cannot|can t|can not|couldn t|could not)|not (?:sure|clear|possible)|(?:this|that|the|which|each|any|every) one|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|dozens?|couples?|pairs?|half|about|around|almost|nearly|roughly|approximately|over|least|most|more|less|fewer)\b'
        )
),

said as (
    select id, image_sha256, expression, number, place - lag(place) over (partition by id order by place) as step
    from (
        select asked.*, place, coalesce(number, try_cast(word as bigint)) as number
        from (select *, unnest(words) as word, generate_subscripts(words, 1) as place from asked where expression != '') as asked
        left join numbers using (word)
    )
    where number is not null
),

answered as (
    select id, any_value(image_sha256) as image_sha256, any_value(expression) as expression, list(distinct number order by number) as numbers
    from said
    group by id
    having min(step) is distinct from 1  -- one number in two words, as `1,200` is here
),

pointed as (
    select
        image_sha256,
        regexp_replace(trim(regexp_replace(lower(nfc_normalize(label)), '[^\p{L}\p{M}\p{N}]+', ' ', 'g')), '^(?:an?|the) ', '') as expression,
        len(points) as count
    from current_point_annotations
    where (presence = 'present') = (len(points) > 0)
),

-- Many are asked for, and one is named on the label: made alike as in points/none_against_present.sql.
things as (
    select
        expression,
        regexp_replace(expression, '\bpeople\b', 'person', 'g') as person,
        regexp_replace(person, '\b(wo)?men\b', '\1man', 'g') as man,
        regexp_replace(man, '\bchildren\b', 'child', 'g') as child,
        regexp_replace(child, '\b([ftg])ee(t|th|se)\b', '\1oo\2', 'g') as tooth,
        regexp_replace(tooth, '\bmice\b', 'mouse', 'g') as mouse,
        regexp_replace(mouse, '(s|x|z|o|ch|sh)es?\b', '\1', 'g') as dress,
        regexp_replace(dress, '(\p{L}{2}[^\P{L}s])s\b', '\1', 'g') as hat,
        regexp_replace(hat, '(?:ie|y)\b', 'i', 'g') as cherry,
        regexp_replace(cherry, '(?:ve|fe|f)\b', 'v', 'g') as thing
    from (select expression from answered union select expression from pointed)
),

counted as (
    select image_sha256, thing, list(distinct count order by count) as counts
    from pointed
    join things using (expression)
    group by image_sha256, thing
)

select
    id,
    'answer says ' || array_to_string(numbers, ' and ') || ', but ' || array_to_string(counts, ' or ') || ' were pointed at' as reason,
    expression,
    numbers,
    counts
from answered
join things using (expression)
join counted using (image_sha256, thing)
where not list_has_any(numbers, counts)
