-- Recordings in which somebody waits for the time to pass: even the one with most speech is mostly silent.
select
    id,
    'only ' || round(100 * spoken_share)::int || ' percent of the recording is speech' as reason,
    round(spoken_share, 3) as spoken_share
from cap
where is_only_spoken and spoken_share < $min_spoken_share
