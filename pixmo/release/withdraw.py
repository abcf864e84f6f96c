"""What a person, or whoever speaks for an image, asks to be taken out of all releases to come.

A request names an annotator, an image or a source URL. It stands in the table `withdrawals` with
what was theirs at that moment, each by what it is known by for ever: recordings and images by their
bytes, annotations by their ids, written transcripts by their ids and by what they say of which
image. So nothing comes back under another name.
`views.sql` and the first step of every recipe see to the rest; a request may be taken back.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.errors import WorkspaceError
from pixmo.hashing import sha256_file
from pixmo.speech.recorder.filing import FOLDER as RECORDER
from pixmo.speech.recorder.filing import filed_in
from pixmo.speech.recordings import UNKNOWN_ANNOTATOR
from pixmo.workspace.image_links import ImageLinks
from pixmo.workspace.workspace import Workspace

if TYPE_CHECKING:
    import duckdb

SHA256 = re.compile(r"[0-9a-f]{64}")
PARSED = ("point_annotations", "answers", "questions", "caption_reviews")
SHOWN_NAMES = 10  # of annotators, where one is misspelt
SIMILAR = 0.6  # difflib's ratio from which a name may be meant by another


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    kind: str  # annotator, image or url
    value: str  # a name, a sha256 or a URL

    def __str__(self) -> str:
        """As the table has it."""
        return f"{self.kind} {self.value}"


@dataclass(frozen=True)
class Standing:
    """A request that stands, or stood, and how much of the tables it takes out as they are now."""

    request: str
    reason: str
    is_undone: bool  # then it takes nothing out
    undone_because: str  # the reason that was given then; empty for none
    images: int
    recordings: int
    transcripts: int  # of recordings and written ones
    annotations: int


def request_of(workspace: Workspace, kind: str, named: str) -> Request:
    """What `named` means: an annotator's name, an image's sha256, file or name, or a URL.

    Raises:
        WorkspaceError: nobody here has that name, or it is no image or several.
    """
    if kind == "annotator":
        return Request(kind, known_annotator(workspace, named))
    if kind == "image" and not SHA256.fullmatch(named.lower()):
        images = ImageLinks.of(workspace).named(named, Path.cwd())
        if not images and Path(named).is_file():  # it may be kept from ever coming in
            images = {sha256_file(Path(named))}
        if len(images) != 1:
            many = "names several images; name it by its sha256" if images else "names no image"
            raise WorkspaceError(f"{named} {many} of {workspace.root}, by sha256, path or name")
        return Request(kind, next(iter(images)))
    return Request(kind, named.lower() if kind == "image" else named)


def known_annotator(workspace: Workspace, name: str) -> str:
    """The name, if anybody here goes by it.

    Raises:
        WorkspaceError: nobody does, or it stands for those whose name is not known.
    """
    if name == UNKNOWN_ANNOTATOR:
        raise WorkspaceError(
            f"{name!r} stands for everybody whose name is not known; withdraw images instead, or"
            " say whose recordings they are in their metadata"
        )
    with workspace.connect() as connection:
        tables = ("speakers", "transcripts", *PARSED)
        query = " union ".join(f"select annotator from {table}" for table in tables)
        known = {one for (one,) in connection.execute(query).fetchall()}
    known |= {one.annotator for one in filed_in(workspace.audio / RECORDER)}
    known |= {path.name for path in (workspace.root / RECORDER / "drafts").glob("*")}
    if name not in known:
        people = nearest_first(name, known - {UNKNOWN_ANNOTATOR}) or "nobody"
        raise WorkspaceError(
            f"nobody called {name!r} recorded, wrote or annotated in {workspace.root}; there are"
            f" {people}"
        )
    return name


def nearest_first(name: str, known: Iterable[str]) -> str:
    """Those of the names that are most like `name`, then others, and how many more there are."""
    lower = {one: one.lower() for one in known}
    like = difflib.SequenceMatcher(None, b=name.lower())

    def unlikeness(one: str) -> float:
        like.set_seq1(lower[one])
        ratio = like.ratio()
        return -ratio if ratio >= SIMILAR else 0.0

    names = sorted(lower, key=lambda one: (unlikeness(one), one))
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def withdraw(workspace: Workspace, request: Request, reason: str) -> bool:
    """The request stands with all that is theirs now; False if it stood so already.

    Raises:
        WorkspaceError: another process withdraws something.
    """
    with workspace.lock("withdraw"):
        with workspace.connect() as connection:
            theirs = list(dict.fromkeys(belongings(connection, request)))
            standing = connection.execute(
                "select kind, value from current_withdrawals where request = ?", [str(request)]
            ).fetchall()
        if set(theirs) <= set(standing):
            return False
        workspace.append("withdrawals", rows(request, theirs, reason, is_undone=False))
    return True


def is_here(workspace: Workspace, request: Request) -> bool:
    """Whether the workspace has anything that the request names; of a person it always has."""
    column = {"image": "image_sha256", "url": "image_url"}.get(request.kind)
    if column is None:
        return True
    with workspace.connect() as connection:
        query = f"from parts.images where {column} = ? limit 1"
        return bool(connection.execute(query, [request.value]).fetchall())


def undo(workspace: Workspace, request: Request, reason: str) -> None:
    """The request stands no longer: what it named counts again.

    Raises:
        WorkspaceError: it does not stand, or another process withdraws something.
    """
    with workspace.lock("withdraw"):
        if reason_of(workspace, request) is None:
            raise WorkspaceError(f"{request} is not withdrawn; see pixmo withdraw --list")
        own = [(request.kind, request.value)]
        workspace.append("withdrawals", rows(request, own, reason, is_undone=True))


def rows(
    request: Request, values: Iterable[tuple[str, str]], reason: str, is_undone: bool
) -> list[dict[str, object]]:
    """The rows of a request in the table."""
    return [
        {
            "request": str(request),
            "kind": kind,
            "value": value,
            "reason": reason,
            "is_undone": is_undone,
        }
        for kind, value in values
    ]


def belongings(
    connection: "duckdb.DuckDBPyConnection", request: Request
) -> Iterator[tuple[str, str]]:
    """Yield the kind and value of all that a request takes out, itself first."""
    yield request.kind, request.value
    queries = {
        "annotator": {
            "recording": "select recording_sha256 from speakers where annotator = $value",
            "transcript": "select distinct transcript_id from transcripts"
            " anti join speakers using (recording_sha256) where annotator = $value",
            "text": "select distinct text_sha256 from written_texts where annotator = $value",
            "annotation": " union ".join(
                f"select annotation_uid from {table} where annotator = $value" for table in PARSED
            ),
        },
        "image": {
            "url": "select distinct image_url from parts.images"
            " where image_sha256 = $value and image_url is not null",
        },
        "url": {
            "image": "select distinct image_sha256 from parts.images where image_url = $value",
        },
    }
    for kind, query in queries[request.kind].items():
        for (value,) in connection.execute(
            f"{query} order by all", {"value": request.value}
        ).fetchall():
            yield kind, value


def reason_of(workspace: Workspace, request: Request) -> str | None:
    """Why the request stands; None where it does not."""
    rows = [r for r in workspace.read("withdrawals").to_pylist() if r["request"] == str(request)]
    return None if not rows or rows[-1]["is_undone"] else str(rows[-1]["reason"])


def standing(workspace: Workspace) -> list[Standing]:
    """Every request that was ever made, in the order of its first row; the newest row counts."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in workspace.read("withdrawals").to_pylist():
        found.setdefault(row["request"], []).append(row)
    requests = []
    with workspace.connect() as connection:
        for request, some in found.items():
            (counts,) = connection.execute(TAKEN_OUT, {"request": request}).fetchall()
            newest = some[-1]
            asked = [row for row in some if not row["is_undone"]]
            is_undone = bool(newest["is_undone"])
            because = str(newest["reason"]) if is_undone else ""
            requests.append(
                Standing(request, str(asked[-1]["reason"]), is_undone, because, *counts)
            )
    return requests


