-- Images on which a second person agreed: another annotator found as many of the same thing, or a reviewer accepted the caption.
select image_sha256
from current_point_annotations
group by image_sha256, lower(trim(label)), len(points)
having min(annotator) != max(annotator)

union

select captions.image_sha256
from current_captions as captions
join current_caption_reviews as reviews using (caption_id)
where verdict = 'accept'
