-- Speech with the cadence of reading: fast, without a pause for thought, without a stammer. It may be typed or pasted.
with said as (
    select
        id,
        unnest(are_used) as is_used,
        unnest(transcripts) as text,
        unnest(words_per_second) as words_per_second,
        unnest(longest_silence_seconds) as longest_silence_seconds,
        unnest(spoken_shares) as spoken_share
    from cap
    where is_spoken
)

select
    id,
    'no pause over ' || round(longest_silence_seconds, 1) || ' seconds at '
    || round(words_per_second, 1) || ' words a second, and no stammer' as reason,
    round(longest_silence_seconds, 2) as longest_silence_seconds,
    round(words_per_second, 2) as words_per_second,
    round(spoken_share, 3) as spoken_share
from said
where
    is_used
    and longest_silence_seconds <= $max_pause_seconds
    and words_per_second >= $min_words_per_second
    and spoken_share >= $min_spoken_share
    and not regexp_matches(text, '(?i)\b(?:u+h*m+|u+h+|er+m*|h+m+|i mean|no wait|sorry|the the|a a|is is)\b')
