"""Small valid releases on disk: rendered pictures with everything that is true of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from pixmo import schema
from pixmo.dataset.manifest import File, Manifest, Subset, file_entry
from pixmo.evaluate.answers import Kind, Task
from pixmo.hashing import sha256_file, short_id

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 215, 50),
}
SHAPES = ("circle", "square")
BACKGROUNDS = {"white": (250, 250, 250), "gray": (120, 120, 120), "black": (15, 15, 15)}
Rows = list[dict[str, Any]]
ChangeRows = Callable[[str, str, Rows], None]
WIDTH, HEIGHT = 80, 60  # pixels


@dataclass(frozen=True)
class Picture:
    """One shape on the left, one on the right, on a background."""

    name: str
    left: tuple[str, str]  # colour, shape
    right: tuple[str, str]
    background: str

    @property
    def caption(self) -> str:
        left, right = " ".join(self.left), " ".join(self.right)
        return f"There is a {left} on the left and a {right} on the right on {self.background}."


@dataclass(frozen=True)
class Described:
    """What the rows of a picture say; a test may exchange it for something untrue."""

    picture: Picture
    caption: str
    questions: tuple[tuple[str, str], ...]
    points: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


def picture(number: int) -> Picture:
    """The picture of this number, always the same."""
    rng = Random(f"picture {number}")
    kinds = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    left, right = rng.sample(kinds, 2)
    return Picture(f"{number:05d}", left, right, rng.choice(list(BACKGROUNDS)))


def draw(shown: Picture, path: Path) -> None:
    """`path` holds the picture as PNG; its number is a pixel's colour, so that no two are alike."""
    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUNDS[shown.background])
    pen = ImageDraw.Draw(image)
    for (colour, shape), x in ((shown.left, 20), (shown.right, 60)):
        box = (x - 12, 18, x + 12, 42)
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=COLOURS[colour])
    number = int(shown.name)
    image.putpixel((0, 0), (number % 256, number // 256 % 256, 7))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def truth(shown: Picture) -> Described:
    """Everything true of a picture that a row can say."""
    left = " ".join(shown.left)
    return Described(
        shown,
        shown.caption,
        (("What is on the left?", f"A {left}."), ("What is behind?", f"It is {shown.background}.")),
        ((left, ((25.0, 50.0),)), ("purple star", ())),
    )


def shuffled(described: Sequence[Described]) -> list[Described]:
    """The same pictures, each with what was said of the next one."""
    following = [*described[1:], described[0]]
    return [
        replace(other, picture=own.picture) for own, other in zip(described, following, strict=True)
    ]


def shuffled_captions(described: Sequence[Described]) -> list[Described]:
    """The same pictures, each with the caption of the next one and all else its own."""
    following = [*described[1:], described[0]]
    return [
        replace(own, caption=other.caption) for own, other in zip(described, following, strict=True)
    ]


def leave(stem: str, split: str, rows: Rows) -> None:
    """The rows stay as they are."""


def write_release(
    root: Path,
    train: int = 12,
    held_out: int = 4,
    change_train: Callable[[Sequence[Described]], Sequence[Described]] = list,
    change_rows: ChangeRows = leave,
) -> Path:
    """A release of `train` + 2 * `held_out` pictures in the folder `root`; returns it.

    `change_train` changes what is said of the training pictures, `change_rows` the rows of each
    subset and split in place, both before the manifest is written.
    """
    splits = {
        "train": change_train([truth(picture(n)) for n in range(train)]),
        "validation": [truth(picture(train + n)) for n in range(held_out)],
        "test": [truth(picture(train + held_out + n)) for n in range(held_out)],
    }
    return write_splits(root, splits, change_rows)


def write_splits(
    root: Path,
    splits: dict[str, Sequence[Described]],
    change_rows: ChangeRows = leave,
    render: Callable[[Picture, Path], None] = draw,
) -> Path:
    """A release of these splits in the folder `root`; returns it."""
    files: list[File] = []
    counts: dict[str, dict[str, int]] = {stem: {} for stem in schema.stems()}
    for split, described in splits.items():
        rows: dict[str, list[dict[str, Any]]] = {stem: [] for stem in schema.stems()}
        for one in described:
            place = f"images/{one.picture.name[:2]}/{one.picture.name}.png"
            render(one.picture, root / place)
            for stem, found in rows_of(one, place, sha256_file(root / place)).items():
                rows[stem] += found
        for stem, found in rows.items():
            change_rows(stem, split, found)
            promise = schema.subset(stem)
            path = root / promise.name / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(promise.table(found), path)
            counts[stem][split] = len(found)
            files.append(file_entry(root, path, len(found)))
    files += [file_entry(root, path) for path in sorted(root.glob("images/*/*.png"))]
    subsets = tuple(
        Subset(stem, schema.subset(stem).name, sum(rows.values()), rows, 0, (), "0" * 64, "0" * 64)
        for stem, rows in counts.items()
    )
    files.sort(key=lambda file: file.path)
    Manifest("v1", "0", "ODC-BY-1.0", subsets, tuple(files)).write(root)
    return root


def rows_of(one: Described, url: str, sha256: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one picture, by stem."""
    common = {"image_url": url, "image_sha256": sha256, "cluster": sha256[:16], "flags": []}
    judged = {"annotator": "anna", "annotation_uid": f"uid-{one.picture.name}"}
    cap = {
        **common,
        "id": short_id("cap", sha256),
        "caption": one.caption,
        "transcripts": [one.caption],
        "transcript_ids": [short_id("transcript", sha256)],
        "transcript_sources": ["written"],
        "recording_sha256s": [""],
        "annotators": ["anna"],
        "duration_seconds": 0.0,
        "writer": "cleaner",
    }
    ama = [
        {**common, **judged, "id": short_id("ama", sha256, question), "question": question}
        | {"answer": answer}
        for question, answer in one.questions
    ]
    points = [
        {**common, **judged, "id": short_id("points", sha256, label), "label": label}
        | {
            "points": [{"x": x, "y": y} for x, y in places],
            "raw_points": [],
            "raw_label": "",
            "merged_from": [],
        }
        | {"count": len(places), "collection_method": "pointing"}
        for label, places in one.points
    ]
    return {"cap": [cap], "ama": ama, "points": points}


def promise_again(root: Path) -> None:
    """The manifest of a release whose files a test has changed promises them as they are now."""
    path = root / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    for file in data["files"]:
        found = root / file["path"]
        file |= {"sha256": sha256_file(found), "bytes": found.stat().st_size}
    path.write_text(json.dumps(data), "utf-8")


def lone_task(image: str, question: str, kind: Kind = "answer", label: str = "") -> Task:
    """A task that no row is behind, whose answers score nothing."""
    return Task("1", "alone", kind, image, "0" * 64, question, {}, lambda _: {}, label)
