-- None, said by someone who says so far more often than the others do: an easy answer.
with shares as (
    select
        annotator,
        count(*) filter (where presence = 'none') as nones,
        nones / count(*) as none_share,
        -- Halves keep the odds of an annotator without either finite.
        (nones + 0.5) / (count(*) - nones + 0.5) as odds
    from points
    group by annotator
    having count(*) >= $min_rows
),

usual as (select median(odds) as odds, median(none_share) as none_share from shares)

select
    id,
    'its annotator says none far more often than the others' as reason,
    round(shares.none_share, 3) as none_share,
    round(usual.none_share, 3) as usual_none_share
from points
join shares using (annotator)
cross join usual
where presence = 'none' and shares.odds > $max_odds_ratio * usual.odds
