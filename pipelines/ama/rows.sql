-- One candidate a judged answer.
select
    images.image_url,
    image_sha256,
    regexp_replace(answers.question, '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g') as question,
    regexp_replace(answers.answer, '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g') as answer,
    left(sha256('ama/' || annotation_uid), 16) as id,
    annotator,
    annotation_uid,
    -- What the steps judge; a release does not hold these.
    trim(regexp_replace(lower(nfc_normalize(answers.question)), '[^\p{L}\p{N}]+', ' ', 'g')) as question_words,
    trim(regexp_replace(lower(nfc_normalize(answers.answer)), '[^\p{L}\p{N}]+', ' ', 'g')) as answer_words,
    question_words || ' ' || answer_words as pair_words,
    -- What an answer quotes, a sign or a title, says nothing about the answer.
    regexp_replace(answers.answer, '"[^"]*"|“[^”]*”', ' ', 'g') as unquoted_answer,
    verdict,
    updated_at
from current_answers as answers
left join images using (image_sha256)
