-- Captions of speech at a pace that nobody keeps up for a minute: words are missing, or invented.
select
    id,
    case
        when slowest_words_per_second < $min_words_per_second
            then 'only ' || round(slowest_words_per_second, 1) || ' words a second of speech'
        else round(fastest_words_per_second, 1) || ' words a second of speech'
    end as reason,
    round(slowest_words_per_second, 2) as slowest_words_per_second,
    round(fastest_words_per_second, 2) as fastest_words_per_second
from cap
where
    words is not null
    and not is_accepted
    and (
        slowest_words_per_second < $min_words_per_second
        or fastest_words_per_second > $max_words_per_second
    )
