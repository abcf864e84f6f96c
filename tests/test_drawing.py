"""Points are drawn where they are, and nothing else is changed."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixmo.drawing import FILL, LEAST_RADIUS_PIXELS, RADIUS_SHARE, RIM, draw_points
from pixmo.points import Point

GREY = (90, 90, 90)
INSIDE = st.floats(0, 100)


def blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def changed(image: Image.Image) -> set[tuple[int, int]]:
    """The pixels that are drawn on."""
    return {
        (x, y)
        for x in range(image.width)
        for y in range(image.height)
        if image.getpixel((x, y)) != GREY
    }


@settings(max_examples=40, deadline=None)
@given(st.builds(Point, INSIDE, INSIDE), st.integers(20, 90), st.integers(20, 90))
def test_a_disc_is_where_its_point_is(point: Point, width: int, height: int) -> None:
    drawn = draw_points(blank(width, height), [point])
    x, y = point.x / 100 * width, point.y / 100 * height
    nearest = (min(int(x), width - 1), min(int(y), height - 1))
    assert drawn.getpixel(nearest) == FILL
    assert all(math.dist(nearest, pixel) < LEAST_RADIUS_PIXELS + 2 for pixel in changed(drawn))
    assert {drawn.getpixel(pixel) for pixel in changed(drawn)} <= {FILL, RIM}


def test_several_points_have_their_numbers_and_one_has_none() -> None:
    first, second = Point(20, 30), Point(80, 60)
    image = blank(1000, 800)
    alone, both = draw_points(image, [first]), draw_points(image, [first, second])
    radius = round(RADIUS_SHARE * 800)

    def written(drawn: Image.Image, point: Point) -> set[tuple[int, int]]:
        """The pixels of a disc that have not its colour, from its middle."""
        x, y = round(point.x * 10), round(point.y * 8)
        reach = range(-radius + 4, radius - 3)
        near = ((a, b) for a in reach for b in reach if math.hypot(a, b) < radius - 3)
        return {(a, b) for a, b in near if drawn.getpixel((x + a, y + b)) != FILL}

    assert not written(alone, first)
    one, two = written(both, first), written(both, second)
    assert one
    assert two
    assert one != two
    assert written(draw_points(image, [second, first]), first) == two  # numbered as given
    hundred = draw_points(image, [*[Point(-50, 0)] * 99, first])
    assert len(written(hundred, first)) > len(one)
    assert len(changed(hundred)) == len(changed(alone))  # the digits stay inside the disc


@pytest.mark.parametrize("point", [Point(150, 50), Point(50, -2.5), Point(1e300, 1e300)])
def test_a_point_far_outside_is_not_drawn(point: Point) -> None:
    assert not changed(draw_points(blank(50, 40), [point]))


@pytest.mark.parametrize(
    ("point", "pixel"), [((102, 50), (499, 200)), ((-2, 50), (0, 200)), ((50, -2), (250, 0))]
)
def test_a_point_a_little_outside_is_on_the_edge(
    point: tuple[float, float], pixel: tuple[int, int]
) -> None:
    drawn = draw_points(blank(500, 400), [Point(*point)])
    radius = round(RADIUS_SHARE * 400)
    inwards = (min(max(pixel[0], radius), 499 - radius), max(pixel[1], radius))
    assert drawn.getpixel(pixel) == drawn.getpixel(inwards) == FILL


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_the_image_given_stays_as_it_was(mode: str) -> None:
    image = Image.new(mode, (50, 40))
    before = image.tobytes()
    drawn = draw_points(image, [Point(50, 50)])
    assert image.tobytes() == before
    assert drawn.mode == "RGB"
    assert drawn.getpixel((25, 20)) == FILL
