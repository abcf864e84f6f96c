-- A question that one annotator asks of image after image: a template, not something seen in this one.
with asked as (
    select
        id,
        annotator,
        question_words,
        count(distinct image_sha256) over (partition by annotator, question_words) as images,
        images / count(*) over (partition by annotator) as share
    from ama
)

select id, 'its annotator asks this of ' || images || ' images' as reason, images, round(share, 3) as share
from asked
where images >= $min_images and share > $max_share
