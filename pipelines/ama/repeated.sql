-- The same question with the same answer on one image: the first stays.
select
    id,
    'repeats row ' || first_id as reason,
    first_id as kept_id
from (
    select
        id,
        first_value(id) over (
            partition by image_sha256, lower(question), lower(answer) order by updated_at, id
        ) as first_id
    from ama
)
where id != first_id
