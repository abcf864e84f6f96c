"""The sample: a synthetic world's pictures, recordings and exports, and what is wrong with some.

DIR/pixmo.toml                 names the recogniser that ships
DIR/images/                    a picture a scene, and a few near-duplicates and broken files
DIR/audio/                     about two dozen recordings, and metadata.jsonl
DIR/transcripts/written.jsonl  a description of every other scene
DIR/exports/                   Label Studio exports of two projects
DIR/truth/spoken.jsonl         what was spoken, to the word
DIR/truth/defects.json         what was planted; only tests read it
DIR/sample.json                seed and size; written last
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from pixmo.demo import defects, describe, recogniser, voice
from pixmo.demo.annotators import Project, Work, choice, keypoints, text
from pixmo.demo.drawing import draw_file
from pixmo.demo.scenes import HEIGHT, WIDTH, Scene, image_name, scene
from pixmo.errors import WorkspaceError
from pixmo.execution.local import map_ordered
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import write_json, write_text
from pixmo.hashing import sha256_file
from pixmo.label import tasks
from pixmo.workspace.settings import FILE_NAME, Settings
from pixmo.workspace.workspace import Workspace

SPOKEN_SCENES = 21  # scenes 0 to 20 are spoken about, the others written about
FEWEST_SCENES = 120  # the planted defects have their places among the first hundred
SPEAKERS = (
    voice.Speaker("en-us", 165, 50),
    voice.Speaker("en-us+f2", 155, 60),
    voice.Speaker("en-us+m3", 175, 40),
    voice.Speaker("en+f1", 160, 55),
    voice.Speaker("en+m1", 150, 45),
)
SUFFIXES = ("webm", "opus", "wav", "mp3", "m4a", "flac", "ogg")
PROMPT = "Describe everything you see in this image, for at least a minute."


@dataclass
class Truth:
    """What was planted where."""

    planted: list[defects.Defect] = field(default_factory=list)

    def plant(self, fault: str, table: str, key: str) -> None:
        """The row of `table` that `key` names is to be set aside for `fault`."""
        self.planted.append(defects.Defect(fault, table, key))


def make_sample(folder: Path, scenes: int, seed: int, progress: Progress = SILENT) -> None:
    """`folder` holds the sample of this size and seed; one that is there already is kept.

    Raises:
        WorkspaceError: `folder` holds something else, or `scenes` is too small.
    """
    wanted = {"scenes": scenes, "seed": seed, "recogniser": sha256_file(recogniser.COMPACT)}
    if scenes < FEWEST_SCENES:
        raise WorkspaceError(f"the sample needs at least {FEWEST_SCENES} scenes, not {scenes}")
    if folder.exists() and not folder.is_dir():
        raise WorkspaceError(f"{folder} is a file; name a folder for the sample")
    finished = folder / "sample.json"
    if finished.is_file():
        found = json.loads(finished.read_text("utf-8"))
        if differing := [name for name in wanted if found.get(name) != wanted[name]]:
            raise WorkspaceError(
                f"{folder} holds a sample of other {' and '.join(differing)};"
                " name another folder, or delete it"
            )
        return
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "truth").is_dir():
        raise WorkspaceError(f"{folder} is not empty and holds no sample; name another folder")
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    truth = Truth()
    workspace = Workspace(folder, Settings())  # its pixmo.toml is not there yet
    draw_images(workspace.images, scenes, seed, truth, progress)
    record(workspace, seed, truth, progress)
    write_transcripts(folder, scenes, seed)
    annotate(workspace, scenes, seed, truth)
    write_settings(folder)
    write_json(folder / "truth/defects.json", [asdict(defect) for defect in truth.planted])
    write_json(finished, wanted)


def draw_images(images: Path, scenes: int, seed: int, truth: Truth, progress: Progress) -> None:
    """Every scene's picture is drawn, then the near-duplicates and a broken file."""
    images.mkdir(exist_ok=True)
    with progress.task("Drawing pictures", scenes, "images") as advance:
        for _ in map_ordered(partial(draw_file, images, seed), range(scenes)):
            advance(1)
    for copy in defects.COPIES:
        copy.make(images / image_name(copy.original), images / copy.name)
        truth.plant("near-duplicate image", "dropped/cap", f"images/{copy.name}")
    defects.truncate(images / image_name(0), images / defects.BROKEN_IMAGE)
    truth.plant("broken image", "set_aside", f"images/{defects.BROKEN_IMAGE}")


