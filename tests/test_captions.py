"""Captions: one an image, from all that was said about it."""

import dataclasses
import itertools
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pixmo.errors import WorkspaceError
from pixmo.hashing import sha256_bytes, sha256_value
from pixmo.speech.audio import Samples
from pixmo.speech.captioning.caption_writer import Caption, Cleaner
from pixmo.speech.captioning.captions import Written, options, write_captions
from pixmo.speech.cleaning.merge import statement
from pixmo.speech.hear import Heard
from pixmo.speech.prepare import Prepared
from pixmo.speech.recogniser import Segment
from pixmo.speech.recordings import Recording
from pixmo.speech.signals import signals
from pixmo.speech.transcripts import spoken_row, written_row
from pixmo.workspace.workspace import Workspace
from tests.growth import grows_evenly
from tests.sounds import silence


class Nobody:
    """A recogniser's name, for rows that somebody else heard."""

    name, sha256, device = "nobody", sha256_bytes(b"nobody"), "cpu"
    options: Mapping[str, object] = {}

    def features(self, samples: Samples) -> None:
        raise NotImplementedError

    def recognise(self, windows: Iterable[Any], language: str) -> Any:
        raise NotImplementedError


class Shouting:
    """Another writer."""

    name = "shouting-1"
    options: Mapping[str, object] = {}

    def captions(self, images: Iterable[Sequence[str]]) -> Generator[Caption, None, None]:
        for transcripts in images:
            yield Caption(" ".join(transcripts).upper(), self.name)


class Counting:
    """A writer that costs something: it says how often it was asked."""

    name = "counting-1"
    options: Mapping[str, object] = {}
    asked = 0

    def captions(self, images: Iterable[Sequence[str]]) -> Generator[Caption, None, None]:
        for transcripts in images:
            self.asked += 1
            yield Caption(f"Caption {self.asked} of {len(transcripts)}.", self.name)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "world")


def image(name: str) -> str:
    return sha256_bytes(name.encode())


def hear(
    workspace: Workspace,
    name: str,
    text: str,
    speech_seconds: float = 60.0,
    recording: str = "",
    options: str = "options",
) -> str:
    """The recording of an image has a transcript; returns its id."""
    sha256 = sha256_bytes((recording or f"{name} {text}").encode())
    segments = (Segment(0.0, 1.0, text, -0.1, 1.0, 0.0, 0.0),) if text else ()
    sound = dataclasses.replace(signals(silence(60.0), []), speech_seconds=speech_seconds)
    row = spoken_row(
        Recording(sha256, Path("x"), "x", image(name)),
        Heard(Prepared(sound, (), (), ()), segments, None, None),
        "en",
        Nobody(),
        sha256_bytes(options.encode()),
    )
    workspace.append("transcripts", [row])
    ordinal = len(workspace.read("recordings"))
    known = {r["recording_sha256"] for r in workspace.read("recordings").to_pylist()}
    if sha256 not in known:
        recordings = {"recording_sha256": sha256, "path": f"audio/{ordinal}", "bytes": 1}
        said = {"annotator": "a", "prompt": None, "recorded_at": None, "ordinal": ordinal}
        workspace.append("recordings", [recordings | said | {"image_sha256": image(name)}])
    return str(row["transcript_id"])


def type_in(workspace: Workspace, name: str, text: str, transcript_id: str) -> None:
    row = written_row(transcript_id, image(name), "a", text, "en", sha256_bytes(b"written"))
    workspace.append("transcripts", [row])


def captions(workspace: Workspace) -> dict[str, str]:
    """What counts now, by the image's sha256."""
    with workspace.connect() as connection:
        query = "select image_sha256, caption from current_captions"
        return dict(connection.execute(query).fetchall())


def test_one_caption_from_several_transcripts(workspace: Workspace) -> None:
    first = hear(workspace, "dog", "Um, there is a dog. It it is big.")
    typed = "I can see a dog. It is brown."
    type_in(workspace, "dog", typed, "0000")
    second = hear(workspace, "dog", "a dog is on the left. it is big")
    assert write_captions(workspace) == Written(1, 0, 0)
    [row] = workspace.read("captions").to_pylist()
    assert row["caption"] == (
        "There is a dog. It is big. It is brown. A dog is on the left. It is big."
    )
    assert row["image_sha256"] == image("dog")
    # In the order of the recordings; what was typed comes last.
    assert row["transcript_ids"] == [first, second, "0000"]
    assert row["writer"] == "cleaner-4"
    assert row["options_sha256"] == sha256_value(options(Cleaner()))


def test_where_no_speech_was_heard(workspace: Workspace) -> None:
    hear(workspace, "silent", "", speech_seconds=0.0)
    hear(workspace, "cough", "Thanks for watching!", speech_seconds=0.4)
    kept = hear(workspace, "both", "There is a dog.", speech_seconds=1.0)
    cough = hear(workspace, "both", "Thank you.", speech_seconds=0.9)
    type_in(workspace, "typed", "There is a cat.", "t")
    assert write_captions(workspace) == Written(4, 0, 2)
    assert captions(workspace) == {
        image("silent"): "",
        image("cough"): "",
        image("both"): "There is a dog.",
        image("typed"): "There is a cat.",
    }
    [both] = [
        row
        for row in workspace.read("captions").to_pylist()
        if row["image_sha256"] == image("both")
    ]
    assert both["transcript_ids"] == [kept, cough]


