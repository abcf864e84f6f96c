"""Commands that ask people which of two models' answers is better, and rate the models by it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.cli.model import VERSION, held_out_release, warn_if_empty
from pixmo.text import counted

if TYPE_CHECKING:
    from pixmo.evaluate.votes import Preference

MOST_PLACES = 3  # named with a reason; all are in ratings.json

preference = typer.Typer(
    help="People's preference: which of two models' answers is better.", no_args_is_help=True
)
app.add_typer(preference, name="preference")


@preference.command("tasks")
def preference_tasks(
    version: VERSION = "",
    answers: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSONL with the id and the answer of each task, named after its model; give two"
            " or more."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write, a new one.")] = Path("preference"),
    split: Annotated[str, typer.Option(help="validation or test.")] = "test",
    per_pair: Annotated[int, typer.Option(min=1, help="Tasks for every two models.")] = 100,
    seed: Annotated[int, typer.Option(help="Another one draws other tasks and sides.")] = 0,
    images_at: Annotated[
        str, typer.Option(help="The URL of FOLDER/images/; default: Label Studio's local files.")
    ] = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Put pairs of answers before people, without saying whose they are.

    Answers are as for pixmo evaluate. Writes tasks.json to import into Label Studio, the labelling
    config preference.xml, and images/ with the points of answers drawn.

    Example: pixmo preference tasks v1 --answers mine.jsonl --answers theirs.jsonl
    """
    from pixmo.errors import EvaluationError
    from pixmo.evaluate.answers import read_answers, tasks
    from pixmo.evaluate.pairs import choose, write

    given = answers or []
    if len({path.stem for path in given}) < len(given):
        raise EvaluationError("two files of answers have one name; name each after its model")
    said = {path.stem: read_answers(path) for path in given}
    for path in given:
        warn_if_empty(path, said[path.stem])
    opened = open_workspace(workspace)
    release = held_out_release(opened, version, split)
    chosen = choose(list(tasks(release, split)), said, per_pair, seed)
    written = write(out, chosen, images_at, show.Bars())
    if json:
        show.as_json(written)
        return
    least = f"{written.fewest} to " if written.fewest < written.most else ""
    show.say(f"{counted(written.tasks, 'task')}  {show.here(out / 'tasks.json')}")
    show.say(f"every two models meet on {least}{written.most} of them")
    for reason, count in sorted(written.left_out.items()):
        show.say(f"  {count:>8,}  pairs of answers left out: {reason}")


@preference.command("rate")
def preference_rate(
    exports: Annotated[
        list[Path], typer.Argument(metavar="EXPORT...", help="Label Studio's exports as JSON.")
    ],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Rate the models by what people preferred.

    A rating is on Elo's scale: 400 points more are odds of ten to one; the mean is 1000. A tie,
    good or bad, is half a vote for either.

    Example: pixmo preference rate votes.json
    """
    from pixmo.evaluate.votes import as_lines, preference, read_votes
    from pixmo.files import plain, write_json, write_text
    from pixmo.hashing import sha256_file, sha256_value

    read = read_votes(exports)
    found = preference(read)
    shas = [sha256_file(path) for path in exports]
    name = f"preference-{exports[0].stem}-{sha256_value(shas)[:8]}"
    folder = open_workspace(workspace).runs / name
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "votes.jsonl", as_lines(read.judgements))
    write_json(folder / "ratings.json", plain(found))
    if json:
        show.as_json(found)
        return
    tell(found)
    show.say(f"\nkept in {show.here(folder)}")


def tell(found: "Preference") -> None:
    """Ratings as a table, and what they rest on."""
    from pixmo.evaluate.votes import by_reason, told

    show.say(
        f"{counted(found.votes, 'vote')} by {counted(found.people, 'annotator')}"
        f" on {counted(found.pairs, 'pair')} of answers, {counted(found.ties, 'tie')};"
        f" {counted(found.waiting, 'task')} without a vote"
    )
    show.table(
        ("model", "rating", "95 % from", "to", "votes", "won"),
        [
            (
                one.model,
                *(f"{value:.0f}" for value in (one.elo, one.low, one.high)),
                one.votes,
                f"{one.won:.2f}",
            )
            for one in found.ratings
        ],
    )
    if found.agreement:
        show.say(f"\n{told(found.agreement)}")
    for reason, places in by_reason(found.left_out).items():
        more = ", …" if len(places) > MOST_PLACES else ""
        show.say(f"left out {len(places):>4,}  {reason}: {'; '.join(places[:MOST_PLACES])}{more}")
