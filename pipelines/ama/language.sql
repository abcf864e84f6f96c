-- Answers in another language: by their script, or by the short words that every sentence has. Shorter answers,
-- what they quote, and answers to a question about a language or a translation are left alone. A language in Latin
-- script that is not listed here, such as Swedish or Finnish, is never found.
with common (language, words) as (
    values
    ('en', 'the of and to in is are it that this with for on as was be there from at by has have they not which'),
    ('de', 'der das und ist ein eine einen nicht mit auf den dem im zu sind von sich es auch wird steht links rechts'),
    ('fr', 'le la les des et est une dans sur il elle pas avec au du qui que sont cette ce aux très'),
    ('es', 'el la los las y es una en con por que de del se al su hay está están muy pero'),
    ('it', 'il la gli e è una di che con per del della nel sono alla si delle questo questa sul'),
    ('pt', 'os e é uma de da em na com por que não está são há um ao dos das pela'),
    ('nl', 'de het een en van op met niet zijn aan er voor dat deze te naast staat links'),
    ('pl', 'jest w na z nie się są lewej prawej stronie ale który która obok przed'),
    ('tr', 've bir bu da de için var ile çok sağ sol olan üzerinde gibi değil'),
    ('id', 'yang di dan ini ada dengan sebuah untuk pada tidak adalah dari ke berwarna')
),

-- As written: in a name such as Los Angeles or El Greco the short words have capitals.
judged as (
    select
        id,
        regexp_replace(unquoted_answer, '[^\p{L}]+', ' ', 'g') as letters,
        -- Of a language that is not listed the script is not known.
        case
            when $language in (select language from common)
                then len(regexp_replace(letters, '[ \p{Latin}]+', '', 'g')) / greatest(len(replace(letters, ' ', '')), 1)
        end as other_script_share,
        string_split(trim(letters), ' ') as words
    from ama
    where not regexp_matches(
        question_words,
        '\b(translat\w*|language|english|french|german|spanish|italian|portuguese|dutch|polish|turkish|indonesian|chinese|japanese|korean|arabic|russian|hindi|greek|hebrew|thai|latin)\b'
    )
),

found as (
    select id, language, count(*) as found, count(distinct word) as kinds
    from (select id, unnest(words) as word from judged where len(words) >= $min_words)
    join (select language, unnest(string_split(words, ' ')) as word from common) using (word)
    group by id, language
),

ranked as (
    select
        *,
        rank() over (partition by id order by found desc, kinds desc) as place,
        coalesce(max(found) filter (where language = $language) over (partition by id), 0) as own_words
    from found
),

-- Languages that share the words found are all named.
likeliest as (
    select
        id,
        string_agg(language, ' or ' order by language) as likeliest,
        any_value(found) as its_words,
        any_value(kinds) as kinds,
        any_value(own_words) as own_words
    from ranked
    where place = 1
    group by id
)

select
    id,
    if(
        other_script_share > $max_other_script_share,
        'answer is in another script',
        'answer is in ' || likeliest || ', not in ' || $language
    ) as reason,
    round(other_script_share, 3) as other_script_share,
    its_words,
    own_words,
    len(words) as answer_length
from judged
left join likeliest using (id)
where other_script_share > $max_other_script_share
    -- Some words, such as `in`, are of several languages; in van Gogh, van Eyck there is one kind of them.
    or (its_words >= $min_share * len(words) and its_words >= $min_ratio * own_words and its_words > own_words and kinds >= $min_kinds)
