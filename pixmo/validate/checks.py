"""A release's promises, checked: every byte, row, point and image of it.

No check is skipped in silence: what could not be looked at is said in the check's note.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixmo import schema
from pixmo.dataset import manifest as manifests
from pixmo.dataset.manifest import Manifest
from pixmo.dataset.reader import Release, why_unread
from pixmo.dataset.unpack import embedded_sha256s
from pixmo.errors import ReleaseError, SchemaError
from pixmo.hashing import sha256_file
from pixmo.text import counted

MOST_EXAMPLES = 5  # violations shown of one check


@dataclass(frozen=True)
class Check:
    """One promise and what was found."""

    name: str
    checked: int  # files, rows, images …, as `unit` says
    unit: str
    violations: int
    examples: tuple[str, ...]  # the first few violations
    note: str = ""  # what was not checked, and why

    @property
    def passed(self) -> bool:
        """Whether nothing broke the promise."""
        return self.violations == 0

    def text(self) -> str:
        """The check as a person reads it: a line, and a line for each example."""
        mark = "ok    " if self.passed else "BROKEN"
        found = "" if self.passed else f", {self.violations} wrong"
        checked = counted(self.checked, self.unit.removesuffix("s"))
        lines = [f"  {mark} {self.name}: {checked}{found}"]
        lines += [f"           {example}" for example in self.examples]
        if self.violations > len(self.examples):
            lines.append(f"           and {self.violations - len(self.examples)} more")
        if self.note:
            lines.append(f"         not checked: {self.note}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Checks:
    """Every check of one release."""

    version: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise is kept."""
        return all(check.passed for check in self.checks)

    def text(self) -> str:
        """The checks as a person reads them, one screen."""
        broken = sum(not check.passed for check in self.checks)
        outcome = "every check passed" if self.passed else f"{counted(broken, 'check')} failed"
        lines = [f"Release {self.version}: {outcome}"]
        return "\n".join([*lines, *(check.text() for check in self.checks)])


@dataclass(frozen=True)
class Shard:
    """The rows of one Parquet file, and where they belong."""

    path: str
    stem: str
    split: str
    rows: list[dict[str, Any]]

    def where(self, row: Mapping[str, Any]) -> str:
        """The name of a row in a message."""
        return f"{self.path} row {row['id']}"


def check_release(root: Path, local_images: Mapping[str, Path] | None = None) -> Checks:
    """Everything that the release in the folder `root` promises has been checked.

    `local_images` are files of images, by sha256, that the release names by URL only.

    Raises:
        ReleaseError: there is no release there, or no manifest to hold it to.
    """
    release = Release.open(root, local_images)
    promised = release.manifest
    shards, unreadable, faults = read_shards(root, promised)
    rows = sum(len(shard.rows) for shard in shards)
    # Rows that break their schema have no fields to look at, so later checks are without them.
    note = f"the rows of {', '.join(unreadable)}, which break their schema" if unreadable else ""

    def per_row(name: str, find: Callable[[list[Shard]], Iterable[str]]) -> Check:
        return check(name, rows, "rows", find(shards), note)

    return Checks(
        promised.version,
        (
            check(
                "files are as released, to the byte",
                len(promised.files),
                "files",
                manifests.differences(root, promised),
            ),
            check("rows keep their schema", len(shards) + len(unreadable), "files", faults),
            check(
                "row counts are those of the manifest",
                sum(1 for file in promised.files if file.path.endswith(".parquet")),
                "files",
                wrong_row_counts(root, promised),
            ),
            per_row("ids are unique", repeated_ids),
            image_check(release, shards, note),
            per_row("counts are the number of points", wrong_counts),
            per_row("points lie in their image", points_outside),
            per_row("no image is on two sides of a split", images_on_two_sides),
            per_row("no cluster is on two sides of a split", clusters_on_two_sides),
        ),
    )


def check(name: str, checked: int, unit: str, violations: Iterable[str], note: str = "") -> Check:
    """A check from the violations that were found."""
    found = list(violations)
    return Check(name, checked, unit, len(found), tuple(found[:MOST_EXAMPLES]), note)


def read_shards(root: Path, promised: Manifest) -> tuple[list[Shard], list[str], list[str]]:
    """The Parquet files that keep their schema, the paths of those that do not, and why not."""
    shards, unreadable, faults = [], [], []
    for subset in promised.subsets:
        # The images that rows hold are looked at by themselves, a few at a time.
        names = schema.subset(subset.stem).column_names if promised.is_embedded else None
        for split in sorted(subset.rows):
            for file in promised.parquet(subset.name, split):
                try:
                    table = pq.read_table(root / file.path, columns=names, partitioning=None)
                    schema.subset(subset.stem).check(table, file.path)
                    shards.append(Shard(file.path, subset.stem, split, table.to_pylist()))
                except (OSError, pa.ArrowException) as error:
                    unreadable.append(file.path)
                    faults.append(f"{file.path} cannot be read: {why_unread(error)}")
                except SchemaError as error:
                    unreadable.append(file.path)
                    faults.append(str(error))
    return shards, unreadable, faults


