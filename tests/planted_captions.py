"""Images as people describe them, in real words, and the rows of the tables that they become."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import SqlStep
from pixmo.hashing import sha256_bytes
from pixmo.speech.guards import repeated_share
from pixmo.speech.transcripts import NOT_SPOKEN, compression_ratio
from pixmo.text import words
from pixmo.workspace.workspace import Workspace
from tests.planted_rows import Verdict
from tests.workspaces import WRITER

TOPICS = (
    "kettle saucepan counter cupboard spatula refrigerator tiles onions toaster apron ladle",
    "umbrella seagulls surfers driftwood lifeguard sandcastle towels seashells horizon dunes",
    "pedestrians crosswalk scooter lamppost storefront awning taxi hydrant billboard cyclist",
    "tractor chickens haystack fence barn sheep silo wheelbarrow orchard scarecrow goats",
    "monitor keyboard stapler whiteboard folders printer headset lanyard swivel calendar",
    "mushrooms ferns squirrel trail moss branches stream boulders cabin lantern backpack",
    "oranges baskets vendor scales peppers pineapples crates customers receipts melons",
    "sailboats ropes anchor fishermen buoys lighthouse trawler pelicans mooring dock",
    "goalkeeper scoreboard referee spectators jersey banner whistle bleachers captain",
    "sculpture painting pedestal visitors guard fresco mosaic armour frame velvet",
    "tulips sprinkler gnome greenhouse butterflies roses shovel hedges birdbath trellis",
    "suitcases runway passengers pilot propeller terminal hangar stairway cockpit windsock",
    "croissants baguettes flour oven pastries display muffins cashier trays pretzels",
    "hammer sawdust workbench goggles drill planks clamps chisel varnish toolbox",
    "locomotive platform conductor timetable carriage benches luggage tunnel signals clock",
    "slide swings sandbox children carousel seesaw balloons stroller bicycle hopscotch",
)
ANYWHERE = "wall window shadow sky floor table chair door tree person sign light corner glass"
LOOKS = (
    *("white", "black", "bright", "dark", "wooden", "large", "small", "striped", "shiny", "old"),
    *("round", "blurry", "tall", "red", "green", "blue", "yellow", "metal", "plastic", "empty"),
)
WHERE = (
    *("on the left", "on the right side", "in the background", "near the bottom edge"),
    *("in the middle of the image", "behind everything else", "close to the camera"),
    "towards the top",
)
NUMBERS = ("two", "three", "four", "five", "six", "seven")
HESITATIONS = ("um,", "uh,", "you know,", "I mean,", "like,")
Thing = tuple[str, str, str, str]  # its name, look, place and number


@dataclass(frozen=True)
class Picture:
    """What can be said of an image: things with how each looks, where it is, and how many."""

    things: tuple[Thing, ...]

    @classmethod
    def of(cls, rng: Random, topics: Sequence[str] = TOPICS) -> "Picture":
        """A picture of one topic, with a few things that are everywhere."""
        names = rng.choice(topics).split()
        own = rng.sample(names, min(8, len(names)))
        things = [*own, *rng.sample(ANYWHERE.split(), 6)]
        return cls(
            tuple(
                (name, rng.choice(LOOKS), rng.choice(WHERE), rng.choice(NUMBERS)) for name in things
            )
        )


def sentence(thing: Thing, rng: Random) -> str:
    """One statement about a thing, one of the ways to make it."""
    name, look, where, number = thing
    many = name.endswith("s") and name not in ("glass", "scales", "tiles")
    be, it = ("are", "they") if many else ("is", "it")
    a = f"{number} {name}" if many else f"a {look} {name}"
    ways = [
        f"there {be} {a} {where}",
        f"{where} I can see {a} and {it} {be} quite {look}",
        f"then the {name} {be} {look} and {rng.choice(('somewhat', 'rather', 'very'))} noticeable",
        f"what catches the eye {be} the {look} {name} {where}",
        f"the {name} {where} seem{'' if many else 's'} to be {look}",
        f"next to that {be} {a}, with light falling over {'them' if many else 'it'}",
        f"I also notice {a} {where}, a little out of focus",
    ]
    return rng.choice(ways)


def tell(picture: Picture, rng: Random, target: int, hesitation: float = 0.35) -> str:
    """What one speaker says of a picture in about `target` words, hesitating now and then.

    Each speaker leaves some things out and has an order of their own.
    """
    things = [thing for thing in picture.things if rng.random() < 0.8]
    rng.shuffle(things)
    said: list[str] = []
    while sum(len(text.split()) for text in said) < target:
        new = sentence(things[len(said) % len(things)], rng)
        if new in said:
            new = f"{new}, as I said, {rng.choice(WHERE)} and {rng.choice(LOOKS)} in part"
        said.append(hesitate(new, rng) if rng.random() < hesitation else new)
    return " ".join(text[0].upper() + text[1:] + "." for text in said)


def hesitate(text: str, rng: Random) -> str:
    """The sentence with a filler or a word said twice."""
    parts = text.split()
    at = rng.randrange(len(parts))
    if rng.random() < 0.3:
        return " ".join([*parts[: at + 1], *parts[at:]])
    before = [*parts[: at - 1], f"{parts[at - 1].rstrip(',')},"] if at else []
    return " ".join([*before, rng.choice(HESITATIONS), *parts[at:]])


SPOKEN: dict[str, Any] = {
    "source": "speech",
    "avg_logprob": -0.28,
    "lowest_logprob": -0.4,
    "highest_temperature": 0.0,
    "highest_compression_ratio": 1.8,
    "no_speech_prob": 0.02,
    "words_over_silence_share": 0.0,
    "language_prob": 0.98,
    "overlap_disagreement": 0.08,
    "duration_seconds": 75.0,
    "speech_seconds": 60.0,
    "longest_silence_seconds": 2.4,
    "rms_dbfs": -24.0,
    "peak_dbfs": -3.0,
    "clipped_share": 0.0,
    "noise_dbfs": -56.0,
    "starts_in_speech": False,
    "is_cut_off": False,
    "model": "tiny",
    "model_sha256": sha256_bytes(b"tiny"),
}


@dataclass(frozen=True)
class Said:
    """A transcript: its text, and what differs from a good recording in its row."""

    text: str
    annotator: str = "ann"
    values: dict[str, Any] = field(default_factory=dict)
    is_spoken: bool = True

    def row(self, image: str, place: int) -> dict[str, Any]:
        """Its row in the table; words a minute of speech follow from the text if not given."""
        sound = SPOKEN if self.is_spoken else {"source": "written"}
        key = f"{image} {place}".encode()
        recording = sha256_bytes(b"recording " + key) if self.is_spoken else None
        row = {
            **NOT_SPOKEN,
            **sound,
            "transcript_id": sha256_bytes(b"transcript " + key)[:16],
            "image_sha256": sha256_bytes(image.encode()),
            "recording_sha256": recording,
            "annotator": self.annotator,
            "text": self.text,
            "segments": [],
            "language": "en",
            "stock_phrases": [],
            "repeated_share": repeated_share(self.text),
            "compression_ratio": compression_ratio(self.text),
            "options_sha256": sha256_bytes(b"options"),
            **self.values,
        }
        if self.is_spoken and row["speech_seconds"] and "words_per_minute" not in self.values:
            row["words_per_minute"] = len(words(self.text)) / (row["speech_seconds"] / 60)
        return row


@dataclass(frozen=True)
class Described:
    """An image with its transcripts and the caption made of them."""

    name: str
    said: Sequence[Said]
    caption: str | None = None  # None: the transcripts, one behind the other
    values: dict[str, Any] = field(default_factory=dict)  # of the caption's row
    verdict: str = ""  # of a reviewer


TEXT = (
    "An elderly fisherman is mending a torn net on a wooden jetty. Beside him there are two wicker"
    " baskets with silver mackerel in them. A striped cat watches the baskets from a blanket."
    " Behind the jetty a lighthouse stands on a rocky headland, and the water of the harbour is"
    " calm with a greenish tint. On the right I can see the bow of a trawler and its rusty anchor."
)
OTHER = (
    "A crowded classroom with about twenty students at their desks. The teacher points to a"
    " blackboard with an equation on it in yellow chalk. Near the window there is a globe and a"
    " shelf of dictionaries. Most of the students wear navy uniforms, and one of them raises her"
    " hand. The ceiling has three fluorescent lamps, of which the middle one is switched off."
)
# The same scene in scripts that put no spaces between words, and in one that combines its signs.
UNSPACED = {
    "chinese": "照片里有一条安静的街道，左边是一家书店，右边停着三辆自行车。天空很蓝，远处有山。",
    "japanese": "写真には古い港が写っていて、左側の椅子に男の人が座って新聞を読んでいます。",
    "thai": "ในภาพมีแมวสีส้มตัวหนึ่งนั่งอยู่บนโต๊ะไม้ ด้านหลังมีหน้าต่างบานใหญ่และต้นไม้สีเขียว",
}
HINDI = "तस्वीर में एक लाल किताब मेज़ पर है और पीछे खिड़की है"  # 12 words
WRITTEN = Said(TEXT, "writer", is_spoken=False)


def spoken(text: str = TEXT, annotator: str = "ann", **values: Any) -> Said:
    """A transcript of good speech, but for `values`."""
    return Said(text, annotator, {"words_per_minute": 165.0} | values)


def described(name: str, *said: Said, **more: Any) -> Described:
    """An image whose caption is its transcripts, one behind the other, unless `more` has one."""
    return Described(name, said or (spoken(),), **more)


def caption(name: str, text: str, **more: Any) -> Described:
    """A written image whose caption is not its transcript."""
    return Described(name, (WRITTEN,), text, **more)


def long_text(words: int) -> str:
    """A text of so many words, most of them common."""
    return " ".join(["the", "a", "of", "and", "with"][place % 5] for place in range(words))


# What a recogniser writes for silence, at length.
SILENT = spoken(
    f"Thanks for watching. {OTHER}", speech_seconds=0.4, stock_phrases=["thanks for watching"]
)
# Nothing is known of how this was recorded: another tool's transcripts.
UNMEASURED = Said(
    TEXT,
    values=dict.fromkeys(
        (
            *("language_prob", "avg_logprob", "words_over_silence_share", "no_speech_prob"),
            *("overlap_disagreement", "longest_silence_seconds", "rms_dbfs", "noise_dbfs"),
            *("clipped_share", "words_per_minute", "lowest_logprob", "highest_temperature"),
        )
    ),
)
EVERYWHERE = (
    described("good"),
    described("written", WRITTEN),
    described("both", spoken(), WRITTEN, caption=TEXT),
    described("unmeasured", UNMEASURED),
    described("silent beside good", spoken(), SILENT, caption=TEXT),
)

Expected = dict[str, tuple[str, dict[str, Any]]]  # reason and evidence by the image's name
Planted = dict[str, tuple[list[Described], Expected]]  # images for a step, and which it is to name


def planted_together(planted: Planted) -> Iterator["Candidates"]:
    """All images, those of a step under its name; together is faster than step by step."""
    of_steps = [
        dataclasses.replace(image, name=f"{name}: {image.name}")
        for name, (images, _) in planted.items()
        for image in images
    ]
    with candidates([*of_steps, *EVERYWHERE]) as all_planted:
        yield all_planted


def found_and_expected(
    name: str, planted: Planted, all_planted: "Candidates"
) -> tuple[Expected, Expected]:
    """What the step names of its own images and of those everywhere, and what it is to name.

    A reason that is expected with # for its numbers is found so, and of evidence what is expected.
    """
    images, expected = planted[name]
    shown = [f"{name}: {image.name}" for image in images]
    all_planted.show(*shown, *(image.name for image in EVERYWHERE))
    found: Expected = {}
    for image, verdict in all_planted.judged(name).items():
        own = image.removeprefix(f"{name}: ")
        reason, evidence = expected.get(own, ("", verdict.evidence))
        found[own] = (
            general(verdict.reason) if "#" in reason else verdict.reason,
            {key: verdict.evidence[key] for key in evidence},
        )
    return found, expected


def general(reason: str) -> str:
    """The reason with every number as #."""
    return " ".join("#" if word.isdigit() else word for word in reason.split())


