"""A trained model in a folder: weights as safetensors, its size as JSON, its tokenizer.

    from pixmo.molmo import checkpoint

    model, tokenizer = checkpoint.load("runs/train-v1-caption-probe-xs")

A run keeps its last checkpoints, with the state of the optimisers, in folders named for their step:

    runs/train-v1-caption-probe-xs/checkpoints/step-000200/
      optimisers.safetensors
      model.safetensors  tokenizer.json
      config.json                         written last: the checkpoint is complete
"""

import contextlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pixmo.errors import TrainingError
from pixmo.files import replace_atomically, write_json
from pixmo.molmo import tokenizer as tokenizers
from pixmo.molmo.distributed import ALONE, ProcessGroup, gather_whole, shared_like
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.optimisers import ComponentOptimiser
from pixmo.molmo.sizes import Size
from pixmo.molmo.stages import StageName
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.molmo.weights import keep_configs

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
OPTIMISERS = "optimisers.safetensors"
CHECKPOINTS = "checkpoints"  # the folder of a run's checkpoints
STEP_FOLDER = re.compile(r"step-(\d+)")
BACKBONES = ("vision_backbone", "language_backbone")
KEPT = 2  # of a run: a disk that breaks while one is written leaves the other
# What files that hold anything at all can come to.
DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, SafetensorError),
)


def save(folder: Path, model: Molmo, tokenizer: Tokenizer) -> None:
    """`folder` holds the model; its config is written last, so that it means complete."""
    write_model(folder, model, tokenizer, gather_whole(model.state_dict(), ALONE))


def write_model(
    folder: Path, model: Molmo, tokenizer: Tokenizer, weights: Mapping[str, Tensor]
) -> None:
    """`folder` holds the model with these whole weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)  # an older model's
    replace_atomically(folder / WEIGHTS, lambda path: save_file(dict(weights), path))
    replace_atomically(folder / TOKENIZER, tokenizer.save)
    size = keep_configs(model.size, folder)
    # The folder may be moved: backbones' configs are named by where they stand in it.
    names = {name: Path(getattr(size, name)).name for name in BACKBONES if getattr(size, name)}
    config = {
        "size": asdict(size) | names,
        "vocabulary_size": model.vocabulary_size,
        "stage": model.stage,
    }
    write_json(folder / CONFIG, config)


def load(folder: Path | str) -> tuple[Molmo, Tokenizer]:
    """The model and tokenizer in `folder`, or in the newest checkpoint of the run in `folder`.

    Raises:
        TrainingError: there is no complete checkpoint, or its files do not fit together.
    """
    folder = find(Path(folder))
    with loading(folder):
        config = read_config(folder)
        model = build(config.size, config.vocabulary_size, seed=0)
        model.load_state_dict(load_file(folder / WEIGHTS))
        model.stage = config.stage
        tokenizer = tokenizers.load(folder / TOKENIZER)
        if tokenizer.vocabulary_size != model.vocabulary_size:
            raise ValueError(f"{TOKENIZER} is another model's")
        return model, tokenizer


def read_size(folder: Path) -> Size:
    """The size of the model that `load` would load.

    Raises:
        TrainingError: there is no complete checkpoint.
    """
    folder = find(folder)
    with loading(folder):
        return read_config(folder).size


@dataclass(frozen=True)
class Config:
    """What `config.json` says of a model."""

    size: Size
    vocabulary_size: int
    stage: StageName | None  # the last that it trained in; None: it is a probe's


def read_config(folder: Path) -> Config:
    """The config in `folder`."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    fields = dict(config["size"])
    fields["feature_layers"] = tuple(fields["feature_layers"])
    fields |= {name: str(folder / fields[name]) for name in BACKBONES if fields[name]}
    return Config(Size(**fields), int(config["vocabulary_size"]), config["stage"])


@contextlib.contextmanager
def loading(folder: Path) -> Iterator[None]:
    """A context in which whatever is wrong with a checkpoint's files is one error.

    Raises:
        TrainingError: anything was.
    """
    try:
        yield
    except DAMAGE as error:
        reason = f"{CONFIG} lacks {error}" if isinstance(error, KeyError) else error
        raise TrainingError(f"{folder} holds no checkpoint that can be loaded: {reason}") from error


