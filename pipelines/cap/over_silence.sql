-- Captions with many words under which nobody speaks: the recogniser invented them.
select
    id,
    round(100 * words_over_silence_share)::int || ' percent of the words are over silence' as reason,
    round(words_over_silence_share, 3) as words_over_silence_share,
    round(no_speech_prob, 3) as no_speech_prob
from cap
where words_over_silence_share > $max_share and not is_accepted
