-- One annotator's points at the very same places on several images: clicked without looking.
with rounded as (
    select
        id,
        annotator,
        image_sha256,
        count,
        md5(list_transform(points, lambda p: (round(p.x, 1), round(p.y, 1)))::varchar) as places
    from points
    where count > 0
),

repeated as (
    select annotator, places, count(distinct image_sha256) as images
    from rounded
    group by annotator, places
    -- One point may meet another by chance; the more points, the fewer images tell.
    having any_value(count) * (images - 1) >= $min_repeated
)

select id, 'same points as on ' || (images - 1) || ' other images' as reason, images, count
from rounded
join repeated using (annotator, places)
