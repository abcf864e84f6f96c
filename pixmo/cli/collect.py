"""Commands that take things in: images, recordings, transcripts, annotations, held-out data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.text import counted

if TYPE_CHECKING:
    from pixmo.speech.captioning.caption_plan import Plan
    from pixmo.speech.captioning.captions import Written
    from pixmo.speech.captioning.language_model_writer import Spent
    from pixmo.workspace.workspace import Workspace

images = typer.Typer(help="Images: take them in.", no_args_is_help=True)
transcripts = typer.Typer(help="Transcripts that were written, not spoken.", no_args_is_help=True)
label = typer.Typer(help="Label Studio: tasks, annotations, annotators.", no_args_is_help=True)
held_out = typer.Typer(help="Evaluation data that no release is to hold.", no_args_is_help=True)
app.add_typer(images, name="images")
app.add_typer(held_out, name="held-out")
app.add_typer(transcripts, name="transcripts")
app.add_typer(label, name="label")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to work in.")] = Path(),
) -> None:
    """Make a folder a workspace.

    Writes a commented pixmo.toml and the folders for what comes in; keeps what is there.

    Example: pixmo init my-dataset
    """
    from pixmo.workspace.workspace import Workspace

    workspace = Workspace.init(folder)
    for inbox in (workspace.images, workspace.audio, workspace.exports):
        inbox.mkdir(exist_ok=True)
    show.say(f"{workspace.root} is ready. Put images in images/, recordings in audio/, then:")
    show.say("  pixmo images add images/")
    show.say("  pixmo transcribe audio/")


@images.command("add")
def images_add(
    folder: Annotated[Path, typer.Argument(help="A folder of images.")],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Take a folder of images in.

    Keeps their hashes, size and orientation; known images are left alone.

    A metadata.jsonl or metadata.csv beside them may give each `file_name` an `image_url`
    and a `license`.

    Example: pixmo images add images/
    """
    from pixmo.images.store import STAGE, add_images

    opened = open_workspace(workspace)
    taken_in(opened, STAGE, add_images(opened, folder, show.Bars()), json)


