-- Images with two transcripts that have hardly a telling word in common: one is of another image.
with said as (
    select
        id,
        generate_subscripts(transcripts, 1) as place,
        unnest(are_used) as is_used,
        string_split(lower(left(unnest(transcripts), $first_characters)), ' ') as words
    from cap
    where len(transcripts) > 1 and words is not null and not is_accepted
),

-- Long words tell most, and what an image is of is said first; five letters are near enough to a stem.
worded as materialized (
    select
        id,
        place,
        list_transform(list_filter(words, lambda word: len(word) > 5), lambda word: left(word, 5)) as words
    from said
    where is_used
),

-- What is said of many images tells nothing of one; a sample shows what that is.
sampled as (
    select words from worded order by id, place limit $sampled
),

common as (
    select word
    from (select unnest(list_distinct(words)) as word from sampled)
    group by word
    having count(*) > greatest($common_times, $common_share * (select count(*) from sampled))
),

listed as (
    select coalesce(list(word), []) as words from common
),

pairs as (
    select
        id,
        one.words,
        other.words as other_words,
        listed.words as common_words,
        len(
            list_filter(
                list_intersect(one.words, other.words), lambda word: not list_contains(listed.words, word)
            )
        ) as shared_words
    from worded as one
    join worded as other using (id)
    cross join listed
    where one.place < other.place
),

-- Counting telling words is slow: first come the pairs that may have too few in common.
counted as (
    select
        id,
        shared_words,
        least(
            len(list_filter(list_distinct(words), lambda word: not list_contains(common_words, word))),
            len(list_filter(list_distinct(other_words), lambda word: not list_contains(common_words, word)))
        ) as telling_words
    from pairs
    where shared_words < $min_share * least(len(words), len(other_words))
)

select
    id,
    'two transcripts share ' || shared_words || ' of ' || telling_words || ' telling words' as reason,
    shared_words,
    telling_words
from counted
where telling_words >= $min_words and shared_words < $min_share * telling_words
