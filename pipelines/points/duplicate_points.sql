-- Two points on one spot: a double click, which makes the count wrong.
with clicked as (
    select id, unnest(points) as point, generate_subscripts(points, 1) as place
    from points
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
