-- Captions of which too much stands in no transcript: the writer made it up.
select
    id,
    round(100 * unsupported_share)::int || ' percent of the words are in no transcript' as reason,
    round(unsupported_share, 3) as unsupported_share,
    len(unsupported) as unsupported_words
from cap
where unsupported_share > $max_share and not is_accepted
