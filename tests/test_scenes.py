"""Scenes: the same for the same seed, drawn where they say, and told apart by perceptual hashes."""

import io
import math
from collections.abc import Callable
from itertools import combinations

import imagehash
import numpy as np
import pytest
from PIL import Image

from pixmo.demo.drawing import RGB, draw, png
from pixmo.demo.scenes import HEIGHT, SHAPES, WIDTH, Scene, scene

SCENES = [scene(3, index) for index in range(150)]


def test_same_seed_gives_same_scene_and_bytes() -> None:
    assert scene(3, 7) == SCENES[7]
    assert png(scene(3, 7)) == png(SCENES[7])
    assert scene(4, 7) != SCENES[7]
    assert png(scene(4, 7)) != png(SCENES[7])


def test_every_scene_can_be_told_without_ambiguity() -> None:
    for one in SCENES:
        kinds = [(group.colour, group.shape) for group in one.groups]
        places = [(group.row, group.column) for group in one.groups]
        assert len(set(kinds)) == len(kinds)
        assert len(set(places)) == len(places)
        assert 2 <= len(one.groups) <= 4
        assert all(len(group.centres) == group.count in range(1, 7) for group in one.groups)


def test_the_world_has_every_shape_count_and_some_signs() -> None:
    groups = [group for one in SCENES for group in one.groups]
    assert {group.shape for group in groups} == set(SHAPES)
    assert {group.count for group in groups} == {1, 2, 3, 4, 5, 6}
    assert 30 < sum(one.sign is not None for one in SCENES) < 120


def test_objects_lie_inside_and_apart() -> None:
    for one in SCENES:
        circles = [(x, y, group.radius) for group in one.groups for x, y in group.centres]
        for x, y, radius in circles:
            assert radius <= x <= WIDTH - radius
            assert radius <= y <= HEIGHT - radius
        for (x, y, radius), (other_x, other_y, other_radius) in combinations(circles, 2):
            assert math.hypot(x - other_x, y - other_y) > radius + other_radius


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_has_its_colour_at_its_point(shape: str) -> None:
    seen = 0
    for one in SCENES:
        pixels = np.asarray(draw(one))
        for group in one.groups:
            if group.shape == shape:
                aside = 0.76 * group.radius if shape == "ring" else 0.0  # a ring's middle is empty
                for x, y in group.centres:
                    assert tuple(pixels[int(y), int(x + aside)]) == RGB[group.colour]
                    seen += 1
    assert seen > 20


def test_rows_are_where_their_places_say() -> None:
    for one in SCENES:
        for group in one.groups:
            assert all(int(3 * y / HEIGHT) == group.row for _, y in group.centres)
            mean_x = sum(x for x, _ in group.centres) / group.count
            side = (mean_x > WIDTH * 0.4) + (mean_x > WIDTH * 0.6)
            assert side == group.column


def hashes(image: Image.Image) -> tuple[imagehash.ImageHash, imagehash.ImageHash]:
    return imagehash.phash(image, 8), imagehash.phash(image, 16)


def test_different_scenes_look_different_to_hashes() -> None:
    seen = [hashes(draw(one)) for one in SCENES]
    pairs = list(combinations(seen, 2))
    assert min(one[0] - other[0] for one, other in pairs) > 10  # of 64 bits
    assert min(one[1] - other[1] for one, other in pairs) > 70  # of 256 bits


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Image.open(buffer)


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((3, 2, image.width - 3, image.height - 2))


def resized(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 3 // 4, image.height * 3 // 4))


@pytest.mark.parametrize(
    ("change", "bits_of_64", "bits_of_256"),
    [(resized, 4, 8), (recompressed, 4, 10), (cropped, 10, 40)],
)
def test_a_slightly_changed_scene_looks_the_same(
    change: Callable[[Image.Image], Image.Image], bits_of_64: int, bits_of_256: int
) -> None:
    for one in SCENES[:60]:
        image = draw(one)
        before, after = hashes(image), hashes(change(image))
        assert before[0] - after[0] <= bits_of_64
        assert before[1] - after[1] <= bits_of_256


def test_a_sign_is_drawn_on_its_plate() -> None:
    def plate(one: Scene) -> bool:
        assert one.sign is not None
        pixels = np.asarray(draw(one))
        y = int((one.sign.row + 0.5) * HEIGHT / 3) - 17  # above the letters
        return tuple(pixels[y, WIDTH // 2]) == RGB[one.sign.colour]

    assert all(plate(one) for one in SCENES if one.sign)
