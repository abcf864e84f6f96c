"""Published benchmarks as tasks: those of the Molmo paper (arXiv 2409.17146), and its pointing one.

Each is a line of `BENCHMARKS`: where it is published, and how a row of it reads. Questions are put
as they are published, with a line on the form of the answer.
"""

import ast
import functools
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from pixmo.errors import EvaluationError
from pixmo.evaluate import pointing, vqa
from pixmo.evaluate.answers import Kind, Scores, Task, point_scores, score_count
from pixmo.evaluate.benchmark_data import Picture, Row, Source, keep, open_data, picture
from pixmo.execution.progress import SILENT, Progress
from pixmo.execution.threads import map_in_threads
from pixmo.hashing import sha256_bytes, short_id
from pixmo.points import from_text

SHORT = "Answer with a number, a word or a short phrase."
LETTER = "Answer with the letter of the right option."
ONE_OF = "Answer with one of: "
ACCURACY = f"accuracy-{vqa.VERSION}"
MOST_IMAGES = 7  # of a question of MMMU
PLACEHOLDER = re.compile(r"<image (\d)>")
OPTION_LINE = re.compile(r"^\s*([A-Z])[.)]\s+(.+?)\s*$", re.MULTILINE)
UNKNOWN = "?"  # what stands in MMMU where a truth is not published
THREADS = 8


@dataclass(frozen=True)
class Question:
    """What a row asks, and how its answer is scored."""

    text: str
    images: Sequence[object]  # as they are stored
    truth: object  # as JSON knows it
    score: Callable[[str], Scores]
    kind: Kind = "answer"
    label: str = ""  # what to point to or to count


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark is published, and how it is read."""

    name: str
    hub: str
    split: str  # the usual one, with truths
    read: Callable[[Row], Question]
    config: str = ""  # empty: all


def named(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        EvaluationError: there is none.
    """
    if name not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise EvaluationError(f"there is no benchmark {name!r}; there are {known}")
    return BENCHMARKS[name]


def tasks(
    benchmark: Benchmark,
    images: Path,
    data: str = "",
    split: str = "",
    progress: Progress = SILENT,
) -> tuple[Source, list[Task]]:
    """What is read, and a task for each of its rows; their images are in `images`.

    An id is that of the question and its images, whatever file they stand in. Default: the usual
    split of what is on the hub.

    Raises:
        EvaluationError: the data cannot be read, are not as published, or lack their truths.
    """
    named_data = data or benchmark.hub
    source = open_data(named_data, benchmark.config, split, benchmark.split)
    read = functools.partial(read_row, benchmark, named_data, source, images)
    found: list[Task] = []
    repeats: Counter[str] = Counter()
    with progress.task(f"Reading {benchmark.name}", source.total, "rows") as advance:
        rows = enumerate(source.rows, 1)
        for question, pictures in map_in_threads(read, rows, THREADS, threading.Event()):
            task = as_task(benchmark.name, question, pictures, images, repeats)
            found.append(task)
            advance(1)
    if not found:
        raise EvaluationError(f"{named_data} has no row in {source.split}")
    return source, found


