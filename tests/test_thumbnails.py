"""Thumbnails tell tables of one layout apart, and know a picture that was cropped."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from pixmo.curate.duplicates import read_pictures
from pixmo.curate.recipe import load
from pixmo.curate.thumbnails import Levels, Looks, Thumbnails, difference
from pixmo.images.fingerprint import THUMBNAIL_SIDE as SIDE
from pixmo.images.fingerprint import thumbnail
from pixmo.images.store import add_images
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.benchmarks.look_alikes import CHANGES, KINDS

MOST = load("cap").splits.likeness.max_difference


def levels(*images: Image.Image) -> Levels:
    pixels = b"".join(thumbnail(image.convert("L")) for image in images)
    return np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE)


def test_a_thumbnail_is_the_whole_picture_blurred() -> None:
    image = Image.new("L", (640, 320), 50)
    ImageDraw.Draw(image).rectangle((320, 160, 640, 320), fill=250)
    (seen,) = levels(image)
    assert (seen[:28] == 50).all()
    assert (seen[:, :28] == 50).all()
    assert (seen[36:, 36:] == 250).all()
    assert seen[32, 50] > seen[31, 50] > 50  # in the middle between the two


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_known_and_another_picture_is_not(kind: str) -> None:
    one, other = KINDS[kind](3), KINDS[kind](4)
    for name, changes in CHANGES.items():
        for change in changes:
            found = difference(levels(one, other), levels(change(one), change(one)))
            assert found[0] <= MOST < found[1], name


def test_hardly_two_tables_of_one_layout_are_the_same() -> None:
    # The same lines and head; only words and numbers differ.
    rng = np.random.default_rng(0)
    tables = levels(*(KINDS["tables"](number) for number in range(40)))
    first, second = np.triu_indices(40, 1)
    near = difference(tables[first], tables[second])
    assert (near <= MOST).sum() <= 1
    assert (near <= 2 * MOST).any()  # there were such pairs to tell apart
    shuffled = rng.permutation(len(first))
    assert (difference(tables[first[shuffled]], tables[second[shuffled]]) == near[shuffled]).all()


def test_it_is_the_same_either_way_round_and_nothing_for_equals() -> None:
    shown = levels(*(make(1) for make in KINDS.values()), Image.new("L", (9, 9), 255))
    first, second = (index.ravel() for index in np.indices((len(shown), len(shown))))
    found = difference(shown[first], shown[second])
    assert (found == difference(shown[second], shown[first])).all()
    verdict = difference(shown[first], shown[second], MOST) <= MOST
    assert (verdict == (difference(shown[second], shown[first], MOST) <= MOST)).all()
    assert (found[first == second] == 0).all()
    assert (found[first != second] > MOST).all()


def test_noise_in_an_empty_picture_is_no_difference() -> None:
    blank = np.full((1, SIDE, SIDE), 255, np.uint8)
    noisy = blank - np.random.default_rng(0).integers(0, 2, blank.shape).astype(np.uint8)
    assert 0 < difference(blank, noisy)[0] < MOST
    assert difference(blank, blank - np.uint8(1)) == 0
    faint = Image.new("L", (600, 800), 255)
    ImageDraw.Draw(faint).text((250, 390), "a few words", 0)
    assert difference(blank, levels(faint))[0] > MOST


def test_pictures_without_a_thumbnail_are_judged_by_their_hashes() -> None:
    shown = levels(KINDS["tables"](1), KINDS["drawn scenes"](1))
    with duckdb.connect() as connection:
        rows = {
            "image_sha256": ["a", "c", "a"],
            "thumbnail": [one.tobytes() for one in shown[[0, 1, 0]]],
        }
        connection.register("image_thumbnails", pa.table(rows))
        some = Looks(["a", "b", "c"], Thumbnails(connection))
        pairs = np.array([[0, 1], [0, 2], [1, 2], [1, 1]])
        found = some.differ(pairs[:, 0], pairs[:, 1], MOST)
        assert found.tolist() == [False, True, False, False]


def test_each_thumbnail_is_read_once_and_stays() -> None:
    shown = levels(*(KINDS["tables"](number) for number in range(6)))
    rows = {"image_sha256": list("abcdef"), "thumbnail": [one.tobytes() for one in shown]}
    with duckdb.connect() as connection:
        connection.register("image_thumbnails", pa.table(rows))
        some = Thumbnails(connection)
        first = some.places(["b", "a"])
        connection.unregister("image_thumbnails")
        assert (some.places(["a", "b"]) == first[::-1]).all()
        connection.register("image_thumbnails", pa.table(rows))
        then = some.places(["a", "x", "f", "c"])
        assert then[:2].tolist() == [first[1], -1]
        assert (some.levels(then[[0, 2, 3]]) == shown[[0, 5, 2]]).all()
        assert (some.levels(first) == shown[[1, 0]]).all()


def test_images_come_with_their_thumbnails(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path)
    workspace.images.mkdir()
    images = [workspaces.picture(number) for number in range(5)]
    for number, image in enumerate(images):
        image.save(workspace.images / f"{number}.png")
    add_images(workspace, workspace.images)
    add_images(workspace, workspace.images)
    assert len(workspace.read("image_thumbnails")) == 5
    with workspace.connect() as connection:
        pictures = read_pictures(connection)
        assert pictures.looks
        shown = pictures.looks.thumbnails.levels(pictures.looks.places)
    assert (shown == levels(*images)).all()
