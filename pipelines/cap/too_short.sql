-- Descriptions too short to be dense.
select id, 'only ' || words || ' words' as reason, words
from cap
where words < $min_words
