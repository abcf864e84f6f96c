"""A comparison of two releases says of every row what became of it, and why."""

import csv
import json
import subprocess
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixmo import schema
from pixmo.dataset.manifest import FILE_NAME, FunnelStep
from pixmo.dataset.reader import SPLITS, Release
from pixmo.errors import ReleaseError
from pixmo.release.diff import diff
from pixmo.release.difference import GONE, NEW, Cause, Figure, StepDifference, SubsetDifference
from tests.conftest import run_pixmo
from tests.releases import promise_again
from tests.two_releases import told_slowly, write

POINTS = schema.subset("points")


def row(number: int, **values: Any) -> dict[str, Any]:
    """A row of points."""
    return {
        "image_url": f"images/{number % 7}.png",
        "image_sha256": f"{number % 7:064d}",
        "points": [{"x": 1.0, "y": 2.0}] * (number % 3),
        "count": number % 3,
        "label": f"thing {number}",
        "collection_method": "pointing",
        "id": f"{number:016d}",
        "raw_points": [],
        "raw_label": "",
        "annotator": str(number % 4),
        "annotation_uid": f"uid-{number}",
        "merged_from": [],
        "cluster": str(number % 7),
        "flags": [],
        **values,
    }


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return POINTS.table(rows)


def compared(before: Path, after: Path) -> SubsetDifference:
    (subset,) = diff(Release.open(before), Release.open(after)).subsets
    return subset


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """One row for every way in which a row can come, go, change or move."""
    before, after = tmp_path / "v1", tmp_path / "v2"
    ids = [row(number)["id"] for number in range(20)]
    write(
        before,
        {"points": {"train": table([row(n) for n in range(12)]), "test": table([row(12)])}},
        dropped={"points": [(ids[15], "too_few", "only 3 of 5"), (ids[19], "other", "why")]},
        apart={"points": [(ids[16], "doubtful", "nobody knows")]},
        funnels={"points": [FunnelStep("too_few", 1, 13, {}), FunnelStep("old", 0, 13, {})]},
        recipes={"points": "one"},
    )
    kept = [row(n) for n in range(5)]
    kept[1] |= {"label": "another thing"}
    kept[2] |= {"label": "third", "count": 9, "points": []}
    write(
        after,
        {
            "points": {
                "train": table([*kept, row(15), row(16), row(17)]),
                "validation": table([row(5), row(6, flags=["looked_at"])]),
                "test": table([row(12)]),
            }
        },
        dropped={
            "points": [
                (ids[7], "too_few", "only 2 of 5"),
                (ids[8], "too_few", "only 4 of 5"),
                (ids[9], "consensus", f"merged into row {ids[1]}"),
                (ids[18], "too_few", "only 4 of 5"),
            ]
        },
        apart={"points": [(ids[10], "doubtful", "two people differ")]},
        funnels={
            "points": [FunnelStep("withdrawn", 1, 9, {}), FunnelStep("too_few", 3, 8, {}, "x")]
        },
        recipes={"points": "two"},
        tool="0.2.0",
    )
    return before, after


def test_every_row_has_its_fate(planted: tuple[Path, Path]) -> None:
    found = compared(*planted)
    counts = (found.added, found.removed, found.changed, found.moved, found.same)
    assert counts == (3, 5, 3, 1, 4)
    assert {(f.change, f.split_before, f.split_after): f.rows for f in found.flows} == {
        ("added", "", "train"): 3,
        ("removed", "train", ""): 5,
        ("changed", "train", "train"): 2,
        ("changed", "train", "validation"): 1,
        ("moved", "train", "validation"): 1,
        ("same", "train", "train"): 3,
        ("same", "test", "test"): 1,
    }
    assert found.columns_changed == {"label": 2, "count": 1, "flags": 1, "points": 1}


def test_what_went_and_what_came_have_their_reasons(planted: tuple[Path, Path]) -> None:
    found = compared(*planted)
    assert found.removed_because == (
        Cause("dropped", "too_few", "only # of #", 2),
        Cause("", "", "", 1),  # row 11 is no candidate any more
        Cause("dropped", "consensus", "merged into row #", 1),
        Cause("set apart", "doubtful", "two people differ", 1),
    )
    assert found.added_from == (
        Cause("", "", "", 1),  # row 17 is new
        Cause("dropped", "too_few", "only # of #", 1),
        Cause("set apart", "doubtful", "nobody knows", 1),
    )


