-- Clicks spaced more evenly than a hand can place them: made by a script, or with the keyboard, and not by looking.
with bent as (
    select
        id,
        -- How far, in percent, a step is from the step before it.
        list_transform(
            list_zip(points[:-3], points[2:-2], points[3:]),
            lambda p: sqrt((p[1].x - 2 * p[2].x + p[3].x) ** 2 + (p[1].y - 2 * p[2].y + p[3].y) ** 2)
        ) as bends
    from points
),

counted as (
    select id, len(bends) as steps, len(list_filter(bends, lambda bend: bend <= $max_bend)) as even_steps
    from bent
)

select
    id,
    even_steps || ' of ' || steps || ' steps repeat the step before' as reason,
    even_steps,
    steps
from counted
-- A hand repeats a step or two by chance, and a grid of k columns repeats k - 2 of its k steps a row.
where even_steps >= $min_even_steps and even_steps >= $min_share * steps
