"""The command that scores a model, on a release or a benchmark."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.text import counted

if TYPE_CHECKING:
    from pixmo.dataset.reader import Release
    from pixmo.evaluate.answerers import Answerer
    from pixmo.evaluate.answers import Evaluation
    from pixmo.evaluate.cap_f1 import Judge
    from pixmo.evaluate.runs import Asked, Run
    from pixmo.workspace.workspace import Workspace

VERSION = Annotated[str, typer.Argument(help="A release or its folder; default: the newest.")]


@app.command()
def evaluate(
    version: VERSION = "",
    answers: Annotated[
        Path | None, typer.Option(help="JSONL with the id and the answer of each task.")
    ] = None,
    tasks: Annotated[
        Path | None, typer.Option(help="Write what to ask a model into this JSONL file, and stop.")
    ] = None,
    endpoint: Annotated[
        str,
        typer.Option(
            help="Ask a model that takes images, behind a server that speaks OpenAI's chat"
            " completions at this address; it ends in /v1 most often.",
            metavar="URL",
        ),
    ] = "",
    endpoint_model: Annotated[
        str, typer.Option(help="The model, as that server calls it.", metavar="NAME")
    ] = "",
    model: Annotated[
        str, typer.Option(help="Ask the model of a run, by name or folder.", metavar="RUN")
    ] = "",
    judge: Annotated[
        bool,
        typer.Option(
            "--judge", help="Let the language model of [evaluate] in pixmo.toml judge captions."
        ),
    ] = False,
    benchmark: Annotated[
        str, typer.Option(help="Ask a benchmark's questions instead, such as chartqa.")
    ] = "",
    data: Annotated[
        str,
        typer.Option(help="The benchmark as it is published: folder, file, or hub's OWNER/NAME."),
    ] = "",
    split: Annotated[
        str, typer.Option(help="validation or test; default: test, or the benchmark's own.")
    ] = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Score a model on a release or a benchmark.

    The answers to a release's held-out rows, or to a benchmark's questions: of a model behind a
    server (--endpoint), of a trained checkpoint (--model), or of a file (--answers). What was
    answered is kept at once; the same command asks only what is missing.

    For a file, first ask for the tasks: a line has id, subset, image, image_sha256 and question,
    and more_images where a question is on several. Put each to the model with its images, and write
    a line with id and answer for it; points as
    <points x1="12.5" y1="80.0" x2="40.1" y2="77.3" alt="dog">dog</points>, in percent of the
    image's width and height, "There are none." for none. A task without an answer counts as wrong.

    --benchmark: ai2d, chartqa, vqav2, docvqa, infoqa, textvqa, realworldqa, mmmu, mathvista,
    countbenchqa, pixmo-count or pixmo-points, from the Hugging Face hub unless --data names a copy.
    Its images are kept in the workspace's .cache.

    Example: pixmo evaluate v1 --answers answers.jsonl

    Example: pixmo evaluate v1 --endpoint http://localhost:8000/v1 --endpoint-model molmo

    Example: pixmo evaluate --benchmark chartqa --model train-v1-caption-probe-xs
    """
    from pixmo.errors import EvaluationError
    from pixmo.evaluate.runs import run

    if sum(map(bool, (answers, tasks, endpoint, model))) != 1:
        raise EvaluationError(
            "give one of --tasks FILE, to ask a model, and --answers FILE, --endpoint URL and"
            " --model RUN, for answers to score"
        )
    if bool(endpoint) != bool(endpoint_model):
        raise EvaluationError("--endpoint URL and --endpoint-model NAME belong together")
    if (version and benchmark) or (data and not benchmark):
        raise EvaluationError(
            "give a release or --benchmark, not both; --data goes with the latter"
        )
    if judge and benchmark:
        raise EvaluationError("--judge judges captions, and no benchmark asks for one")
    opened = open_workspace(workspace)
    release = None if benchmark else held_out_release(opened, version, split)
    if tasks is not None:
        write_tasks(asked_of(opened, release, split, benchmark, data), tasks)
        return
    # First who answers: to read a benchmark may take long, and a mistake here is said at once.
    answerer = answerer_of(opened, release, answers, model, endpoint, endpoint_model)
    asked_judge = judge_of(opened) if judge else None
    asked = asked_of(opened, release, split, benchmark, data)
    found = run(asked, answerer, opened.runs, asked_judge, show.Bars())
    if json:
        show.as_json(found.summary)
    else:
        show_run(found)


def held_out_release(opened: "Workspace", version: str, split: str) -> "Release":
    """A release of which that split, or the test split where it is empty, is held out.

    Raises:
        EvaluationError: the split is not held out.
        ReleaseError: there is no such release.
    """
    from pixmo.dataset.reader import Release
    from pixmo.errors import EvaluationError
    from pixmo.release.versions import release_folder

    if split not in ("", "validation", "test"):
        raise EvaluationError(f"{split!r} is not held out; validation and test are")
    return Release.open(release_folder(opened, version), opened.local_images(), opened.unpacked)


