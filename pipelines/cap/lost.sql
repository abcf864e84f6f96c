-- Captions that leave out too much of what was said.
select
    id,
    round(100 * lost_share)::int || ' percent of what was said is lost' as reason,
    round(lost_share, 3) as lost_share,
    len(lost) as lost_words
from cap
where lost_share > $max_share and not is_accepted
