-- Captions longer than a few people can have spoken: something was pasted, or joined by mistake.
select id, words || ' words' as reason, words
from cap
where words > $max_words
