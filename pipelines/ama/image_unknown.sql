-- Questions about images that were never added: nothing could show what they ask about.
select id, 'image is not in the workspace' as reason
from ama
anti join images using (image_sha256)
