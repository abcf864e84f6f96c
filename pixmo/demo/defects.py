"""What goes wrong when people collect data, planted in the sample: one of each.

Every defect is written to `truth/defects.json` with the table that must name it; only tests read
that file. The places are fixed scenes among the first hundred.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from pixmo.demo import describe, voice
from pixmo.demo.annotators import Work, keypoints
from pixmo.demo.scenes import HEIGHT, WIDTH, image_name, scene
from pixmo.points import Point

BROKEN_IMAGE = "scene-broken.png"
SHORT_SENTENCES = 2
LOOP_SENTENCES = 3
LOOP_TIMES = 9
CROPPED_SHARE = 0.01  # of the width and height, on each side


@dataclass(frozen=True)
class Defect:
    """One planted fault and where it must be found."""

    fault: str
    table: str  # set_aside, or dropped/<subset>
    key: str  # a path in the sample, or an annotation's unique_id


def resize(image: Image.Image) -> Image.Image:
    """The image at three quarters of its size."""
    return image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)


def crop(image: Image.Image) -> Image.Image:
    """The image without a narrow edge."""
    dx, dy = round(image.width * CROPPED_SHARE), round(image.height * CROPPED_SHARE)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def keep(image: Image.Image) -> Image.Image:
    """The image itself: saving it in a lossy format is the change."""
    return image


@dataclass(frozen=True)
class Copy:
    """A near-duplicate of a scene's picture, as they spread on the web."""

    name: str
    original: int
    change: Callable[[Image.Image], Image.Image]
    options: tuple[tuple[str, Any], ...] = ()

    def make(self, source: Path, target: Path) -> None:
        """`target` is a changed copy of the picture `source`."""
        with Image.open(source) as image:
            self.change(image.convert("RGB")).save(target, **dict(self.options))


# Named to arrive after every scene: of a cluster, the largest and then the oldest is kept.
COPIES = (
    Copy("shared-resized.png", 30, resize),
    Copy("shared-encoded.jpg", 31, keep, (("quality", 60),)),
    Copy("shared-cropped.png", 32, crop),
)


def truncate(source: Path, target: Path) -> None:
    """`target` is the first half of the file `source`, as an upload that broke off."""
    data = source.read_bytes()
    target.write_bytes(data[: len(data) // 2])


@dataclass(frozen=True)
class Recording:
    """A recording that went wrong."""

    name: str
    image: str
    fault: str
    table: str
    key: str
    content: bytes


def recordings(seed: int, first: int) -> Iterator[Recording]:
    """Five recordings: three of scenes `first` and after, one of nothing, one of nobody's sound."""
    speaker = voice.Speaker("en-us", 165, 50)

    def told(index: int) -> tuple[str, ...]:
        return describe.describe(scene(seed, index), Random(f"defect {seed} {index}")).spoken

    yield Recording(
        "bad-silent.webm",
        image_name(first),
        "silent",
        "dropped/cap",
        f"images/{image_name(first)}",
        content=voice.encode(voice.silence(65, Random(f"silent {seed}")), "webm"),
    )
    short = voice.recite(
        told(first + 1)[:SHORT_SENTENCES], speaker, Random(f"short {seed}")
    ).samples
    yield Recording(
        "bad-short.webm",
        image_name(first + 1),
        "too short",
        "dropped/cap",
        f"images/{image_name(first + 1)}",
        content=voice.encode(short, "webm"),
    )
    phrase = told(first + 2)[:LOOP_SENTENCES] * LOOP_TIMES
    loop = voice.recite(phrase, speaker, Random(f"loop {seed}")).samples
    yield Recording(
        "bad-looped.webm",
        image_name(first + 2),
        "looped",
        "dropped/cap",
        f"images/{image_name(first + 2)}",
        content=voice.encode(loop, "webm"),
    )
    yield Recording(
        "bad-no-image.webm",
        "scene-nowhere.png",
        "no image",
        "set_aside",
        "audio/bad-no-image.webm",
        content=voice.encode(short[: 5 * voice.SAMPLE_RATE], "webm"),
    )
    yield Recording(
        "bad-corrupt.webm",
        image_name(first),
        "corrupt",
        "set_aside",
        "audio/bad-corrupt.webm",
        content=Random(f"corrupt {seed}").randbytes(40_000),
    )


def click_outside(work: Work) -> Work:
    """The last click lands far outside the image."""
    outside = keypoints([Point(131.0, 20.0)], WIDTH, HEIGHT)
    return replace(work, result=[*outside, *work.result])


def click_twice(work: Work) -> Work:
    """The first click is made twice."""
    again = {**work.result[0], "id": "again"}
    return replace(work, result=[again, *work.result])


def click_nothing(work: Work) -> Work:
    """The annotator says that it is there, and shows nothing."""
    return replace(work, result=work.result[-1:])


def skip(work: Work) -> Work:
    """The annotator skips the task."""
    return replace(work, was_skipped=True)


def export_twice(work: Work) -> Work:
    """The export holds the same annotation twice."""
    return replace(work, times_exported=2)


def reject(work: Work) -> Work:
    """The annotator does not accept the answer."""
    rejected = [
        {**result, "value": {"choices": ["reject"]}} if result["type"] == "choices" else result
        for result in work.result
    ]
    return replace(work, result=rejected)


Spoil = Callable[[Work], Work]

# (fault, table that names it, scene, how a good task is spoiled)
POINTING: tuple[tuple[str, str, int, Spoil], ...] = (
    ("out of the image", "dropped/points", 40, click_outside),
    ("same point twice", "dropped/points", 41, click_twice),
    ("present without a point", "dropped/points", 42, click_nothing),
    ("skipped", "set_aside", 43, skip),
    ("exported twice", "set_aside", 44, export_twice),
)
JUDGING: tuple[tuple[str, str, int, Spoil], ...] = (
    ("rejected", "dropped/ama", 45, reject),
    ("skipped", "set_aside", 46, skip),
)
