-- Pairs with nothing asked or nothing answered.
select id, case when question = '' then 'question is empty' else 'answer is empty' end as reason
from ama
where question = '' or answer = ''
