-- Questions and answers far longer than anybody asks and reads: a pasted page, a model that did not stop.
with counted as (
    select
        id,
        len(string_split(question_words, ' ')) as question_length,
        len(string_split(answer_words, ' ')) as answer_length
    from ama
)

select
    id,
    if(
        question_length > $max_question_words,
        'question of ' || question_length || ' words',
        'answer of ' || answer_length || ' words'
    ) as reason,
    question_length,
    answer_length
from counted
where question_length > $max_question_words or answer_length > $max_answer_words
