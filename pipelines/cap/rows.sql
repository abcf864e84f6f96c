-- One candidate an image: its newest caption, as its newest review left it, with its transcripts.
with numbered as (
    select
        image_sha256,
        unnest(transcript_ids) as transcript_id,
        generate_subscripts(transcript_ids, 1) as place
    from current_captions
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
        max(duration_seconds) as longest_seconds,
        max(compression_ratio) as compression_ratio,
        bool_or(source = 'speech') as is_spoken,
        bool_and(source = 'speech') as is_only_spoken
    from numbered
    join latest_transcripts using (transcript_id)
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
    together.transcripts,
    left(sha256('cap/' || captioned.image_sha256), 16) as id,
    captioned.image_sha256,
    together.transcript_ids,
    transcript_sources,
    recording_sha256s,
    annotators,
    duration_seconds,
    writer,
    -- What the steps judge; a release does not hold these.
    len(regexp_extract_all(captioned.caption, '[\p{L}\p{N}]+(?:[''’-][\p{L}\p{N}]+)*')) as words,
    speech_seconds,
    longest_seconds,
    compression_ratio,
    is_spoken,
    is_only_spoken,
    review_verdict,
    review_uid
from captioned
join together using (image_sha256)
left join images using (image_sha256)
