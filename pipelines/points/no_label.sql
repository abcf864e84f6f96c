-- Nothing was named: a label without a letter or a digit.
select id, 'label names nothing' as reason, raw_label
from points
where not regexp_matches(label, '[\p{L}\p{N}]')
