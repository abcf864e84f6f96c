-- Recordings in which nobody speaks, and captions that came out empty: a recogniser invents text for silence.
select
    id,
    case
        when is_only_spoken and speech_seconds < $min_speech_seconds then 'no speech in the recording'
        else 'caption is empty'
    end as reason,
    round(speech_seconds, 2) as speech_seconds,
    round(duration_seconds, 2) as duration_seconds
from cap
where words = 0 or (is_only_spoken and speech_seconds < $min_speech_seconds)
