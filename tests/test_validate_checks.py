"""Every planted corruption of a release is found, and named."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.validate.checks import Checks, check_release
from tests.releases import promise_again, write_release

POINTS = "pixmo-points/train-00000-of-00001.parquet"


def broken(checks: Checks) -> dict[str, int]:
    return {check.name: check.violations for check in checks.checks if not check.passed}


def test_a_release_as_written_passes_every_check(tmp_path: Path) -> None:
    checks = check_release(write_release(tmp_path / "v1"), {})
    assert checks.passed, checks.text()
    assert len(checks.checks) == 9
    assert all(check.checked and not check.note for check in checks.checks)
    assert checks.text().startswith("Release v1: every check passed")


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1")
    image = sorted(root.glob("images/*/*.png"))[0]
    data = bytearray(image.read_bytes())
    data[-20] ^= 1
    image.write_bytes(data)
    found = broken(check_release(root))
    assert found == {"files are as released, to the byte": 1, "images are those of their rows": 1}


def test_a_missing_image_and_a_stray_file_are_found(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1")
    sorted(root.glob("images/*/*.png"))[3].unlink()
    (root / "notes.txt").write_text("mine")
    found = broken(check_release(root))
    assert found == {"files are as released, to the byte": 2, "images are those of their rows": 1}


@pytest.mark.parametrize(
    ("stem", "change", "name", "violations"),
    [
        ("points", {"points": [{"x": 120.0, "y": 50.0}]}, "points lie in their image", 1),
        ("points", {"points": [{"x": float("nan"), "y": 1.0}]}, "points lie in their image", 1),
        ("points", {"count": 3}, "counts are the number of points", 1),
        ("ama", {"id": "same"}, "ids are unique", 1),
        ("cap", {"image_sha256": "0" * 64}, "images are those of their rows", 1),
        ("cap", {"image_url": "../outside.png"}, "images are those of their rows", 1),
        ("cap", {"cluster": "shared"}, "no cluster is on two sides of a split", 1),
    ],
)
def test_a_wrong_row_is_found(
    tmp_path: Path, stem: str, change: dict[str, Any], name: str, violations: int
) -> None:
    def spoil(of: str, split: str, rows: list[dict[str, Any]]) -> None:
        if of == stem:
            twice = 2 if change.get("id") and split == "train" else 1
            for row in rows[:twice] if split == "train" or "cluster" in change else []:
                row |= change

    assert broken(check_release(write_release(tmp_path / "v1", change_rows=spoil))) == {
        name: violations
    }


def test_an_image_on_two_sides_is_found_across_subsets(tmp_path: Path) -> None:
    kept: list[dict[str, Any]] = []

    def leak(stem: str, split: str, rows: list[dict[str, Any]]) -> None:
        if (stem, split) == ("cap", "train"):
            kept.append(rows[0])
        if (stem, split) == ("points", "test"):
            names = ("image_url", "image_sha256")
            rows[0] |= {name: kept[0][name] for name in names}

    checks = check_release(write_release(tmp_path / "v1", change_rows=leak))
    assert broken(checks) == {"no image is on two sides of a split": 1}
    assert "/train-00000-of-00001.parquet and pixmo-points/test" in checks.text()


def test_a_wrong_schema_is_found_and_what_it_hides_is_said(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1")
    table = pq.read_table(root / POINTS, partitioning=None)
    position = table.column_names.index("count")
    counts = table.column("count").cast(pa.int32())
    pq.write_table(table.set_column(position, "count", counts), root / POINTS)
    promise_again(root)
    checks = check_release(root)
    assert broken(checks) == {"rows keep their schema": 1}
    assert "count is int32, promised is int64" in checks.text()
    notes = [check for check in checks.checks if POINTS in check.note]
    assert len(notes) == 6


def test_a_file_that_is_no_parquet_and_rows_too_few_are_found(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1")
    (root / POINTS).write_bytes(b"no parquet")
    other = root / "pixmo-cap/train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(other, partitioning=None).slice(1), other)
    promise_again(root)
    found = broken(check_release(root))
    # The unreadable file, its split without it, the short file, and its split.
    assert found == {"rows keep their schema": 1, "row counts are those of the manifest": 4}


def test_why_a_file_that_is_gone_cannot_be_read_is_said_once(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1")
    (root / POINTS).unlink()
    told = check_release(root).text()
    assert told.count(f"{POINTS} cannot be read: No such file or directory\n") == 2
    with pytest.raises(ReleaseError) as error:
        Release.open(root).read("points", "train")
    assert str(error.value) == f"{root / POINTS} cannot be read: No such file or directory"


def test_an_image_by_url_is_checked_where_there_is_a_copy(tmp_path: Path) -> None:
    copies: dict[str, Path] = {}

    def by_url(stem: str, split: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            copies[row["image_sha256"]] = tmp_path / "v1" / row["image_url"]
            row["image_url"] = f"https://example.org/{row['image_sha256']}.png"

    root = write_release(tmp_path / "v1", train=3, held_out=1, change_rows=by_url)
    name = "images are those of their rows"
    (unseen,) = [check for check in check_release(root).checks if check.name == name]
    assert unseen.checked == 0
    assert "not checked: 5 images named by URL, without a copy here" in unseen.text()
    gone, other = sorted(copies)[:2]
    copies[gone] = tmp_path / "gone.png"
    (seen,) = [check for check in check_release(root, copies).checks if check.name == name]
    assert (seen.checked, seen.violations) == (4, 0)
    assert "not checked: 1 image named by URL, without a copy here" in seen.text()
    copies[other] = root / "manifest.json"
    assert broken(check_release(root, copies)) == {name: 1}


def test_a_release_without_a_manifest_is_refused(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1", train=2, held_out=1)
    (root / "manifest.json").unlink()
    with pytest.raises(ReleaseError, match="manifest"):
        check_release(root)
    with pytest.raises(ReleaseError, match="no release"):
        check_release(tmp_path / "v2")


def test_many_violations_are_counted_and_a_few_shown(tmp_path: Path) -> None:
    def spoil(stem: str, split: str, rows: list[dict[str, Any]]) -> None:
        for row in rows if stem == "points" else ():
            row["count"] += 1

    checks = check_release(write_release(tmp_path / "v1", change_rows=spoil))
    assert broken(checks) == {"counts are the number of points": 40}
    assert "and 35 more" in checks.text()
