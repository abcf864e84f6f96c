-- Captions with numbers that no transcript has of that thing: a miscount teaches to miscount.
with numbers as (
    select
        id,
        list_filter(
            unsupported,
            lambda said: list_contains(string_split($numbers, ' '), regexp_extract(said, '^[a-z]+'))
                or regexp_matches(said, '^[0-9]')
        ) as unheard
    from cap
    where len(unsupported) > 0 and not is_accepted
)

select id, 'no transcript says "' || unheard[1] || '"' as reason, len(unheard) as unheard_numbers
from numbers
where len(unheard) > $max_numbers
