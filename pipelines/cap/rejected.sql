-- Captions that a reviewer rejected.
select id, 'rejected by its reviewer' as reason, review_uid as annotation_uid
from cap
where review_verdict = 'reject'
