-- What counts now, of tables that only ever grow.

-- The newest row of an image: it moved, or its source URL became known.
create or replace view images as
select * exclude (filename, file_row_number)
from parts.images
qualify row_number() over (
    partition by image_sha256 order by filename desc, file_row_number desc
) = 1;

-- Each transcript once: going back to an earlier model appends its rows again, as the newest.
create view latest_transcripts as
select * exclude (filename, file_row_number)
from parts.transcripts
qualify row_number() over (
    partition by transcript_id order by filename desc, file_row_number desc
) = 1;

-- The newest transcript of a recording; a written transcript is its own.
create view current_transcripts as
select * exclude (filename, file_row_number)
from parts.transcripts
qualify row_number() over (
    partition by coalesce(recording_sha256, transcript_id)
    order by filename desc, file_row_number desc
) = 1;

-- The newest caption of an image.
create view current_captions as
select * exclude (filename, file_row_number)
from parts.captions
qualify row_number() over (
    partition by image_sha256 order by filename desc, file_row_number desc
) = 1;

-- The newest state of an annotation, by Label Studio's own clock.
create view current_annotations as
select * from annotations
qualify row_number() over (partition by annotation_uid order by updated_at desc) = 1;

create view current_point_annotations as
select point_annotations.* from point_annotations
semi join current_annotations using (annotation_uid, updated_at);

create view current_answers as
select answers.* from answers
semi join current_annotations using (annotation_uid, updated_at);

create view current_caption_reviews as
select caption_reviews.* from caption_reviews
semi join current_annotations using (annotation_uid, updated_at);

-- What is set aside still: input that was mended since is left out.
create view current_set_aside as
select * from set_aside
where not coalesce(
    case stage
        when 'images' then path in (select path from images)
        when 'transcribe' then reason != 'linked to another image before' and path in (
            select path from recordings semi join transcripts using (recording_sha256)
        )
        when 'label' then reason != 'exported twice' and key in (
            select annotation_uid from current_point_annotations
            union all select annotation_uid from current_answers
            union all select annotation_uid from current_caption_reviews
        )
    end,
    false
);
