"""Commands that check a release, and train on it."""

from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace

NO_VERDICT = 2  # exit status

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
    split: Annotated[str, typer.Option(help="validation or test.")] = "test",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Score the answers of any model to a release's held-out rows.

    First ask for the tasks: a line has id, subset, image, image_sha256 and question. Put each to
    the model with its image, and write a line with id and answer for it; points as
    <points x1="12.5" y1="80.0" x2="40.1" y2="77.3" alt="dog">dog</points>, in percent of the
    image's width and height, "There are none." for none. A task without an answer counts as wrong.

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
    if split not in ("validation", "test"):
        raise EvaluationError(f"{split!r} is not held out; validation and test are")
    opened = open_workspace(workspace)
    root = release_folder(opened, version)
    release = Release.open(root, opened.local_images())
    if tasks is not None:
        lines = [scoring.as_line(task) for task in scoring.tasks(release, split)]
        write_text(tasks, "".join(f"{line}\n" for line in lines))
        show.say(f"{len(lines)} tasks  {show.here(tasks)}")
        return
    assert answers is not None
    given = scoring.read_answers(answers)
    found = scoring.evaluate(release, split, given)
    name = f"evaluate-{root.name}-{split}-{answers.stem}-{sha256_file(answers)[:8]}"
    folder = opened.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "answers.jsonl", answers.read_text("utf-8"))
    write_json(folder / "evaluation.json", show.plain(found))
    if json:
        show.as_json(found)
        return
    show.say(f"{found.release}/{split}: {found.tasks} tasks, {found.missing} without an answer")
    if found.images_away:
        show.warn(f"{found.images_away} images are not here; points on them count as on squares")
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
    steps: Annotated[
        int, typer.Option(help="Of each of the probe's runs; 0: as [probe] says.", min=0)
    ] = 0,
    against: Annotated[
        str, typer.Option(help="An earlier release whose probe has run: is this one better?")
    ] = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Check a release; train a probe on it.

    Every byte, row and point; with --train-probe also whether it teaches what its images show.

    Exit status 0 where everything holds, 1 where anything does not, 2 where the probe could not
    tell: too few images or steps, or images too much for so small a model.

    Example: pixmo validate v1 --train-probe
    """
    from pixmo.dataset.reader import Release
    from pixmo.errors import TrainingError
    from pixmo.release.versions import release_folder
    from pixmo.validate.checks import check_release

    opened = open_workspace(workspace)
    root = release_folder(opened, version)
    images = opened.local_images()
    release = Release.open(root, images)
    checks = check_release(root, images)
    verdict, comparisons = None, []
    if against and not train_probe:
        raise TrainingError("--against compares probes; give --train-probe, too")
    if train_probe and checks.passed:
        from pixmo.validate import suspects
        from pixmo.validate.against import compare
        from pixmo.validate.probe import ProbeOptions
        from pixmo.validate.probe import train_probe as train

        settings = opened.settings.probe
        verdict = train(
            release,
            ProbeOptions(steps=steps or settings.steps, seed=settings.seed),
            folder := opened.runs / f"probe-{root.name}",
            show.Bars(),
        )
        if (folder / suspects.FILE_NAME).is_file():
            suspects.remember(opened, root.name, verdict.key, folder / suspects.FILE_NAME)
        if against:
            earlier = release_folder(opened, against)
            comparisons = compare(
                release,
                folder / "release",
                Release.open(earlier, images),
                opened.runs / f"probe-{earlier.name}" / "release",
            )
    if json:
        show.as_json({"checks": checks, "probe": verdict, "against": comparisons})
    else:
        show.say(checks.text())
        if verdict:
            show.say(verdict.text())
            for comparison in comparisons:
                show.say(f"  against {against}: {comparison.text()}")
        elif train_probe:
            show.say("train probe: not run, mend what the checks found first")
    if not checks.passed or (verdict and verdict.outcome == "FAIL"):
        raise typer.Exit(1)
    if verdict and not verdict.passed:
        raise typer.Exit(NO_VERDICT)
