"""Commands that exchange tasks and annotations with Label Studio, and look at annotators."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, open_workspace
from pixmo.cli.collect import label

if TYPE_CHECKING:
    from pixmo.label.report import Alike

ALIKE = ("pairs", "alike", "equal counts")
SUBSET = Annotated[Literal["points", "ama", "cap"], typer.Argument(help="What is annotated.")]


@label.command("push")
def label_push(
    subset: SUBSET,
    ask: Annotated[
        Path | None,
        typer.Option(
            help="A .jsonl or .csv of what to ask about which image: image, label and"
            " collection_method for points; image, question and answer for ama."
        ),
    ] = None,
    gold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.5,
            help="The share of new tasks whose answer is known: gold/points.jsonl of image, label"
            " and points; gold/ama.jsonl of image, question, answer and verdict.",
        ),
    ] = None,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Send tasks to Label Studio; those that are there already are left alone.

    Makes the project the first time. The server is [label_studio] url of pixmo.toml, the token
    LABEL_STUDIO_API_KEY. cap: every caption that nobody has reviewed.

    Example: pixmo label push points --ask labels.jsonl
    """
    from pixmo.label.push import push
    from pixmo.label.studio import connected

    opened = open_workspace(workspace)
    with connected(opened.settings.label_studio.url) as studio:
        show.counts(push(opened, studio, subset, ask, show.Bars(), gold), json)


@label.command("pull")
def label_pull(
    subset: SUBSET,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Fetch what annotators did since the last pull, and take it in.

    Every state of every annotation is kept, in exports/label-studio/. What was deleted on the
    server no longer counts.

    Example: pixmo label pull points
    """
    from pixmo.label.pull import pull
    from pixmo.label.studio import connected

    opened = open_workspace(workspace)
    with connected(opened.settings.label_studio.url) as studio:
        show.counts(pull(opened, studio, subset, show.Bars()), json)


@label.command("report")
def label_report(
    within: Annotated[
        float,
        typer.Option(min=0, help="Percent of the width within which two points are one thing."),
    ] = 5.0,
    most_seconds: Annotated[
        float, typer.Option(min=1, help="What the time of one annotation counts up to.")
    ] = 600.0,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Say of every annotator how much, how fast, and how much like the others.

    Alike: points, the mean F1 of pairs of people who did the same task; answers and captions,
    the share of pairs with the same verdict. Untouched: of texts and predictions that were
    proposed and accepted, those that were submitted as they were. Gold: tasks whose answer was
    known, and the same measures against it.

    Example: pixmo label report
    """
    from pixmo.label.report import report

    found = report(open_workspace(workspace), most_seconds, within)
    if json:
        show.as_json(found)
        return
    if not found.annotators:
        show.say("nobody annotated anything yet; pixmo label pull and ingest take annotations in")
        return
    show.table(
        [
            *("subset", "annotator", "done", "skipped", "unusable", "per hour", "seconds"),
            *(*ALIKE, "kappa", "untouched", "gold", "right", "equal counts"),
        ],
        [
            [
                *(one.subset, one.annotator, one.annotations, one.skipped, one.unusable),
                *(rounded(one.tasks_per_hour, 0), rounded(one.median_seconds, 1)),
                *(*alike(one.alike), rounded(one.kappa), rounded(one.untouched)),
                *alike(one.gold),
            ]
            for one in found.annotators
        ],
    )
    show.say()
    show.table(
        ["subset", "tasks", "of several", "without image", *ALIKE, "alpha"],
        [
            [
                *(one.subset, one.tasks, one.tasks_of_several, one.without_image),
                *(*alike(one.alike), rounded(one.alpha)),
            ]
            for one in found.subsets
        ],
    )
    show.say(
        f"\nTime is Label Studio's estimate, at most {most_seconds:g} s of an annotation; seconds"
        f" are the median. Points up to {within:g} % of the width apart are one."
    )


def alike(found: "Alike") -> tuple[object, ...]:
    """Cells under ALIKE: F1 of points, or the share of equal verdicts."""
    share = found.equal_verdicts if found.point_f1 is None else found.point_f1
    return found.pairs, rounded(share), rounded(found.equal_counts)


def rounded(value: float | None, digits: int = 2) -> str:
    """A number in a table; nothing where there is none."""
    return "" if value is None else f"{value:.{digits}f}"
