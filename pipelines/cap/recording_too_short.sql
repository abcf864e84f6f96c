-- Images nobody spoke about for the full time: short recordings name things but do not describe them.
select
    id,
    'longest recording is ' || round(longest_seconds, 1) || ' seconds' as reason,
    round(longest_seconds, 2) as longest_seconds
from cap
where is_only_spoken and longest_seconds < $min_seconds
