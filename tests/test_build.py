"""A release is whole, the same bytes for the same inputs, and never half there."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from pixmo import schema
from pixmo.dataset import manifest as manifests
from pixmo.dataset.manifest import differences
from pixmo.dataset.reader import SPLITS, Release
from pixmo.errors import RecipeError, ReleaseError, WorkspaceError
from pixmo.release.build import build_release
from pixmo.release.images import CHANGED, GONE, source_images, unusable
from pixmo.release.plots import edges, histogram
from pixmo.release.shards import Shards, write_parquet
from pixmo.release.versions import complete_releases, newest_release
from pixmo.resources import shared
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import Planter

ROOT = Path(__file__).parents[1]
NAMES = {stem: schema.subset(stem).name for stem in schema.stems()}


def make(root: Path) -> tuple[Workspace, Planter]:
    """The small workspace, with recipes of its own whose shares fill every split."""
    workspace, planter = workspaces.make(root)
    workspaces.share_out(workspace)
    return workspace, planter


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Planter]:
    return make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def release(world: tuple[Workspace, Planter]) -> Path:
    return build_release(world[0], "v1")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_release_holds_what_the_design_says(release: Path) -> None:
    top = {path.name for path in release.iterdir()}
    assert top == {
        "README.md",
        "report.html",
        "croissant.json",
        "manifest.json",
        "images",
        "dropped",
        *NAMES.values(),
    }
    assert {path.name for path in (release / "dropped").iterdir()} == {
        "ama.parquet",
        "cap.parquet",
        "points.parquet",
    }
    for name in NAMES.values():
        files = sorted(path.name for path in (release / name).iterdir())
        assert files == [f"{split}-00000-of-00001.parquet" for split in sorted(SPLITS)]
    assert [path.name for path in release.parent.iterdir()] == ["v1"]


def test_the_manifest_is_true_to_the_byte(release: Path) -> None:
    manifest = manifests.read(release)
    assert list(differences(release, manifest)) == []
    assert manifest.license == "ODC-BY-1.0"
    for file in manifest.files:
        if file.path.endswith(".parquet"):
            assert file.rows == pq.read_metadata(release / file.path).num_rows
        else:
            assert file.rows is None
    for subset in manifest.subsets:
        files = [file for file in manifest.files if file.path.startswith(f"{subset.name}/")]
        assert sum(file.rows or 0 for file in files) == sum(subset.rows.values())
        assert subset.candidates - sum(s.gone for s in subset.funnel) == sum(subset.rows.values())


def test_the_same_inputs_give_the_same_bytes(release: Path, tmp_path: Path) -> None:
    elsewhere, _ = make(tmp_path / "some" / "where else")
    assert contents(build_release(elsewhere, "v1")) == contents(release)


def test_nothing_of_the_workspace_leaks_into_a_release(
    release: Path, world: tuple[Workspace, Planter]
) -> None:
    for path, data in contents(release).items():
        assert str(world[0].root).encode() not in data, path


@pytest.mark.parametrize("stem", schema.stems())
def test_rows_keep_the_promised_schema(release: Path, stem: str) -> None:
    opened = Release.open(release)
    for split in SPLITS:
        (file,) = opened.manifest.parquet(NAMES[stem], split)
        table = pq.read_table(release / file.path, partitioning=None)
        assert table.schema.equals(schema.subset(stem).arrow(), check_metadata=True)
        schema.subset(stem).check(table)


@pytest.mark.parametrize("stem", schema.stems())
def test_datasets_loads_every_subset_and_split(
    release: Path, stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    opened = Release.open(release)
    for split in SPLITS:
        rows = datasets.load_dataset(
            str(release), NAMES[stem], split=split, cache_dir=str(tmp_path / "cache")
        )
        assert rows.column_names == schema.subset(stem).column_names
        assert rows.to_list() == opened.read(stem, split).to_pylist()


def test_a_picture_is_on_one_side_in_all_subsets(release: Path) -> None:
    opened = Release.open(release)
    split_of: dict[str, set[str]] = {}
    for stem in opened.stems:
        for split in opened.splits(stem):
            for row in opened.read(stem, split).to_pylist():
                split_of.setdefault(row["cluster"], set()).add(split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert {split for splits in split_of.values() for split in splits} == set(SPLITS)


def test_a_released_picture_keeps_its_split_whatever_comes_later(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    for number in range(60):
        planter.image(f"{number}.png", workspaces.picture(number))
        planter.points(f"{number}", f"{number}.png", [(1.0, 1.0)], label="leaf")
    workspace = planter.write()
    first = splits_of(build_release(workspace, "v1"))
    for number in range(60):  # now somebody agrees on each, and new pictures come
        planter.points(
            f"again {number}", f"{number}.png", [(2.0, 1.0)], label="leaf", annotator="2"
        )
        planter.image(f"new {number}.png", workspaces.picture(100 + number))
        planter.points(f"new {number}", f"new {number}.png", [(1.0, 1.0)])
    second = splits_of(build_release(planter.write(), "v2"))
    assert len(second) == 2 * len(first)
    assert {image: second[image] for image in first} == first
    shutil.rmtree(workspace.releases)
    assert splits_of(build_release(workspace, "v2")) != second


@pytest.mark.parametrize("splits", [("train", "test", "train"), ("test", "train", "train")])
def test_what_was_tested_with_trains_in_no_later_release(
    splits: tuple[str, ...], tmp_path: Path
) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("a", "a.png", [(1.0, 1.0)], label="leaf")
    workspace = planter.write()
    workspace.recipes.mkdir()
    for number, kept in enumerate(splits):
        put_all_into(workspace, kept)
        if number == 1:
            shutil.move(workspace.releases / "v0", tmp_path / "v0")
        build_release(workspace, f"v{number}")
        if number == 1:
            shutil.move(tmp_path / "v0", workspace.releases / "v0")
    for number, kept in enumerate((*splits[:2], "test")):
        assert set(splits_of(workspace.releases / f"v{number}").values()) == {kept}


def put_all_into(workspace: Workspace, kept: str) -> None:
    """The recipes of the workspace put every picture into one split."""
    for stem in schema.stems():
        text = shared("pipelines", f"{stem}.toml").read_text("utf-8")
        for split in SPLITS:
            share = f"{split} = {float(split == kept)}"
            text = re.sub(rf"^{split} = .*$", share, text, flags=re.MULTILINE)
        (workspace.recipes / f"{stem}.toml").write_text(text, "utf-8")


def test_what_was_set_apart_stays_in_its_split(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.workspace.recipes.mkdir()
    for number, name in enumerate(("few.png", "many.png")):
        planter.image(name, workspaces.picture(number))
    planter.points("few", "few.png", [(1.0, 1.0)], label="leaf")
    crowd = [(float(x), float(y)) for x in range(2, 92, 10) for y in range(1, 92, 11)]
    planter.points("many", "many.png", crowd, label="leaf")
    workspace = planter.write()
    put_all_into(workspace, "test")
    first = build_release(workspace, "v1")
    assert planter.sha256["many.png"] not in splits_of(first)
    planter.points("more", "many.png", [(1.0, 1.0)], label="tree")
    planter.write()
    put_all_into(workspace, "train")
    second = build_release(workspace, "v2")
    assert splits_of(second)[planter.sha256["many.png"]] == "test"
    path = first / "apart/points.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ReleaseError, match="its bytes are not those that were released"):
        build_release(workspace, "v3")


def splits_of(release: Path) -> dict[str, str]:
    """The split of every image of a release."""
    opened = Release.open(release)
    return {
        sha256: split
        for stem in opened.stems
        for split in opened.splits(stem)
        for sha256 in opened.read(stem, split).column("image_sha256").to_pylist()
    }


def test_a_newest_release_that_cannot_be_read_stops_the_next(tmp_path: Path) -> None:
    workspace, _ = workspaces.make(tmp_path)
    built = build_release(workspace, "v1")
    (built / NAMES["points"] / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(
        ReleaseError, match=r"train-00000.*cannot be read.*restore .*or delete .*v1"
    ):
        build_release(workspace, "v2")
    assert [path.name for path in workspace.releases.iterdir()] == ["v1"]


def test_which_release_was_built_last_is_kept_in_a_copy(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path / "data"))
    planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [(1.0, 1.0)])
    workspace = planter.write()
    for version in ("v2", "v1", "v0"):
        assert build_release(workspace, version).name == newest_release(workspace)
    shutil.rmtree(workspace.releases / "v1")
    for late, version in enumerate(("v0", "v2")):  # as a backup may restore them
        os.utime(workspace.releases / version / "manifest.json", (late, late))
    assert complete_releases(workspace) == ["v2", "v0"]
    build_release(workspace, "v3")
    assert complete_releases(workspace) == ["v2", "v0", "v3"]
    page = (workspace.releases / "v3/report.html").read_text("utf-8")
    assert "What changed since v0" in page
    (workspace.releases / "v2/manifest.json").write_text("damaged", "utf-8")
    assert newest_release(workspace) == "v3"
    with pytest.raises(ReleaseError, match=r"v2/manifest\.json is not a manifest"):
        build_release(workspace, "v4")


@pytest.mark.parametrize("damage", ["no manifest", "other bytes"])
def test_a_release_that_was_tampered_with_unpins_nothing(damage: str, tmp_path: Path) -> None:
    workspace, _ = make(tmp_path)
    built = build_release(workspace, "v1")
    if damage == "no manifest":
        (built / "manifest.json").unlink()
    else:
        folder = built / NAMES["points"]
        other = folder / "validation-00000-of-00001.parquet"
        shutil.copy(other, folder / "test-00000-of-00001.parquet")
    with pytest.raises(ReleaseError, match=r"v1.* pictures stay in the splits of earlier releases"):
        build_release(workspace, "v2")
    assert [path.name for path in workspace.releases.iterdir()] == ["v1"]


def test_images_are_inside_unless_they_have_a_url(
    release: Path, world: tuple[Workspace, Planter]
) -> None:
    opened = Release.open(release)
    rows = [
        row
        for stem in opened.stems
        for split in SPLITS
        for row in opened.read(stem, split).to_pylist()
    ]
    with_url = world[1].sha256[workspaces.name(0)]
    inside = set()
    for row in rows:
        if row["image_sha256"] == with_url:
            assert row["image_url"] == "https://example.org/p00.png"
        else:
            path = opened.image_path(row["image_url"], row["image_sha256"])
            assert hashlib.sha256(path.read_bytes()).hexdigest() == row["image_sha256"]
            inside.add(path)
    assert inside == {path for path in (release / "images").rglob("*") if path.is_file()}


def test_what_was_dropped_stands_in_the_release(
    release: Path, world: tuple[Workspace, Planter]
) -> None:
    rows = Release.open(release).dropped("cap").to_pylist()
    names = {sha256: name for name, sha256 in world[1].sha256.items()}
    assert {names.get(row["image_sha256"], "nowhere.png"): row["step"] for row in rows} == (
        workspaces.CAP_DROPPED
    )
    assert all(isinstance(json.loads(row["evidence"]), dict) for row in rows)


def test_the_card_says_what_the_release_holds(release: Path) -> None:
    card = DatasetCard.load(release / "README.md")
    data = card.data.to_dict()
    assert data["license"] == ["odc-by"]
    assert data["size_categories"] == ["n<1K"]
    assert [config["config_name"] for config in data["configs"]] == sorted(NAMES.values())
    manifest = manifests.read(release)
    text = card.text
    for subset in manifest.subsets:
        for split, rows in subset.rows.items():
            assert f"| {subset.name} | {split} | {rows:,} |" in text
        for step in subset.funnel:
            then = step.then.replace("_", " ")
            line = f"| {step.step} | {step.explanation} | {then} | {step.rows:,} | {step.kept:,} |"
            assert line in text
    for stem in NAMES:
        for column in schema.subset(stem).columns:
            assert f"| `{column.name}` | `{column.type}` | {column.description} |" in text
    load = 'release = "path/to/v1"\nrows = load_dataset(release, "pixmo-cap", split="train")\n'
    assert load in text
    assert "$" not in text


def test_the_card_is_honest_about_speech(release: Path) -> None:
    opened = Release.open(release)
    sources = [
        row["transcript_sources"]
        for split in SPLITS
        for row in opened.read("cap", split).to_pylist()
    ]
    spoken, written = sources.count(["speech"]), sources.count(["written"])
    assert spoken
    assert written
    text = (release / "README.md").read_text("utf-8")
    assert (
        f"Captions: {spoken} from speech alone and {written} from written descriptions alone."
        in text
    )


class Page(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name in ("src", "srcset", "action", "data") or (name == "href" and tag == "link"):
                self.fetched.append(value or "")


def test_the_report_is_one_well_formed_page_without_requests_or_scripts(release: Path) -> None:
    text = (release / "report.html").read_text("utf-8")
    ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    page = Page()
    page.feed(text)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert page.fetched
    assert all(url.startswith("data:image/webp;base64,") for url in page.fetched)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") >= 5


def test_the_report_shows_images_with_points_and_captions(
    release: Path, world: tuple[Workspace, Planter]
) -> None:
    text = (release / "report.html").read_text("utf-8")
    figures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(figures) == 12
    opened = Release.open(release)
    captions = {
        row["image_sha256"][:12]: row["caption"]
        for split in SPLITS
        for row in opened.read("cap", split).to_pylist()
    }
    points = [row for s in SPLITS for row in opened.read("points", s).to_pylist()]
    paths = {sha256[:12]: path for sha256, path in world[0].local_images().items()}
    for figure in figures:
        sha256 = re.findall(r"<code>(\w+)</code>", figure)[0]
        assert captions[sha256] in figure
        expected = [
            (f"{point['x']:.2f}", f"{point['y']:.2f}")
            for row in points
            for point in row["points"]
            if row["image_sha256"].startswith(sha256)
        ]
        assert re.findall(r"left:([\d.]+)%;top:([\d.]+)%", figure) == expected
        data = re.findall(r"base64,([^\"]+)", figure)[0]
        with (
            Image.open(io.BytesIO(base64.b64decode(data))) as shown,
            Image.open(paths[sha256]) as true,
        ):
            assert shown.size == true.size


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [(1.0, 1.0)], label="<script>alert(1)</script> & |")
    planter.answer("two", "a.png", "<b onload=x>?", "\"'<&>")
    built = build_release(planter.write(), "v1")
    text = (built / "report.html").read_text("utf-8")
    ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert "<script" not in text


def test_an_existing_release_is_never_touched(
    release: Path, world: tuple[Workspace, Planter]
) -> None:
    before = contents(release)
    with pytest.raises(ReleaseError, match="is already there"):
        build_release(world[0], "v1")
    assert contents(release) == before


@pytest.mark.parametrize("version", ["", ".v1", "..", "a/b", "v 1", "v1\n", "é"])
def test_a_name_that_is_no_folders_name_is_refused(
    version: str, world: tuple[Workspace, Planter]
) -> None:
    with pytest.raises(ReleaseError, match="is no name for a release"):
        build_release(world[0], version)


def test_two_builders_keep_out_of_each_others_way(world: tuple[Workspace, Planter]) -> None:
    with world[0].lock("release"), pytest.raises(WorkspaceError, match="busy with release"):
        build_release(world[0], "v9")


def test_nothing_to_release_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"pixmo images add.*pixmo transcribe.*label ingest"):
        build_release(Workspace.init(tmp_path), "v1")
    assert not (tmp_path / "releases" / "v1").exists()


def test_nothing_kept_says_what_dropped_it(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [], presence="present")
    workspace = planter.write()
    with pytest.raises(ReleaseError, match="points present_without_point 1"):
        build_release(workspace, "v1")
    assert list(workspace.releases.iterdir()) == []


def test_a_subset_without_rows_is_left_out_but_accounted_for(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [(1.0, 1.0)])
    planter.answer("two", "a.png", "What?", "This.", verdict="reject")
    built = build_release(planter.write(), "v1")
    opened = Release.open(built)
    assert opened.stems == ["points"]
    assert [subset.stem for subset in opened.manifest.subsets] == ["ama", "points"]
    assert opened.manifest.subset("ama").rows == {}
    assert opened.dropped("ama").num_rows == 1
    assert not (built / NAMES["ama"]).exists()
    card = DatasetCard.load(built / "README.md")
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == ["pixmo-points"]
    assert "Answers that the annotator did not accept." in card.text


def test_rows_set_apart_are_whole_and_their_images_are_there(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    for number, name in enumerate(("few.png", "many.png")):
        planter.image(name, workspaces.picture(number))
    planter.points("few", "few.png", [(1.0, 1.0)], label="leaf")
    crowd = [(float(x), float(y)) for x in range(2, 92, 10) for y in range(1, 92, 11)]
    planter.points("many", "many.png", crowd, label="leaf")
    built = build_release(planter.write(), "v1")
    opened = Release.open(built)
    (row,) = opened.apart("points").to_pylist()
    assert (row["annotation_uid"], row["step"], row["count"]) == ("many", "too_many_points", 81)
    assert row["reason"]
    assert row["split"] in SPLITS
    path = opened.image_path(row["image_url"], row["image_sha256"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == planter.sha256["many.png"]
    subset = opened.manifest.subset("points")
    assert (subset.apart, sum(subset.rows.values()), subset.candidates) == (1, 1, 2)
    assert opened.dropped("points").num_rows == 0
    assert list(differences(built, opened.manifest)) == []
    text = (built / "README.md").read_text("utf-8")
    assert (
        "| too_many_points | More points than a model is trained to write. | set apart | 1 | 1 |"
        in text
    )
    with pytest.raises(ReleaseError, match="has no subset 'cap'"):
        opened.apart("cap")


def test_images_that_went_or_changed_drop_their_rows(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    for number, name in enumerate(("good.png", "gone.png", "changed.png", "elsewhere.png")):
        url = "https://example.org/x.png" if name == "elsewhere.png" else None
        planter.image(name, workspaces.picture(number), url)
        planter.points(name, name, [(1.0, 1.0)])
    workspace = planter.write()
    (workspace.images / "gone.png").unlink()
    (workspace.images / "elsewhere.png").unlink()
    workspaces.picture(9).save(workspace.images / "changed.png")
    opened = Release.open(build_release(workspace, "v1"))
    reasons = {row["image_sha256"]: row["reason"] for row in opened.dropped("points").to_pylist()}
    assert reasons == {
        planter.sha256["gone.png"]: "image file is gone",
        planter.sha256["changed.png"]: "image file has changed",
    }
    kept = [row for s in opened.splits("points") for row in opened.read("points", s).to_pylist()]
    assert {row["annotation_uid"] for row in kept} == {"good.png", "elsewhere.png"}


def test_sizes_alone_show_what_is_gone_and_bytes_what_has_changed(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    for number, name in enumerate(("same.png", "gone.png", "longer.png", "other bytes.png")):
        planter.image(name, workspaces.picture(number))
    workspace = planter.write()
    (workspace.images / "gone.png").unlink()
    for name, data in (("longer.png", b"+"), ("other bytes.png", b"")):
        path = workspace.images / name
        path.write_bytes(path.read_bytes()[:-1] + b"!" + data)
    images = source_images(workspace)
    by_size = {planter.sha256["gone.png"]: GONE, planter.sha256["longer.png"]: CHANGED}
    assert unusable(images, by_size=True) == by_size
    assert unusable(images) == by_size | {planter.sha256["other bytes.png"]: CHANGED}


def test_recipes_that_split_differently_are_refused(tmp_path: Path) -> None:
    workspace, _ = make(tmp_path)
    (workspace.recipes / "ama.toml").unlink()
    with pytest.raises(RecipeError, match=r"\[splits\] differs"):
        build_release(workspace, "v1")


def test_a_card_template_of_ones_own_is_used_and_checked(tmp_path: Path) -> None:
    workspace, _ = make(tmp_path)
    template = workspace.recipes / "card.md"
    template.write_text("# $title costs $$1\n\n$faqs\n", "utf-8")
    with pytest.raises(RecipeError, match=r"card\.md: 'faqs' is not known to a card"):
        build_release(workspace, "v1")
    assert list(workspace.releases.iterdir()) == []
    template.write_text("# $title costs $$1\n", "utf-8")
    text = (build_release(workspace, "v1") / "README.md").read_text("utf-8")
    assert text.endswith("---\n\n# A pixmo dataset costs $1\n")


def test_rows_are_spread_over_shards_in_order(release: Path, tmp_path: Path) -> None:
    table = Release.open(release).read("points", "train")
    shards = Shards(tmp_path, "train", table.schema, shard_bytes=table.nbytes // 3)
    for start in range(table.num_rows):
        shards.add(table.slice(start, 1))
    written = shards.close()
    assert [path.name for path in written] == [
        f"train-0000{i}-of-0000{len(written)}.parquet" for i in range(len(written))
    ]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert len(written) > 2
    rows = [pq.read_table(path, partitioning=None).to_pylist() for path in written]
    assert [len(of_shard) for of_shard in rows] == list(written.values())
    assert [row for of_shard in rows for row in of_shard] == table.to_pylist()


def test_row_groups_are_the_same_however_the_rows_came(release: Path, tmp_path: Path) -> None:
    rows = Release.open(release).read("points", "train")
    table = pa.concat_tables([rows] * (45_000 // rows.num_rows + 1)).slice(0, 45_000)
    for name, piece in (("a", 45_000), ("b", 7_000), ("c", 20_000)):
        pieces = [table.slice(start, piece) for start in range(0, table.num_rows, piece)]
        assert write_parquet(tmp_path / name, pieces, table.schema) == 45_000
    read = pq.ParquetFile(tmp_path / "a")
    groups = [read.metadata.row_group(i).num_rows for i in range(read.num_row_groups)]
    assert groups == [20_000, 20_000, 5_000]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    assert read.read().equals(table)


def test_bars_stand_around_whole_numbers() -> None:
    assert edges([0, 1, 2, 2]) == [-0.5, 0.5, 1.5, 2.5]
    assert edges([5]) == [4.5, 5.5]
    wide = edges([10, 400])
    assert len(wide) <= 31
    assert wide[0] < 10
    assert wide[-1] > 400
    svg = ET.fromstring(histogram([1, 2, 2, 3, 3, 3], "points"))
    bars = [path for path in svg.iter() if "var(--accent)" in path.get("style", "")]
    assert len(bars) == 3


# A build that kills itself, as a power cut would, at a sign of progress.
KILLED_BUILD = """
import contextlib, os, signal, sys
from pathlib import Path
from pixmo.release.build import build_release
from pixmo.workspace.workspace import Workspace

