"""Images travel with a release as it was asked: named by URL, in its rows, or as files."""

import io
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from pixmo import schema
from pixmo.dataset import manifest as manifests
from pixmo.dataset.manifest import file_entry
from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.molmo.data import open_image, read_examples
from pixmo.release.build import build_release
from pixmo.release.images import EMBEDDED, Mode, mode
from pixmo.release.released_rows import rows_of as rows_of_all
from pixmo.release.shards import IMAGE_ROW_GROUP_ROWS, write_parquet
from pixmo.release.trace import traces
from pixmo.validate.checks import check_release
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import Planter

NAME = schema.subset("points").name
URL = "https://example.org/{}"
# name, whether it has a source URL, licence
IMAGES = (
    ("own.png", False, None),
    ("free.png", True, "cc-by-4.0"),
    ("unknown.png", True, None),
    ("closed.png", True, "CC-BY-ND-4.0"),
    ("gone.png", True, "CC0-1.0"),
    ("changed.png", True, "CC0-1.0"),
)
INSIDE = {  # by how images travel, and whether that is forced
    ("url", False): {"own.png"},
    ("url", True): {"own.png"},
    ("files", False): {"own.png", "free.png"},
    ("files", True): {"own.png", "free.png", "unknown.png", "closed.png"},
    ("embedded", False): {"own.png", "free.png"},
    ("embedded", True): {"own.png", "free.png", "unknown.png", "closed.png"},
}


def make(root: Path) -> Planter:
    """A workspace with an image of every kind; the files of two are not what they were."""
    planter = Planter(Workspace.init(root))
    for number, (name, has_url, license) in enumerate(IMAGES):
        url = URL.format(name) if has_url else None
        planter.image(name, workspaces.picture(number), url, license)
        planter.points(name, name, [(1.0, 1.0)], label="leaf")
        planter.points(f"again {name}", name, [(2.0, 1.0)], label="tree")
    workspace = planter.write()
    workspaces.accept(workspace, "CC-BY-ND-4.0")  # the recipe would drop the closed one
    (workspace.images / "gone.png").unlink()
    workspaces.picture(99).save(workspace.images / "changed.png")
    return planter


@dataclass(frozen=True)
class World:
    """A workspace, and releases of it that are built once."""

    planter: Planter

    def built(self, how: Mode, is_forced: bool = False) -> Path:
        """The release whose images travel so."""
        workspace, version = self.planter.workspace, f"{how}-{is_forced}"
        if (workspace.releases / version).is_dir():
            return workspace.releases / version
        return build_release(workspace, version, images=how, is_forced=is_forced)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(make(tmp_path_factory.mktemp("world")))


def elsewhere(release: Path, folder: Path) -> Release:
    """The release in another place, where no image has a file but in it."""
    shutil.copytree(release, folder / release.name)
    return Release.open(folder / release.name, unpacked=folder / "unpacked")


def rows_of(release: Release) -> list[dict[str, object]]:
    return [
        row
        for split in release.splits("points")
        for row in release.read("points", split).to_pylist()
    ]


@pytest.mark.parametrize(("how", "is_forced"), list(INSIDE))
def test_just_the_images_that_may_travel_are_inside(
    how: Mode, is_forced: bool, world: World, tmp_path: Path
) -> None:
    built = world.built(how, is_forced)
    release = elsewhere(built, tmp_path)
    names = {sha256: name for name, sha256 in world.planter.sha256.items()}
    found = set()
    rows = rows_of(release)
    assert len(rows) == 2 * len(IMAGES)
    for row in rows:
        url, sha256 = str(row["image_url"]), str(row["image_sha256"])
        assert url.startswith("https://") == (names[sha256] != "own.png")  # its source is kept
        try:
            path = release.image_path(url, sha256)
        except ReleaseError:
            continue
        assert sha256_file(path) == sha256
        found.add(names[sha256])
    assert found == INSIDE[how, is_forced]
    assert (built / "images").is_dir() == (how != "embedded")
    checks = check_release(release.root)
    assert checks.passed, checks.text()
    (images,) = (check for check in checks.checks if check.unit == "images")
    assert images.checked == len(found)
    card = (built / "README.md").read_text("utf-8")
    assert f"| named by source URL only | {len(IMAGES) - len(found)} |" in card
    assert "| CC-BY-ND-4.0 | 1 |\n" in card
    assert "| not known | 2 |\n" in card
    assert ("Named by URL because no licence that allows a copy is known: 2 images." in card) == (
        how != "url" and not is_forced
    )
    lost = (
        "Named by URL because the file was gone or changed when this release was built: 2 images."
    )
    assert (lost in card) == (how != "url")
    assert ("whatever the licences say" in card) == (how != "url" and is_forced)


