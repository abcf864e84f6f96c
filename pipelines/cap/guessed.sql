-- Captions from a transcript that the recogniser itself found unlikely: it guessed.
select
    id,
    'mean log-probability of a token is ' || round(avg_logprob, 2) as reason,
    round(avg_logprob, 3) as avg_logprob,
    highest_temperature,
    round(compression_ratio, 2) as compression_ratio
from cap
where avg_logprob < $min_avg_logprob and not is_accepted