root, task_to_die_in, done_before = sys.argv[1:]

class Bomb:
    @contextlib.contextmanager
    def task(self, description, total, unit):
        done = 0

        def advance(units):
            nonlocal done
            if description == task_to_die_in and done >= int(done_before):
                os.kill(os.getpid(), signal.SIGKILL)
            done += units

        yield advance

build_release(Workspace.open(Path(root)), "v1", Bomb())
"""


@pytest.mark.parametrize(
    ("task", "done_before"),
    [
        ("Curating pixmo-cap", 3),
        ("Writing subsets", 1),
        ("Copying images", 5),
        ("Hashing files", 20),
    ],
)
def test_a_killed_build_leaves_no_release_and_is_done_again(
    task: str, done_before: int, world: tuple[Workspace, Planter], release: Path, tmp_path: Path
) -> None:
    root = tmp_path / "world"
    shutil.copytree(world[0].root, root, ignore=shutil.ignore_patterns("releases"))
    command = [sys.executable, "-c", KILLED_BUILD, str(root), task, str(done_before)]
    killed = subprocess.run(command, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (root / "releases").iterdir()] == [".v1.building"]
    assert contents(build_release(Workspace.open(root), "v1")) == contents(release)
    assert [path.name for path in (root / "releases").iterdir()] == ["v1"]


@pytest.mark.parametrize("table", ["captions", "transcripts", "point_annotations", "answers"])
def test_no_release_is_built_from_a_damaged_table(tmp_path: Path, table: str) -> None:
    workspace, _ = workspaces.make(tmp_path)
    (part,) = workspace.table(table).parts()
    data = bytearray(part.read_bytes())
    column = pq.ParquetFile(part).metadata.row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start + column.total_compressed_size - 2] ^= 1  # in the last page, behind its header
    part.write_bytes(data)
    with pytest.raises(WorkspaceError, match=r"part-00000000\.parquet is damaged"):
        build_release(workspace, "v1")
    assert not (workspace.releases / "v1").exists()
