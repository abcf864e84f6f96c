"""A small workspace with real images and one planted row for every reason to drop one."""

import dataclasses
import json
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pixmo import schema
from pixmo.hashing import sha256_bytes
from pixmo.images.fingerprint import fingerprint
from pixmo.resources import shared
from pixmo.speech.guards import repeated_share
from pixmo.speech.transcripts import NOT_SPOKEN
from pixmo.workspace.workspace import Workspace

SIZE = (128, 96)  # pixels
GOOD_PICTURES = 14
SHARES = {"train": 0.4, "validation": 0.3, "test": 0.3}
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo")
COMMON = ("the", "a", "with", "of", "in", "and", "is", "on")
WRITER = "cleaner 1"


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A soft, mottled picture with a few shapes; another seed gives one that looks unlike it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for x, y, r in rng.integers((8, 8, 4), (size[0] - 8, size[1] - 8, 12), (3, 3)).tolist():
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def prose(seed: int, words: int = 90) -> str:
    """A text that shares hardly a run of five with that of another seed.

    Every fourth word is a common one of English, all others are made up.
    """
    rng = Random(seed)
    made_up = ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(words)]
    common = [COMMON[place // 4 % len(COMMON)] for place in range(words)]
    mixed = [common[place] if place % 4 == 0 else made_up[place] for place in range(words)]
    return " ".join(mixed).capitalize() + "."


def compression_ratio(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


@dataclass
class Planter:
    """Puts rows into a workspace's tables and remembers what must become of them."""

    workspace: Workspace
    sha256: dict[str, str] = field(default_factory=dict)  # of images, by name
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def row(self, table: str, **values: Any) -> None:
        self.rows.setdefault(table, []).append(values)

    def image(
        self,
        name: str,
        image: Image.Image,
        url: str | None = None,
        license: str | None = None,
        **saved: Any,
    ) -> str:
        """The image file is in the workspace, `saved` in this way, and in its table."""
        path = self.workspace.images / name
        path.parent.mkdir(exist_ok=True)
        image.save(path, **saved)
        print_of = dataclasses.asdict(fingerprint(path))
        sha256 = self.sha256[name] = print_of["image_sha256"]
        self.row("image_thumbnails", image_sha256=sha256, thumbnail=print_of.pop("thumbnail"))
        self.row(
            "images",
            **print_of,
            path=self.workspace.relative(path),
            image_url=url,
            license=license,
            ordinal=len(self.rows.get("images", [])),
        )
        return sha256

    def caption(self, image: str, text: str, caption: str | None = None, **values: Any) -> str:
        """The image has a transcript and the caption written from it; returns the caption's id."""
        sha256 = self.sha256.get(image, sha256_bytes(image.encode()))
        said = {
            **NOT_SPOKEN,
            "stock_phrases": [],
            "repeated_share": repeated_share(text),
            "transcript_id": sha256_bytes(f"transcript {image}".encode())[:16],
            "image_sha256": sha256,
            "source": "speech",
            "recording_sha256": sha256_bytes(f"recording {image}".encode()),
            "annotator": "ann",
            "text": text,
            "segments": [],
            "language": "en",
            "avg_logprob": -0.2,
            "compression_ratio": compression_ratio(text),
            "no_speech_prob": 0.01,
            "duration_seconds": 66.0,
            "speech_seconds": 60.0,
            "words_per_minute": 100.0,
            "model": "tiny",
            "model_sha256": sha256_bytes(b"tiny"),
            "options_sha256": sha256_bytes(b"options"),
            **values,
        }
        self.row("transcripts", **said)
        caption_id = sha256_bytes(f"caption {image}".encode())[:16]
        self.row(
            "captions",
            caption_id=caption_id,
            image_sha256=sha256,
            caption=text if caption is None else caption,
            transcript_ids=[said["transcript_id"]],
            transcripts_sha256=sha256_bytes(f"{said['transcript_id']}\x1e{text}".encode()),
            writer=WRITER,
            options_sha256=sha256_bytes(b"writer"),
            unsupported=[],
            lost=[],
            unsupported_share=0.0,
            lost_share=0.0,
        )
        return caption_id

    def annotation(self, subset: str, uid: str, updated_at: str) -> dict[str, Any]:
        """A raw annotation is there; returns what its parsed row shares with it."""
        state = {
            "annotation_uid": uid,
            "updated_at": updated_at,
            "state_sha256": sha256_bytes(f"state {uid} {updated_at}".encode()),
        }
        self.row(
            "annotations",
            **state,
            subset=subset,
            task_json="{}",
            annotation_json=json.dumps({"unique_id": uid}),
            export_sha256=sha256_bytes(b"export"),
            export_path="exports/export.json",
        )
        return state

    def points(
        self,
        uid: str,
        image: str,
        points: list[tuple[float, float]],
        label: str = "",
        presence: str = "",
        updated_at: str = "2026-01-01T00:00:00.000000Z",
        annotator: str = "1",
    ) -> None:
        shared = self.annotation("points", uid, updated_at)
        self.row(
            "point_annotations",
            **shared,
            image_sha256=self.sha256.get(image, sha256_bytes(image.encode())),
            label=label or f"thing {uid}",
            collection_method="pointing",
            presence=presence or ("present" if points else "none"),
            points=[{"x": x, "y": y} for x, y in points],
            annotator=annotator,
            lead_time_seconds=9.5,
        )

    def answer(
        self,
        uid: str,
        image: str,
        question: str,
        answer: str,
        verdict: str = "accept",
        updated_at: str = "2026-01-01T00:00:00.000000Z",
    ) -> None:
        shared = self.annotation("ama", uid, updated_at)
        self.row(
            "answers",
            **shared,
            image_sha256=self.sha256.get(image, sha256_bytes(image.encode())),
            question=question,
            proposed_answer=answer,
            answer=answer,
            verdict=verdict,
            was_edited=False,
            remarks=None,
            annotator="1",
            lead_time_seconds=None,
        )

    def question(self, uid: str, image: str, question: str, annotator: str = "1") -> None:
        shared = self.annotation("questions", uid, "2026-01-01T00:00:00.000000Z")
        self.row(
            "questions",
            **shared,
            image_sha256=self.sha256[image],
            question=question,
            annotator=annotator,
            lead_time_seconds=None,
        )

    def review(
        self,
        uid: str,
        image: str,
        caption_id: str,
        caption: str,
        verdict: str,
        when: str = "2026-01-02T00:00:00.000000Z",
    ) -> None:
        shared = self.annotation("cap", uid, when)
        self.row(
            "caption_reviews",
            **shared,
            image_sha256=self.sha256[image],
            caption_id=caption_id,
            caption=caption,
            verdict=verdict,
            was_edited=verdict == "accept",
            annotator="2",
        )

    def write(self) -> Workspace:
        """Everything planted is in the tables."""
        for name, rows in self.rows.items():
            self.workspace.append(name, rows)
        self.rows = {}
        return self.workspace


def name(number: int) -> str:
    return f"p{number:02d}.png"


def plant_images(planter: Planter) -> None:
    """Good pictures, copies of two of them, one with a URL, and some for captions that go wrong."""
    for number in range(GOOD_PICTURES):
        url = "https://example.org/p00.png" if number == 0 else None
        planter.image(name(number), picture(number), url)
    planter.image("copy-small.png", picture(1).resize((96, 72)))
    planter.image("copy-large.png", picture(2).resize((256, 192)))
    kinds = ("silent", "brief", "looped", "terse", "rejected", "parrot")
    for number, kind in enumerate(kinds, 100):
        planter.image(f"{kind}.png", picture(number))


def plant_captions(planter: Planter) -> None:
    """A good caption an image, and one for every step of the recipe."""
    for number in range(GOOD_PICTURES):
        written = {} if number % 2 else WRITTEN
        caption_id = planter.caption(name(number), prose(number), **written)
        if number == 3:
            planter.review("review-3", name(3), caption_id, prose(33), "accept")
    planter.caption("copy-small.png", prose(50))
    planter.caption("copy-large.png", prose(51))
    planter.caption("silent.png", prose(52), speech_seconds=0.3)
    planter.caption("brief.png", prose(53), duration_seconds=20.0)
    planter.caption("looped.png", f"{prose(54, 60)} {prose(55, 12) * 6}")
    planter.caption("terse.png", prose(56, 40))
    rejected = planter.caption("rejected.png", prose(57))
    planter.review("review-rejected", "rejected.png", rejected, prose(57), "reject")
    planter.caption("parrot.png", prose(4) + " And more.")
    planter.caption("nowhere.png", prose(58))


WRITTEN: dict[str, Any] = {
    "source": "written",
    "recording_sha256": None,
    "avg_logprob": None,
    "no_speech_prob": None,
    "duration_seconds": 0.0,
    "speech_seconds": 0.0,
    "words_per_minute": None,
    "model": None,
    "model_sha256": None,
}

CAP_DROPPED = {
    "nowhere.png": "image_unknown",
    "silent.png": "no_speech",
    "brief.png": "recording_too_short",
    "looped.png": "looped",
    "terse.png": "too_short",
    "rejected.png": "rejected",
    "copy-small.png": "near_duplicate_image",
    name(2): "near_duplicate_image",  # its copy is larger
    "parrot.png": "near_duplicate_text",
}


def plant_points(planter: Planter) -> None:
    """Good points on every picture, and an annotation for every step of the recipe."""
    for number in range(GOOD_PICTURES):
        planter.points(f"good-{number}", name(number), [(10.0, 20.5), (60.25, 70.0)][: number % 3])
    planter.points("edge", name(3), [(-1.5, 50.0), (40.0, 101.0), (7.0, 7.0)])
    planter.points("unknown", "nowhere.png", [(1.0, 1.0)])
    planter.points("missing", name(4), [], presence="present")
    planter.points("denied", name(4), [(5.0, 5.0)], presence="none")
    planter.points("outside", name(4), [(131.0, 20.0), (3.0, 3.0)])
    planter.points("double", name(5), [(50.0, 50.0), (9.0, 9.0), (50.2, 50.1)])
    later = "2026-02-01T00:00:00.000000Z"
    planter.points("first-try", name(6), [(30.0, 30.0)], label="red hat")
    planter.points("second-try", name(6), [(31.0, 30.0)], label="Red hat ", updated_at=later)
    planter.points("someone-else", name(6), [(32.0, 30.0)], label="red hat", annotator="2")
    planter.points("on-copy", "copy-small.png", [(20.0, 20.0)])


POINTS_DROPPED = {
    "unknown": "image_unknown",
    "missing": "present_without_point",
    "denied": "none_with_points",
    "outside": "outside_image",
    "double": "duplicate_points",
    "first-try": "repeated",
    "second-try": "consensus",  # with someone else's, which is older
    "on-copy": "near_duplicate_image",
}


def plant_answers(planter: Planter) -> None:
    """Good answers, and one for every step of the recipe."""
    for number in range(GOOD_PICTURES):
        planter.answer(
            f"qa-{number}", name(number), f"What is number {number}?", f"It is {number}."
        )
    planter.answer("qa-again", name(7), "what is number 7?", "It is 7.", updated_at="2026-03-01")
    planter.answer("qa-elsewhere", name(8), "What is number 7?", "It is 7.")
    planter.answer("qa-rejected", name(8), "Why?", "Because.", verdict="reject")
    planter.answer("qa-empty", name(8), "Where?", "  ")
    planter.answer("qa-unknown", "nowhere.png", "Who?", "Nobody.")
    planter.answer("qa-copy", "copy-small.png", "Which?", "This.")


AMA_DROPPED = {
    "qa-again": "repeated",
    "qa-rejected": "rejected",
    "qa-empty": "empty",
    "qa-unknown": "image_unknown",
    "qa-copy": "near_duplicate_image",
}


def make(root: Path) -> tuple[Workspace, Planter]:
    """The whole small workspace in the folder `root`."""
    planter = Planter(Workspace.init(root))
    plant_images(planter)
    plant_captions(planter)
    plant_points(planter)
    plant_answers(planter)
    return planter.write(), planter


def share_out(workspace: Workspace) -> None:
    """The workspace has recipes of its own, whose shares fill every split."""
    workspace.recipes.mkdir()
    for stem in schema.stems():
        text = shared("pipelines", f"{stem}.toml").read_text("utf-8")
        for split, share in SHARES.items():
            text = re.sub(rf"^{split} = .*$", f"{split} = {share}", text, flags=re.MULTILINE)
        (workspace.recipes / f"{stem}.toml").write_text(text, "utf-8")


def accept(workspace: Workspace, license: str) -> None:
    """The workspace has recipes of its own, which keep images of this licence, too."""
    workspace.recipes.mkdir(exist_ok=True)
    for stem in schema.stems():
        text = shared("pipelines", f"{stem}.toml").read_text("utf-8")
        text = text.replace('accepted = "CC0-1.0', f'accepted = "{license} CC0-1.0')
        (workspace.recipes / f"{stem}.toml").write_text(text, "utf-8")