def asked_of(
    opened: "Workspace", release: "Release | None", split: str, benchmark: str, data: str
) -> "Asked":
    """What is asked: the rows of the release, or else the benchmark's questions."""
    from pixmo.evaluate.benchmarks import named
    from pixmo.evaluate.runs import of_benchmark, of_release

    if release:
        return of_release(release, split or "test")
    images = opened.cache / "benchmarks"
    return of_benchmark(named(benchmark), images, data, split, show.Bars())


def write_tasks(asked: "Asked", path: Path) -> None:
    """The file holds what to ask a model.

    Raises:
        EvaluationError: it holds something else; it is left as it is.
    """
    from pixmo.errors import EvaluationError
    from pixmo.evaluate.answers import as_line
    from pixmo.files import write_text

    text = "".join(f"{as_line(task)}\n" for task in asked.tasks)
    if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
        raise EvaluationError(
            f"{path} is there and holds something else; give --tasks another file, or delete it"
        )
    write_text(path, text)
    show.say(f"{len(asked.tasks)} tasks  {show.here(path)}")
    if away := len({image for task in asked.tasks for image in task.images_away}):
        show.warn(f"{counted(away, 'image')} not here; their tasks name URLs")


def answerer_of(
    opened: "Workspace",
    release: "Release | None",
    answers: Path | None,
    model: str,
    endpoint: str,
    endpoint_model: str,
) -> "Answerer":
    """Who answers: the file, the checkpoint, or else the model behind the server."""
    if answers is not None:
        from pixmo.evaluate.answerers import GivenAnswers

        given = GivenAnswers(answers)
        warn_if_empty(answers, given.given)
        return given
    if model:
        from pixmo.cli.train import named_run
        from pixmo.evaluate.checkpoint_answers import CheckpointAnswerer

        return CheckpointAnswerer(named_run(opened, model), release)
    from pixmo.evaluate.endpoint_answers import EndpointAnswerer
    from pixmo.language_models.asking import ModelServer

    settings = opened.settings.evaluate
    server = ModelServer(
        base_url=endpoint,
        model=endpoint_model,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        concurrency=settings.concurrency,
        timeout_seconds=settings.timeout_seconds,
    )
    return EndpointAnswerer(server, settings.prompt, opened.recipes, settings.longest_side)


def warn_if_empty(path: Path, answers: Mapping[str, str]) -> None:
    """A file of answers without any is hardly what was wanted."""
    if not answers:
        show.warn(f"{path} holds no answer")


def judge_of(opened: "Workspace") -> "Judge":
    """The judge that the workspace's settings name."""
    from pixmo.evaluate.cap_f1 import Judge
    from pixmo.language_models.asking import ModelServer

    settings = opened.settings.evaluate
    server = ModelServer(
        base_url=settings.judge_base_url,
        model=settings.judge_model,
        max_tokens=settings.judge_max_tokens,
        temperature=settings.judge_temperature,
        concurrency=settings.concurrency,
        timeout_seconds=settings.timeout_seconds,
    )
    return Judge(server, settings.judge_prompt, opened.recipes)


def show_run(run: "Run") -> None:
    """The scores of an evaluation, and what is to be known of them."""
    found = run.evaluation
    refused = f", {run.refused} of them refused" if run.refused else ""
    show.say(
        f"{found.data}/{found.split}: {found.tasks} tasks, {found.missing} without an"
        f" answer{refused}"
    )
    for reason, tasks in run.not_put.items():
        show.warn(f"{counted(tasks, 'task')} not asked, and counted as wrong: {reason}")
    if run.cut:
        show.warn(f"{counted(run.cut, 'answer')} cut off at max_tokens of [evaluate] in pixmo.toml")
    if found.images_away and not run.not_put:
        show.warn(f"{counted(found.images_away, 'image')} not here")
    if found.taken_as_squares:
        squares = counted(found.taken_as_squares, "image")
        show.warn(f"{squares} not here or not readable; points on them count as on squares")
    show_measures(found)
    if run.judged:
        judged = run.judged
        show.say(
            f"\n{judged.images} captions judged by {judged.judge}, prompt {judged.prompt}"
            f" {judged.prompt_sha256[:8]}; {judged.requests} requests"
        )
        for reason, images in judged.left_out.items():
            show.warn(f"{images} captions left out of cap F1: {reason}")
    show.say(f"\nkept in {show.here(run.folder)}")


def show_measures(found: "Evaluation") -> None:
    """Scores with their intervals, a line each; those of single true counts are gathered in one."""
    from pixmo.evaluate.answers import OF_COUNT

    rows = []
    by_count: dict[str, dict[int, str]] = {}
    for one in found.measures:
        name, is_of_count, count = one.name.partition(OF_COUNT)
        if is_of_count:
            score = f"{one.mean.value:.2f} ({one.rows})"
            by_count.setdefault(f"{one.subset} {name}", {})[int(count)] = score
            continue
        shares = (one.mean.value, one.mean.low, one.mean.high)
        shown = ("–" if math.isnan(share) else f"{share:.3f}" for share in shares)
        rows.append((one.subset, one.name, *shown, one.rows))
    show.table(("subset", "measure", "score", "95 % from", "to", "rows"), rows)
    for name, scores in by_count.items():
        each = ", ".join(f"{count}: {score}" for count, score in sorted(scores.items()))
        show.say(f"\n{name} by true count (rows): {each}")
