"""Commands that train a model, and ask it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.cli.model import VERSION

if TYPE_CHECKING:
    from pixmo.molmo.model import Molmo
    from pixmo.molmo.sizes import Size
    from pixmo.molmo.tokenizer import Tokenizer
    from pixmo.workspace.workspace import Workspace

SMALLEST = "probe-xs"
MOST_BETWEEN = 1000  # steps between checkpoints, unless more is asked for
PROBE_MODEL = "release"  # in the folder of a probe, the run that is not its control
DEVICE = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@app.command()
def train(
    version: VERSION = "",
    stage: Annotated[str, typer.Option(help="caption, or finetune after it.")] = "caption",
    size: Annotated[
        str, typer.Option(help=f"Of the model; default: that of --init, else {SMALLEST}.")
    ] = "",
    init: Annotated[
        str, typer.Option(help="A run to start from; default: random or pretrained weights.")
    ] = "",
    vision: Annotated[
        str, typer.Option(help="Vision backbone: a name on the Hugging Face hub or a folder.")
    ] = "",
    language: Annotated[str, typer.Option(help="Language backbone, likewise.")] = "",
    steps: Annotated[int, typer.Option(min=0, help="Default: 0, those of the stage.")] = 0,
    batch: Annotated[
        int, typer.Option(min=0, help="Images a step; default: 0, those of the stage.")
    ] = 0,
    micro_batch: Annotated[
        int,
        typer.Option(
            min=0,
            help="Images that a device computes at once; the loss stays; default: 0, those of the"
            " size.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same losses.")] = 0,
    device: DEVICE = "auto",
    precision: Annotated[
        str, typer.Option(help="auto (bf16 on a GPU that has it), fp32 or bf16.")
    ] = "auto",
    compile_blocks: Annotated[
        bool, typer.Option("--compile", help="Compile the model's blocks: later steps are faster.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes a device that prepare images ahead; 0: none.")
    ] = 2,
    every: Annotated[
        int,
        typer.Option(
            min=0,
            help="Steps between checkpoints, held-out losses and samples; default: 0, a twentieth"
            f" of the steps, at most {MOST_BETWEEN}.",
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; default: runs/train-RELEASE-STAGE-SIZE."),
    ] = None,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Train a model on a release.

    Stopped in whatever way, the same command goes on at the last checkpoint, with the losses that
    it would have had. On several GPUs: torchrun --nproc-per-node 8 --no-python pixmo train …

    Example: pixmo train v1 --stage caption --steps 2000
    """
    from pixmo.dataset.reader import Release
    from pixmo.molmo import metrics
    from pixmo.molmo.optimisers import stage_for
    from pixmo.molmo.training_run import RunOptions, train_release
    from pixmo.release.versions import release_folder

    opened = open_workspace(workspace)
    root = release_folder(opened, version)
    chosen = choose_size(opened, size, init, vision, language)
    recipe = stage_for(chosen, stage)
    steps = steps or recipe.steps
    options = RunOptions(
        release=Release.open(root, opened.local_images(), opened.unpacked),
        stage=recipe,
        size=chosen,
        steps=steps,
        batch_examples=batch or recipe.batch_examples,
        micro_batch=micro_batch or chosen.micro_batch,
        seed=seed,
        init=str(named_run(opened, init)) if init else "",
        device=device,
        precision=precision,
        compile=compile_blocks,
        workers=workers,
        every=every or min(max(1, steps // 20), MOST_BETWEEN),
    )
    if stage == "finetune" and not init:
        show.warn(
            "--stage finetune without --init starts from weights that no caption stage trained;"
            " after one, give --init RUN"
        )
    if not metrics.has_tensorboard():
        show.warn("no TensorBoard files; for them: pip install 'pixmo[train]'")
    folder = out or opened.runs / f"train-{root.name}-{stage}-{chosen.name}"
    finished = train_release(options, folder, show.Bars(), show.note)
    if finished is None:  # another process of torchrun's says it
        return
    if json:
        show.as_json(finished)
        return
    held_out = finished.held_out_loss
    show.say(f"steps          {finished.steps}")
    show.say(f"loss           {finished.loss:.3f} nats an answer token, in the last step")
    if held_out is not None:
        show.say(f"held-out loss  {held_out:.3f}")
    show.say(f"kept in        {show.here(folder)}")
    named = shlex.quote(show.here(folder))
    show.say(f'ask it         pixmo ask IMAGE "question" --model {named}')


@app.command()
def ask(
    image: Annotated[Path | None, typer.Argument(help="An image file.")] = None,
    question: Annotated[str, typer.Argument(help="Default: describe the image.")] = "",
    model: Annotated[str, typer.Option(help="A run, by name or folder; default: the newest.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="The image with the points; default: IMAGE-points.png, here."),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Ask on a page in the browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of that page; 0: any.")] = 8501,
    device: DEVICE = "auto",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Ask a trained model about an image; see where it points.

    Example: pixmo ask dog.jpg "Point to the dog"
    """
    from pixmo.drawing import draw_points
    from pixmo.errors import SettingsError
    from pixmo.files import replace_atomically
    from pixmo.molmo.ask import ask as answer
    from pixmo.molmo.ask import check_question, check_replaceable, read_image

    if serve:
        if image is not None:
            raise SettingsError("--serve asks for images on its page: leave out IMAGE and question")
        serve_page(*load_model(open_workspace(workspace), model, device), port)
        return
    if image is None:
        raise SettingsError('give an image, pixmo ask IMAGE "question", or --serve for a page')
    check_question(question)
    if not is_file(str(image)) and is_file(question):
        right = shlex.join(["pixmo", "ask", question, str(image)])
        raise SettingsError(f"there is no file {image}; the image comes first: {right}")
    picture = read_image(image, str(image))
    place = out or Path(f"{image.stem}-points.png")
    check_replaceable(place, image)
    found = answer(*load_model(open_workspace(workspace), model, device), picture, question)
    drawn = place if found.points else None
    if drawn is not None:
        marked = draw_points(picture, found.points)
        kind = "JPEG" if drawn.suffix.lower() in (".jpg", ".jpeg") else "PNG"
        replace_atomically(drawn, lambda path: marked.save(path, kind))
    if json:
        points = [point._asdict() for point in found.points]
        show.as_json({"answer": found.text, "points": points, "picture": drawn})
        return
    show.say(found.text)
    if drawn is not None:
        show.say(f"points drawn in {show.here(drawn)}")


def is_file(named: str) -> bool:
    """Whether there is a file of this name; a question may be too long to be one."""
    try:
        return Path(named).is_file()
    except OSError:
        return False


def serve_page(model: "Molmo", tokenizer: "Tokenizer", port: int) -> None:
    """A page answers questions until Ctrl-C."""
    from pixmo.molmo.ask_server import AskServer

    with AskServer(model, tokenizer, port) as server:
        show.say(f"ask at {server.url}  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            show.say("ended")


def load_model(workspace: "Workspace", named: str, device: str) -> "tuple[Molmo, Tokenizer]":
    """The model of a run, ready to answer."""
    from pixmo.molmo import checkpoint
    from pixmo.molmo.device import choose_device

    run = named_run(workspace, named) if named else newest_run(workspace)
    whole, damaged = checkpoint.newest_whole(run)
    if whole is not None:
        for reason in damaged.values():
            show.warn(f"{reason}; {whole} before it answers")
    model, tokenizer = checkpoint.load(whole or run)
    return model.to(choose_device(device)).eval(), tokenizer


def named_run(workspace: "Workspace", named: str) -> Path:
    """The folder of a run or a checkpoint: a path, or a name among the workspace's runs.

    Raises:
        TrainingError: there is no such folder.
    """
    from pixmo.errors import TrainingError

    places = [
        place.resolve()
        for place in (Path(named).expanduser(), workspace.runs / named, workspace.root / named)
    ]
    for run in places:
        if run.is_dir():
            return run / PROBE_MODEL if (run / PROBE_MODEL).is_dir() else run
    looked = " nor ".join(map(str, dict.fromkeys(places)))
    raise TrainingError(f"there is no run {named}: neither {looked} is a folder; name a run there")


def newest_run(workspace: "Workspace") -> Path:
    """The folder of the training run or probe with the newest checkpoint.

    Raises:
        TrainingError: there is none.
    """
    from pixmo.errors import TrainingError
    from pixmo.molmo import checkpoint

    runs = [*workspace.runs.glob("train-*"), *workspace.runs.glob(f"probe-*/{PROBE_MODEL}")]
    configs = {run: checkpoint.find(run) / checkpoint.CONFIG for run in runs}
    found = [run for run, config in configs.items() if config.exists()]
    if not found:
        raise TrainingError(
            f"there is no trained model in {workspace.runs}; train one: pixmo train, or"
            " pixmo validate --train-probe; or name a run elsewhere with --model"
        )
    return max(found, key=lambda run: configs[run].stat().st_mtime)


def choose_size(
    workspace: "Workspace", named: str, init: str, vision: str, language: str
) -> "Size":
    """The size to train: the one that is named, with these backbones, or that of `init`.

    Raises:
        TrainingError: there is no such size, or `init` has another or is damaged.
    """
    from pixmo.errors import TrainingError
    from pixmo.molmo import checkpoint, sizes
    from pixmo.molmo.weights import with_backbones

    if not init:
        return with_backbones(sizes.named(named or SMALLEST), vision, language)
    start = checkpoint.find(named_run(workspace, init))
    checkpoint.check(start, [checkpoint.WEIGHTS])  # before there is a folder for the run
    size = checkpoint.read_size(start)
    if vision or language or named not in ("", size.name):
        raise TrainingError(
            f"{init} holds a model of size {size.name}; a run that starts from it keeps its size"
            " and backbones: leave out --size, --vision and --language"
        )
    return size
