-- Answers that refuse, or that show they were written by a model that saw no image, only a text about it. In a poem
-- or a story somebody may say `I do not know`: there only an answer that begins with its refusal counts.
with phrases (kind, phrase) as (
    values
    ('refuses', 'as an ai'), ('refuses', 'as a language model'), ('refuses', 'as a large language model'),
    ('refuses', 'i am an ai'), ('refuses', 'i am just an ai'), ('refuses', 'i am sorry but i'),
    ('refuses', 'sorry i cannot'), ('refuses', 'i apologize but'), ('refuses', 'i cannot assist'),
    ('refuses', 'i cannot help'), ('refuses', 'i cannot provide'), ('refuses', 'i cannot answer'),
    ('refuses', 'i cannot identify'), ('refuses', 'i cannot determine'), ('refuses', 'i am unable to'),
    ('refuses', 'i am not able to'), ('refuses', 'i do not know'), ('refuses', 'i do not have enough information'),
    ('refuses', 'there is not enough information'), ('refuses', 'without more context'),
    ('refuses', 'without additional context'), ('refuses', 'against my guidelines'),
    ('shows that no image was seen', 'i cannot see the image'), ('shows that no image was seen', 'i cannot see the picture'),
    ('shows that no image was seen', 'i cannot see the photo'), ('shows that no image was seen', 'i cannot see images'),
    ('shows that no image was seen', 'i cannot see any image'), ('shows that no image was seen', 'i cannot view'),
    ('shows that no image was seen', 'i do not see an image'), ('shows that no image was seen', 'no image was provided'),
    ('shows that no image was seen', 'no image is provided'), ('shows that no image was seen', 'no image has been provided'),
    ('shows that no image was seen', 'no image attached'), ('shows that no image was seen', 'please provide the image'),
    ('shows that no image was seen', 'please upload the image'), ('shows that no image was seen', 'please share the image'),
    ('shows that no image was seen', 'do not have access to the image'),
    ('is written from a text', 'the description does not'), ('is written from a text', 'the caption does not'),
    ('is written from a text', 'the image description'), ('is written from a text', 'the provided description'),
    ('is written from a text', 'the description provided'), ('is written from a text', 'based on the description'),
    ('is written from a text', 'according to the description'), ('is written from a text', 'mentioned in the description'),
    ('is written from a text', 'according to the caption'), ('is written from a text', 'based on the caption'),
    ('is written from a text', 'mentioned in the caption'), ('is written from a text', 'the provided caption'),
    ('is written from a text', 'the caption provided'), ('is written from a text', 'the ocr'),
    ('is written from a text', 'ocr text'), ('is written from a text', 'the provided text'),
    ('is written from a text', 'the transcript does not')
),

no_answers (answer_words) as (
    values
    ('no answer'), ('n a'), ('na'), ('unknown'), ('unanswerable'), ('not answerable'), ('idk'), ('todo'), ('tbd'),
    ('answer'), ('test'), ('null'), ('nan'), ('error'), ('not sure'), ('not applicable')
),

-- Written out and without signs, as the phrases are.
told as (
    select
        id,
        answer_words,
        regexp_matches(
            question_words,
            '\b(poems?|haikus?|limericks?|sonnets?|verses?|songs?|lyrics|stor(y|ies)|tales?|jokes?|dialogues?|conversations?|monologues?|letters?|diary)\b'
        ) as is_invented,
        replace(replace(replace(replace(lower(unquoted_answer), '’', ''''), 'can''t', 'cannot'), 'can not', 'cannot'), 'i''m', 'i am')
            as whole,
        ' ' || trim(regexp_replace(replace(whole, 'n''t', ' not'), '[^\p{L}\p{N}'']+', ' ', 'g')) || ' ' as said
    from ama
)

select
    id,
    'answer ' || kind || ': "' || phrase || '"' as reason
from told
join phrases
    on if(is_invented and kind = 'refuses', starts_with(said, ' ' || phrase || ' '), contains(said, ' ' || phrase || ' '))
union all
select id, 'answer is none: "' || answer_words || '"' as reason
from told
semi join no_answers using (answer_words)
