-- The same annotator pointed at the same expression on one image again: the newest stays.
select
    id,
    'superseded by row ' || newest_id as reason,
    newest_id as kept_id
from (
    select
        id,
        first_value(id) over (
            partition by image_sha256, label, annotator
            order by updated_at desc, id
        ) as newest_id
    from points
)
where id != newest_id
