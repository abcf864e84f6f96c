"""`croissant.json` is valid, and its record sets give the rows of the release."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlcroissant
import pytest

from pixmo import schema
from pixmo.dataset import manifest as manifests
from pixmo.dataset.reader import Release
from pixmo.release import croissant
from pixmo.release.build import build_release
from tests import workspaces

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",  # of the loader's own libraries
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace, _ = workspaces.make(tmp_path_factory.mktemp("world"))
    workspaces.share_out(workspace)
    return build_release(workspace, "v1", images="embedded")


def opened(release: Path) -> mlcroissant.Dataset:
    """The metadata, read anew: a dataset is iterated once."""
    return mlcroissant.Dataset(jsonld=release / "croissant.json")


def test_the_metadata_is_valid(release: Path, caplog: pytest.LogCaptureFixture) -> None:
    issues = opened(release).metadata.issues
    assert issues.errors == set()
    # What nobody knows of a release before it is published; all else that is recommended is there.
    missing = ("citeAs", "datePublished", "url")
    assert [one for one in issues.warnings if not any(f"/{name}" in one for name in missing)] == []
    assert "@context" not in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [("v1", "1.0.0"), ("v1.2", "1.2.0"), ("2.0.1", "2.0.1"), ("spring", "spring"), ("v1a", "v1a")],
)
def test_a_version_of_numbers_is_one_of_three(name: str, expected: str) -> None:
    assert croissant.version(name) == expected


def plain(value: Any) -> Any:
    """A value of the loader's as the reader of releases has it: text for bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def rows_by_id(release: Path, stem: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every row of a subset as the reader of releases has it, its split beside it."""
    read = Release.open(release)
    for split in read.splits(stem):
        for row in read.read(stem, split).to_pylist():
            yield row["id"], row | {"split": split}


@pytest.mark.parametrize("stem", schema.stems())
def test_records_are_the_rows_of_every_split(release: Path, stem: str) -> None:
    name = schema.subset(stem).name
    expected = dict(rows_by_id(release, stem))
    assert {row["split"] for row in expected.values()} == {"train", "validation", "test"}
    found = {}
    for record in opened(release).records(name):
        row = {key.removeprefix(f"{name}/"): value for key, value in record.items()}
        image = row.pop("image")
        # It has a source URL, and no licence that lets it travel.
        is_by_url = plain(row["image_url"]).startswith("https://")
        assert image is None if is_by_url else image.size in {(128, 96), (256, 192)}
        found[plain(row["id"])] = {key: plain(value) for key, value in row.items()}
    assert found == expected


def test_every_parquet_file_is_named_with_its_checksum(release: Path) -> None:
    described = json.loads((release / "croissant.json").read_text("utf-8"))
    named = {
        one["contentUrl"]: one["sha256"]
        for one in described["distribution"]
        if one["@type"] == "cr:FileObject"
    }
    promised = {file.path: file.sha256 for file in manifests.read(release).files}
    names = tuple(f"{schema.subset(stem).name}/" for stem in schema.stems())
    assert named == {path: promised[path] for path in promised if path.startswith(names)}
    assert [record["splits/name"] for record in opened(release).records("splits")] == [
        *("train", "validation", "test")
    ]
