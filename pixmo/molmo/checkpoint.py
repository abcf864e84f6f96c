"""A trained model in a folder: weights as safetensors, its size as JSON, its tokenizer."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pixmo.errors import TrainingError
from pixmo.files import replace_atomically, write_json
from pixmo.molmo import tokenizer as tokenizers
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.sizes import Size
from pixmo.molmo.tokenizer import Tokenizer

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"


def save(folder: Path, model: Molmo, tokenizer: Tokenizer) -> None:
    """`folder` holds the model; its config is written last, so that it means complete."""
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    replace_atomically(folder / WEIGHTS, lambda path: save_file(weights, path))
    replace_atomically(folder / TOKENIZER, tokenizer.save)
    config = {"size": asdict(model.size), "vocabulary_size": model.vocabulary_size}
    write_json(folder / CONFIG, config)


def load(folder: Path) -> tuple[Molmo, Tokenizer]:
    """The model and tokenizer in `folder`.

    Raises:
        TrainingError: there is no complete checkpoint, or its files do not fit together.
    """
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        fields = dict(config["size"])
        size = Size(**{**fields, "feature_layers": tuple(fields["feature_layers"])})
        model = build(size, config["vocabulary_size"], seed=0)
        model.load_state_dict(load_file(folder / WEIGHTS))
        return model, tokenizers.load(folder / TOKENIZER)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"{folder} holds no checkpoint that can be loaded: {error}") from error
