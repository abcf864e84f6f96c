"""Where rows of a release come from: back to the files that people made.

A row of a release names its image by sha256 and, by their ids, the transcripts or annotations it
was made from. The workspace's tables say what these are, and in which file they stand. Of a row
that was dropped, a release holds ids and the verdict alone: what it was made from is what the
recipe's rows.sql makes of the workspace under the same id now.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pixmo.curate.curate import Curation
from pixmo.curate.recipe import load
from pixmo.dataset.manifest import EMBEDDED_COLUMN
from pixmo.dataset.reader import Release
from pixmo.execution.progress import SILENT, Progress
from pixmo.release.released_rows import Found, find_row, rows_of
from pixmo.release.sources import Sources
from pixmo.release.traced import (
    GONE,
    Passed,
    Row,
    Trace,
    TracedAnnotation,
    TracedCaption,
    TracedImage,
    TracedTranscript,
)
from pixmo.workspace.workspace import Workspace

if TYPE_CHECKING:
    import duckdb


def trace(workspace: Workspace, release: Release, start: str, progress: Progress = SILENT) -> Trace:
    """Where the row of the release whose id begins with `start` comes from.

    Raises:
        ReleaseError: the release has no such row, or several; or its rows are not as released.
    """
    return next(traces(workspace, release, [find_row(release, start, progress)]))


def traces(workspace: Workspace, release: Release, found: Sequence[Found]) -> Iterator[Trace]:
    """Yield where each of the rows comes from, in order; what a file holds is read once."""
    with workspace.connect() as connection:
        made_from = with_candidates(workspace, connection, found)
        origins = Origins(workspace, connection, made_from, merged_into(release, found))
        for one, row in zip(found, made_from, strict=True):
            yield origins.trace(release, one, row)


def with_candidates(
    workspace: Workspace, connection: "duckdb.DuckDBPyConnection", found: Sequence[Found]
) -> list[Row]:
    """The rows; each dropped one with the columns of the candidate of its id, if there is one."""
    candidates: dict[tuple[str, str], Row] = {}
    for stem in sorted({one.subset.stem for one in found if one.fate == "dropped"}):
        work = Curation(connection, load(stem, workspace.recipes))
        work.begin()
        ids = [one.row["id"] for one in found if one.subset.stem == stem and one.fate == "dropped"]
        rows = connection.sql(
            f"from {stem}_candidates where list_contains($ids, id)", params={"ids": ids}
        ).to_arrow_table()
        candidates |= {(stem, row["id"]): row for row in rows.to_pylist()}
    return [{**candidates.get((one.subset.stem, one.row["id"]), {}), **one.row} for one in found]


def merged_into(release: Release, found: Sequence[Found]) -> dict[str, list[str]]:
    """The ids of the rows that a merging step put into one of these, by its id."""
    merged: dict[str, list[str]] = {}
    if any(one.row.get("merged_from") for one in found):
        where = "starts_with(reason, 'merged into row ')"
        for dropped in rows_of(release, where, fates=("dropped",)):
            into = dropped.row["reason"].rpartition(" ")[2]
            merged.setdefault(into, []).append(dropped.row["id"])
    return merged


class Origins:
    """What the workspace's tables say of all that some rows were made from."""

    def __init__(
        self,
        workspace: Workspace,
        connection: "duckdb.DuckDBPyConnection",
        rows: Sequence[Row],
        merged: Mapping[str, Sequence[str]],
    ) -> None:
        self.connection, self.merged = connection, merged
        images = {row["image_sha256"] for row in rows}
        transcripts = {one for row in rows for one in row.get("transcript_ids") or ()}
        self.images = self.table("from images", "image_sha256", images)
        self.transcripts = self.table(
            "select * exclude (segments) from parts.transcripts",
            "transcript_id",
            transcripts,
        )
        recordings = {row["recording_sha256"] for row in self.transcripts.values()}
        self.recordings = self.table(
            "from parts.recordings where image_sha256 is not null",
            "recording_sha256",
            recordings - {None},
        )
        self.captions = self.all_of("from parts.captions", "image_sha256", images)
        self.reviews = self.all_of("from newest_caption_reviews", "image_sha256", images)
        uids = {uid for row in rows for uid in annotations_of(row)}
        uids |= {review["annotation_uid"] for some in self.reviews.values() for review in some}
        self.annotations = self.table(
            "from parts.annotations", "annotation_uid", uids, newest="updated_at, "
        )
        self.people = {
            uid: row["annotator"]
            for table in ("point_annotations", "answers", "questions", "caption_reviews")
            for uid, row in self.table(f"from {table}", "annotation_uid", uids).items()
        }
        self.withdrawn = {
            kind: {value for (value,) in connection.execute(f"from withdrawn_{kind}s").fetchall()}
            for kind in ("image", "transcript", "annotator", "annotation")
        }
        self.sources = Sources(workspace)

    def table(
        self, query: str, key: str, wanted: Iterable[str], newest: str = ""
    ) -> dict[str, Row]:
        """The newest row for each of the keys that are wanted, by key."""
        return {k: some[-1] for k, some in self.all_of(query, key, wanted, newest).items()}

    def all_of(
        self, query: str, key: str, wanted: Iterable[str], newest: str = ""
    ) -> dict[str, list[Row]]:
        """All rows for each of the keys that are wanted, by key, the oldest first."""
        import pyarrow as pa

        keys = pa.table({key: pa.array(sorted(set(wanted)), pa.string())})
        self.connection.register("wanted", keys)
        order = f" order by {newest}filename, file_row_number" if "parts." in query else ""
        rows = self.connection.sql(
            f"select * from ({query}) semi join wanted using ({key}){order}"
        ).to_arrow_table()
        self.connection.unregister("wanted")
        found: dict[str, list[Row]] = {}
        for row in rows.to_pylist():
            found.setdefault(row[key], []).append(row)
        return found

    def trace(self, release: Release, found: Found, row: Row) -> Trace:
        """Where one row comes from; `row` has what it was made from."""
        image = self.image(release, found, row)
        transcripts = tuple(self.transcript(one) for one in row.get("transcript_ids") or ())
        annotations = [self.annotation(uid) for uid in annotations_of(row)]
        caption = self.caption(row) if "caption" in row else None
        if caption and caption.review_uid:
            annotations.append(self.annotation(caption.review_uid))
        traced = tuple(one for one in annotations if isinstance(one, TracedAnnotation))
        spoken = [one for one in transcripts if isinstance(one, TracedTranscript)]
        absent = [one for one in (*transcripts, *annotations) if isinstance(one, str)]
        absent += [
            f"{what} {source.path} is {source.state}"
            for what, source in (
                ("image", image.file),
                *(("recording", one.recording) for one in spoken),
                *(("export", one.export) for one in traced),
            )
            if source and not source.is_there
        ]
        absent += [
            f"annotation {one.annotation_uid} is not in {one.export.path} any more"
            for one in traced
            if one.export.is_there and not one.place
        ]
        if image.file is None:
            absent.append(f"image {image.sha256} is not in the table of images")
        if found.fate == "dropped" and not (spoken or traced):
            absent.append("no candidate of this id is left: what it was made from is gone")
        return Trace(
            id=found.row["id"],
            release=release.manifest.version,
            pixmo=release.manifest.pixmo,
            subset=found.subset.name,
            recipe_sha256=found.subset.recipe_sha256,
            fate=found.fate,
            split=found.split,
            file=found.file,
            reason=str(found.row.get("reason", "")),
            evidence=str(found.row.get("evidence", "")),
            steps=passed(found),
            row=found.row,
            image=image,
            caption=caption,
            transcripts=tuple(spoken),
            annotations=traced,
            merged=tuple(self.merged.get(found.row["id"], ())),
            missing=tuple(dict.fromkeys(absent)),
        )

    def image(self, release: Release, found: Found, row: Row) -> TracedImage:
        """The image of a row."""
        sha256 = row["image_sha256"]
        known = self.images.get(sha256)
        return TracedImage(
            sha256=sha256,
            url=known["image_url"] if known else None,
            license=known["license"] if known else None,
            file=self.sources.file(known["path"], sha256) if known else None,
            in_release=place_of_image(release, found),
            is_withdrawn=sha256 in self.withdrawn["image"],
        )

    def transcript(self, transcript_id: str) -> TracedTranscript | str:
        """What was said; a line where the table does not know it."""
        row = self.transcripts.get(transcript_id)
        if row is None:
            return f"transcript {transcript_id} is in no table any more"
        sha256 = row["recording_sha256"]
        recording = self.recordings.get(sha256) if sha256 else None
        if sha256 and recording is None:
            return f"recording {sha256} of transcript {transcript_id} is in no table any more"
        return TracedTranscript(
            transcript_id=transcript_id,
            source=row["source"],
            annotator=recording["annotator"] if recording else row["annotator"],
            text=row["text"],
            model=row["model"],
            model_sha256=row["model_sha256"],
            options_sha256=row["options_sha256"],
            recorded_at=recording["recorded_at"] if recording else None,
            recording=self.sources.file(recording["path"], sha256) if recording else None,
            is_withdrawn=transcript_id in self.withdrawn["transcript"],
        )

    def annotation(self, uid: str) -> TracedAnnotation | str:
        """An annotation; a line where the table does not know it."""
        row = self.annotations.get(uid)
        if row is None:
            return f"annotation {uid} is in no table any more"
        said = json.loads(row["annotation_json"])
        annotator = self.people.get(uid, "")
        export = self.sources.file(row["export_path"], row["export_sha256"])
        return TracedAnnotation(
            annotation_uid=uid,
            annotator=annotator,
            updated_at=row["updated_at"],
            label_studio_ids={
                "annotation": said.get("id"),
                "task": said.get("task"),
                "project": said.get("project"),
            },
            created_at=said.get("created_at"),
            place=self.sources.places(row["export_path"]).get(uid, "")
            if export.state != GONE
            else "",
            export=export,
            is_withdrawn=uid in self.withdrawn["annotation"]
            or annotator in self.withdrawn["annotator"],
        )

    def caption(self, row: Row) -> TracedCaption | None:
        """The newest caption of the row's text, or that a reviewer made it from."""
        captions = self.captions.get(row["image_sha256"], [])
        reviews = self.reviews.get(row["image_sha256"], [])
        texts = {review["caption_id"]: review for review in reviews}
        for caption in reversed(captions):
            review = texts.get(caption["caption_id"])
            is_mended = bool(review and review["was_edited"] and review["verdict"] == "accept")
            if row["caption"] in (caption["caption"], review["caption"] if review else None):
                return TracedCaption(
                    caption["caption_id"],
                    caption["writer"],
                    caption["options_sha256"],
                    review["annotation_uid"] if review and is_mended else "",
                )
        return None


def place_of_image(release: Release, found: Found) -> str:
    """Where the release holds the image of a row; empty where it names it by URL, or dropped it."""
    if found.fate == "dropped":
        return ""
    if release.manifest.is_embedded:
        there = found.row[EMBEDDED_COLUMN]
        return f"column {EMBEDDED_COLUMN} of {found.file}" if there else ""
    path = release.file_inside(found.row["image_url"], found.row["image_sha256"])
    return path.relative_to(release.root).as_posix() if path else ""


def annotations_of(row: Row) -> list[str]:
    """The annotations that a row was made from, by Label Studio's unique_id."""
    merged = row.get("merged_from") or ()
    own = [row["annotation_uid"]] if row.get("annotation_uid") else []
    return list(dict.fromkeys([*own, *merged]))


def passed(found: Found) -> tuple[Passed, ...]:
    """What each step of the recipe did to the row, up to the one that took it."""
    flags = set(found.row.get("flags") or ())
    taken_by = found.row.get("step") if found.fate != "kept" else None
    steps = []
    for step in found.subset.funnel:
        what = "flagged" if step.step in flags else "passed"
        steps.append(Passed(step.step, found.fate if step.step == taken_by else what))
        if step.step == taken_by:
            break
    return tuple(steps)
