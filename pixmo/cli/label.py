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
SUBSET = Annotated[
    Literal["points", "questions", "ama", "cap"], typer.Argument(help="What is annotated.")
]


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
    per_image: Annotated[
        int,
        typer.Option(min=1, help="Without --ask: tasks for every image, of points or questions."),
    ] = 1,
    gold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.5,
            help="The share of new tasks whose answer is known: gold/points.jsonl of image, label"
            " and points; gold/ama.jsonl of image, question, answer and verdict.",
        ),
    ] = None,
    annotators: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many people do each task of the project, those pushed before, too; one, until"
            " this is given.",
        ),
    ] = None,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Send tasks to Label Studio; those that are there already are left alone.

    Makes the project the first time. The server is [label_studio] url of pixmo.toml, the token
    LABEL_STUDIO_API_KEY. points and questions: for every image what an annotator comes up with, or
    points of what --ask names. ama: what pixmo label answer proposed, or --ask. cap: every caption
    that nobody has reviewed.

    Example: pixmo label push points --ask labels.jsonl
    """
    from pixmo.label.push import push
    from pixmo.label.studio import connected

    if per_image != 1 and (ask is not None or subset in ("ama", "cap")):
        raise typer.BadParameter(
            "it is of points and questions that annotators come up with, without --ask",
            param_hint="--per-image",
        )
    opened = open_workspace(workspace)
    with connected(opened.settings.label_studio.url) as studio:
        pushed = push(opened, studio, subset, ask, per_image, show.Bars(), gold, annotators)
        show.counts(pushed, json)


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


@label.command("answer")
def label_answer(
    no_ocr: Annotated[
        bool, typer.Option("--no-ocr", help="Do not read the text in images.")
    ] = False,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Let a language model answer people's questions; send the answers to people to judge.

    The model is told words alone: the image's dense caption and the text that stands in it. Pull
    verdicts with pixmo label pull ama; run this again, and rejected answers are asked for anew with
    what people said is wrong, as often as [answer] max_rounds of pixmo.toml says.

    Example: pixmo label answer
    """
    import dataclasses

    from pixmo.label.image_texts import rapid_ocr
    from pixmo.label.push import push
    from pixmo.label.rounds import answer_questions
    from pixmo.label.studio import connected

    opened = open_workspace(workspace)
    reader = None if no_ocr else rapid_ocr()
    with connected(opened.settings.label_studio.url) as studio:
        answered = answer_questions(opened, reader, show.Bars())
        pushed = push(opened, studio, "ama", progress=show.Bars())
    if json:
        show.as_json(dataclasses.asdict(answered) | {"pushed": pushed})
        return
    show.counts(answered, json)
    show.say(f"judge them at  {pushed.url}")


@label.command("watch")
def label_watch(
    subsets: Annotated[
        list[str] | None,
        typer.Argument(help="points, questions, ama or cap; default: all that was pushed."),
    ] = None,
    every: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds from one pull to the next.")
    ] = 60,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Listen here for Label Studio's webhooks; 0: any."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0: all of this machine.")
    ] = "127.0.0.1",
    webhook: Annotated[
        str | None,
        typer.Option(
            help="Where Label Studio reaches that port: http://HOST:PORT/hook, set there."
        ),
    ] = None,
    workspace: WORKSPACE = Path(),
) -> None:
    """Pull again and again, until Ctrl-C; says a line when something came.

    A server that is away is waited for. With --port, a webhook makes a pull come at once: POST
    /hook with the secret PIXMO_WEBHOOK_SECRET in the header X-Pixmo-Secret. Its body is not read.
    Label Studio sends none to a private address unless it runs with SSRF_PROTECTION_ENABLED=false.

    Example: pixmo label watch --every 600 --port 8503 --webhook http://localhost:8503/hook
    """
    from contextlib import ExitStack

    from pixmo.label.studio import connected
    from pixmo.label.watch import Watch, described, on_ctrl_c, pushed_subsets
    from pixmo.label.webhooks import listening

    opened = open_workspace(workspace)
    wanted = pushed_subsets(opened, subsets or [])
    with ExitStack() as stack:
        url = opened.settings.label_studio.url
        studio = stack.enter_context(connected(url, may_be_away=True))
        watch = Watch(opened, studio, wanted, every, show.say, webhook)
        stack.enter_context(on_ctrl_c(watch.end))
        if port is not None:
            bound = stack.enter_context(listening(host, port, watch.hint))
            show.say(f"listening for webhooks at {host} port {bound}")
        show.say(f"watching {', '.join(wanted)}  (Ctrl-C ends it)")
        watch.run()
    show.say(f"ended; came: {described(watch.total)}")


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
