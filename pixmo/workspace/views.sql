-- What counts now, of tables that only ever grow.

-- What is withdrawn: of each request that stands, what it names and what was its own when it came.
create view current_withdrawals as
with newest as (
    select request, is_undone
    from parts.withdrawals
    qualify row_number() over (
        partition by request order by filename desc, file_row_number desc
    ) = 1
)

select distinct request, kind, value
from withdrawals
semi join (from newest where not is_undone) using (request)
where not is_undone;

create view withdrawn_annotators as
select distinct value as annotator from current_withdrawals where kind = 'annotator';

create view withdrawn_annotations as
select value as annotation_uid from current_withdrawals where kind = 'annotation';

-- By its bytes, or by a source URL that it ever had.
create view withdrawn_images as
select value as image_sha256 from current_withdrawals where kind = 'image'
union
select image_sha256
from parts.images
where image_url in (select value from current_withdrawals where kind = 'url');

-- Who speaks in a recording, as said last; a file that lost its metadata is still theirs.
create view speakers as
select recording_sha256, annotator
from parts.recordings
where annotator != 'unknown'
qualify row_number() over (
    partition by recording_sha256 order by filename desc, file_row_number desc
) = 1;

create view withdrawn_recordings as
select value as recording_sha256 from current_withdrawals where kind = 'recording'
union
select recording_sha256 from speakers semi join withdrawn_annotators using (annotator);

-- A written text on its image, whoever hands it in and under whichever id.
create view written_texts as
select transcript_id, annotator, sha256(image_sha256 || chr(30) || text) as text_sha256
from parts.transcripts
where source = 'written';

create view withdrawn_texts as
select value as text_sha256 from current_withdrawals where kind = 'text';

create view withdrawn_transcripts as
select value as transcript_id from current_withdrawals where kind = 'transcript'
union
select transcript_id from written_texts semi join withdrawn_texts using (text_sha256)
union
select transcript_id from parts.transcripts semi join withdrawn_recordings using (recording_sha256)
union
select transcript_id
from parts.transcripts
semi join withdrawn_annotators using (annotator)
anti join speakers using (recording_sha256);

-- The newest row of an image: it moved, or its source URL became known.
create or replace view images as
select * exclude (filename, file_row_number)
from parts.images
qualify row_number() over (
    partition by image_sha256 order by filename desc, file_row_number desc
) = 1;

-- The newest row of a recording: it moved, or its metadata was corrected. Of two in one place the
-- newer: the file was replaced, or had been taken in while it was still being written.
create or replace view recordings as
with each_newest as (
    select *
    from parts.recordings
    qualify row_number() over (
        partition by recording_sha256 order by filename desc, file_row_number desc
    ) = 1
)

select * exclude (filename, file_row_number)
from each_newest
qualify row_number() over (
    partition by path order by filename desc, file_row_number desc
) = 1
and image_sha256 is not null;

-- A transcript is about its recording's image, by its recording's annotator, as corrected since.
create view linked_transcripts as
select said.* replace (
    coalesce(recordings.image_sha256, said.image_sha256) as image_sha256,
    coalesce(recordings.annotator, said.annotator) as annotator
)
from parts.transcripts as said
left join recordings on said.recording_sha256 = recordings.recording_sha256
where recordings.recording_sha256 is not null
    or not exists (
        from parts.recordings as replaced where replaced.recording_sha256 = said.recording_sha256
    );

-- Each transcript once: going back to an earlier model appends its rows again, as the newest.
create view latest_transcripts as
select * exclude (filename, file_row_number)
from linked_transcripts
qualify row_number() over (
    partition by transcript_id order by filename desc, file_row_number desc
) = 1;

-- The newest transcript of a recording; a written transcript is its own. None that was withdrawn, nor
-- of an image that was.
create view current_transcripts as
select * exclude (filename, file_row_number)
from linked_transcripts
where transcript_id not in (select transcript_id from withdrawn_transcripts)
    and image_sha256 not in (select image_sha256 from withdrawn_images)
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

-- Newest captions that are written from a transcript that was withdrawn, or from such ones alone.
create view withdrawn_captions as
with written as (
    select image_sha256, unnest(transcript_ids) as transcript_id from current_captions
)

select
    image_sha256,
    bool_and(transcript_id in (select transcript_id from withdrawn_transcripts)) as is_whole
from written
group by image_sha256
having bool_or(transcript_id in (select transcript_id from withdrawn_transcripts));

-- Images whose newest caption, if any, is not written from what is said about them now.
create view stale_captions as
with said as (
    select
        image_sha256,
        sha256(string_agg(transcript_id || chr(30) || text, chr(31) order by transcript_id))
            as transcripts_sha256
    from current_transcripts
    group by all
)

select image_sha256, said.transcripts_sha256 is not null as is_described
from said
full join current_captions as captions using (image_sha256)
where said.transcripts_sha256 is distinct from captions.transcripts_sha256;

-- The newest score of an image under a name, whichever model gave it.
create view current_image_scores as
select * exclude (filename, file_row_number)
from parts.image_scores
qualify row_number() over (
    partition by image_sha256, name order by filename desc, file_row_number desc
) = 1;

