"""Commands that check a release, and train on it."""

from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace

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
    split: Annotated[
        str, typer.Option(help="validation or test; default: test, or the benchmark's own.")
    ] = "",
    benchmark: Annotated[
        str, typer.Option(help="Ask a benchmark's questions instead, such as chartqa.")
    ] = "",
    data: Annotated[
        str,
        typer.Option(help="The benchmark as it is published: folder, file, or hub's OWNER/NAME."),
    ] = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Score the answers of any model to a release's held-out rows, or to a benchmark.

    First ask for the tasks: a line has id, subset, image, image_sha256 and question, and
    more_images where a question is on several. Put each to the model with its images, and write a
    line with id and answer for it; points as
    <points x1="12.5" y1="80.0" x2="40.1" y2="77.3" alt="dog">dog</points>, in percent of the
    image's width and height, "There are none." for none. A task without an answer counts as wrong.

    --benchmark: ai2d, chartqa, vqav2, docvqa, infoqa, textvqa, realworldqa, mmmu, mathvista,
    countbenchqa, pixmo-count or pixmo-points, from the Hugging Face hub unless --data names a copy.
    Its images are kept in the workspace's .cache.

    Example: pixmo evaluate v1 --answers answers.jsonl
    """
    from pixmo.dataset.reader import Release
    from pixmo.errors import EvaluationError
    from pixmo.evaluate import answers as scoring
    from pixmo.files import write_json, write_text
    from pixmo.hashing import sha256_file
    from pixmo.release.versions import release_folder

    if (answers is None) == (tasks is None):
        raise EvaluationError("give one of --tasks FILE, to ask a model, and --answers FILE")
    if (version and benchmark) or (data and not benchmark):
        raise EvaluationError(
            "give a release or --benchmark, not both; --data goes with the latter"
        )
    opened = open_workspace(workspace)
    if benchmark:
        from pixmo.evaluate import benchmarks

        chosen = benchmarks.named(benchmark)
        images = opened.cache / "benchmarks"
        split, asked = benchmarks.tasks(chosen, images, data, split, show.Bars())
        called = chosen.name
    else:
        split = split or "test"
        if split not in ("validation", "test"):
            raise EvaluationError(f"{split!r} is not held out; validation and test are")
        root = release_folder(opened, version)
        release = Release.open(root, opened.local_images())
        called, asked = release.manifest.version, list(scoring.tasks(release, split))
    if tasks is not None:
        write_text(tasks, "".join(f"{scoring.as_line(task)}\n" for task in asked))
        show.say(f"{len(asked)} tasks  {show.here(tasks)}")
        if benchmark and (away := sum("://" in task.image for task in asked)):
            show.warn(f"{away} images could not be fetched, their tasks name URLs; run it again")
        return
    assert answers is not None
    found = scoring.evaluate(called, split, asked, scoring.read_answers(answers))
    name = f"evaluate-{called}-{split}-{answers.stem}-{sha256_file(answers)[:8]}"
    folder = opened.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "answers.jsonl", answers.read_text("utf-8"))
    write_json(folder / "evaluation.json", show.plain(found))
    if json:
        show.as_json(found)
        return
    show.say(f"{found.data}/{split}: {found.tasks} tasks, {found.missing} without an answer")
    if found.images_away:
        squares = "" if benchmark else "; points on them count as on squares"
        show.warn(f"{found.images_away} images are not here{squares}")
    show.table(
        ("subset", "measure", "score", "95 % from", "to", "rows"),
        [
            (
                one.subset,
                one.name,
                *(f"{value:.3f}" for value in (one.mean.value, one.mean.low, one.mean.high)),
                one.rows,
            )
            for one in found.measures
        ],
    )
    show.say(f"\nkept in {show.here(folder)}")


@app.command()
def validate(
    version: VERSION = "",
    train_probe: Annotated[
        bool, typer.Option("--train-probe", help="Train a small model on it, and on a control.")
    ] = False,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Check a release; train a probe on it.

    Every byte, row and point; with --train-probe also whether it teaches what its images show.

    Exit status 0 where everything holds, 1 where anything does not.

    Example: pixmo validate v1 --train-probe
    """
    from pixmo.dataset.reader import Release
    from pixmo.release.versions import release_folder
    from pixmo.validate.checks import check_release

    opened = open_workspace(workspace)
    root = release_folder(opened, version)
    images = opened.local_images()
    release = Release.open(root, images)
    checks = check_release(root, images)
    verdict = None
    if train_probe and checks.passed:
        from pixmo.validate.probe import ProbeOptions
        from pixmo.validate.probe import train_probe as train

        settings = opened.settings.probe
        verdict = train(
            release,
            ProbeOptions(steps=settings.steps, seed=settings.seed),
            opened.runs / f"probe-{root.name}",
            show.Bars(),
        )
    if json:
        show.as_json({"checks": checks, "probe": verdict})
    else:
        show.say(checks.text())
        if verdict:
            show.say(verdict.text())
        elif train_probe:
            show.say("train probe: not run, mend what the checks found first")
    if not checks.passed or (verdict and not verdict.passed):
        raise typer.Exit(1)
