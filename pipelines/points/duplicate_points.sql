-- Two points on one spot: a double click, which makes the count wrong.
with as_clicked as (
    -- Not as moved to the edge, where two clicks outside may meet.
    select id, count, if(raw_points = [], points, raw_points) as points
    from points
),

crowded as (
    -- Points nearer than min_distance share a square of twice that side in one of four grids, each
    -- moved by half a square: only rows where a square holds two are compared point by point.
    select distinct id, points
    from as_clicked, (values (0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.5, 0.5)) as grids (across, down)
    where count > list_unique(list_transform(
        points,
        lambda p: 1000000 * floor(p.x / (2 * $min_distance) + across) + floor(p.y / (2 * $min_distance) + down)
    ))
),

clicked as (
    select id, unnest(points) as point, generate_subscripts(points, 1) as place
    from crowded
),

pairs as (
    select
        id,
        a.place as first_place,
        b.place as second_place,
        sqrt((a.point.x - b.point.x) ** 2 + (a.point.y - b.point.y) ** 2) as distance
    from clicked as a
    join clicked as b using (id)
    where a.place < b.place
)

select
    id,
    'points ' || first_place || ' and ' || second_place || ' are one spot' as reason,
    round(distance, 3) as distance
from pairs
where distance < $min_distance
-- The nearest two of a row.
qualify row_number() over (partition by id order by pairs.distance, first_place, second_place) = 1