def stale(workspace: Workspace) -> dict[str, bool]:
    """Whether anything is said of them still, of the images whose caption is not of what is."""
    with workspace.connect() as connection:
        return dict(connection.execute("from stale_captions").fetchall())


def test_a_caption_of_other_transcripts_is_stale(workspace: Workspace) -> None:
    hear(workspace, "dog", "There is a dog.")
    type_in(workspace, "dog", "It is brown.", "t")
    type_in(workspace, "cat", "There is a cat.", "u")
    assert stale(workspace) == {image("dog"): True, image("cat"): True}
    write_captions(workspace)
    assert stale(workspace) == {}
    type_in(workspace, "dog", "It is black.", "t")  # another text under the same id
    type_in(workspace, "bird", "There is a cat.", "u")  # the same text about another image
    assert stale(workspace) == {image("dog"): True, image("cat"): False, image("bird"): True}
    write_captions(workspace)
    assert stale(workspace) == {image("cat"): False}


def test_only_what_changed_is_written_again(workspace: Workspace) -> None:
    hear(workspace, "dog", "There is a dog.")
    hear(workspace, "cat", "There is a cat.")
    assert write_captions(workspace) == Written(2, 0, 0)
    assert write_captions(workspace) == Written(0, 2, 0)
    hear(workspace, "cat", "It sleeps.")
    assert write_captions(workspace) == Written(1, 1, 0)
    assert captions(workspace)[image("cat")] == "There is a cat. It sleeps."
    type_in(workspace, "dog", "It is a dgo.", "t")
    write_captions(workspace)
    type_in(workspace, "dog", "It runs.", "t")
    assert write_captions(workspace) == Written(1, 1, 0)
    assert captions(workspace)[image("dog")] == "There is a dog. It runs."


def test_the_newest_transcript_of_a_recording_counts(workspace: Workspace) -> None:
    hear(workspace, "dog", "There is a dock.", recording="r", options="small model")
    write_captions(workspace)
    hear(workspace, "dog", "There is a dog.", recording="r", options="large model")
    assert write_captions(workspace) == Written(1, 0, 0)
    assert captions(workspace) == {image("dog"): "There is a dog."}
    # Back to the first: its caption counts again.
    hear(workspace, "dog", "There is a dock.", recording="r", options="small model")
    assert write_captions(workspace) == Written(1, 0, 0)
    rows = workspace.read("captions").to_pylist()
    assert rows[0] == rows[2]
    assert captions(workspace) == {image("dog"): "There is a dock."}


def test_nothing_is_written_for_which_a_caption_stands_already(workspace: Workspace) -> None:
    writer = Counting()
    for model in ("small model", "large model", "small model"):
        hear(workspace, "dog", f"A {model}.", recording="r", options=model)
        write_captions(workspace, writer=writer)
    assert writer.asked == 2
    assert captions(workspace) == {image("dog"): "Caption 1 of 1."}


def test_another_writer_writes_again(workspace: Workspace) -> None:
    hear(workspace, "dog", "There is a dog.")
    write_captions(workspace)
    assert write_captions(workspace, writer=Shouting()) == Written(1, 0, 0)
    assert captions(workspace) == {image("dog"): "THERE IS A DOG."}
    assert write_captions(workspace, writer=Shouting()) == Written(0, 1, 0)
    assert write_captions(workspace) == Written(1, 0, 0)
    assert captions(workspace) == {image("dog"): "There is a dog."}


def test_an_empty_workspace_and_a_busy_one(workspace: Workspace) -> None:
    assert write_captions(workspace) == Written(0, 0, 0)
    with (
        workspace.lock("captions"),
        pytest.raises(WorkspaceError, match="busy with captions"),
    ):
        write_captions(workspace)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("There is a red circle.", "I can see the red circle!", True),
        ("The background is green.", "the Background is GREEN", True),
        ("There are two red circles.", "There are three red circles.", False),
        ("There is a dog.", "There is no dog.", False),
        ("The star is left of the ring.", "The ring is left of the star.", False),
        ("The star is on the left.", "The star is above the left.", False),
        ("There it is.", "This is it.", False),
        ("There is a dog.", "Is there a dog?", False),
        ("There are two grey dogs.", "I see 2 grey dogs.", True),
    ],
)
def test_what_says_the_same(one: str, other: str, same: bool) -> None:
    assert (statement(one) == statement(other)) is same
    assert (Cleaner().write([one, other]) == one) is same


@pytest.mark.parametrize(
    "transcript",
    [
        "There is a cup. It is red. On the right there is a plate. It is red.",
        "He is smiling. A woman walks by. She is smiling. He is smiling.",
        "Is there a dog? There is a dog.",
        "There is a dog. There is a cat. There is a dog.",
    ],
)
def test_within_one_transcript_every_sentence_stays(transcript: str) -> None:
    assert Cleaner().write([transcript]) == transcript
    assert Cleaner().write([transcript, transcript]) == transcript


