"""Rows of each benchmark in the columns that are published and read, with answers and scores.

Of the other columns a few are kept as ballast: they must do no harm.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Features, Value
from PIL import Image

from pixmo.evaluate.benchmarks import BENCHMARKS

TEXT, WHOLE, PICTURE = Value("string"), Value("int64"), datasets.Image()
TEXTS = datasets.Sequence(TEXT)
Row = dict[str, Any]


def png(shade: int) -> bytes:
    """An image unlike those of other shades."""
    file = BytesIO()
    Image.new("RGB", (20, 10), (shade, 0, 0)).save(file, "png")
    return file.getvalue()


def stored(shade: int) -> Row:
    """An image as a Parquet file holds it."""
    return {"bytes": png(shade), "path": None}


def of_ten(**given: int) -> list[str]:
    """Ten people's answers, so many each."""
    people = [word for word, count in given.items() for _ in range(count)]
    return people + ["other"] * (10 - len(people))


def rated(words: Sequence[str]) -> list[Row]:
    """Answers as VQAv2 has them."""
    return [{"answer": word, "answer_confidence": "yes"} for word in words]


def math_row(pid: str, question_type: str, answer_type: str, truth: str, **more: Any) -> Row:
    """A row of MathVista."""
    row = {
        "pid": pid,
        "image": f"images/{pid}.jpg",
        "decoded_image": stored(int(pid)),
        "choices": None,
        "precision": None,
        "answer": truth,
        "question_type": question_type,
        "answer_type": answer_type,
        "query": f"Hint: Please answer.\nQuestion: Q{pid}",
    }
    return row | more


def mmmu_row(name: str, question: str, options: str, answer: str, images: int, kind: str) -> Row:
    """A row of MMMU."""
    shades = {f"image_{n}": stored(10 * n) if n <= images else None for n in range(1, 8)}
    asked = {"id": name, "question": question, "options": options, "answer": answer}
    return asked | shades | {"img_type": "['Plots']", "question_type": kind}


