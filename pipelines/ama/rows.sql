-- One candidate a judged answer.
select
    images.image_url,
    image_sha256,
    regexp_replace(answers.question, '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g') as question,
    regexp_replace(answers.answer, '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g') as answer,
    left(sha256('ama/' || annotation_uid), 16) as id,
    annotator,
    annotation_uid,
    -- What the steps judge; a release does not hold these. Marks are parts of letters: काल is not किल.
    trim(regexp_replace(lower(nfc_normalize(answers.question)), '[^\p{L}\p{M}\p{N}]+', ' ', 'g')) as question_words,
    trim(regexp_replace(lower(nfc_normalize(answers.answer)), '[^\p{L}\p{M}\p{N}]+', ' ', 'g')) as answer_words,
    question_words || ' ' || answer_words as pair_words,
    -- Pairs on one image that differ in any other word than these are different pairs: left, right, two, yes, no.
    image_sha256 || regexp_replace(
        ' ' || question_words || ' ? ' || answer_words,
        ' (?:can you tell me|could you tell me|i hope this helps|in (?:the|this) (?:image|picture|photo)|please|indeed|a|an|the|this|that|these|those|it|there|is|are)\b',
        '',
        'g'
    ) as gist,
    -- What an answer quotes, a sign or a title, says nothing about the answer.
    regexp_replace(answers.answer, '"[^"]*"|“[^”]*”', ' ', 'g') as unquoted_answer,
    verdict,
    updated_at
-- Those of withdrawn people too: the build drops them first, and says so.
from newest_answers as answers
-- Somebody knew beforehand what is right of these.
anti join current_gold using (image_sha256)
left join images using (image_sha256)
