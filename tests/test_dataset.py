"""A release on disk: its manifest tells every change, its reader gives every row."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pixmo import schema
from pixmo.dataset import manifest as manifests
from pixmo.dataset.manifest import FunnelStep, Manifest, Subset, differences, file_entry
from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.release.shards import write_parquet

STEP = FunnelStep("too_short", 1, 3, {"only # words": 1}, "Too short to be dense.")
NAME = "pixmo-points"


def row(number: int) -> dict[str, object]:
    return {
        "image_url": f"images/{number}.png",
        "image_sha256": f"{number:064x}",
        "points": [{"x": 1.5, "y": 99.0}] * number,
        "count": number,
        "label": "cat",
        "collection_method": "pointing",
        "id": f"row-{number}",
        "raw_points": [],
        "raw_label": "",
        "merged_from": [],
        "annotator": "1",
        "annotation_uid": f"uid-{number}",
        "cluster": f"{number:064x}",
        "flags": [],
    }


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release of two training shards and a test row, with one image inside."""
    promise = schema.subset("points")
    rows_of = {}
    for name, numbers in {
        "train-00000-of-00002": [0, 1],
        "train-00001-of-00002": [2],
        "test-00000-of-00001": [3],
    }.items():
        path = tmp_path / NAME / f"{name}.parquet"
        write_parquet(path, [promise.table([row(number) for number in numbers])], promise.arrow())
        rows_of[path] = len(numbers)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").write_bytes(b"one")
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    subset = Subset(
        "points", NAME, 5, {"train": 3, "test": 1}, 0, (STEP,), "a" * 64, promise.sha256
    )
    empty = Subset("ama", "pixmo-ask-model-anything", 2, {}, 0, (STEP,), "b" * 64, "c" * 64)
    files = tuple(file_entry(tmp_path, path, rows_of.get(path)) for path in paths)
    Manifest("v1", "0.1.0", "CC0-1.0", (empty, subset), files).write(tmp_path)
    return tmp_path


def test_a_manifest_reads_back_as_it_was_written(release: Path) -> None:
    manifest = manifests.read(release)
    assert manifest.subset("points").funnel == (STEP,)
    assert manifest.subset("points").rows == {"train": 3, "test": 1}
    before = (release / "manifest.json").read_bytes()
    manifest.write(release)
    assert (release / "manifest.json").read_bytes() == before
    assert before.endswith(b"}\n")


def test_a_whole_release_has_no_differences(release: Path) -> None:
    assert list(differences(release, manifests.read(release))) == []


def test_every_kind_of_change_is_found(release: Path) -> None:
    manifest = manifests.read(release)
    (release / "images/1.png").write_bytes(b"two")
    (release / NAME / "test-00000-of-00001.parquet").unlink()
    with (release / NAME / "train-00001-of-00002.parquet").open("ab") as file:
        file.write(b"x")
    (release / "notes.txt").write_text("hello")
    assert list(differences(release, manifest)) == [
        "images/1.png is not the file that was released: its sha256 differs",
        f"{NAME}/test-00000-of-00001.parquet is missing",
        f"{NAME}/train-00001-of-00002.parquet is not the file that was released:"
        " its sha256 differs",
        "notes.txt is not in the manifest",
    ]


def test_a_folder_without_a_manifest_is_no_release(release: Path) -> None:
    (release / "manifest.json").unlink()
    with pytest.raises(ReleaseError, match="not a complete release"):
        Release.open(release)
    with pytest.raises(ReleaseError, match="there is no release at"):
        Release.open(release / "nowhere")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        *(("", ""), ("\x00", ""), ('{"subsets": [1]}', ""), ("[]", "it holds no JSON object")),
        *(("{}", "it lacks 'subsets'"), ('{"subsets": []}', "it lacks 'files'")),
    ],
)
def test_a_broken_manifest_is_named(release: Path, text: str, fault: str) -> None:
    (release / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(ReleaseError, match=f"is not a manifest: .*{fault}"):
        manifests.read(release)


def test_a_manifest_of_a_newer_pixmo_is_named(release: Path) -> None:
    path = release / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(data | {"signature": "x"}), "utf-8")
    with pytest.raises(ReleaseError, match="signature"):
        manifests.read(release)


def test_rows_are_read_over_all_shards_in_order(release: Path) -> None:
    opened = Release.open(release)
    assert opened.stems == ["points"]
    assert opened.splits("points") == ["train", "test"]
    assert opened.splits("ama") == []
    assert opened.read("points", "train").to_pylist() == [row(0), row(1), row(2)]
    assert opened.read("points", "test").to_pylist() == [row(3)]
    nothing = opened.read("points", "validation")
    assert (nothing.num_rows, nothing.column_names) == (0, schema.subset("points").column_names)


def test_a_subset_that_is_not_there_is_named(release: Path) -> None:
    with pytest.raises(ReleaseError, match="has no subset 'cap'; it has ama, points"):
        Release.open(release).splits("cap")


def test_a_damaged_file_is_named(release: Path) -> None:
    opened = Release.open(release)
    path = release / NAME / "test-00000-of-00001.parquet"
    os.truncate(path, 50)
    with pytest.raises(ReleaseError, match=r"test-00000-of-00001\.parquet cannot be read"):
        opened.read("points", "test")
    path.unlink()
    with pytest.raises(ReleaseError, match=r"test-00000-of-00001\.parquet cannot be read"):
        opened.read("points", "test")


def test_a_file_with_other_columns_is_named(release: Path) -> None:
    table = (
        Release.open(release)
        .read("points", "test")
        .rename_columns([*schema.subset("points").column_names[:-1], "clump"])
    )
    write_parquet(release / NAME / "test-00000-of-00001.parquet", [table], table.schema)
    with pytest.raises(ReleaseError, match="points/test breaks its schema"):
        Release.open(release).read("points", "test")


def test_a_dropped_table_that_is_missing_is_named(release: Path) -> None:
    with pytest.raises(ReleaseError, match=r"points\.parquet cannot be read"):
        Release.open(release).dropped("points")


@pytest.mark.parametrize("elsewhere", ["/etc/hostname", "../out.png", "images/../../out.png"])
def test_a_strangers_row_names_no_image_outside_the_release(
    elsewhere: str, release: Path, tmp_path: Path
) -> None:
    opened = Release.open(release)
    says = re.escape(f"a row names '{elsewhere}', which can be no file of a release")
    for find in (opened.image_path, opened.file_inside):
        with pytest.raises(ReleaseError, match=says):
            find(elsewhere, "1" * 64)
    embedded = replace(
        opened, manifest=replace(opened.manifest, images="embedded"), unpacked=tmp_path / "unpacked"
    )
    with pytest.raises(ReleaseError, match=says):
        embedded.image_path("images/1.png", elsewhere)


def test_images_are_found_inside_or_locally(release: Path, tmp_path: Path) -> None:
    local = tmp_path / "local.png"
    local.write_bytes(b"two")
    opened = replace(Release.open(release), local_images={"2" * 64: local})
    assert opened.image_path("images/1.png", "1" * 64) == release / "images/1.png"
    assert opened.image_path("https://example.org/2.png", "2" * 64) == local
    with pytest.raises(ReleaseError, match=r"no file for image https://example\.org/3\.png"):
        opened.image_path("https://example.org/3.png", "3" * 64)
    with pytest.raises(ReleaseError, match=r"no file for image images/2\.png"):
        opened.image_path("images/2.png", "2" * 64)
    local.unlink()
    with pytest.raises(ReleaseError, match=r"no file for image https://example\.org/2\.png"):
        opened.image_path("https://example.org/2.png", "2" * 64)