def find(folder: Path) -> Path:
    """The folder of the checkpoint that is meant: this one, or the newest of the run in it."""
    return folder if (folder / CONFIG).exists() else newest(folder) or folder


def newest(run: Path) -> Path | None:
    """The folder of a run's last complete checkpoint; None where there is none."""
    return next(iter(reversed(complete(run))), None)


def newest_whole(
    run: Path, tensors: Sequence[str] = (WEIGHTS,)
) -> tuple[Path | None, dict[Path, str]]:
    """A run's last checkpoint whose files are whole, and what is wrong with each after it.

    Beside config and tokenizer that are the files of `tensors`.
    """
    damaged = {}
    for folder in reversed(complete(run)):
        try:
            check(folder, tensors)
        except TrainingError as error:
            damaged[folder] = str(error)
        else:
            return folder, damaged
    return None, damaged


def check(folder: Path, tensors: Sequence[str]) -> None:
    """The files of a checkpoint can be opened and have their length; tensors are not read.

    Raises:
        TrainingError: one is damaged.
    """
    with loading(folder):
        read_config(folder)
        tokenizers.load(folder / TOKENIZER)
        for name in tensors:
            try:
                with safe_open(folder / name, "pt"):
                    pass
            except SafetensorError as error:
                raise ValueError(f"{name}: {error}") from error


def complete(run: Path) -> list[Path]:
    """The folders of a run's complete checkpoints, the last step last."""
    found = [path for path in (run / CHECKPOINTS).glob("*") if STEP_FOLDER.fullmatch(path.name)]
    return sorted((path for path in found if (path / CONFIG).exists()), key=step_of)


def step_of(folder: Path) -> int:
    """The steps that a checkpoint's model has made."""
    return int(folder.name.removeprefix("step-"))


def save_step(
    run: Path,
    step: int,
    model: Molmo,
    tokenizer: Tokenizer,
    optimisers: Sequence[ComponentOptimiser],
    group: ProcessGroup,
) -> None:
    """The run can go on from `step` as if it had never stopped; its last checkpoints are kept."""
    weights = gather_whole(model.state_dict(), group)
    state = gather_whole(optimiser_state(model, optimisers), group)
    if group.is_first:
        folder = run / CHECKPOINTS / f"step-{step:06}"
        replace_atomically(folder / OPTIMISERS, lambda path: save_file(state, path))
        write_model(folder, model, tokenizer, weights)
        for old in complete(run)[:-KEPT]:
            (old / CONFIG).unlink()  # no longer complete, should the next line not end
            shutil.rmtree(old)
    group.wait()


def restore(folder: Path, model: Molmo, optimisers: Sequence[ComponentOptimiser]) -> None:
    """The optimisers remember what they did when the checkpoint in `folder` was written.

    Raises:
        TrainingError: the file cannot be read, or is of another model.
    """
    path = folder / OPTIMISERS
    remembered: dict[str, dict[str, Tensor]] = defaultdict(dict)
    try:
        for key, value in load_file(path).items():
            name, _, what = key.rpartition("/")
            remembered[name][what] = value
        for parameter, (name, optimiser) in optimised(model, optimisers).items():
            optimiser.state[parameter] = {
                what: shared_like(value, parameter) for what, value in remembered[name].items()
            }
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; put a whole copy of it there") from (
            error
        )


def optimiser_state(
    model: nn.Module, optimisers: Sequence[ComponentOptimiser]
) -> dict[str, Tensor]:
    """What the optimisers remember, by the names of the parameter and of what is remembered."""
    return {
        f"{name}/{what}": value
        for parameter, (name, optimiser) in optimised(model, optimisers).items()
        for what, value in optimiser.state[parameter].items()
    }


def optimised(
    model: nn.Module, optimisers: Sequence[ComponentOptimiser]
) -> dict[nn.Parameter, tuple[str, Optimizer]]:
    """The name and the optimiser of every parameter."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        parameter: (names[parameter], optimiser)
        for component in optimisers
        for optimiser in component.torch_optimisers
        for parameters in optimiser.param_groups
        for parameter in parameters["params"]
    }
