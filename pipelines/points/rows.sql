-- One candidate an annotation: an expression and where it was pointed at. A click just outside the image is moved to its edge.
with tidied as (
    select
        *,
        -- Case, spaces, a leading article, and marks or quotes around it name no other thing; number does, and stays.
        trim(regexp_replace(lower(nfc_normalize(label)), '[\s\p{Z}]+', ' ', 'g'), ' .,;:!?"“”') as bare,
        regexp_replace(bare, '^(?:an?|the) ', '') as expression,
        list_transform(
            points,
            lambda p: {'x': least(greatest(p.x, 0::double), 100::double), 'y': least(greatest(p.y, 0::double), 100::double)}
        ) as inside
    -- Those of withdrawn people too: the build drops them first, and says so.
    from newest_point_annotations
),

-- What each annotator said last of an expression on an image, and did not withdraw.
said as (
    select image_sha256, expression, label, annotator, inside
    from tidied
    semi join current_point_annotations using (state_sha256)
    -- None with a point, or presence without one, says nothing.
    where (presence = 'none') = (len(points) = 0)
    qualify row_number() over (
        partition by image_sha256, expression, annotator order by updated_at desc, annotation_uid desc
    ) = 1
),

together as (
    select
        image_sha256,
        expression,
        count(*) as annotators,
        -- Points up to 5 percent of the width apart are one, as for `pixmo label report`.
        case when count(*) > 1
            then pairwise_f1(list(inside order by annotator), 5, any_value(height / width))
        end as agreement
    from said
    left join images using (image_sha256)
    group by image_sha256, expression
),

known as (
    select image_sha256, asked as label, points as known_points
    from current_gold
    where subset = 'points'
),

on_gold as (
    select
        annotator,
        count(*) as gold_tasks,
        avg(pairwise_f1([inside, known_points], 5, height / width)) as gold_accuracy
    from said
    join known using (image_sha256, label)
    join images using (image_sha256)
    group by annotator
)

select
    images.image_url,
    image_sha256,
    inside as points,
    len(points) as count,
    expression as label,
    collection_method,
    left(sha256('points/' || annotation_uid || '/' || label), 16) as id,
    case when inside = points then [] else points end as raw_points,
    case when expression = label then '' else label end as raw_label,
    annotator,
    annotation_uid,
    []::varchar[] as merged_from,
    -- What the steps judge; a release does not hold these.
    presence,
    updated_at,
    coalesce(annotators, 0) as annotators, -- who did this expression on this image
    agreement, -- the mean F1 of every two of them; null for one
    known_points is not null as is_gold,
    coalesce(gold_tasks, 0) as gold_tasks, -- tasks with known answers that the annotator did
    gold_accuracy -- the mean F1 of their points and the right ones; null without such tasks
from tidied
left join together using (image_sha256, expression)
left join known using (image_sha256, label)
left join on_gold using (annotator)
left join images using (image_sha256)