# What one request takes out, in the words of views.sql: by what it names, and what hangs on that.
TAKEN_OUT = f"""
with asked as (select kind, value from current_withdrawals where request = $request),
people as (select value as annotator from asked where kind = 'annotator'),
pictures as (
    select distinct image_sha256 from parts.images
    where image_sha256 in (select value from asked where kind = 'image')
        or image_url in (select value from asked where kind = 'url')
),
voices as (
    select recording_sha256 from parts.recordings
    where recording_sha256 in (select value from asked where kind = 'recording')
        or image_sha256 in (from pictures)
    union select recording_sha256 from speakers semi join people using (annotator)
),
said as (
    select transcript_id from parts.transcripts
    where recording_sha256 in (from voices) or image_sha256 in (from pictures)
        or transcript_id in (select value from asked where kind = 'transcript')
    union select transcript_id from parts.transcripts semi join people using (annotator)
    anti join speakers using (recording_sha256)
    union select transcript_id from written_texts
    where text_sha256 in (select value from asked where kind = 'text')
),
judged as (
    {" union all ".join(f"select annotation_uid, annotator, image_sha256 from {t}" for t in PARSED)}
)
select
    (select count(*) from pictures),
    (select count(*) from voices),
    (select count(*) from said),
    (
        select count(distinct annotation_uid) from judged
        where annotation_uid in (select value from asked where kind = 'annotation')
            or annotator in (from people) or image_sha256 in (from pictures)
    )
"""
