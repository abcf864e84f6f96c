-- Said to be present, yet not pointed at: would teach that there are none.
select id, 'said to be present, but no point' as reason
from points
where presence = 'present' and count = 0