def wrong_row_counts(root: Path, promised: Manifest) -> Iterable[str]:
    """A line for every Parquet file, and every split, with another number of rows than promised."""
    found: dict[str, int] = {}
    for file in promised.files:
        if not file.path.endswith(".parquet"):
            continue
        try:
            found[file.path] = pq.read_metadata(root / file.path).num_rows
        except (OSError, pa.ArrowException) as error:
            yield f"{file.path} cannot be read: {why_unread(error)}"
            continue
        if found[file.path] != file.rows:
            yield f"{file.path} has {found[file.path]} rows, promised are {file.rows}"
    for subset in promised.subsets:
        for split, rows in sorted(subset.rows.items()):
            files = promised.parquet(subset.name, split)
            total = sum(found.get(file.path, 0) for file in files)
            if total != rows:
                yield f"{subset.name}/{split} has {total} rows, promised are {rows}"


def repeated_ids(shards: list[Shard]) -> Iterable[str]:
    """A line for every row whose id an earlier row of the subset has."""
    seen: dict[tuple[str, str], str] = {}
    for shard in shards:
        for row in shard.rows:
            key = (shard.stem, row["id"])
            if key in seen:
                yield f"{shard.where(row)}: the id is also in {seen[key]}"
            seen.setdefault(key, shard.path)


def image_check(release: Release, shards: list[Shard], note: str) -> Check:
    """Every image that a row names or holds is there, with the sha256 that the row names."""
    users: dict[tuple[str, str], str] = {}
    for shard in shards:
        for row in shard.rows:
            users.setdefault((row["image_url"], row["image_sha256"]), shard.where(row))
    held, violations = held_images(release, shards)
    remote, checked = 0, len(held)
    for (url, sha256), user in sorted(users.items()):
        if sha256 in held:
            continue
        try:
            path = release.file_inside(url, sha256)
        except ReleaseError:
            violations.append(f"{user}: image {url} lies outside the release")
            continue
        if path is None:
            path = release.local_images.get(sha256)
            if "://" not in url:
                violations.append(f"{user}: no row holds image {url}")
                continue
            # The release promises a URL; a copy that has gone from here breaks no promise.
            if path is None or not path.is_file():
                remote += 1
                continue
        checked += 1
        if not path.is_file():
            violations.append(f"{user}: image {url} is missing")
        elif sha256_file(path) != sha256:
            violations.append(f"{user}: image {url} has another sha256 than {sha256[:12]}…")
    unseen = f"{counted(remote, 'image')} named by URL, without a copy here"
    notes = [unseen] if remote else []
    notes += [note] if note else []
    return check("images are those of their rows", checked, "images", violations, "; ".join(notes))


def held_images(release: Release, shards: list[Shard]) -> tuple[set[str], list[str]]:
    """The images that rows hold, by sha256, and a line for every row that holds another one."""
    held: set[str] = set()
    violations: list[str] = []
    for shard in shards if release.manifest.is_embedded else ():
        try:
            for row, image_sha256, found in embedded_sha256s(release.root / shard.path):
                held.add(image_sha256)
                if found != image_sha256:
                    violations.append(
                        f"{shard.path} row {row}: its image has another sha256 than"
                        f" {image_sha256[:12]}…"
                    )
        except (OSError, KeyError, pa.ArrowException) as error:
            violations.append(f"{shard.path}: its images cannot be read: {why_unread(error)}")
    return held, violations


def wrong_counts(shards: list[Shard]) -> Iterable[str]:
    """A line for every row of points whose count is another number."""
    for shard in shards:
        for row in shard.rows if shard.stem == "points" else ():
            if row["count"] != len(row["points"]):
                yield f"{shard.where(row)}: count {row['count']}, points {len(row['points'])}"


def points_outside(shards: list[Shard]) -> Iterable[str]:
    """A line for every point that is not within 0 to 100 percent of width and height."""
    for shard in shards:
        for row in shard.rows if shard.stem == "points" else ():
            for point in row["points"]:
                x, y = point["x"], point["y"]
                # Written so that a null or NaN is outside, too.
                if x is None or y is None or not (0 <= x <= 100 and 0 <= y <= 100):
                    yield f"{shard.where(row)}: point ({x}, {y})"


def images_on_two_sides(shards: list[Shard]) -> Iterable[str]:
    """A line for every image that is in more than one split, over all subsets."""
    return on_two_sides(shards, "image_sha256")


def clusters_on_two_sides(shards: list[Shard]) -> Iterable[str]:
    """A line for every near-duplicate cluster in more than one split, over all subsets."""
    return on_two_sides(shards, "cluster")


def on_two_sides(shards: list[Shard], column: str) -> Iterable[str]:
    """A line for every value of `column` that is in more than one split, over all subsets."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for shard in shards:
        for row in shard.rows:
            places[row[column]].setdefault(shard.split, shard.path)
    for value, paths in sorted(places.items()):
        if len(paths) > 1:
            yield f"{column} {value} is in {' and '.join(sorted(paths.values()))}"
