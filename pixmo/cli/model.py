"""Commands that check a release, and train on it."""

from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace


@app.command()
def validate(
    version: Annotated[
        str, typer.Argument(help="A release or its folder; default: the newest.")
    ] = "",
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
