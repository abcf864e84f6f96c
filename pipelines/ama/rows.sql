-- One candidate a judged answer.
with said as ( -- what each annotator said last of an answer
    select image_sha256, question, proposed_answer, annotator, verdict
    from current_answers
    qualify row_number() over (
        partition by image_sha256, question, proposed_answer, annotator
        order by updated_at desc, annotation_uid desc
    ) = 1
),

verdicts as (
    select image_sha256, question, proposed_answer, count(*) as same
    from said
    group by image_sha256, question, proposed_answer, verdict
),

together as (
    select
        image_sha256,
        question,
        proposed_answer,
        sum(same) as annotators,
        case when sum(same) > 1
            then sum(same * (same - 1)) / (sum(same) * (sum(same) - 1))
        end as agreement
    from verdicts
    group by image_sha256, question, proposed_answer
),

on_gold as (
    select
        annotator,
        count(*) as gold_tasks,
        avg((said.verdict = known.verdict)::int) as gold_accuracy
    from said
    join current_gold as known
        on known.subset = 'ama'
        and said.image_sha256 = known.image_sha256
        and said.question = known.asked
        and said.proposed_answer = known.answer
    group by annotator
)

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
    updated_at,
    coalesce(annotators, 0) as annotators, -- who judged this answer to this question
    agreement, -- the share of every two of them with one verdict; null for one
    (image_sha256, answers.question) in (
        select (image_sha256, asked) from current_gold where subset = 'ama'
    ) as is_gold,
    coalesce(gold_tasks, 0) as gold_tasks, -- tasks with known answers that the annotator did
    gold_accuracy -- the share of them with the right verdict; null without such tasks
-- Those of withdrawn people too: the build drops them first, and says so.
from newest_answers as answers
left join together using (image_sha256, question, proposed_answer)
left join on_gold using (annotator)
left join images using (image_sha256)