@images.command("scores")
def images_scores(
    file: Annotated[Path, typer.Argument(help="A .parquet, .csv or .jsonl file.")],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Take in what a model of your own says of images: nsfw, watermark and the like.

    A row has image_sha256 or file (an image's path in the workspace), name (such as nsfw), score
    and model. The newest score of an image and a name counts; the step images/score_above.sql of
    a recipe uses it.

    Example: pixmo images scores nsfw.parquet
    """
    from pixmo.images.measures import SCORES, add_scores

    opened = open_workspace(workspace)
    taken_in(opened, SCORES.stage, add_scores(opened, file, show.Bars()), json)


@images.command("embeddings")
def images_embeddings(
    file: Annotated[Path, typer.Argument(help="A .parquet file.")],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Take in the vectors that a model of your own gives images.

    A row has image_sha256 or file (an image's path in the workspace), embedding (a list of
    numbers) and model. The newest of an image and a model counts; a recipe's
    near_duplicates = "embedding" uses it.

    Example: pixmo images embeddings clip.parquet
    """
    from pixmo.images.measures import EMBEDDINGS, add_embeddings

    opened = open_workspace(workspace)
    taken_in(opened, EMBEDDINGS.stage, add_embeddings(opened, file, show.Bars()), json)


@held_out.command("add")
def held_out_add(
    source: Annotated[str, typer.Argument(help="A folder or file, or hf:NAME:CONFIG:SPLIT.")],
    questions: Annotated[
        str, typer.Option(help="The column of the questions; default: question.")
    ] = "",
    name: Annotated[
        str, typer.Option(help="What releases call it; default: the folder, file or hf:…")
    ] = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Hold evaluation images and questions out of every release.

    Keeps hashes of the images, as they are and mirrored, and the questions; the recipes drop
    what meets them again.

    A folder of images; a .txt with a hash or a question a line (sha256 of 64 hexadecimal digits,
    phash_64 of 16, or phash_64 and phash_256 of 64); a .csv or .jsonl with any of the columns
    image_sha256, phash_64, phash_256, mirrored_phash_64, mirrored_phash_256, question, key; a
    .parquet file or a folder saved by `datasets`, with images, questions or both; a dataset
    on the Hugging Face hub.

    Example: pixmo held-out add hf:HuggingFaceM4/ChartQA::test --questions query
    """
    from pixmo.images.held_out import STAGE, hold_out

    opened = open_workspace(workspace)
    taken_in(opened, STAGE, hold_out(opened, source, questions, name, show.Bars()), json)


@transcripts.command("add")
def transcripts_add(
    file: Annotated[Path, typer.Argument(help="A .jsonl or .csv with image, text, annotator.")],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Take written transcripts in.

    A release says of each caption whether it was spoken or written.

    Example: pixmo transcripts add written.jsonl
    """
    from pixmo.speech.captioning.captions import write_captions
    from pixmo.speech.written import STAGE, add_written

    opened = open_workspace(workspace)
    added = add_written(opened, file)
    warn_of_unanswered(write_captions(opened, show.Bars()))
    taken_in(opened, STAGE, added, json)


@label.command("ingest")
def label_ingest(
    exports: Annotated[list[Path], typer.Argument(help="JSON exports, or folders of them.")],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Take Label Studio JSON exports in.

    Points, answers and caption reviews; taking the same export in again is harmless.

    Example: pixmo label ingest exports/points.json
    """
    from pixmo.label.ingest import STAGE, MalformedExportsError, ingest

    opened = open_workspace(workspace)
    try:
        ingested = ingest(opened, exports, show.Bars())
    except MalformedExportsError as malformed:
        if malformed.ingested.exports or json:
            taken_in(opened, STAGE, malformed.ingested, json)
        for problem in malformed.problems:
            show.fail(problem)
        raise typer.Exit(1) from malformed
    taken_in(opened, STAGE, ingested, json)


@app.command()
def transcribe(
    folder: Annotated[Path, typer.Argument(help="A folder of recordings.")],
    workspace: WORKSPACE = Path(),
    model: Annotated[
        str, typer.Option(help="A Whisper model's name or checkpoint; default: pixmo.toml's.")
    ] = "",
    engine: Annotated[
        Literal["pixmo", "faster-whisper"] | None,
        typer.Option(help="What runs it; default: pixmo.toml's."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=0, help="Windows heard at once; 0: as many as fit.")
    ] = None,
    word_times: Annotated[
        bool, typer.Option("--word-times", help="Say when each word was spoken, too; slower.")
    ] = False,
    json: AS_JSON = False,
) -> None:
    """Turn recordings into transcripts and captions.

    What is transcribed under the same options is left alone.

    webm, opus, ogg, wav, mp3, m4a, flac. A metadata.jsonl or metadata.csv beside them links each
    `file_name` to its `image` and `annotator`; without one, the file's stem names the image.

    Example: pixmo transcribe audio/
    """
    from pixmo.speech.captioning.captions import write_captions
    from pixmo.speech.engines import open_recogniser
    from pixmo.speech.recordings import STAGE
    from pixmo.speech.transcribe import transcribe as transcribe_folder

    opened = open_workspace(workspace)
    asked = {"model": model or None, "engine": engine, "batch": batch}
    options = {name: value for name, value in asked.items() if value is not None}
    if word_times:
        options["word_times"] = True
    recogniser = open_recogniser(opened, show.warn, **options)
    transcribed = transcribe_folder(opened, folder, recogniser, show.Bars())
    warn_of_unanswered(write_captions(opened, show.Bars()))
    taken_in(opened, STAGE, transcribed, json)


@app.command()
def caption(
    workspace: WORKSPACE = Path(),
    writer: Annotated[
        Literal["cleaner", "language-model"] | None,
        typer.Option(help="Who writes; default: pixmo.toml's."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send and write nothing.")
    ] = False,
    json: AS_JSON = False,
) -> None:
    """Write the captions that are not of the current transcripts, or not by the current writer.

    The cleaner works offline. The language-model writer sends transcripts, never images, to the
    server that [caption] in pixmo.toml names; what it answered once is never paid for again.

    Example: pixmo caption --dry-run
    """
    import dataclasses

    from pixmo.speech.captioning.caption_plan import plan
    from pixmo.speech.captioning.captions import configured_writer, write_captions
    from pixmo.speech.captioning.language_model_writer import LanguageModelWriter

    opened = open_workspace(workspace)
    configured = opened.settings.caption.writer
    settings = dataclasses.replace(opened.settings.caption, writer=writer or configured)
    opened = dataclasses.replace(
        opened, settings=dataclasses.replace(opened.settings, caption=settings)
    )
    author = configured_writer(opened)
    if dry_run:
        planned(plan(opened, author), json)
        return
    if settings.writer != configured:
        show.warn(
            f"pixmo.toml says [caption] writer = {configured}, which writes them again at the next"
            f" pixmo transcribe; say {settings.writer} there to keep these"
        )
    try:
        written = write_captions(opened, show.Bars(), author)
    finally:
        # Of a run that failed, too.
        if isinstance(author, LanguageModelWriter) and author.spent.requests and not json:
            show.say(bill(author.spent))
    warn_of_unanswered(written)
    spent = dataclasses.asdict(author.spent) if isinstance(author, LanguageModelWriter) else {}
    if json:
        show.as_json({"writer": author.name} | dataclasses.asdict(written) | spent)
    else:
        show.counts(written, json)


def taken_in(workspace: "Workspace", stage: str, result: Any, json_wanted: bool) -> None:
    """What a command did, and why it set things aside."""
    show.counts(result, json_wanted)
    if json_wanted or not result.set_aside:
        return
    with workspace.connect() as connection:
        reasons = connection.execute(
            "select count(*) as n, reason from current_set_aside where stage = ?"
            " group by reason order by n desc, reason",
            [stage],
        ).fetchall()
    show.say("set aside by now")
    for count, reason in reasons:
        show.say(f"  {count:>6}  {reason}")
    show.say('  each one: pixmo sql "select path, reason, detail from current_set_aside"')


def warn_of_unanswered(written: "Written") -> None:
    """Whoever waits for captions knows how many are still to be written, and how."""
    if written.unanswered:
        show.warn(
            f"no answer for {counted(written.unanswered, 'image')}, so no caption was written for"
            " them; run pixmo caption to ask again"
        )


def bill(spent: "Spent") -> str:
    """What a run cost, in one line."""
    return (
        f"{counted(spent.requests, 'request')} answered, {spent.answers_kept:,} kept from before,"
        f" {spent.retries:,} retries; tokens: {spent.input_tokens:,} in, {spent.output_tokens:,}"
        f" out; cost: {money(spent.cost)}"
    )


def money(cost: float | None) -> str:
    """A cost in the currency of the prices in pixmo.toml."""
    return "unknown (no prices in pixmo.toml, or no counts)" if cost is None else f"{cost:,.4f}"


def planned(plan: "Plan", json_wanted: bool) -> None:
    """What would be sent, the first requests in full."""
    if json_wanted:
        show.as_json(plan)
        return
    for number, request in enumerate(plan.first, start=1):
        show.say(f"Request {number} of {plan.requests:,}, to {plan.base_url}:")
        show.as_json(request)
    show.say(f"{counted(plan.captions, 'caption')} to write by {plan.writer}")
    if not plan.base_url:
        show.say("nothing leaves this machine")
        return
    tokens = f"about {plan.input_tokens:,} tokens in and {plan.output_tokens:,} out"
    show.say(
        f"{counted(plan.requests, 'request')} to send, and a second or third where an answer is"
        f" malformed or unfaithful; {tokens}; cost: {money(plan.cost)}. Nothing was sent"
    )
