"""What a person, or whoever speaks for an image, asks to be taken out of all releases to come.

A request names an annotator, an image or a source URL. It stands in the table `withdrawals` with
what was theirs at that moment, each by what it is known by for ever: recordings and images by their
bytes, annotations by their ids, written transcripts by their ids and by what they say of which
image. So nothing comes back under another name.
`views.sql` and the first step of every recipe see to the rest; a request may be taken back.
"""

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
KINDS = ("image", "recording", "transcript", "annotation")
PARSED = ("point_annotations", "answers", "questions", "caption_reviews")


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
    """A request that stands, or stood."""

    request: str
    reason: str
    is_undone: bool
    images: int
    recordings: int
    transcripts: int  # written ones; those of recordings go with them
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
        people = ", ".join(sorted(known - {UNKNOWN_ANNOTATOR})[:10]) or "nobody"
        raise WorkspaceError(
            f"nobody called {name!r} recorded, wrote or annotated in {workspace.root}; there are"
            f" {people}"
        )
    return name


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
        if str(request) not in {one.request for one in standing(workspace) if not one.is_undone}:
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


def standing(workspace: Workspace) -> list[Standing]:
    """Every request that was ever made, in the order of its first row; the newest row counts."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in workspace.read("withdrawals").to_pylist():
        found.setdefault(row["request"], []).append(row)
    requests = []
    for request, some in found.items():
        theirs = {(row["kind"], row["value"]) for row in some if not row["is_undone"]}
        counts = [sum(kind == one for kind, _ in theirs) for one in KINDS]
        newest = some[-1]
        requests.append(
            Standing(request, str(newest["reason"]), bool(newest["is_undone"]), *counts)
        )
    return requests
