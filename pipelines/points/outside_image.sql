-- Points further outside the image than a click on its edge explains; nearer ones were moved to the edge.
with clicked as (
    select id, unnest(raw_points) as point
    from points
)

select
    id,
    'point outside the image, at ' || round(point.x, 1) || ', ' || round(point.y, 1) || ' percent' as reason,
    point.x as x,
    point.y as y
from clicked
where greatest(-point.x, -point.y, point.x - 100, point.y - 100) > $tolerance