def test_a_card_says_nothing_of_images_that_there_are_not(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("own.png", workspaces.picture(1))
    planter.points("one", "own.png", [(1.0, 1.0)])
    built = build_release(planter.write(), "v1", images="files")
    assert "Named by URL because" not in (built / "README.md").read_text("utf-8")


@pytest.mark.parametrize("how", ["url", "files", "embedded"])
def test_a_trace_says_where_the_release_holds_the_image(how: Mode, world: World) -> None:
    workspace, release = world.planter.workspace, Release.open(world.built(how))
    names = {sha256: name for name, sha256 in world.planter.sha256.items()}
    found = list(rows_of_all(release))
    assert len(found) == 2 * len(IMAGES)
    for one in traces(workspace, release, found):
        name, place = names[one.image.sha256], one.image.in_release
        if name not in INSIDE[how, False]:
            assert place == ""
        elif how == "embedded":
            assert place == f"column image of {one.file}"
        else:
            assert sha256_file(release.root / place) == one.image.sha256
        assert one.row.get("image") == (name in INSIDE[how, False] if how == "embedded" else None)


def test_datasets_shows_embedded_images(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    planter, built = world.planter, world.built("embedded")
    names = {sha256: name for name, sha256 in planter.sha256.items()}
    found = {}
    release = Release.open(built)
    for split in release.splits("points"):
        rows = datasets.load_dataset(
            str(built), NAME, split=split, cache_dir=str(tmp_path / "cache")
        )
        assert rows.column_names == ["image", *schema.subset("points").column_names]
        for row in rows:
            found[names[row["image_sha256"]]] = row["image"]
    for name, image in found.items():
        if name not in INSIDE["embedded", False]:
            assert image is None
            continue
        with Image.open(planter.workspace.images / name) as true:
            assert image.tobytes() == true.convert(image.mode).tobytes()
    (info,) = DatasetCard.load(built / "README.md").data.to_dict()["dataset_info"]
    assert info["features"][0] == {"name": "image", "dtype": "image"}


@pytest.mark.parametrize("how", ["files", "embedded"])
def test_a_model_is_trained_on_images_that_travelled(
    how: Mode, world: World, tmp_path: Path
) -> None:
    planter, release = world.planter, elsewhere(world.built(how), tmp_path)
    names = {sha256: name for name, sha256 in planter.sha256.items()}
    seen = set()
    for example in read_examples(release, release.splits("points"), ("points",)):
        name = names[example.image_sha256]
        if name in INSIDE[how, False]:
            with Image.open(planter.workspace.images / name) as true:
                assert open_image(release, example).tobytes() == true.convert("RGB").tobytes()
            seen.add(name)
        else:
            with pytest.raises(ReleaseError, match="no file for image https"):
                open_image(release, example)
    assert seen == INSIDE[how, False]


def test_rows_set_apart_hold_their_images_too(tmp_path: Path) -> None:
    planter = make(tmp_path / "world")
    crowd = [(float(x), float(y)) for x in range(2, 92, 10) for y in range(1, 92, 11)]
    planter.image("crowd.png", workspaces.picture(50))
    planter.points("many", "crowd.png", crowd, label="leaf")
    built = build_release(planter.write(), "v1", images="embedded")
    (row,) = Release.open(built).apart("points").to_pylist()
    assert sha256_bytes(row["image"]["bytes"]) == planter.sha256["crowd.png"]
    release = elsewhere(built, tmp_path)
    path = release.image_path(row["image_url"], row["image_sha256"])
    assert sha256_file(path) == planter.sha256["crowd.png"]


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for place in ("one", "another"):
        built = build_release(make(tmp_path / place).workspace, "v1", images="embedded")
        files.append(
            {
                path.relative_to(built).as_posix(): path.read_bytes()
                for path in built.rglob("*")
                if path.is_file()
            }
        )
    assert files[0] == files[1]


def test_an_image_stands_once_in_the_bytes_of_many_rows(tmp_path: Path) -> None:
    data = io.BytesIO()
    workspaces.picture(1, (640, 480)).save(data, "PNG")
    image = {"bytes": data.getvalue(), "path": "images/x.png"}
    table = pa.table({"image": pa.array([image] * 250, EMBEDDED.type)})
    write_parquet(tmp_path / "rows", [table], table.schema, IMAGE_ROW_GROUP_ROWS)
    read = pq.ParquetFile(tmp_path / "rows")
    groups = [read.metadata.row_group(n).num_rows for n in range(read.num_row_groups)]
    assert groups == [100, 100, 50]
    assert (tmp_path / "rows").stat().st_size < 3.1 * len(data.getvalue()) + 10_000
    assert read.read().equals(table)


def test_another_image_in_a_row_is_found_and_not_unpacked(world: World, tmp_path: Path) -> None:
    planter, built = world.planter, tmp_path / "damaged"
    shutil.copytree(world.built("embedded"), built)
    promised = manifests.read(built)
    (file, *_) = promised.parquet(NAME, "train")
    path = built / file.path
    table = pq.read_table(path, partitioning=None)
    data = io.BytesIO()
    workspaces.picture(77).save(data, "PNG")
    image = pa.array([{"bytes": data.getvalue(), "path": "x.png"}] * table.num_rows, EMBEDDED.type)
    pq.write_table(table.set_column(0, EMBEDDED, image), path)
    files = tuple(
        file_entry(built, built / one.path, one.rows) if one.path == file.path else one
        for one in promised.files
    )
    replace(promised, files=files).write(built)
    checks = check_release(built)
    (wrong,) = (check for check in checks.checks if not check.passed)
    assert wrong.name == "images are those of their rows"
    assert "its image has another sha256 than" in wrong.examples[0]
    release = elsewhere(built, tmp_path / "elsewhere")
    row = next(row for row in rows_of(release) if row["image_sha256"] == planter.sha256["own.png"])
    with pytest.raises(ReleaseError, match=r"train-00000.*an image has another sha256"):
        release.image_path(str(row["image_url"]), str(row["image_sha256"]))


def test_where_images_stand_in_the_rows_it_must_be_said_where_to_unpack_them(world: World) -> None:
    planter, built = world.planter, world.built("embedded")
    with pytest.raises(ReleaseError, match="open it with a folder to unpack to"):
        Release.open(built).image_path("images/x.png", planter.sha256["own.png"])
    local = Release.open(built, planter.workspace.local_images())
    path = local.image_path("images/x.png", planter.sha256["own.png"])
    assert path == planter.workspace.images / "own.png"


def test_an_unknown_way_to_travel_is_refused() -> None:
    assert mode("files") == "files"
    with pytest.raises(ReleaseError, match="--images file: images travel as one of url, embedded"):
        mode("file")


def test_a_manifest_from_before_says_that_images_are_named_by_url(
    world: World, tmp_path: Path
) -> None:
    built = tmp_path / "earlier"
    shutil.copytree(world.built("url"), built)
    path = built / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    assert data.pop("images") == "url"
    path.write_text(json.dumps(data), "utf-8")
    assert manifests.read(built).images == "url"
