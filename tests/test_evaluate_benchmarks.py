"""Benchmarks are read as they are published, and score planted answers as worked out by hand."""

import json
import math
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest

from pixmo.cli.model import evaluate as command
from pixmo.errors import EvaluationError
from pixmo.evaluate import answers, benchmarks
from pixmo.evaluate.answers import OF_COUNT, Evaluation, Task
from pixmo.evaluate.benchmarks import BENCHMARKS
from pixmo.evaluate.runs import Asked, of_benchmark
from pixmo.hashing import sha256_bytes
from pixmo.workspace.workspace import Workspace
from tests.benchmark_samples import (
    AI2D,
    CHART_QA,
    CHART_QA_OF_LMMS,
    DOC_VQA,
    INFO_VQA,
    MMMU_ART,
    MMMU_MATH,
    PIXMO_COUNT_COLUMNS,
    PIXMO_POINTS_COLUMNS,
    QUESTIONS,
    SAMPLES,
    TEXT_VQA,
    Sample,
    no_bars,
    png,
    write,
    write_sample,
)

__all__ = ["no_bars"]  # a fixture that every test uses


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
    rows_of = {one.rows for one in found.measures if OF_COUNT not in one.name}
    assert rows_of == {len(rows)}
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


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_put_as_the_docs_say(name: str, tmp_path: Path) -> None:
    write_sample(tmp_path, name)
    assert read(name, tmp_path, tmp_path / "images")[0].question == QUESTIONS[name]


def test_options_that_are_letters_are_their_own_labels(tmp_path: Path) -> None:
    write_sample(tmp_path, "ai2d")
    task = read("ai2d", tmp_path, tmp_path / "images")[1]
    assert task.question.endswith("root?\nAnswer with one of: C, B, A, NONE OF THESE.")
    # The right option is the third, an a: A is right, and C, its place, is not.
    rights = {said: task.score(said)["accuracy-2"] for said in ("a", "A.", "(A)", "C", "c", "3")}
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
    assert values(score(tasks, ["A", *MMMU_MATH[2]])) == {"accuracy-2": 3 / 4}


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
    assert {(task.kind, task.label) for task in tasks} == {("count", "red cups")}
    assert {task.question for task in tasks} == {"How many red cups are there?"}
    found = score(tasks, ["one", "There are 4.", "2"])
    assert values(found) == {
        "count-2 exact": 1 / 3,
        "count-2 exact of true count 1": 1.0,
        "count-2 exact of true count 3": 0.0,
        "count-2 exact of true count 4": 0.0,
        "count-2 within one": 2 / 3,
        "count-2 within one of true count 1": 1.0,
        "count-2 within one of true count 3": 1.0,
        "count-2 within one of true count 4": 0.0,
    }
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
    assert (tasks[0].kind, tasks[0].label, tasks[0].question) == ("point", "Cup", "Point to Cup.")
    said = [
        '<points x1="10" y1="90" x2="50" y2="10" x3="90" y3="90" alt="Cup">Cup</points>',
        "I see it.",
        "There are none.",
        "I see them.",
    ]
    assert values(score(tasks, said)) == pytest.approx(
        {
            "points-2 in masks precision": (1 / 3 + 0 + 1 + 0) / 4,
            "points-2 in masks recall": (1 / 2 + 0 + 1 + 0) / 4,
            "points-2 in masks F1": (2 / 5 + 0 + 1 + 0) / 4,
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


def test_several_truths_are_the_text_of_a_list() -> None:
    assert benchmarks.listed("[\"it's 5\", 'five', 5]") == ["it's 5", "five", "5"]
    for truth in ("[0, 1)", "6000", "$6,000", "x = [1]"):
        assert benchmarks.listed(truth) == [truth]


def test_other_truths_or_another_commit_are_another_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, rows, *_ = CHART_QA

    def read_from(name: str, truth: str) -> Asked:
        write(tmp_path / name, columns, [rows[0] | {"label": [truth]}], "test")
        return of_benchmark(benchmarks.named("chartqa"), tmp_path, str(tmp_path / name))

    one, copied, mended = read_from("a", "14"), read_from("b", "14"), read_from("c", "15")
    assert {asked.tasks[0].id for asked in (one, copied, mended)} == {one.tasks[0].id}
    assert one.sha256 == copied.sha256 != mended.sha256
    assert (one.data, one.revision) == (str(tmp_path / "a"), "")
    # On the hub all is read of the commit that was the newest at the beginning.
    asked_at: list[str] = []

    def from_here(read: Callable[..., object], place: str, *words: str, **more: Any) -> object:
        assert place == "HuggingFaceM4/ChartQA"
        asked_at.append(more.pop("revision"))
        return read(str(tmp_path / "a"), *words, **more)

    for name in ("get_dataset_config_names", "get_dataset_split_names", "load_dataset"):
        monkeypatch.setattr(datasets, name, partial(from_here, getattr(datasets, name)))
    hub = {"dataset_info": lambda _, name: SimpleNamespace(sha=f"newest of {name}")}
    monkeypatch.setattr(huggingface_hub, "HfApi", type("Hub", (), hub))
    published = of_benchmark(benchmarks.named("chartqa"), tmp_path)
    assert published.data == "HuggingFaceM4/ChartQA"
    assert asked_at == ["newest of HuggingFaceM4/ChartQA"] * 3
    assert (published.revision, published.sha256) == (asked_at[0], one.sha256)


def test_a_hub_that_does_not_answer_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(EvaluationError, match=r"HuggingFaceM4/ChartQA cannot be read: .*refused"):
        of_benchmark(benchmarks.named("chartqa"), tmp_path)


def test_the_only_split_is_read_unless_another_is_asked_for(tmp_path: Path) -> None:
    write_sample(tmp_path / "one", "docvqa", "test")
    asked = benchmarks.tasks(benchmarks.named("docvqa"), tmp_path, str(tmp_path / "one"))
    assert (asked[0].split, len(asked[1])) == ("test", 3)
    write_sample(tmp_path / "one", "docvqa", "train")
    with pytest.raises(EvaluationError, match="has no split validation, only train, test; name"):
        read("docvqa", tmp_path / "one", tmp_path)


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
