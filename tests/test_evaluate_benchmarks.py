"""Benchmarks are read as they are published, and score planted answers as worked out by hand."""

import json
import math
import subprocess
import threading
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Features, Value
from PIL import Image

from pixmo.cli.model import evaluate as command
from pixmo.errors import EvaluationError
from pixmo.evaluate import answers, benchmarks, vqa
from pixmo.evaluate.answers import Evaluation, Task
from pixmo.evaluate.benchmarks import BENCHMARKS
from pixmo.hashing import sha256_bytes
from pixmo.workspace.workspace import Workspace

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
    return [
        {"answer": word, "answer_confidence": "yes", "answer_id": number}
        for number, word in enumerate(words, 1)
    ]


def math_row(pid: str, question_type: str, answer_type: str, truth: str, **more: Any) -> Row:
    """A row of MathVista."""
    row = {
        "pid": pid,
        "question": f"Q{pid}",
        "image": f"images/{pid}.jpg",
        "decoded_image": stored(int(pid)),
        "choices": None,
        "unit": None,
        "precision": None,
        "answer": truth,
        "question_type": question_type,
        "answer_type": answer_type,
        "metadata": {"category": "general-vqa", "skills": ["arithmetic reasoning"]},
        "query": f"Hint: Please answer.\nQuestion: Q{pid}",
    }
    return row | more