def read_row(
    benchmark: Benchmark, data: str, source: Source, images: Path, numbered: tuple[int, Row]
) -> tuple[Question, list[Picture]]:
    """What a row asks, with its images.

    Raises:
        EvaluationError: it is not as published, or lacks its truth; the message names it.
    """
    number, row = numbered
    where = f"{data}, row {number} of {source.split}"
    try:
        question = benchmark.read(row)
        sha256 = row.get("image_sha256") or ""
        pictures = [picture(one, sha256, source.folder, images) for one in question.images]
    except KeyError as error:
        raise EvaluationError(
            f"{where} has no {error}, which {benchmark.name} has as it is published, only"
            f" {', '.join(row)}"
        ) from error
    except (EvaluationError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise EvaluationError(f"{where}: {error}") from error
    return question, pictures


def as_task(
    name: str, question: Question, pictures: Sequence[Picture], images: Path, repeats: Counter[str]
) -> Task:
    """A task; one that was put before, on the same images, has a number behind its id."""
    files = [keep(one, images) for one in pictures]
    task_id = short_id(name, question.text, *(one.sha256 or one.url for one in pictures))
    repeats[task_id] += 1
    if repeats[task_id] > 1:
        task_id = f"{task_id}-{repeats[task_id]}"
    return Task(
        id=task_id,
        subset=name,
        kind=question.kind,
        image=files[0],
        image_sha256=pictures[0].sha256,
        question=question.text,
        row={"truth": question.truth},
        score=question.score,
        label=question.label,
        more_images=tuple(files[1:]),
    )


def published(*truths: object) -> list[str]:
    """The truths of a row as texts.

    Raises:
        EvaluationError: they are not published, as those of most test splits.
    """
    texts = ["" if truth is None else str(truth).strip() for truth in truths]
    if not any(texts):
        raise EvaluationError(
            "its true answer is not published; read another split with --split, such as validation"
        )
    return texts


def one_measure(name: str, measure: Callable[[str], float]) -> Callable[[str], Scores]:
    """The scores of a single measure."""
    return lambda answer: {name: measure(answer)}


def people(question: str, image: object, answers: Sequence[str]) -> Question:
    """A question that several people answered."""
    truths = published(*answers)
    score = one_measure(f"soft-{vqa.VERSION}", functools.partial(vqa.soft, people=truths))
    return Question(f"{question}\n{SHORT}", [image], truths, score)


def edits(row: Row) -> Question:
    """A row of DocVQA or InfographicVQA."""
    truths = published(*(row["answers"] or ()))
    score = one_measure(f"ANLS-{vqa.VERSION}", functools.partial(vqa.anls, truths=truths))
    return Question(f"{row['question']}\n{SHORT}", [row["image"]], truths, score)


def vqa_v2(row: Row) -> Question:
    """A row of VQAv2."""
    return people(row["question"], row["image"], [one["answer"] for one in row["answers"] or ()])


def text_vqa(row: Row) -> Question:
    """A row of TextVQA."""
    return people(row["question"], row["image"], row["answers"] or ())


def chart_qa(row: Row) -> Question:
    """A row of ChartQA, with the columns of either copy on the hub."""
    if "query" in row:
        text, truth = row["query"], row["label"]
    else:
        text, truth = row["question"], row["answer"]
    truths = published(*(truth if isinstance(truth, list) else [truth]))

    def score(answer: str) -> float:
        return max(vqa.relaxed(answer, one) for one in truths)

    measure = one_measure(f"relaxed-{vqa.VERSION}", score)
    return Question(f"{text}\n{SHORT}", [row["image"]], truths, measure)


def choosing(options: Mapping[str, str], right: str) -> Callable[[str], Scores]:
    """Scores a choice among options by their labels.

    Raises:
        EvaluationError: the right one is none of them.
    """
    if right not in options:
        raise EvaluationError(f"its answer {right!r} is none of its options {', '.join(options)}")
    return one_measure(ACCURACY, lambda answer: float(vqa.choice(answer, options) == right))


def labelled(options: Sequence[str]) -> dict[str, str]:
    """The options by letters.

    Those that are letters themselves, of parts of a diagram, but for one such as `none of them`,
    are their own labels: `the answer is B` would else mean either.
    """
    letters = [text.strip().upper() for text in options]
    others = [text for text in letters if len(text) != 1 or not text.isalpha()]
    if len(others) <= 1 < len(options) and len(set(letters)) == len(letters):
        return dict(zip(letters, options, strict=True))
    return dict(zip(ascii_uppercase, options, strict=False))


def ask_to_choose(question: str, options: Mapping[str, str]) -> str:
    """The question with its options, a line each; in one line where they are their own labels."""
    if all(label == text.strip().upper() for label, text in options.items()):
        return f"{question}\n{ONE_OF}{', '.join(options)}."
    lines = "\n".join(f"{label}. {text}" for label, text in options.items())
    return f"{question}\n{lines}\n{LETTER}"


def ai2d(row: Row) -> Question:
    """A row of AI2D; its answer is the number of the right option, from 0."""
    options = labelled(row["options"])
    (number,) = published(row["answer"])
    right = dict(enumerate(options)).get(int(number), number)
    text = ask_to_choose(row["question"], options)
    return Question(text, [row["image"]], right, choosing(options, right))


def real_world_qa(row: Row) -> Question:
    """A row of RealWorldQA, whose question lists its options and says how to answer."""
    (truth,) = published(row["answer"])
    options = dict(OPTION_LINE.findall(row["question"]))
    if truth in options:
        score = choosing(options, truth)
    else:
        score = one_measure(ACCURACY, functools.partial(vqa.exact, truths=[truth]))
    return Question(row["question"], [row["image"]], truth, score)


def mmmu(row: Row) -> Question:
    """A row of MMMU; its options are the text of a Python list."""
    (truth,) = published(None if row["answer"] == UNKNOWN else row["answer"])
    if row["question_type"] == "multiple-choice":
        texts = map(str, ast.literal_eval(row["options"]))
        options = dict(zip(ascii_uppercase, texts, strict=False))
        text, score = ask_to_choose(row["question"], options), choosing(options, truth)
    else:
        measure = functools.partial(vqa.open_answer, truths=listed(truth))
        text, score = f"{row['question']}\n{SHORT}", one_measure(ACCURACY, measure)
    numbers = sorted(set(PLACEHOLDER.findall(text))) or ["1"]
    places = {number: place for place, number in enumerate(numbers, 1)}
    text = PLACEHOLDER.sub(lambda match: f"[image {places[match[1]]}]", text)
    return Question(text, [row[f"image_{number}"] for number in numbers], truth, score)


def listed(truth: str) -> list[str]:
    """The truths of an open question of MMMU: several are the text of a Python list."""
    try:
        found = ast.literal_eval(truth)
    except (ValueError, SyntaxError):
        return [truth]
    return [str(one) for one in found] if isinstance(found, list) else [truth]


def math_vista(row: Row) -> Question:
    """A row of MathVista; its query is the question with its options and the form of the answer."""
    (truth,) = published(row["answer"])
    image = row.get("decoded_image") or row["image"]
    form = [row[name] for name in ("question_type", "answer_type", "precision", "choices")]
    return Question(row["query"], [image], [truth, *form], math_vista_score(row, truth))


def math_vista_score(row: Row, truth: str) -> Callable[[str], Scores]:
    """Scores an answer as its type asks for."""
    if row["question_type"] == "multi_choice":
        options = dict(zip(ascii_uppercase, row["choices"], strict=False))
        right = {text.strip(): label for label, text in options.items()}.get(truth, truth)
        return choosing(options, right)
    if row["answer_type"] == "integer":
        return one_measure(ACCURACY, functools.partial(vqa.integer, truth=int(float(truth))))
    if row["answer_type"] == "float":
        number, decimals = float(truth), int(row["precision"])
        measure = functools.partial(vqa.decimal, truth=number, decimals=decimals)
        return one_measure(ACCURACY, measure)
    if row["answer_type"] == "list":
        return one_measure(ACCURACY, functools.partial(vqa.number_list, truth=truth))
    return one_measure(ACCURACY, functools.partial(vqa.exact, truths=[truth]))


def count_bench_qa(row: Row) -> Question:
    """A row of CountBenchQA."""
    (count,) = published(row["number"])
    score = functools.partial(score_count, count=int(count))
    return Question(row["question"], [row["image"]], int(count), score, "count")


def pixmo_count(row: Row) -> Question:
    """A row of PixMo-Count."""
    (count,) = published(row["count"])
    label = row["label"].lower()
    text, score = f"How many {label} are there?", functools.partial(score_count, count=int(count))
    return Question(text, [row["image_url"]], int(count), score, "count", label)


def pixmo_points(row: Row) -> Question:
    """A row of PixMo-Points-Eval, whose masks are lists of lines from the top."""
    import numpy as np

    # Eight pixels a byte: all masks of the benchmark are in memory at once.
    masks = [np.array(mask, bool) for mask in row["masks"]]
    packed = [(np.packbits(mask, axis=1), mask.shape[1]) for mask in masks]

    def score(answer: str) -> Scores:
        masks = [np.unpackbits(bits, axis=1, count=width) != 0 for bits, width in packed]
        found = pointing.score_by_mask(from_text(answer), masks)
        return point_scores(answer, "in masks", found)

    label = row["label"]
    truth = [[sha256_bytes(bits.tobytes()), width] for bits, width in packed]
    return Question(f"Point to {label}.", [row["image_url"]], truth, score, "point", label)


BENCHMARKS: Mapping[str, Benchmark] = {
    one.name: one
    for one in (
        Benchmark("ai2d", "lmms-lab/ai2d-no-mask", "test", ai2d),
        Benchmark("chartqa", "HuggingFaceM4/ChartQA", "test", chart_qa),
        Benchmark("vqav2", "lmms-lab/VQAv2", "validation", vqa_v2),
        Benchmark("docvqa", "lmms-lab/DocVQA", "validation", edits, "DocVQA"),
        Benchmark("infoqa", "lmms-lab/DocVQA", "validation", edits, "InfographicVQA"),
        Benchmark("textvqa", "lmms-lab/textvqa", "validation", text_vqa),
        Benchmark("realworldqa", "xai-org/RealworldQA", "test", real_world_qa),
        Benchmark("mmmu", "MMMU/MMMU", "validation", mmmu),
        Benchmark("mathvista", "AI4Math/MathVista", "testmini", math_vista),
        Benchmark("countbenchqa", "vikhyatk/CountBenchQA", "test", count_bench_qa),
        Benchmark("pixmo-count", "allenai/pixmo-count", "test", pixmo_count),
        Benchmark("pixmo-points", "allenai/pixmo-points-eval", "test", pixmo_points),
    )
}
