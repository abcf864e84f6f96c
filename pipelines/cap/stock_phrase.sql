-- Captions of a transcript with what Whisper writes over silence, learnt from subtitles: thanks for watching.
select id, 'heard "' || stock_phrases[1] || '"' as reason, stock_phrases
from cap
where len(stock_phrases) > 0 and not is_accepted
