-- Captions of what is no longer, or not all, that is said about the image.
select
    id,
    if(
        is_described,
        'transcripts have changed since; write it again: pixmo caption',
        'its recordings were replaced, or are linked to another image now'
    ) as reason
from cap
join stale_captions using (image_sha256)
