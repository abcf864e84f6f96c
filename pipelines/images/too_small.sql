-- Images too small to show what is said about them: icons, tracking pixels, avatars.
select id, 'image is only ' || width || ' × ' || height || ' pixels' as reason, width, height
from candidates
join images using (image_sha256)
where least(width, height) < $min_side
