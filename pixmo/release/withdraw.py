"""What a person, or whoever speaks for an image, asks to be taken out of all releases to come.

A request names an annotator, an image or a source URL. It stands in the table `withdrawals` with
what was theirs at that moment, each by what it is known by for ever: recordings and images by their
bytes, annotations and written transcripts by their ids. So nothing comes back under another name.
`views.sql` and the first step of every recipe see to the rest; a request may be taken back.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.dataset import manifest as manifests
from pixmo.errors import WorkspaceError
from pixmo.hashing import sha256_file
from pixmo.release.versions import complete_releases
from pixmo.speech.recorder.filing import FOLDER as RECORDER
from pixmo.speech.recorder.filing import filed_in
from pixmo.speech.recordings import UNKNOWN_ANNOTATOR
from pixmo.workspace.image_links import ImageLinks
from pixmo.workspace.workspace import Workspace, literally

if TYPE_CHECKING:
    import duckdb

SHA256 = re.compile(r"[0-9a-f]{64}")
KINDS = ("image", "recording", "transcript", "annotation")
PARSED = ("point_annotations", "answers", "questions", "caption_reviews")
# What of a released row names something withdrawn: the column, and the kind of its values.
NAMED_BY = {
    "image_sha256": "image",
    "image_url": "url",
    "annotator": "annotator",
    "annotation_uid": "annotation",
}
LISTED_BY = {
    "annotators": "annotator",
    "recording_sha256s": "recording",
    "transcript_ids": "transcript",
    "merged_from": "annotation",
}


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    kind: str  # annotator, image or url
    value: str  # a name, a sha256 or a URL

    def __str__(self) -> str:
        """As the table has it."""
        return f"{self.kind} {self.value}"


@dataclass(frozen=True)
class Held:
    """Rows of a release that hold something withdrawn."""

    version: str
    subset: str
    rows: int


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


def held(workspace: Workspace, request: Request | None = None) -> list[Held]:
    """The rows of finished releases that hold what is withdrawn, or what one request names.

    Rows set apart count; of what was dropped a release holds no content.

    Raises:
        ReleaseError: a release's manifest cannot be read.
    """
    found = []
    with workspace.connect() as connection:
        where = "" if request is None else " where request = $request"
        connection.execute(
            "create temp table asked as"
            f" select distinct kind, value from current_withdrawals{where}",
            None if request is None else {"request": str(request)},
        )
        for version in complete_releases(workspace):
            folder = workspace.releases / version
            promised = manifests.read(folder)
            for subset in promised.subsets:
                names = (f"{subset.name}/", f"{manifests.APART}/{subset.stem}.parquet")
                files = [folder / f.path for f in promised.files if f.path.startswith(names)]
                if count := holding(connection, files):
                    found.append(Held(version, subset.name, count))
    return found


def holding(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> int:
    """How many rows of Parquet files hold what is in `asked`."""
    if not files:
        return 0
    names = ", ".join(map(literally, files))
    source = f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
    described = connection.execute(f"from {source} limit 0").description or []
    columns = {column[0] for column in described}
    values = "(select coalesce(list(value), []) from asked where kind = '{}')"
    checks = [
        f"list_contains({values.format(kind)}, {column})"
        if column in NAMED_BY
        else f"list_has_any({column}, {values.format(kind)})"
        for column, kind in (NAMED_BY | LISTED_BY).items()
        if column in columns
    ]
    query = f"select count(*) from {source} where {' or '.join(checks)}"
    return int(connection.execute(query).fetchall()[0][0])