def mmmu_row(name: str, question: str, options: str, answer: str, images: int, kind: str) -> Row:
    """A row of MMMU."""
    shades = {f"image_{n}": stored(10 * n) if n <= images else None for n in range(1, 8)}
    texts = {"explanation": "", "img_type": "['Plots']", "topic_difficulty": "Easy"}
    asked = {"id": name, "question": question, "options": options, "answer": answer}
    return asked | texts | shades | {"question_type": kind, "subfield": "Algebra"}


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
    {"accuracy-1": 2 / 3},
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
    {"relaxed-1": 3 / 4},
)
CHART_QA_OF_LMMS = (
    Features(type=TEXT, question=TEXT, answer=TEXT, image=PICTURE),
    [{"type": "human_test", "question": "Q", "answer": "14", "image": stored(1)}],
    ["14"],
    {"relaxed-1": 1.0},
)
VQA_V2 = (
    Features(
        question_type=TEXT,
        multiple_choice_answer=TEXT,
        answers=[{"answer": TEXT, "answer_confidence": TEXT, "answer_id": WHOLE}],
        image_id=WHOLE,
        answer_type=TEXT,
        question_id=WHOLE,
        question=TEXT,
        image=PICTURE,
    ),
    [
        {
            "question_type": "what",
            "multiple_choice_answer": "dog",
            "answers": rated(of_ten(dog=count)),
            "image_id": count,
            "answer_type": "other",
            "question_id": count,
            "question": "What is it?",
            "image": stored(count),
        }
        for count in (4, 2, 0)
    ],
    ["A dog.", "dog", "dog"],
    {"soft-1": (1 + 0.6 + 0) / 3},
)
DOC_VQA = (
    Features(
        questionId=TEXT,
        question=TEXT,
        question_types=TEXTS,
        image=PICTURE,
        docId=WHOLE,
        ucsf_document_id=TEXT,
        ucsf_document_page_no=TEXT,
        answers=TEXTS,
        data_split=TEXT,
    ),
    [
        {
            "questionId": str(n),
            "question": "What is the date?",
            "question_types": ["form"],
            "image": stored(n),
            "docId": n,
            "ucsf_document_id": "a",
            "ucsf_document_page_no": "1",
            "answers": truths,
            "data_split": "val",
        }
        for n, truths in enumerate([["May 1999", "5/1999"], ["1999"], ["abcd"]])
    ],
    ["may 1998", "2020", "ABCD"],  # one letter of eight; three of four; case
    {"ANLS-1": (7 / 8 + 0 + 1) / 3},
)
INFO_VQA = (
    Features(
        {
            "questionId": TEXT,
            "question": TEXT,
            "answers": TEXTS,
            "answer_type": TEXTS,
            "image": PICTURE,
            "image_url": TEXT,
            "operation/reasoning": TEXTS,
            "ocr": TEXT,
            "data_split": TEXT,
        }
    ),
    [
        {
            "questionId": "1",
            "question": "How many?",
            "answers": ["50%", "50 %"],
            "answer_type": ["single span"],
            "image": stored(9),
            "image_url": "https://example.org/a.png",
            "operation/reasoning": [],
            "ocr": "[]",
            "data_split": "val",
        }
    ],
    ["50 %"],
    {"ANLS-1": 1.0},
)
TEXT_VQA = (
    Features(
        image_id=TEXT,
        question_id=Value("int32"),
        question=TEXT,
        question_tokens=TEXTS,
        image=PICTURE,
        image_width=Value("int32"),
        image_height=Value("int32"),
        flickr_original_url=TEXT,
        flickr_300k_url=TEXT,
        answers=TEXTS,
        image_classes=TEXTS,
        set_name=TEXT,
        ocr_tokens=TEXTS,
    ),
    [
        {
            "image_id": "a",
            "question_id": count,
            "question": "What brand?",
            "question_tokens": ["what", "brand"],
            "image": stored(count),
            "image_width": 20,
            "image_height": 10,
            "flickr_original_url": "https://example.org/a.png",
            "flickr_300k_url": "https://example.org/b.png",
            "answers": of_ten(nokia=count),
            "image_classes": ["Phone"],
            "set_name": "val",
            "ocr_tokens": ["NOKIA"],
        }
        for count in (10, 3, 1)
    ],
    ["Nokia", "nokia", "nokia"],
    {"soft-1": (1 + 0.9 + 0.3) / 3},
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
    {"accuracy-1": 2 / 3},
)
MMMU_COLUMNS = Features(
    id=TEXT,
    question=TEXT,
    options=TEXT,
    explanation=TEXT,
    **{f"image_{n}": PICTURE for n in range(1, 8)},
    img_type=TEXT,
    answer=TEXT,
    topic_difficulty=TEXT,
    question_type=TEXT,
    subfield=TEXT,
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
    {"accuracy-1": 2 / 3},
)
MMMU_ART = (
    MMMU_COLUMNS,
    [mmmu_row("validation_Art_1", "Who?", "['Monet', 'Manet']", "A", 1, "multiple-choice")],
    ["A"],
    {"accuracy-1": 1.0},
)
MATH_VISTA = (
    Features(
        pid=TEXT,
        question=TEXT,
        image=TEXT,
        decoded_image=PICTURE,
        choices=TEXTS,
        unit=TEXT,
        precision=Value("float64"),
        answer=TEXT,
        question_type=TEXT,
        answer_type=TEXT,
        metadata={"category": TEXT, "skills": TEXTS},
        query=TEXT,
    ),
    [
        math_row("1", "free_form", "float", "1.2", precision=1.0),
        math_row("2", "free_form", "integer", "5", unit="years"),
        math_row("3", "multi_choice", "text", "5 cm", choices=["3 cm", "5 cm"]),
        math_row("4", "free_form", "list", "[1.2, 3]", precision=1.0),
        math_row("5", "free_form", "integer", "7"),
    ],
    ["The answer is 1.23 metres", "five", "The answer is (B)", "It is [1.2, 3.0].", "8"],
    {"accuracy-1": 4 / 5},
)
COUNT_BENCH_QA = (
    Features(image=PICTURE, text=TEXT, question=TEXT, number=Value("int32")),
    [
        {"image": stored(n), "text": "A set", "question": "How many cups?", "number": n}
        for n in (5, 6, 7)
    ],
    ["Counting shows a total of 5.", "7", "many"],
    {"count-1 exact": 1 / 3, "count-1 within one": 2 / 3},
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


@pytest.fixture(autouse=True)
def no_bars() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


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


def read(name: str, data: Path, images: Path, split: str = "") -> list[Task]:
    """The tasks of a copy of a benchmark."""
    return benchmarks.tasks(benchmarks.named(name), images, str(data), split)[1]


def score(tasks: Sequence[Task], said: Sequence[str]) -> Evaluation:
    """How an answer for each task, in their order, does."""
    given = {task.id: answer for task, answer in zip(tasks, said, strict=True)}
    return answers.evaluate("a benchmark", "test", tasks, given)


def values(found: Evaluation) -> dict[str, float]:
    """The scores by measure."""
    return {one.name: one.mean.value for one in found.measures}


@pytest.mark.parametrize("name", SAMPLES)
def test_planted_answers_get_the_scores_worked_out_by_hand(name: str, tmp_path: Path) -> None:
    _, rows, said, expected = SAMPLES[name]
    write_sample(tmp_path / "copy", name)
    tasks = read(name, tmp_path / "copy", tmp_path / "images")
    assert {task.subset for task in tasks} == {name}
    assert len({task.id for task in tasks}) == len(rows)
    for task in tasks:
        assert sha256_bytes(Path(task.image).read_bytes()) == task.image_sha256
        assert Path(task.image).name == f"{task.image_sha256}.png"
    found = score(tasks, said)
    assert values(found) == pytest.approx(expected)
    assert {one.rows for one in found.measures} == {len(rows)}
    assert found.images_away == 0
    wrong = score(tasks, ["Bananas (Z)"] * len(rows))
    assert set(values(wrong).values()) == {0.0}


def test_the_eleven_of_the_paper_are_there() -> None:
    # The two with images at URLs have tests of their own below.
    assert set(BENCHMARKS) == {*SAMPLES, "pixmo-count", "pixmo-points"}
    assert command.__doc__
    listed = command.__doc__.split("--benchmark:")[1]
    assert all(f"{name}," in listed or f"{name} or" in listed for name in [*SAMPLES, "pixmo-count"])
    with pytest.raises(EvaluationError, match="no benchmark 'chart'; there are ai2d, chartqa, vqa"):
        benchmarks.named("chart")


def test_the_docs_say_where_each_is_published() -> None:
    page = (Path(__file__).parents[1] / "docs/evaluating.md").read_text("utf-8")
    for name, one in BENCHMARKS.items():
        (line,) = [line for line in page.split("\n") if line.startswith(f"| `{name}` |")]
        assert f"| `{one.hub}`" in line
        assert one.config in line
        assert f"| {one.split} |" in line
    for added in (benchmarks.SHORT, benchmarks.LETTER):
        assert f'"{added}"' in page


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


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_put_as_the_docs_say(name: str, tmp_path: Path) -> None:
    write_sample(tmp_path, name)
    assert read(name, tmp_path, tmp_path / "images")[0].question == QUESTIONS[name]


def test_options_that_are_letters_are_their_own_labels(tmp_path: Path) -> None:
    write_sample(tmp_path, "ai2d")
    task = read("ai2d", tmp_path, tmp_path / "images")[1]
    assert task.question.endswith("root?\nAnswer with one of: C, B, A, NONE OF THESE.")
    # The right option is the third, an a: A is right, and C, its place, is not.
    rights = {said: task.score(said)["accuracy-1"] for said in ("a", "A.", "(A)", "C", "c", "3")}
    assert rights == {"a": 1, "A.": 1, "(A)": 1, "C": 0, "c": 0, "3": 0}


def test_the_other_copy_of_chart_qa_reads_alike(tmp_path: Path) -> None:
    columns, rows, said, expected = CHART_QA_OF_LMMS
    write(tmp_path, columns, rows, "test")
    found = score(read("chartqa", tmp_path, tmp_path / "images"), said)
    assert values(found) == expected
    assert all(math.isnan(one.mean.low) for one in found.measures)  # of one image


def with_configs(folder: Path, configs: dict[str, Sample], split: str) -> None:
    """A dataset of several configs, as a copy from the hub declares them."""
    lines = ["---", "configs:"]
    for name, (columns, rows, *_) in configs.items():
        path = write(folder / name, columns, rows, split)
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [f"  - split: {split}", f"    path: {path.relative_to(folder)}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), "utf-8")


def test_a_question_on_several_images_names_all_that_it_means(tmp_path: Path) -> None:
    with_configs(tmp_path, {"Art": MMMU_ART, "Math": MMMU_MATH}, "validation")
    tasks = read("mmmu", tmp_path, tmp_path / "images")
    assert len(tasks) == 4  # of every subject
    shown = [task.image_sha256 for task in tasks]
    # The second image is not meant, and neither are those that no question names.
    assert shown == [sha256_bytes(png(10))] * 4
    (third,) = tasks[1].more_images
    assert Path(third).read_bytes() == png(30)
    lines = [json.loads(answers.as_line(task)) for task in tasks]
    assert [line.get("more_images") for line in lines] == [None, [third], None, None]
    assert values(score(tasks, ["A", *MMMU_MATH[2]])) == {"accuracy-1": 3 / 4}


def test_of_several_configs_the_benchmarks_own_is_read(tmp_path: Path) -> None:
    with_configs(tmp_path, {"DocVQA": DOC_VQA, "InfographicVQA": INFO_VQA}, "validation")
    assert len(read("docvqa", tmp_path, tmp_path / "images")) == 3
    assert len(read("infoqa", tmp_path, tmp_path / "images")) == 1
    with_configs(tmp_path / "b", {"One": DOC_VQA, "Other": DOC_VQA}, "validation")
    with pytest.raises(EvaluationError, match="no config DocVQA, only One, Other"):
        read("docvqa", tmp_path / "b", tmp_path / "images")


def test_a_file_and_a_folder_of_images_have_the_same_tasks(tmp_path: Path) -> None:
    _, rows, said, expected = TEXT_VQA
    file = write_sample(tmp_path / "copy", "textvqa")
    folder = tmp_path / "folder" / "validation"
    folder.mkdir(parents=True)
    described, listed = [], []
    for row in rows:
        name = f"{row['question_id']}.png"
        (folder / name).write_bytes(row["image"]["bytes"])
        described.append({**row, "image": None, "file_name": name})
        del described[-1]["image"]
        listed.append({**row, "image": f"folder/validation/{name}"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, described)), "utf-8")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, listed)), "utf-8")
    (tmp_path / "rows.json").write_text(json.dumps(listed), "utf-8")
    images = tmp_path / "images"
    first = read("textvqa", file, images)
    written = {path: path.stat().st_mtime_ns for path in images.rglob("*.png")}
    assert len(written) == 3
    for data in ("folder", "rows.jsonl", "rows.json"):
        tasks = read("textvqa", tmp_path / data, images)
        assert {task.id: task.image for task in tasks} == {task.id: task.image for task in first}
    assert {path: path.stat().st_mtime_ns for path in images.rglob("*.*")} == written
    assert values(score(first, said)) == pytest.approx(expected)


