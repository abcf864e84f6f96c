-- Nothing that an answer could be about: no words, a trial, a greeting, keys hit at random, or a question to the
-- annotators about their work. What a text does not show is not judged here: `What is the capital of France?` is
-- a fair question on a photo of a map.
with trials (question_words) as (
    values
    ('test'), ('testing'), ('test test'), ('this is a test'), ('test question'), ('question'), ('my question'),
    ('hi'), ('hi there'), ('hello'), ('hello there'), ('hello world'), ('hey'), ('how are you'), ('good morning'),
    ('thanks'), ('thank you'), ('ok'), ('okay'), ('yes'), ('no'), ('none'), ('nothing'), ('na'), ('n a'), ('idk'),
    ('i don t know'), ('no question'), ('no idea'), ('who are you'), ('what is your name'), ('what s your name'),
    ('who made you'), ('what can you do'), ('lorem ipsum'), ('abc'), ('123'), ('1234'),
    ('what should i ask'), ('what should i write here'), ('what do i ask')
),

about_the_work (phrase) as (
    values
    ('this annotation'), ('annotation task'), ('labeling task'), ('labelling task'), ('label studio'),
    ('submit this task'), ('skip this task'), ('i get paid'), ('how many questions do i'), ('are you an ai'), ('are you a robot'), ('are you a bot'),
    ('are you chatgpt'), ('are you a language model'), ('your training data'), ('your system prompt')
),

looked_at as (
    select
        id,
        question,
        question_words,
        string_split(question_words, ' ') as words,
        -- Seven consonants in a row, one letter four times, or neighbours on the keyboard.
        list_filter(words, lambda word: regexp_matches(
            word,
            '[bcdfghjklmnpqrstvwxz]{7}|a{4}|e{4}|f{4}|g{4}|h{4}|j{4}|k{4}|l{4}|s{4}|d{4}|asdf|sdfg|dfgh|fghj|ghjk|hjkl|qwer|zxcv|xcvb|cvbn'
        )) as mashed
    from ama
),

judged as (
    select
        id,
        case
            when not regexp_matches(question, '\p{L}|\d.*[?？؟]') then 'no word in the question'
            when question_words in (from trials) then 'a trial or a greeting'
            when exists (from about_the_work where contains(' ' || question_words || ' ', ' ' || phrase || ' ')) then 'about the work and not about the image'
            when len(mashed) > $max_mashed_share * len(words) then 'keys hit at random'
            when len(words) < $min_words
                -- Scripts that put no spaces between words, and may ask without a mark, show no words to count.
                and not regexp_matches(question, '[?？؟\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]')
                then 'a single word, and no question mark'
        end as reason
    from looked_at
)

select id, reason
from judged
where reason is not null