def test_recipes_and_figures_stand_side_by_side(planted: tuple[Path, Path]) -> None:
    found = compared(*planted)
    assert found.is_recipe_changed
    assert found.steps == (
        StepDifference("withdrawn", "", "drop", None, 1, False),
        StepDifference("too_few", "drop", "drop", 1, 3, True),
        StepDifference("old", "drop", "", 0, None, False),
    )
    figures = {figure.name: figure for figure in found.figures}
    assert figures["rows"] == Figure("rows", 13, 11)
    assert figures["images"] == Figure("images", 7, 7)
    assert figures["annotators"] == Figure("annotators", 4, 4)
    kept = [n % 3 for n in (0, 1, 3, 4, 5, 6, 12, 15, 16, 17)]
    assert figures["points"] == Figure("points", sum(n % 3 for n in range(13)), sum(kept) + 9)
    assert figures["rows with a flag"] == Figure("rows with a flag", 0, 1)
    assert "words a caption, mean" not in figures


def test_the_rows_themselves_are_written(planted: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = map(Release.open, planted)
    for suffix in ("parquet", "jsonl", "csv"):
        diff(before, after, tmp_path / f"rows.{suffix}")
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [one["id"] for one in rows] == sorted(one["id"] for one in rows)
    assert len(rows) == 3 + 5 + 3 + 1
    (merged,) = (one for one in rows if one["step"] == "consensus")
    assert merged == {
        "subset": "points",
        "id": row(9)["id"],
        "image_sha256": row(9)["image_sha256"],
        "change": "removed",
        "split_before": "train",
        "split_after": "",
        "columns": [],
        "verdict": "dropped",
        "step": "consensus",
        "reason": f"merged into row {row(1)['id']}",
    }
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert list(map(json.loads, lines)) == rows
    with (tmp_path / "rows.csv").open(newline="") as file:
        flat = [one | {"columns": one["columns"].split()} for one in csv.DictReader(file)]
    assert flat == rows
    with pytest.raises(ReleaseError, match=r"rows\.txt is none of \.parquet"):
        diff(before, after, tmp_path / "rows.txt")


@pytest.mark.parametrize("seed", range(6))
def test_a_slow_merge_says_the_same(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)

    def shuffled(rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
        rng.shuffle(rows)
        cuts = sorted(rng.sample(range(len(rows)), 2))
        parts = (rows[: cuts[0]], rows[cuts[0] : cuts[1]], rows[cuts[1] :])
        return {split: table(part) for split, part in zip(SPLITS, parts, strict=True)}

    before = [row(number) for number in rng.sample(range(400), 300)]
    after = [dict(one) for one in before if rng.random() < 0.8]
    after += [row(number) for number in range(400, 400 + rng.randrange(50))]
    for one in after:
        if rng.random() < 0.3:
            name = rng.choice(["label", "count", "points", "flags", "cluster", "annotator"])
            one[name] = row(rng.randrange(400), flags=rng.choice([[], ["a"], ["a", "b"]]))[name]
    old, new = shuffled(before), shuffled(after)
    write(tmp_path / "v1", {"points": old})
    write(tmp_path / "v2", {"points": new})
    found = compared(tmp_path / "v1", tmp_path / "v2")
    flows, columns = told_slowly(old, new)
    assert (
        Counter({(f.change, f.split_before, f.split_after): f.rows for f in found.flows}) == flows
    )
    assert Counter(found.columns_changed) == columns
    assert flows["changed", "train", "train"]  # else nothing is compared


def test_columns_that_came_went_or_hold_another_type(tmp_path: Path) -> None:
    rows = table([row(number) for number in range(9)])
    place = rows.schema.get_field_index("count")
    changed = (
        rows.set_column(place, "count", rows["count"].cast(pa.float64()))
        .drop_columns(["cluster"])
        .append_column("quality", pa.array([0.5] * 9))
    )
    write(tmp_path / "v1", {"points": {"train": rows}})
    write(tmp_path / "v2", {"points": {"train": changed}})
    found = compared(tmp_path / "v1", tmp_path / "v2")
    assert (found.columns_added, found.columns_removed) == (("quality",), ("cluster",))
    (retyped,) = found.columns_retyped
    assert (retyped.name, retyped.before, retyped.after) == ("count", "BIGINT", "DOUBLE")
    assert found.same == 9
    assert not found.is_empty


def test_a_subset_can_be_new_or_gone(tmp_path: Path) -> None:
    rows = {"train": table([row(number) for number in range(4)])}
    asked = {"train": schema.subset("ama").table([])}
    write(tmp_path / "v1", {"ama": asked, "points": rows})
    write(tmp_path / "v2", {"ama": asked})
    gone = diff(Release.open(tmp_path / "v1"), Release.open(tmp_path / "v2"))
    assert [(s.stem, s.presence, s.removed) for s in gone.subsets] == [
        ("ama", "both", 0),
        ("points", "gone", 4),
    ]
    new = diff(Release.open(tmp_path / "v2"), Release.open(tmp_path / "v1"))
    assert [(s.stem, s.presence, s.added) for s in new.subsets] == [
        ("ama", "both", 0),
        ("points", "new", 4),
    ]
    assert not new.is_empty
    same = diff(Release.open(tmp_path / "v1"), Release.open(tmp_path / "v1"))
    assert same.is_empty


def test_a_release_in_the_making_is_compared(planted: tuple[Path, Path]) -> None:
    before, after = map(Release.open, planted)
    expected = diff(before, after)
    (after.root / FILE_NAME).unlink()
    assert diff(before, Release(after.root, after.manifest)) == expected


def spoil(release: Release, fault: str) -> Path:
    """One file of the release is gone or other; returns which."""
    (file,) = release.manifest.parquet("pixmo-points", "train")
    path = release.root / file.path
    if fault == "gone":
        path.unlink()
    elif fault == "verdicts gone":
        path = release.root / "dropped/points.parquet"
        path.unlink()
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif fault == "by hand":
        rows = pq.read_table(path, partitioning=None)
        pq.write_table(rows.set_column(4, "label", pa.array(["mug"] * len(rows))), path)
    elif fault == "one bit":
        data = bytearray(path.read_bytes())
        data[data.index(b"thing 0") + 2] ^= 1
        path.write_bytes(data)
    else:
        rows = pq.read_table(path, partitioning=None)
        pq.write_table(pa.concat_tables([rows.slice(1), rows.slice(1, 1)]), path)
    return path


@pytest.mark.parametrize("fault", ["gone", "verdicts gone", "cut", "by hand", "one bit"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_file_that_is_not_what_was_released_is_refused(
    planted: tuple[Path, Path], fault: str, side: str
) -> None:
    before, after = map(Release.open, planted)
    path = spoil(before if side == "before" else after, fault)
    if fault == "one bit":  # nothing else would notice
        was = diff(before, after, is_checked=True).subsets[0]
        assert (was.changed, was.same) != (3, 4)
    why = "is missing" if "gone" in fault else "is not the file that was released"
    with pytest.raises(ReleaseError, match=rf"{path} {why}.*restore it.*pixmo verify") as error:
        diff(before, after)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fault", ["cut", "twice"])
def test_a_release_that_is_not_whole_is_refused(planted: tuple[Path, Path], fault: str) -> None:
    before, after = planted
    spoil(Release.open(after), fault)
    promise_again(after)  # its manifest is as wrong
    with pytest.raises(ReleaseError, match="validate says what") as error:
        diff(Release.open(before), Release.open(after))
    assert str(after) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_says_what_the_library_does(planted: tuple[Path, Path], pixmo: Path) -> None:
    before, after = planted
    workspace = before.parent

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return run_pixmo(pixmo, "diff", *words, cwd=workspace)

    told = run(before, after, "--json", "--rows", "rows.csv")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["subsets"][0]["removed"] == 5
    assert (workspace / "rows.csv").is_file()
    shown = run(before, after).stdout
    assert "v1 → v2" in shown
    assert "made by pixmo: 0.1.0 → 0.2.0" in shown
    assert "3 added, 5 removed, 3 changed, 1 moved, 4 the same" in shown
    assert "2 dropped by too_few: only # of #" in shown
    assert f"1 {GONE}\n" in shown
    assert f"  added; before, they were\n           1 {NEW}\n" in shown
    assert "  rows named by\n    withdrawn: not there → 1 row\n" in shown
    assert "1 moved    train → validation" in shown
    nowhere = run("v7", "v8")
    assert nowhere.returncode == 1
    assert "v7" in nowhere.stderr
    published = run(before, "s3://bucket/v2")
    assert published.returncode == 1
    assert "its folder: pixmo fetch s3://bucket/v2 FOLDER" in published.stderr
