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
    from current_point_annotations
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
    -- What the steps judge; a release does not hold these.
    presence,
    updated_at
from tidied
left join images using (image_sha256)