def test_a_question_that_is_put_twice_has_two_ids(tmp_path: Path) -> None:
    columns, rows, *_ = CHART_QA
    write(tmp_path, columns, [rows[0], rows[1], rows[0]], "test")
    first, _, again = read("chartqa", tmp_path, tmp_path / "images")
    assert again.id == f"{first.id}-2"
    assert again.image == first.image


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server of the files in the folder `web`."""
    (tmp_path / "web").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words, directory=str(tmp_path / "web"))

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_images_at_urls_are_fetched_once_and_checked(tmp_path: Path, url: str) -> None:
    (tmp_path / "web" / "here.png").write_bytes(png(1))
    (tmp_path / "web" / "drifted.png").write_bytes(png(2))
    rows = [
        {
            "image_url": f"{url}/{name}.png",
            "image_sha256": sha256_bytes(png(shade)),
            "count": shade,
            "points": None,
            "label": "Red Cups",
        }
        for name, shade in (("here", 1), ("drifted", 3), ("gone", 4))
    ]
    data = write(tmp_path, PIXMO_COUNT_COLUMNS, rows, "test")
    tasks = read("pixmo-count", data, tmp_path / "images")
    assert Path(tasks[0].image).read_bytes() == png(1)
    assert [task.image for task in tasks[1:]] == [f"{url}/drifted.png", f"{url}/gone.png"]
    assert [task.image_sha256 for task in tasks] == [row["image_sha256"] for row in rows]
    assert {task.question for task in tasks} == {"How many red cups are there?"}
    found = score(tasks, ["one", "There are 4.", "2"])
    assert values(found) == {"count-1 exact": 1 / 3, "count-1 within one": 2 / 3}
    assert found.images_away == 2
    (tmp_path / "web" / "here.png").unlink()
    (tmp_path / "web" / "gone.png").write_bytes(png(4))
    again = read("pixmo-count", data, tmp_path / "images")
    assert again[0].image == tasks[0].image
    assert Path(again[2].image).read_bytes() == png(4)
    assert [task.id for task in again] == [task.id for task in tasks]


def test_points_hit_the_masks_that_they_lie_in(tmp_path: Path, url: str) -> None:
    (tmp_path / "web" / "a.png").write_bytes(png(1))
    left = [[True, False, False, False]] * 2  # the leftmost quarter
    right = [[False, False, False, True], [False] * 4]  # the right quarter of the upper half
    rows = [
        {
            "image_url": f"{url}/a.png",
            "image_sha256": sha256_bytes(png(1)),
            "label": label,
            "points": [{"x": 10.0, "y": 50.0}],
            "masks": masks,
        }
        for label, masks in (("Cup", [left, right]), ("lid", [left]), ("cats", []), ("owls", []))
    ]
    write(tmp_path, PIXMO_POINTS_COLUMNS, rows, "test")
    tasks = read("pixmo-points", tmp_path, tmp_path / "images")
    assert tasks[0].question == "Point to Cup."
    said = [
        '<points x1="10" y1="90" x2="50" y2="10" x3="90" y3="90" alt="Cup">Cup</points>',
        "I see it.",
        "There are none.",
        "I see them.",
    ]
    assert values(score(tasks, said)) == pytest.approx(
        {
            "points-1 in masks precision": (1 / 3 + 0 + 1 + 0) / 4,
            "points-1 in masks recall": (1 / 2 + 0 + 1 + 0) / 4,
            "points-1 in masks F1": (2 / 5 + 0 + 1 + 0) / 4,
        }
    )


UNPUBLISHED: dict[str, tuple[str, Any]] = {
    "vqav2": ("answers", None),
    "docvqa": ("answers", None),
    "infoqa": ("answers", []),
    "textvqa": ("answers", [""] * 10),
    "mmmu": ("answer", "?"),
    "mathvista": ("answer", ""),
}


@pytest.mark.parametrize("name", UNPUBLISHED)
def test_a_split_without_truths_is_refused(name: str, tmp_path: Path) -> None:
    column, nothing = UNPUBLISHED[name]
    columns, rows, *_ = SAMPLES[name]
    write(tmp_path, columns, [row | {column: nothing} for row in rows], "test")
    message = "row 1 of test: its true answer is not published; read another split with --split"
    with pytest.raises(EvaluationError, match=message):
        read(name, tmp_path, tmp_path / "images", "test")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    columns, rows, *_ = CHART_QA
    file = write(tmp_path / "a", columns, rows, "test")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.parquet").write_bytes(b"no Parquet")
    broken = [rows[0], rows[1] | {"image": {"bytes": b"no image", "path": None}}]
    write(tmp_path / "d", columns, broken, "test")
    write(tmp_path / "e", columns, [], "test")
    lost = [row | {"image": "nowhere.png"} for row in rows]
    (tmp_path / "f.json").write_text(json.dumps([lost[0]]), "utf-8")
    (tmp_path / "g.json").write_text(json.dumps([lost[0] | {"image": 3}]), "utf-8")
    write(tmp_path / "h", AI2D[0], [AI2D[1][2] | {"answer": "2"}], "test")
    for name, data, split, message in (
        ("chartqa", tmp_path / "nothing", "", r"nothing does not exist; name a folder or file"),
        ("chartqa", tmp_path / "a", "dev", "has no split dev, only test; name one with --split"),
        ("chartqa", tmp_path / "b.txt", "", "b.txt is of no form that is read; those are .parquet"),
        ("chartqa", tmp_path / "c.parquet", "", "c.parquet cannot be read: "),
        ("chartqa", tmp_path / "d", "", "row 2 of test: its image cannot be read"),
        ("chartqa", tmp_path / "e", "", "e has no row in test"),
        (
            "chartqa",
            tmp_path / "f.json",
            "",
            "row 1 of test: .*nowhere.png cannot be read: No such",
        ),
        ("chartqa", tmp_path / "g.json", "", "row 1 of test: int is no image"),
        (
            "ai2d",
            file,
            "",
            r"row 1 of test has no 'options', which ai2d has as .* only image, quer",
        ),
        ("ai2d", tmp_path / "h", "", r"row 1 of test: its answer '2' is none of its options A, B"),
    ):
        with pytest.raises(EvaluationError, match=message):
            read(name, data, tmp_path / "images", split)


def test_the_only_split_is_read_unless_another_is_asked_for(tmp_path: Path) -> None:
    write_sample(tmp_path / "one", "docvqa", "test")
    asked = benchmarks.tasks(benchmarks.named("docvqa"), tmp_path, str(tmp_path / "one"))
    assert (asked[0], len(asked[1])) == ("test", 3)
    write_sample(tmp_path / "one", "docvqa", "train")
    with pytest.raises(EvaluationError, match="has no split validation, only train, test; name"):
        read("docvqa", tmp_path / "one", tmp_path)


OPTIONS = {"A": "a cat", "B": "vitamin C", "C": "vitamin B", "D": "7.5"}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(B)", "B"),
        ("(B) a cat", "B"),
        ("B.", "B"),
        ("B) because", "B"),
        ("**B**", "B"),
        ("$\\boxed{B}$", "B"),
        ("B\nA cat is no vitamin.", "B"),
        ("A: it has fur", "A"),
        ("The answer is B", "B"),
        ("The answer is (B), not C.", "B"),
        ("The answer is B, not C.", "B"),
        ("The answer is B and not (C).", "B"),
        ("B) because C is wrong", "B"),
        ("B\nC is wrong.", "B"),
        ("It is (B), not C.", "B"),
        ("Answer: option D", "D"),
        ("the correct option is C", "C"),
        ("Between A and C, I choose C.", "C"),
        ("(A) is wrong, so it is (D)", "D"),
        ("A is right", "A"),
        ("C since it is round", "C"),
        ("Vitamin C", "B"),
        ("It shows vitamin B.", "C"),
        ("cat", "A"),
        ("It is 7.5", "D"),
        ("17.5", None),
        ("7", None),
        ("A man is in the picture", None),
        ("A cat, I think", "A"),
        ("I see nothing", None),
        ("An old lady", None),
        ("B-flat", None),
        ("E", None),
        ("The answer is A man", None),
        ("", None),
    ],
)
def test_the_option_that_an_answer_chooses(answer: str, label: str | None) -> None:
    assert vqa.choice(answer, OPTIONS) == label


def test_a_word_that_is_a_letter_chooses_nothing() -> None:
    options = {"A": "dog", "B": "owl", "I": "", "C": "black dog"}
    assert vqa.choice("A man is walking a dog", options) == "A"
    assert vqa.choice("A man", options) is None
    assert vqa.choice("I think so.", options) is None
    assert vqa.choice("it is a black dog", options) == "C"
    assert vqa.choice("an owl, no, a dog", options) == "A"
    assert vqa.choice("It is 7.5", {"A": "5", "B": "7"}) is None


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("14", (14,)),
        ("14 cm", (14,)),
        ("14cm.", (14,)),
        ("$1,045.50", (1045.5,)),
        ("52%", (52, 0.52)),
        ("52 percent of them", (52, 0.52)),
        ("-3.5", (-3.5,)),
        ("−3.5", (-3.5,)),
        ("between 2-3", (3,)),
        (".5", (0.5,)),
        ("1.5e-3 m", (0.0015,)),
        ("The answer is 14 for 2 of them", (14,)),
        ("2 of them, so the answer must be 14.", (14,)),
        ("I have no answer, 14 or so", (14,)),
        ("14 is the answer", (14,)),
        ("There are five.", (5,)),
        ("H2O", ()),
        ("9" * 400, ()),
        ("many", ()),
    ],
)
def test_the_number_that_an_answer_says(answer: str, numbers: tuple[float, ...]) -> None:
    assert vqa.number_said(answer) == numbers


def test_numbers_are_rounded_as_math_vista_asks() -> None:
    assert vqa.integer("14.7 apples", 14)
    assert not vqa.integer("14.7 apples", 15)
    assert vqa.decimal("1.249", 1.25, 2)
    assert not vqa.decimal("1.249", 1.2, 2)
    assert vqa.decimal("60%", 0.6, 1)
    assert vqa.decimal("60%", 60.0, 1)
    assert not vqa.decimal("", 0.0, 1)
    assert vqa.number_list("[1, 2] or rather [2007, 2008]", "[2007, 2008]")
    assert vqa.number_list("2007 and 2008", "[2007, 2008]")
    assert not vqa.number_list("[2008, 2007]", "[2007, 2008]")
    assert not vqa.number_list("[2007]", "[2007, 2008]")


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("The answer is parabola.", "Parabola", True),
        ("parabola", "Parabola", True),
        ("Not a line but a parabola", "Parabola", True),
        ("parabolas", "Parabola", False),
        ("The parabola is a circle", "Parabola", False),  # the conclusion is another
        ("It is a line. It is a parabola", "Parabola", True),
        ("Thus x = 3.4286", "3.43", True),
        ("Thus 3.4286. So no line is there.", "3.43", True),
        ("SO IT IS A PARABOLA, not a circle", "circle", True),
        ("a circle, SO A PARABOLA", "circle", False),
        ("Thus x = 3.42", "3.43", False),
        ("x = 2, so y = 3", "2", False),
        ("$6,000", "6000", True),
        ("6000 dollars", "$6,000", True),
        ("1/3", "1/3", True),
        ("", "x", False),
    ],
)
def test_an_open_answer_is_what_it_concludes(answer: str, truth: str, right: bool) -> None:
    assert vqa.open_answer(answer, ["something else", truth]) == right


def test_the_command_asks_a_benchmark_scores_and_keeps(tmp_path: Path, pixmo: Path) -> None:
    workspace = Workspace.init(tmp_path)
    write_sample(tmp_path / "copy", "chartqa")

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(pixmo), "evaluate", *words], cwd=tmp_path, capture_output=True, text=True
        )

    asked = run("--benchmark", "chartqa", "--data", "copy", "--tasks", "tasks.jsonl")
    assert (asked.returncode, asked.stdout) == (0, "4 tasks  tasks.jsonl\n"), asked.stderr
    lines = [json.loads(line) for line in (tmp_path / "tasks.jsonl").read_text().splitlines()]
    assert {tuple(line) for line in lines} == {
        ("id", "subset", "image", "image_sha256", "question")
    }
    assert {Path(line["image"]).parents[1] for line in lines} == {workspace.cache / "benchmarks"}
    given = [
        {"id": line["id"], "answer": answer}
        for line, answer in zip(lines, CHART_QA[2], strict=True)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, given[:-1])), "utf-8")
    scored = run("--benchmark", "chartqa", "--data", "copy", "--answers", "mine.jsonl", "--json")
    found = json.loads(scored.stdout)
    assert (found["data"], found["split"], found["missing"]) == ("chartqa", "test", 1)
    assert [one["mean"]["value"] for one in found["measures"]] == [3 / 4]
    (kept,) = workspace.runs.glob("evaluate-chartqa-test-mine-*")
    assert json.loads((kept / "evaluation.json").read_text("utf-8")) == found
    kept_lines = (kept / "answers.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in kept_lines] == given[:-1]
    failed = run("v1", "--benchmark", "chartqa", "--tasks", "tasks.jsonl")
    assert failed.returncode == 1
    assert "give a release or --benchmark, not both" in failed.stderr