# Where each is published: its columns, rows, a planted answer for each row, and the scores.
AI2D = (
    Features(question=TEXT, options=TEXTS, answer=TEXT, image=PICTURE),
    [
        {
            "question": "What eats grass?",
            "options": ["hawk", "rabbit", "snake", "grass"],
            "answer": "1",
            "image": stored(1),
        },
        {
            "question": "Which letter is the root?",
            "options": ["c", "b", "a", "none of these"],
            "answer": "2",
            "image": stored(2),
        },
        {"question": "Who?", "options": ["x1", "y1"], "answer": "0", "image": stored(3)},
    ],
    ["B. rabbit", "The answer is A", "B"],
    {"accuracy-2": 2 / 3},
)
CHART_QA = (
    Features(
        image=PICTURE,
        query=TEXT,
        label=TEXTS,
        human_or_machine=datasets.ClassLabel(names=["human", "machine"]),
    ),
    [
        {"image": stored(n), "query": f"Q{n}", "label": [label], "human_or_machine": n % 2}
        for n, label in enumerate(["14", "Yes", "0.57", "200"])
    ],
    ["14.6", "yes", "57%", "211"],  # 4.3 and 5.5 percent off
    {"relaxed-2": 3 / 4},
)
CHART_QA_OF_LMMS = (
    Features(type=TEXT, question=TEXT, answer=TEXT, image=PICTURE),
    [{"type": "human_test", "question": "Q", "answer": "14", "image": stored(1)}],
    ["14"],
    {"relaxed-2": 1.0},
)
VQA_V2 = (
    Features(
        multiple_choice_answer=TEXT,
        answers=[{"answer": TEXT, "answer_confidence": TEXT}],
        question=TEXT,
        image=PICTURE,
    ),
    [
        {
            "multiple_choice_answer": "dog",
            "answers": rated(of_ten(dog=count)),
            "question": "What is it?",
            "image": stored(count),
        }
        for count in (4, 2, 0)
    ],
    ["A dog.", "dog", "dog"],
    {"soft-2": (1 + 0.6 + 0) / 3},
)
DOC_VQA = (
    Features(question=TEXT, question_types=TEXTS, image=PICTURE, answers=TEXTS),
    [
        {
            "question": "What is the date?",
            "question_types": ["form"],
            "image": stored(n),
            "answers": truths,
        }
        for n, truths in enumerate([["May 1999", "5/1999"], ["1999"], ["abcd"]])
    ],
    ["may 1998", "2020", "ABCD"],  # one letter of eight; three of four; case
    {"ANLS-2": (7 / 8 + 0 + 1) / 3},
)
INFO_VQA = (
    Features(
        {"question": TEXT, "answers": TEXTS, "image": PICTURE, "operation/reasoning": TEXTS},
    ),
    [
        {
            "question": "How many?",
            "answers": ["50%", "50 %"],
            "image": stored(9),
            "operation/reasoning": [],
        }
    ],
    ["50 %"],
    {"ANLS-2": 1.0},
)
TEXT_VQA = (
    Features(question_id=WHOLE, question=TEXT, image=PICTURE, answers=TEXTS, ocr_tokens=TEXTS),
    [
        {
            "question_id": count,
            "question": "What brand?",
            "image": stored(count),
            "answers": of_ten(nokia=count),
            "ocr_tokens": ["NOKIA"],
        }
        for count in (10, 3, 1)
    ],
    ["Nokia", "nokia", "nokia"],
    {"soft-2": (1 + 0.9 + 0.3) / 3},
)
REAL_WORLD_QA = (
    Features(image=PICTURE, question=TEXT, answer=TEXT),
    [
        {
            "image": stored(1),
            "question": "Which is closer?\n\nA. The car\nB. The tree\nC. Neither\n"
            "Please answer directly with only the letter of the correct option and nothing else.",
            "answer": "B",
        },
        {
            "image": stored(2),
            "question": "How many lanes?\nPlease answer directly with a single word or number.",
            "answer": "3",
        },
        {
            "image": stored(3),
            "question": "Is it red?\nPlease answer directly with a single word or number.",
            "answer": "No",
        },
    ],
    ["It is the tree.", "Three", "Yes"],
    {"accuracy-2": 2 / 3},
)
MMMU_COLUMNS = Features(
    id=TEXT,
    question=TEXT,
    options=TEXT,
    **{f"image_{n}": PICTURE for n in range(1, 8)},
    img_type=TEXT,
    answer=TEXT,
    question_type=TEXT,
)
MMMU_MATH = (
    MMMU_COLUMNS,
    [
        mmmu_row(
            "validation_Math_1",
            "Which of <image 3> and <image 1> is round?",
            "['<image 1>', '<image 3>', \"it's neither\"]",
            "C",
            3,
            "multiple-choice",
        ),
        mmmu_row(
            "validation_Math_2", "How long is <image 1>?", "[]", "['24/7', '3.429']", 1, "open"
        ),
        mmmu_row("validation_Math_3", "How much, <image 1>?", "[]", "$6,000", 1, "open"),
    ],
    ["(C) It's neither", "So x = 24/7", "It costs 600 dollars."],
    {"accuracy-2": 2 / 3},
)
MMMU_ART = (
    MMMU_COLUMNS,
    [mmmu_row("validation_Art_1", "Who?", "['Monet', 'Manet']", "A", 1, "multiple-choice")],
    ["A"],
    {"accuracy-2": 1.0},
)
MATH_VISTA = (
    Features(
        pid=TEXT,
        image=TEXT,
        decoded_image=PICTURE,
        choices=TEXTS,
        precision=Value("float64"),
        answer=TEXT,
        question_type=TEXT,
        answer_type=TEXT,
        query=TEXT,
    ),
    [
        math_row("1", "free_form", "float", "1.2", precision=1.0),
        math_row("2", "free_form", "integer", "5"),
        math_row("3", "multi_choice", "text", "5 cm", choices=["3 cm", "5 cm"]),
        math_row("4", "free_form", "list", "[1.2, 3]", precision=1.0),
        math_row("5", "free_form", "integer", "7"),
    ],
    ["The answer is 1.23 metres", "five", "The answer is (B)", "It is [1.2, 3.0].", "8"],
    {"accuracy-2": 4 / 5},
)
COUNT_BENCH_QA = (
    Features(image=PICTURE, text=TEXT, question=TEXT, number=Value("int32")),
    [
        {"image": stored(n), "text": "A set", "question": "How many cups?", "number": n}
        for n in (5, 6, 7)
    ],
    ["Counting shows a total of 5.", "7", "many"],
    {
        "count-2 exact": 1 / 3,
        "count-2 exact of true count 5": 1.0,
        "count-2 exact of true count 6": 0.0,
        "count-2 exact of true count 7": 0.0,
        "count-2 within one": 2 / 3,
        "count-2 within one of true count 5": 1.0,
        "count-2 within one of true count 6": 1.0,
        "count-2 within one of true count 7": 0.0,
    },
)
PIXMO_COUNT_COLUMNS = Features(
    image_url=TEXT,
    image_sha256=TEXT,
    count=Value("int32"),
    points=datasets.Sequence({"x": Value("float32"), "y": Value("float32")}),
    label=TEXT,
)
PIXMO_POINTS_COLUMNS = Features(
    image_url=TEXT,
    image_sha256=TEXT,
    label=TEXT,
    points=[{"x": Value("float64"), "y": Value("float64")}],
    masks=datasets.Sequence(datasets.Sequence(datasets.Sequence(Value("bool")))),
)

Sample = tuple[Features, list[Row], list[str], dict[str, float]]
SAMPLES: dict[str, Sample] = {
    "ai2d": AI2D,
    "chartqa": CHART_QA,
    "vqav2": VQA_V2,
    "docvqa": DOC_VQA,
    "infoqa": INFO_VQA,
    "textvqa": TEXT_VQA,
    "realworldqa": REAL_WORLD_QA,
    "mmmu": MMMU_MATH,
    "mathvista": MATH_VISTA,
    "countbenchqa": COUNT_BENCH_QA,
}
QUESTIONS = {
    "ai2d": "What eats grass?\nA. hawk\nB. rabbit\nC. snake\nD. grass\n"
    "Answer with the letter of the right option.",
    "chartqa": "Q0\nAnswer with a number, a word or a short phrase.",
    "docvqa": "What is the date?\nAnswer with a number, a word or a short phrase.",
    "realworldqa": REAL_WORLD_QA[1][0]["question"],
    "mathvista": "Hint: Please answer.\nQuestion: Q1",
    "countbenchqa": "How many cups?",
    "mmmu": "Which of [image 2] and [image 1] is round?\n"
    "A. [image 1]\nB. [image 2]\nC. it's neither\nAnswer with the letter of the right option.",
}


def write(folder: Path, columns: Features, rows: list[Row], split: str) -> Path:
    """A Parquet file as the hub has it; the folder above is a dataset."""
    path = folder / "data" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {name: [row[name] for row in rows] for name in columns}
    datasets.Dataset.from_dict(values, features=columns).to_parquet(path)
    return path


def write_sample(folder: Path, name: str, split: str = "") -> Path:
    """A benchmark's sample in its usual split."""
    columns, rows, *_ = SAMPLES[name]
    return write(folder, columns, rows, split or BENCHMARKS[name].split)


@pytest.fixture(autouse=True)
def no_bars() -> Iterator[None]:
    """What reads or writes a sample shows no progress."""
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()