@dataclass(frozen=True)
class Take:
    """One recording to be made: who speaks what about which picture."""

    name: str
    image: str
    sentences: tuple[str, ...]
    speaker: voice.Speaker
    is_good: bool = True


def takes(seed: int) -> Iterator[Take]:
    """The recordings that are as they should be: one a scene, a second one for the first."""
    for number, index in enumerate([*range(SPOKEN_SCENES - 3), 0]):
        rng = Random(f"take {seed} {number}")
        told = describe.describe(scene(seed, index), rng)
        suffix = SUFFIXES[number % len(SUFFIXES)]
        yield Take(
            f"take-{number:02d}.{suffix}",
            image_name(index),
            told.spoken,
            SPEAKERS[number % len(SPEAKERS)],
        )


def record(workspace: Workspace, seed: int, truth: Truth, progress: Progress) -> None:
    """Every recording is made, with the metadata that links it; then the planted ones."""
    audio = workspace.audio
    audio.mkdir(exist_ok=True)
    metadata, spoken = [], []
    good = list(takes(seed))
    with progress.task("Recording speech", len(good), "recordings") as advance:
        for number, take in enumerate(good):
            rng = Random(f"recording {seed} {take.name}")
            samples = voice.recite(take.sentences, take.speaker, rng).samples
            suffix = Path(take.name).suffix.removeprefix(".")
            (audio / take.name).write_bytes(voice.encode(samples, suffix))
            metadata.append(metadata_row(take.name, take.image, number))
            spoken.append({"file_name": take.name, "text": " ".join(take.sentences)})
            advance(1)
    for number, planted in enumerate(defects.recordings(seed, SPOKEN_SCENES - 3), len(good)):
        (audio / planted.name).write_bytes(planted.content)
        metadata.append(metadata_row(planted.name, planted.image, number))
        truth.plant(planted.fault, planted.table, planted.key)
    write_lines(audio / "metadata.jsonl", metadata)
    write_lines(workspace.root / "truth/spoken.jsonl", spoken)


def metadata_row(file_name: str, image: str, number: int) -> dict[str, str]:
    """One line of the recordings' metadata.jsonl."""
    return {
        "file_name": file_name,
        "image": image,
        "annotator": f"speaker-{number % len(SPEAKERS) + 1}",
        "prompt": PROMPT,
        "recorded_at": f"2026-01-05T{9 + number // 6:02d}:{10 * (number % 6):02d}:00Z",
    }


def write_transcripts(folder: Path, scenes: int, seed: int) -> None:
    """Every scene that nobody speaks about has a written description, and so has every copy."""
    pictures = [(image_name(index), index) for index in range(SPOKEN_SCENES, scenes)]
    pictures += [(copy.name, copy.original) for copy in defects.COPIES]
    rows = [
        {
            "image": name,
            "text": describe.write_description(scene(seed, index), Random(f"text {seed} {name}")),
            "annotator": f"writer-{index % 7 + 1}",
        }
        for name, index in pictures
    ]
    (folder / "transcripts").mkdir(exist_ok=True)
    write_lines(folder / "transcripts/written.jsonl", rows)


