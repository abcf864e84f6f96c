-- Captions of speech that was heard one way by one window and another way by the next.
select
    id,
    round(100 * overlap_disagreement)::int
    || ' percent of the words in an overlap of two windows are not alike' as reason,
    round(overlap_disagreement, 3) as overlap_disagreement
from cap
where overlap_disagreement > $max_disagreement
