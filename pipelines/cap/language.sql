-- Captions in another language: by what was said to be spoken, by the recogniser's doubt, or by their words.
with judged as (
    select
        *,
        -- "en-US" is English
        list_filter(languages, lambda said: lower(split_part(said, '-', 1)) != $language) as others,
        len(list_intersect(string_split(lower(left(caption, 500)), ' '), string_split($common_words, ' ')))
            as kinds_of_common_words
    from cap
    where not is_accepted
)

select
    id,
    case
        when len(others) > 0 then 'a transcript is in ' || others[1] || ', not in ' || $language
        when language_prob < $min_probability
            then 'the recogniser doubts that this is ' || $language
        else 'hardly a common word of ' || $language || ' in the caption'
    end as reason,
    languages,
    round(language_prob, 3) as language_prob,
    kinds_of_common_words
from judged
where
    len(others) > 0
    or language_prob < $min_probability
    or kinds_of_common_words < $min_common_words
