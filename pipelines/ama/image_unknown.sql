-- Questions about images that were never added, or could not be: nothing could show what they ask about.
select
    id,
    coalesce('image was set aside: ' || set_aside.reason, 'image is not in the workspace') as reason,
    set_aside.path,
    set_aside.detail
from ama
anti join images using (image_sha256)
left join current_set_aside as set_aside on stage = 'images' and key = image_sha256