def plant(workspace: Workspace, images: Sequence[Described]) -> dict[str, str]:
    """The tables hold the images' transcripts, captions and reviews; returns names by row id."""
    transcripts, captions, annotations, reviews = [], [], [], []
    for image in images:
        rows = [said.row(image.name, place) for place, said in enumerate(image.said)]
        lines = sorted((row["transcript_id"], row["text"]) for row in rows)
        text = " ".join(said.text for said in image.said)
        caption = {
            "caption_id": sha256_bytes(f"caption {image.name}".encode())[:16],
            "image_sha256": sha256_bytes(image.name.encode()),
            "caption": text if image.caption is None else image.caption,
            "transcript_ids": [row["transcript_id"] for row in rows],
            "transcripts_sha256": sha256_bytes("\x1f".join(map("\x1e".join, lines)).encode()),
            "writer": WRITER,
            "options_sha256": sha256_bytes(b"writer"),
            "unsupported": [],
            "lost": [],
            "unsupported_share": 0.0,
            "lost_share": 0.0,
            **image.values,
        }
        transcripts += rows
        captions.append(caption)
        if image.verdict:
            annotation, review = reviewed(image, caption)
            annotations.append(annotation)
            reviews.append(review)
    for table, planted in (
        ("transcripts", transcripts),
        ("captions", captions),
        ("annotations", annotations),
        ("caption_reviews", reviews),
    ):
        workspace.append(table, planted)
    return {
        sha256_bytes(b"cap/" + sha256_bytes(image.name.encode()).encode())[:16]: image.name
        for image in images
    }


