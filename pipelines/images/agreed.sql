-- Images on which a second person agreed: another annotator found as many of the same thing, or a reviewer accepted the caption.
select image_sha256
from (
    select
        *,
        -- As points/rows.sql tidies it.
        trim(regexp_replace(lower(nfc_normalize(label)), '[\s\p{Z}]+', ' ', 'g'), ' .,;:!?"“”') as bare,
        regexp_replace(bare, '^(?:an?|the) ', '') as expression
    from current_point_annotations
    where annotator != 'unknown' and (presence = 'present') = (len(points) > 0)
)
where expression != ''
group by image_sha256, expression, len(points)
having min(annotator) != max(annotator)

union

select image_sha256
from (
    select captions.image_sha256, verdict
    from current_captions as captions
    join current_caption_reviews as reviews using (caption_id)
    qualify row_number() over (
        partition by caption_id order by updated_at desc, annotation_uid desc
    ) = 1
)
where verdict = 'accept'
