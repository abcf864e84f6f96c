-- Points on images that were never added: nothing could show what they point at.
select id, 'image is not in the workspace' as reason
from points
anti join images using (image_sha256)
