-- Said to be absent in one row and pointed at in another, under the singular and the plural of one expression.
with torn_images as (
    select image_sha256
    from points
    group by image_sha256
    having count(distinct presence) > 1
),

-- Made alike step by step; what comes out need be no word: knife and knives give `kniv`.
alike as (
    select
        id,
        label,
        presence,
        image_sha256,
        regexp_replace(label, '\bpeople\b', 'person', 'g') as person,
        regexp_replace(person, '\b(wo)?men\b', '\1man', 'g') as man,
        regexp_replace(man, '\bchildren\b', 'child', 'g') as child,
        regexp_replace(child, '\b([ftg])ee(t|th|se)\b', '\1oo\2', 'g') as tooth,
        regexp_replace(tooth, '\bmice\b', 'mouse', 'g') as mouse,
        regexp_replace(mouse, '(s|x|z|o|ch|sh)es?\b', '\1', 'g') as dress,
        regexp_replace(dress, '(\p{L}{2}[^\P{L}s])s\b', '\1', 'g') as hat,
        regexp_replace(hat, '(?:ie|y)\b', 'i', 'g') as cherry,
        regexp_replace(cherry, '(?:ve|fe|f)\b', 'v', 'g') as thing
    from points
    semi join torn_images using (image_sha256)
),

torn as (
    select
        id,
        presence,
        min(label) filter (where presence = 'none') over same as absent,
        min(label) filter (where presence = 'present') over same as pointed_at
    from alike
    window same as (partition by image_sha256, thing)
    qualify count(distinct label) over same > 1
)

select
    id,
    'absent as "' || absent || '", but pointed at as "' || pointed_at || '"' as reason,
    absent,
    pointed_at
from torn
where absent is not null
    and pointed_at is not null
    -- Their singular is another thing.
    and not regexp_matches(absent || ' ' || pointed_at, '\b(?:glasses|news|shorts)\b')
