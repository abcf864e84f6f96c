-- More points than a model is trained to write.
select id, count || ' points' as reason, count
from points
where count > $max_points