def reviewed(image: Described, caption: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a reviewer's verdict on a caption, left as it was."""
    state = {
        "annotation_uid": f"review {image.name}",
        "updated_at": "2026-01-02T00:00:00.000000Z",
        "state_sha256": sha256_bytes(f"review {image.name}".encode()),
    }
    annotation = {
        **state,
        "subset": "cap",
        "task_json": "{}",
        "annotation_json": "{}",
        "export_sha256": sha256_bytes(b"export"),
        "export_path": "exports/export.json",
    }
    review = {
        **state,
        "image_sha256": caption["image_sha256"],
        "caption_id": caption["caption_id"],
        "caption": caption["caption"],
        "verdict": image.verdict,
        "was_edited": False,
        "annotator": "reviewer",
    }
    return annotation, review


def step(name: str, **changed: Any) -> SqlStep:
    """The step of the recipe that ships, its parameters as the recipe has them or `changed`."""
    steps = [step for step in load("cap").steps if isinstance(step, SqlStep)]
    (found,) = (step for step in steps if step.name == name)
    return dataclasses.replace(found, parameters={**found.parameters, **changed})


@contextmanager
def candidates(images: Sequence[Described]) -> Iterator["Candidates"]:
    """The recipe's candidates, made of a workspace with nothing but these images' texts."""
    with TemporaryDirectory() as folder:
        workspace = Workspace.init(Path(folder))
        names = plant(workspace, images)
        with workspace.connect() as connection:
            connection.execute(f"create table planted as\n{load('cap').rows.sql}")
            connection.execute("create view cap as from planted")
            yield Candidates(connection, names)


@dataclass(frozen=True)
class Candidates:
    """A view `cap`, and the images' names by the rows' ids."""

    connection: duckdb.DuckDBPyConnection
    names: dict[str, str]

    def show(self, *names: str) -> None:
        """`cap` holds only the images of these names."""
        ids = [f"'{id}'" for id, name in self.names.items() if name in names]
        self.connection.execute(
            f"create or replace view cap as from planted where id in ({', '.join(ids)})"
        )

    def judged(self, name: str, **changed: Any) -> dict[str, Verdict]:
        """The images that a step names; of several reasons the first by alphabet."""
        asked = step(name, **changed)
        found = self.connection.execute(asked.query.sql, dict(asked.parameters) or None)
        columns = [column[0] for column in found.description or []]
        verdicts: dict[str, Verdict] = {}
        for row in sorted(found.fetchall(), key=lambda row: str(row[columns.index("reason")])):
            evidence = dict(zip(columns, row, strict=True))
            image = self.names[evidence.pop("id")]
            verdicts.setdefault(image, Verdict(evidence.pop("reason"), evidence))
        return verdicts

    def rows(self) -> dict[str, dict[str, Any]]:
        """The candidates, by image."""
        table = self.connection.table("cap").to_arrow_table()
        return {self.names[row["id"]]: row for row in table.to_pylist()}
