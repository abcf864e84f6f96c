-- Captions of images that were never added: nothing could show what they describe.
select id, 'image is not in the workspace' as reason
from cap
anti join images using (image_sha256)
