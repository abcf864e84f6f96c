-- One candidate a judged answer.
select
    images.image_url,
    image_sha256,
    trim(question) as question,
    trim(answer) as answer,
    left(sha256('ama/' || annotation_uid), 16) as id,
    annotator,
    annotation_uid,
    -- What the steps judge; a release does not hold these.
    verdict,
    updated_at
from current_answers
left join images using (image_sha256)
