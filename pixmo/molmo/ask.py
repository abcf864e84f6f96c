"""One question about one image, answered."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from pixmo.errors import ImageError
from pixmo.molmo.crops import preprocess
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.model import Molmo
from pixmo.molmo.prompts import caption_prompt, user_turn
from pixmo.molmo.stages import StageName
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.points import Point, from_text

TAGGED = {
    "pointing": re.compile(r"point (to|at)\b", re.IGNORECASE),
    "point_count": re.compile(r"how many\b", re.IGNORECASE),
}


@dataclass(frozen=True)
class Answer:
    """What a model says, and where it points."""

    text: str
    points: tuple[Point, ...]


def ask(model: Molmo, tokenizer: Tokenizer, image: Image.Image, question: str) -> Answer:
    """The answer to a question about an upright RGB image; without a question, a description."""
    prompt = prompt_for(question.strip(), model.stage)
    (text,) = generate(model, tokenizer, [Request(preprocess(image, model.size), prompt)])
    return Answer(text, tuple(from_text(text)))


def prompt_for(question: str, stage: StageName | None) -> str:
    """The question in the form that a model was taught in its last stage."""
    if not question:
        return caption_prompt(tagged=stage == "finetune")
    tag = next((tag for tag, form in TAGGED.items() if form.match(question)), "")
    return user_turn(f"{tag}: {question}" if tag and stage == "finetune" else question)


def read_image(file: Path | bytes, name: str) -> Image.Image:
    """The image in a file, or in its bytes, upright and in RGB.

    Raises:
        ImageError: it is no image, or one of too many pixels.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {name}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else error
        raise ImageError(f"{name} cannot be read: {reason}; give a JPEG, PNG or WebP") from error
