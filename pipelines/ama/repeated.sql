-- The same question with the same answer on one image, case and punctuation aside: the first stays.
select
    id,
    'repeats row ' || first_id as reason,
    first_id as kept_id
from (
    select
        id,
        first_value(id) over (
            partition by image_sha256, question_words, answer_words order by updated_at, id
        ) as first_id
    from ama
    -- Signs alone, `?` and `+`, leave no words to compare.
    where question_words != '' and answer_words != ''
)
where id != first_id
