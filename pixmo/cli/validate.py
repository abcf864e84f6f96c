"""The command that checks a release and trains a probe on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.cli.publish import release_here

if TYPE_CHECKING:
    from pixmo.validate.checks import Checks
    from pixmo.validate.verdict import Verdict

VERSION = Annotated[
    str,
    typer.Argument(
        help="A release, its folder, or where it was published; default: the newest.",
    ),
]
NOT_HELD, NO_VERDICT = 1, 2  # exit statuses


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

    Every byte, row and point; with --train-probe also whether it teaches what its images show: the
    verdict is in a copy of the release's report, in runs/.

    Exit status 0 where everything holds, 1 where anything does not, 2 where the probe could not
    tell: too few images or steps, or too little learnt of them.

    Example: pixmo validate v1 --train-probe
    """
    from pixmo.dataset.reader import Release
    from pixmo.errors import TrainingError
    from pixmo.validate.checks import check_release

    if against and not train_probe:
        raise TrainingError("--against compares probes; give --train-probe, too")
    if steps and not train_probe:
        raise TrainingError("--steps are the probe's; give --train-probe, too")
    opened = open_workspace(workspace)
    root = release_here(opened, version)
    images = opened.local_images()
    release = Release.open(root, images, opened.unpacked)
    earlier = (
        Release.open(release_here(opened, against), images, opened.unpacked) if against else None
    )
    if earlier and earlier.manifest == release.manifest:
        raise TrainingError(
            f"--against {against}: it is the release that is validated; name an earlier one"
        )
    for one in (release, earlier):
        if one and one.root.name != (name := one.manifest.version):
            show.warn(
                f"{show.here(one.root)} holds {name}, as its manifest says: copied or renamed?"
            )
    checks = check_release(root, images)
    if not json:
        show.say(checks.text())  # before the probe, which takes minutes
    verdict, page, comparisons = None, None, []
    if train_probe and checks.passed:
        from pixmo.validate import suspects
        from pixmo.validate.against import compare
        from pixmo.validate.probe import ProbeOptions
        from pixmo.validate.probe import train_probe as train
        from pixmo.validate.release_report import write_copy

        settings = opened.settings.probe
        verdict = train(
            release,
            ProbeOptions(steps=steps or settings.steps, seed=settings.seed),
            folder := opened.runs / f"probe-{root.name}",
            show.Bars(),
        )
        page = write_copy(folder, release, verdict)
        suspects.remember(opened, root.name, verdict.key, folder / suspects.FILE_NAME)
        if earlier:
            before = opened.runs / f"probe-{earlier.root.name}"
            comparisons = compare(release, folder, earlier, before) if verdict.subsets else []
    if json:
        show.as_json({"checks": checks, "probe": verdict, "against": comparisons})
    elif verdict:
        show.say(verdict.text())
        for comparison in comparisons:
            show.say(f"  against {against}: {comparison.text()}")
        if page:
            show.say(f"  the release's report with this verdict: {show.here(page)}")
    elif train_probe:
        show.say("train probe: not run, mend what the checks found first")
    end(checks, verdict)


def end(checks: "Checks", verdict: "Verdict | None") -> None:
    """The command ends with the exit status that tells a script what was found."""
    from pixmo.validate.verdict import FAIL

    if not checks.passed or (verdict and verdict.outcome == FAIL):
        raise typer.Exit(NOT_HELD)
    if verdict and not verdict.passed:
        raise typer.Exit(NO_VERDICT)
