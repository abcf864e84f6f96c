-- Captions with what nobody speaks: links, Markdown, and the phrases of chat assistants.
with marked as (
    select
        id,
        regexp_extract(
            caption,
            '(?i)https?://|www\.|\*\*|(?:^|\n) *[-*#]+ |\]\(|\bas an ai\b|language model|\b(?:certainly|sure)[!,] here|\bhere(?: is|''s) (?:a|the|your) (?:[a-z]+ ){0,2}(?:caption|description)|let me know if'
        ) as mark
    from cap
    where not is_accepted
)

select id, 'holds "' || trim(mark, chr(10) || ' ') || '"' as reason, trim(mark, chr(10) || ' ') as mark
from marked
where mark != ''
