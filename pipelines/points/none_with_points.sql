-- Said to be absent, yet pointed at: one of the two is wrong.
select id, 'said to be absent, but pointed at' as reason, count
from points
where presence = 'none' and count > 0
