-- Said to be absent in one row and pointed at in another, under the singular and the plural of one expression.
with singular as (
    select
        id,
        label,
        presence,
        image_sha256,
        regexp_replace(regexp_replace(regexp_replace(regexp_replace(
            label,
            '\b(wo)?men\b', '\1man', 'g'),
            '\b(?:people|persons)\b', 'person', 'g'),
            '(x|ch|sh)es\b', '\1', 'g'),
            '(\p{L}{3})s\b', '\1', 'g'
        ) as one
    from points
),

torn as (
    select
        id,
        presence,
        min(label) filter (where presence = 'none') over same as absent,
        min(label) filter (where presence = 'present') over same as pointed_at
    from singular
    window same as (partition by image_sha256, one)
    qualify count(distinct label) over same > 1
)

select
    id,
    'absent as "' || absent || '", but pointed at as "' || pointed_at || '"' as reason,
    absent,
    pointed_at
from torn
where absent is not null and pointed_at is not null