-- What the newest probe says of a row.
create view current_probe_evidence as
select * exclude (filename, file_row_number)
from parts.probe_evidence
qualify row_number() over (
    partition by subset, id order by filename desc, file_row_number desc
) = 1;

-- The newest embedding of an image by a model. The vectors are large: what sorts is only their place.
create view current_image_embeddings as
with newest as (
    select max(row(filename, file_row_number)) as place
    from parts.image_embeddings
    group by image_sha256, model
)

select * exclude (filename, file_row_number)
from parts.image_embeddings
where row(filename, file_row_number) in (select place from newest);

-- Annotations that were found deleted on the server, and not there again since.
create view gone_annotations as
with newest as (
    select * exclude (filename, file_row_number)
    from parts.deleted_annotations
    qualify row_number() over (
        partition by annotation_uid order by filename desc, file_row_number desc
    ) = 1
)

select annotation_uid, updated_at from newest
where not is_back;

-- The newest state of an annotation, by Label Studio's own clock; of states of one time the one that
-- was taken in last. A state stands in `annotations` only once it is parsed or set aside, so an
-- earlier one counts until then. One that was deleted on the server does not count, unless it was
-- changed since.
create view current_annotations as
with newest as (
    select * exclude (filename, file_row_number)
    from parts.annotations
    qualify row_number() over (
        partition by annotation_uid order by updated_at desc, filename desc, file_row_number desc
    ) = 1
)

select newest.* from newest
anti join gone_annotations as gone
    on newest.annotation_uid = gone.annotation_uid and newest.updated_at <= gone.updated_at;

-- What annotations say, those that were withdrawn included: a recipe drops these by its first step,
-- and says so.
create view newest_point_annotations as
select point_annotations.* from point_annotations
semi join current_annotations using (state_sha256);

create view newest_answers as
select answers.* from answers
semi join current_annotations using (state_sha256);

create view newest_questions as
select questions.* from questions
semi join current_annotations using (state_sha256);

create view newest_caption_reviews as
select caption_reviews.* from caption_reviews
semi join current_annotations using (state_sha256);

-- What annotations say and nobody withdrew.
create macro not_withdrawn(said) as table
from query_table(said)
where annotator not in (from withdrawn_annotators)
    and annotation_uid not in (from withdrawn_annotations)
    and image_sha256 not in (from withdrawn_images);

create view current_point_annotations as from not_withdrawn('newest_point_annotations');

create view current_answers as from not_withdrawn('newest_answers');

create view current_questions as from not_withdrawn('newest_questions');

create view current_caption_reviews as from not_withdrawn('newest_caption_reviews');

-- A text without the space around it, as ama/rows.sql has it.
create macro trimmed(text) as regexp_replace(text, '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g');

-- Questions that people who withdrew ever asked of an image, and nobody else asks. Who judges an
-- answer is somebody else.
create view withdrawn_questions as
select image_sha256, trimmed(question) as question
from questions
where annotator in (from withdrawn_annotators) or annotation_uid in (from withdrawn_annotations)
except
select image_sha256, trimmed(question) from current_questions;

-- Reviews of a caption that was written anew since: they say nothing of the one that counts now.
-- They count again when that caption does, and are done with when somebody reviews the new one.
create view superseded_caption_reviews as
select reviews.*, export_path
from current_caption_reviews as reviews
join current_annotations using (state_sha256)
semi join captions using (caption_id)
anti join current_captions using (caption_id)
where reviews.image_sha256 not in (
    select image_sha256 from current_captions semi join current_caption_reviews using (caption_id)
);

-- What is set aside still: input that was mended since is left out.
create view current_set_aside as
with newest as (
    select * exclude (filename, file_row_number)
    from parts.set_aside
    qualify row_number() over (
        partition by stage, key, path, reason, detail
        order by filename desc, file_row_number desc
    ) = 1
)

select * exclude (is_mended) from newest
where not is_mended and not coalesce(
    case stage
        when 'images' then path in (select path from images)
        when 'label' then case reason
            when 'exported twice' then false
            when 'not a JSON export' then path in (select path from exports)
            when 'review of a caption that is not there' then key not in (
                select annotation_uid from newest_caption_reviews
                anti join captions using (caption_id)
            )
            else key not in (select annotation_uid from current_annotations) or key in (
                select annotation_uid from newest_point_annotations
                union all select annotation_uid from newest_answers
                union all select annotation_uid from newest_questions
                union all select annotation_uid from newest_caption_reviews
            )
        end
    end,
    false
)
union all by name
select
    'label' as stage,
    annotation_uid as key,
    export_path as path,
    'review of a caption that was superseded' as reason,
    'caption ' || caption_id as detail
from superseded_caption_reviews;

-- The newest answer to a gold task: it was corrected.
create view current_gold as
select * exclude (filename, file_row_number)
from parts.gold
qualify row_number() over (
    partition by subset, image_sha256, asked order by filename desc, file_row_number desc
) = 1;
