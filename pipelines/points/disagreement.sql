-- Several people pointed at one expression on one image, and this row agrees with too few of the others.
-- Two rows agree when their counts do and a point is, on average over both rows, near the other row's nearest.
with several as (
    select id, image_sha256, label, annotator, count, points
    from points
    window same as (partition by image_sha256, label)
    qualify min(annotator) over same != max(annotator) over same
),

pairs as (
    select
        mine.id,
        mine.count,
        theirs.count as their_count,
        abs(mine.count - theirs.count) <= $max_count_difference * greatest(mine.count, theirs.count) as counts_agree,
        -- Looked for only where the counts agree; null where both say that there is none.
        if(counts_agree, [mine.points, theirs.points], [[], []]) as points
    from several as mine
    join several as theirs using (image_sha256, label)
    where mine.annotator != theirs.annotator
),

measured as (
    select
        id,
        count,
        their_count,
        counts_agree,
        list_avg(list_concat(
            list_transform(points[1], lambda p: list_min(list_transform(
                points[2], lambda q: sqrt((p.x - q.x) ** 2 + (p.y - q.y) ** 2)))),
            list_transform(points[2], lambda p: list_min(list_transform(
                points[1], lambda q: sqrt((p.x - q.x) ** 2 + (p.y - q.y) ** 2))))
        )) as distance
    from pairs
),

judged as (
    select
        id,
        any_value(count) as count,
        count(*) as others,
        count(*) filter (where counts_agree and coalesce(distance, 0) <= $max_distance) as agreeing,
        list_sort(list(their_count)) as their_counts,
        round(min(distance), 1) as distance
    from measured
    group by id
)

select id, agreeing || ' of ' || others || ' others agree' as reason, count, their_counts, distance
from judged
where agreeing < $min_agreeing_share * others
