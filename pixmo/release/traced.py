"""What a row of a release comes from, as data; `trace` finds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AS_IT_WAS, GONE, CHANGED = "as it was", "gone", "changed"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A file that something stands in."""

    path: str  # as the tables have it
    sha256: str
    state: str  # as it was, gone, or changed

    @property
    def is_there(self) -> bool:
        """Whether its bytes are those that were taken in."""
        return self.state == AS_IT_WAS


@dataclass(frozen=True)
class TracedImage:
    """The image of a row."""

    sha256: str
    url: str | None
    license: str | None
    file: Source | None  # None where it was never taken in
    in_release: str  # its file or column in the release; empty where it is named by URL
    is_withdrawn: bool


@dataclass(frozen=True)
class TracedTranscript:
    """What one person said or wrote of the image."""

    transcript_id: str
    source: str  # speech or written
    annotator: str
    text: str
    model: str | None
    model_sha256: str | None
    options_sha256: str
    recorded_at: str | None
    recording: Source | None  # None of a written one
    is_withdrawn: bool


@dataclass(frozen=True)
class TracedAnnotation:
    """One annotation in Label Studio."""

    annotation_uid: str
    annotator: str
    updated_at: str
    label_studio_ids: Mapping[str, Any]  # annotation, task and project
    created_at: str | None
    place: str  # in the export, as a JSON pointer; empty where it is not in it any more
    export: Source
    is_withdrawn: bool


@dataclass(frozen=True)
class TracedCaption:
    """The caption that a row holds."""

    caption_id: str
    writer: str
    options_sha256: str
    review_uid: str  # of the annotation that mended it; empty where nobody did


@dataclass(frozen=True)
class Passed:
    """A step of the recipe that looked at the row."""

    step: str
    what: str  # passed, flagged, dropped or set apart


@dataclass(frozen=True)
class Trace:
    """All that a row of a release comes from."""

    id: str
    release: str
    pixmo: str  # the tool's version
    subset: str
    recipe_sha256: str
    fate: str  # kept, dropped or set apart
    split: str  # empty of a dropped row
    file: str  # of the release, that the row stands in
    reason: str  # why it is in no split; else empty
    evidence: str  # JSON, of the step that took it; else empty
    steps: tuple[Passed, ...]
    row: Row  # as it was released; of a dropped row what the release says of it
    image: TracedImage
    caption: TracedCaption | None
    transcripts: tuple[TracedTranscript, ...]
    annotations: tuple[TracedAnnotation, ...]
    merged: tuple[str, ...]  # rows that were merged into it, by id
    missing: tuple[str, ...]  # what cannot be found any more, a line each
