-- One candidate an image: its newest caption, as its newest review left it, with its transcripts.
with numbered as (
    select
        image_sha256,
        unnest(transcript_ids) as transcript_id,
        generate_subscripts(transcript_ids, 1) as place
    from current_captions
),

heard as (
    select
        *,
        source = 'written' or speech_seconds >= 1 as is_used,
        speech_seconds / nullif(duration_seconds, 0) as spoken_share
    from latest_transcripts
),

together as (
    select
        numbered.image_sha256,
        list(text order by place) as transcripts,
        list(transcript_id order by place) as transcript_ids,
        list(source order by place) as transcript_sources,
        list(coalesce(recording_sha256, '') order by place) as recording_sha256s,
        list(annotator order by place) as annotators,
        list_sum(list(duration_seconds order by place)) as duration_seconds,
        list_sum(list(speech_seconds order by place)) as speech_seconds,
        bool_or(source = 'speech') as is_spoken,
        bool_and(source = 'speech') as is_only_spoken,
        -- A caption merges its transcripts, so the worst of them spoils it. Those without a second of
        -- speech are not among them: pixmo caption leaves them out. Written ones have no sound, and
        -- null where a column is about it.
        list(is_used order by place) as are_used,
        min(words_per_minute) filter (is_used) / 60 as slowest_words_per_second,
        max(words_per_minute) filter (is_used) / 60 as fastest_words_per_second,
        max(words_over_silence_share) filter (is_used) as words_over_silence_share,
        list_sort(list_distinct(flatten(list(stock_phrases) filter (is_used)))) as stock_phrases,
        max(repeated_share) filter (is_used) as repeated_share,
        max(compression_ratio) filter (is_used) as compression_ratio,
        list_sort(list_distinct(list(language) filter (is_used))) as languages,
        min(language_prob) filter (is_used) as language_prob,
        min(avg_logprob) filter (is_used) as avg_logprob,
        max(highest_temperature) filter (is_used) as highest_temperature,
        max(no_speech_prob) filter (is_used) as no_speech_prob,
        max(overlap_disagreement) filter (is_used) as overlap_disagreement,
        max(clipped_share) filter (is_used) as clipped_share,
        min(rms_dbfs) filter (is_used) as rms_dbfs,
        min(rms_dbfs - noise_dbfs) filter (is_used) as signal_to_noise_db,
        -- What is only missing spoils nothing: here the best of them counts.
        max(spoken_share) filter (is_used) as spoken_share,
        max(duration_seconds) filter (is_used) as longest_seconds,
        -- In the order of `transcripts`, where several signs must meet in one.
        list(words_per_minute / 60 order by place) as words_per_second,
        list(longest_silence_seconds order by place) as longest_silence_seconds,
        list(spoken_share order by place) as spoken_shares
    from numbered
    join heard using (transcript_id)
    group by numbered.image_sha256
),

reviews as (
    select *, verdict = 'accept' and was_edited as is_mended
    from current_caption_reviews
    qualify row_number() over (
        partition by caption_id order by updated_at desc, annotation_uid desc
    ) = 1
),

captioned as (
    select
        captions.* exclude (caption, writer),
        if(is_mended, reviews.caption, captions.caption) as caption,
        if(is_mended, writer || ', edited by a reviewer', writer) as writer,
        reviews.verdict as review_verdict,
        reviews.annotation_uid as review_uid
    from current_captions as captions
    left join reviews using (caption_id)
)

select
    images.image_url,
    captioned.caption,
    coalesce(transcripts, []) as transcripts,
    left(sha256('cap/' || captioned.image_sha256), 16) as id,
    captioned.image_sha256,
    coalesce(together.transcript_ids, []) as transcript_ids,
    coalesce(transcript_sources, []) as transcript_sources,
    coalesce(recording_sha256s, []) as recording_sha256s,
    coalesce(annotators, []) as annotators,
    coalesce(duration_seconds, 0) as duration_seconds,
    writer,
    -- What the steps judge; a release does not hold these.
    -- Where most of a text is in a script that puts no spaces between words, `words` is null, and the
    -- steps that count words leave it alone.
    if(
        case
            -- Each of their signs takes three bytes, so a text of fewer bytes has fewer of them.
            when strlen(captioned.caption) < 2 * length(captioned.caption) then false
            else length(
                regexp_replace(
                    left(captioned.caption, 500),
                    '[^\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+',
                    '',
                    'g'
                )
            ) > length(left(captioned.caption, 500)) / 2
        end,
        null,
        len(
            regexp_extract_all(
                captioned.caption, '[\p{L}\p{M}\p{N}]+(?:[''’-][\p{L}\p{M}\p{N}]+)*'
            )
        )
    ) as words,
    together.* exclude (
        image_sha256,
        transcripts,
        transcript_ids,
        transcript_sources,
        recording_sha256s,
        annotators,
        duration_seconds
    ),
    unsupported,
    unsupported_share,
    lost,
    lost_share,
    review_verdict,
    review_uid,
    -- A person who saw the image and accepts the caption is believed over a sign of doubt.
    coalesce(review_verdict = 'accept', false) as is_accepted
from captioned
-- A caption whose recordings were replaced has no transcript left: `stale` says so.
left join together using (image_sha256)
left join images using (image_sha256)