def annotate(workspace: Workspace, scenes: int, seed: int, truth: Truth) -> None:
    """The exports of two projects: pointing, and answers judged; defects among them."""
    shas = {path.name: sha256_file(path) for path in sorted(workspace.images.iterdir())}
    points, answers = Project(1, "points"), Project(2, "ama")
    pictures = [(image_name(index), index) for index in range(scenes)]
    pictures += [(copy.name, copy.original) for copy in defects.COPIES]
    copies = {copy.name for copy in defects.COPIES}
    for name, index in pictures:
        rng = Random(f"annotations {seed} {name}")
        drawn = scene(seed, index)
        task = {"image": f"/data/local-files/?d=images/{name}", "image_sha256": shas[name]}
        pointed = [points.add(work) for work in pointing(drawn, task, rng)]
        judged = [answers.add(work) for work in judging(drawn, task, rng)]
        if name in copies:
            for uid in pointed:
                truth.plant("near-duplicate image", "dropped/points", uid)
            for uid in judged:
                truth.plant("near-duplicate image", "dropped/ama", uid)
    for fault, table, index, spoil in defects.POINTING:
        task = {"image": f"/data/local-files/?d=images/{image_name(index)}"}
        task["image_sha256"] = shas[image_name(index)]
        work = spoil(present(scene(seed, index), task))
        truth.plant(fault, table, points.add(work))
    for fault, table, index, spoil in defects.JUDGING:
        task = {"image": f"/data/local-files/?d=images/{image_name(index)}"}
        task["image_sha256"] = shas[image_name(index)]
        work = spoil(judging(scene(seed, index), task, Random("spoiled"))[0])
        truth.plant(fault, table, answers.add(work))
    workspace.exports.mkdir(exist_ok=True)
    write_json(workspace.exports / "points.json", points.tasks)
    write_json(workspace.exports / "ama.json", answers.tasks)


def present(drawn: Scene, task: dict[str, str]) -> Work:
    """A task that asks to point at the scene's first group, done well."""
    expression = describe.expressions(drawn)[0]
    data = task | tasks.pointing(f"{expression.label} in the picture")
    clicks = keypoints(expression.points, WIDTH, HEIGHT)
    return Work(data, [*clicks, choice("presence", "image", "present")])


def pointing(drawn: Scene, task: dict[str, str], rng: Random) -> Iterator[Work]:
    """Pointing tasks of a scene: up to two groups, and at times something absent."""
    expressions = describe.expressions(drawn)
    shown = [expression for expression in expressions if expression.points]
    absent = [expression for expression in expressions if not expression.points]
    asked = rng.sample(shown, min(2, len(shown)))
    if absent and rng.random() < 0.5:
        asked.append(rng.choice(absent))
    for number, expression in enumerate(asked):
        method = "counting" if rng.random() < 0.3 else "pointing"
        data = task | tasks.pointing(expression.label, method)
        data["pixmo_id"] = f"points:{task['image_sha256'][:16]}:{number}"
        presence = choice("presence", "image", "present" if expression.points else "none")
        yield Work(data, [*keypoints(expression.points, WIDTH, HEIGHT), presence])


def judging(drawn: Scene, task: dict[str, str], rng: Random) -> list[Work]:
    """Answers of a scene to be judged: two, both right."""
    pairs = describe.questions_and_answers(drawn, rng)
    asked = rng.sample(pairs, min(2, len(pairs)))
    works = []
    for number, (question, answer) in enumerate(asked):
        data = {**task, "question": question, "answer": answer}
        data["pixmo_id"] = f"ama:{task['image_sha256'][:16]}:{number}"
        results = [text("mended_answer", "answer", answer)]
        results.append(choice("answer_verdict", "answer", "accept"))
        works.append(Work(data, results))
    return works


def write_settings(folder: Path) -> None:
    """`pixmo.toml` names the recogniser that ships, unpacked beside it."""
    model = recogniser.checkpoint(folder / "models")
    write_text(
        folder / FILE_NAME,
        "# Settings of the sample; `pixmo init` writes a file with every setting explained.\n\n"
        '[dataset]\ntitle = "The pixmo sample: a synthetic world"\n\n'
        f'[speech]\nmodel = "{model.relative_to(folder)}"  # knows the sample\'s language only\n\n'
        "[release]\naudio = true  # its voices are nobody's\n",
    )


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    """`path` holds `rows` as JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
