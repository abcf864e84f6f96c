-- Several people pointed at one expression on one image: one row is left, with a point wherever most of them did.
-- Where that makes another number of points than they usually counted, their rows stay as they are.
with several as (
    select id, image_sha256, label, annotation_uid, annotator, points, updated_at
    from points
    window same as (partition by image_sha256, label)
    qualify min(annotator) over same != max(annotator) over same
),

agreed as (
    select
        image_sha256,
        label,
        arg_min(id, (updated_at, id)) as kept_id,
        list(annotation_uid order by annotation_uid) as merged_from,
        median(len(points)) as usual_count,
        point_consensus(
            list({'annotation_uid': annotation_uid, 'annotator': annotator, 'points': points} order by annotation_uid),
            $within,
            any_value(height / width),
            $share
        ) as found
    from several
    join images using (image_sha256)
    group by image_sha256, label
)

select
    id,
    kept_id,
    'merged into row ' || kept_id as reason,
    -- Evidence: points of any of them that too few others share.
    found.left_out as left_out,
    -- The values of the row that is left.
    found.points as points,
    len(found.points) as count,
    if(len(found.points) = 0, 'none', 'present') as presence,
    []::struct(x double, y double)[] as raw_points,
    merged_from
from several
join agreed using (image_sha256, label)
where abs(len(found.points) - usual_count) <= $max_count_difference * greatest(len(found.points), usual_count)
