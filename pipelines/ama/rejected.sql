-- Answers that the annotator did not accept.
select id, 'answer was rejected' as reason
from ama
where verdict != 'accept'
