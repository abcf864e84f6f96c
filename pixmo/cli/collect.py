"""Commands that take things in: images, recordings, transcripts, annotations."""

from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace

images = typer.Typer(help="Images: take them in.", no_args_is_help=True)
transcripts = typer.Typer(help="Transcripts that were written, not spoken.", no_args_is_help=True)
label = typer.Typer(help="Label Studio: take annotations in.", no_args_is_help=True)
app.add_typer(images, name="images")
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

    A metadata.jsonl or metadata.csv beside them may give each `file_name` an `image_url`.

    Example: pixmo images add images/
    """
    from pixmo.images.store import add_images

    added = add_images(open_workspace(workspace), folder, show.Bars())
    show.counts(added, json)


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
    from pixmo.speech.captions import write_captions
    from pixmo.speech.written import add_written

    opened = open_workspace(workspace)
    added = add_written(opened, file)
    write_captions(opened, show.Bars())
    show.counts(added, json)


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
    from pixmo.label.ingest import ingest

    ingested = ingest(open_workspace(workspace), exports, show.Bars())
    show.counts(ingested, json)


@app.command()
def transcribe(
    folder: Annotated[Path, typer.Argument(help="A folder of recordings.")],
    workspace: WORKSPACE = Path(),
    model: Annotated[
        str, typer.Option(help="A Whisper model's name or checkpoint; default: pixmo.toml's.")
    ] = "",
    json: AS_JSON = False,
) -> None:
    """Turn recordings into transcripts and captions.

    What is transcribed under the same options is left alone.

    webm, opus, ogg, wav, mp3, m4a, flac. A metadata.jsonl or metadata.csv beside them links each
    `file_name` to its `image` and `annotator`; without one, the file's stem names the image.

    Example: pixmo transcribe audio/
    """
    from pixmo.speech.captions import write_captions
    from pixmo.speech.transcribe import transcribe as transcribe_folder
    from pixmo.speech.whisper_model import WhisperRecogniser

    opened = open_workspace(workspace)
    speech = opened.settings.speech
    name = model or speech.model
    recogniser = WhisperRecogniser.load(
        str(opened.path(name)) if opened.path(name).is_file() else name, speech.device
    )
    transcribed = transcribe_folder(opened, folder, recogniser, show.Bars())
    write_captions(opened, show.Bars())
    show.counts(transcribed, json)