def test_a_sentence_said_again_at_once_is_dropped() -> None:
    assert Cleaner().write(["There is a dog. There is a dog. It barks."]) == (
        "There is a dog. It barks."
    )


@pytest.mark.parametrize(
    ("transcripts", "caption"),
    [
        # Of another thing: it stays where it refers to that.
        (
            ["There is a cup. There is a plate. It is red.", "There is a cup. It is red."],
            "There is a cup. It is red. There is a plate. It is red.",
        ),
        # Not behind the plate, which is not chipped.
        (
            ["There is a cup. It is red. There is a plate.", "I see a cup. It is chipped."],
            "There is a cup. It is red. It is chipped. There is a plate.",
        ),
        (
            ["There is a cup. It is red.", "There is a cup. It is red. It is old. I see a fork."],
            "There is a cup. It is red. It is old. I see a fork.",
        ),
        # Behind the cat it would be the cat that is brown, so the dog is named again.
        (
            ["There is a dog. He chases a cat. She is grey.", "I see a dog. It is brown."],
            "There is a dog. He chases a cat. She is grey. I see a dog. It is brown.",
        ),
    ],
)
def test_what_refers_back_stays_with_what_it_refers_to(
    transcripts: list[str], caption: str
) -> None:
    assert Cleaner().write(transcripts) == caption


DOGS = ("There are two dogs.", "One is black.", "The other is white.")


@pytest.mark.parametrize(
    ("transcripts", "caption"),
    [
        ([DOGS, (DOGS[0], DOGS[2], DOGS[1])], DOGS),
        ([DOGS, DOGS, DOGS[:2]], DOGS),
        ([DOGS[:1], DOGS], DOGS),
        # More is told apart: the longer one, whole.
        ([DOGS[:2], ("There is a cat.",), DOGS], (*DOGS, "There is a cat.")),
        ([DOGS, (DOGS[0], "Both are big.")], (*DOGS, DOGS[0], "Both are big.")),
        ([DOGS, (DOGS[0], "They are big.")], (*DOGS, DOGS[0], "They are big.")),
        ([(DOGS[0], "They are big."), DOGS], (DOGS[0], "They are big.", *DOGS)),
        # Twice in one transcript there are four.
        ([DOGS[:1], (*DOGS, *DOGS)], (*DOGS, *DOGS)),
        # Behind what told things apart, "it" would be another one.
        (
            [
                ("There is a cup.", "It is red.", "It is old."),
                ("There is a cup.", "Another is blue.", "It is old.", "It is red."),
                ("There is a cup.", "It is red.", "It is old.", "It is wet."),
            ],
            (
                *("There is a cup.", "Another is blue.", "It is old.", "It is red."),
                *("There is a cup.", "It is red.", "It is old.", "It is wet."),
            ),
        ),
    ],
)
def test_what_tells_things_apart_stays_together(
    transcripts: list[tuple[str, ...]], caption: tuple[str, ...]
) -> None:
    assert Cleaner().write([" ".join(said) for said in transcripts]) == " ".join(caption)


def test_in_other_languages_only_a_common_beginning_is_said_once() -> None:
    # Whether "Er" is the dog or the tomcat no rule knows.
    first, second = (
        "Da ist ein Hund. Er ist rot. Da ist ein Kater.",
        "Da ist ein Kater. Er ist rot.",
    )
    assert Cleaner("de").write([first, second]) == f"{first} {second}"
    assert Cleaner("de").write([first, f"{first} Er ist alt."]) == f"{first} Er ist alt."


def test_the_language_of_the_workspace_decides_the_rules(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "welt")
    (workspace.root / "pixmo.toml").write_text('[speech]\nlanguage = "de"\n', "utf-8")
    workspace = Workspace.open(workspace.root)
    type_in(workspace, "table", "er sitzt um den Tisch .", "t")
    write_captions(workspace)
    assert captions(workspace) == {image("table"): "Er sitzt um den Tisch."}
    [row] = workspace.read("captions").to_pylist()
    assert row["options_sha256"] == sha256_value(options(Cleaner("de")))
    assert options(Cleaner("de")) != options(Cleaner("en"))


def test_more_captions_take_no_longer_for_each(tmp_path: Path) -> None:
    text = "Um, there are {n} red circles at the top. I see the the sign, it says stop. " * 6
    options_sha256 = sha256_bytes(b"written")
    made = itertools.count()

    def prepare(size: int) -> Workspace:
        workspace = Workspace.init(tmp_path / f"{next(made)}")
        rows = [
            written_row(f"t{n}", image(str(n)), "a", text.format(n=n), "en", options_sha256)
            for n in range(size)
        ]
        workspace.append("transcripts", rows)
        return workspace

    def work(workspace: Workspace) -> None:
        assert write_captions(workspace).written == len(workspace.read("transcripts"))
        said = "There are 7 red circles at the top. I see the sign, it says stop. " * 6
        assert captions(workspace)[image("7")] == said.rstrip()

    assert grows_evenly(60, prepare, work)
