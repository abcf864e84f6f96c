-- One long answer to different questions on different images: a stock phrase that fits them all.
with told as (
    select
        id,
        image_sha256,
        question_words,
        answer_words
    from ama
    where len(string_split(answer_words, ' ')) >= $min_words
),

stock as (
    select answer_words, count(distinct question_words) as questions, count(distinct image_sha256) as images
    from told
    group by answer_words
    having questions >= $min_questions and images >= $min_questions
)

select id, 'the same answer as to ' || (questions - 1) || ' other questions' as reason, questions, images
from told
join stock using (answer_words)
