"""One question about one image, answered."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from pixmo.errors import ImageError, SettingsError
from pixmo.molmo.crops import preprocess
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.model import Molmo
from pixmo.molmo.prompts import caption_prompt, user_turn
from pixmo.molmo.stages import StageName
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.points import Point, from_text

MOST_QUESTION_CHARACTERS = 2000
DRAWN = ("PNG", "JPEG")  # what points are drawn into
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
    """The answer to a question about an upright RGB image; without a question, a description.

    Raises:
        SettingsError: the question is too long, or no text.
    """
    check_question(question)
    prompt = prompt_for(question.strip(), model.stage)
    (text,) = generate(model, tokenizer, [Request(preprocess(image, model.size), prompt)])
    return Answer(text, tuple(from_text(text)))


def check_question(question: str) -> None:
    """The question can be asked.

    Raises:
        SettingsError: it is too long, or has bytes that are no UTF-8.
    """
    if len(question) > MOST_QUESTION_CHARACTERS:
        raise SettingsError(
            f"the question has {len(question)} characters; one has at most"
            f" {MOST_QUESTION_CHARACTERS}: ask a shorter one"
        )
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise SettingsError("the question is no valid UTF-8; type it anew") from error


def prompt_for(question: str, stage: StageName | None) -> str:
    """The question in the form that a model was taught in its last stage."""
    if not question:
        return caption_prompt(tagged=stage == "finetune")
    tag = next((tag for tag, form in TAGGED.items() if form.match(question)), "")
    return user_turn(f"{tag}: {question}" if tag and stage == "finetune" else question)


def read_image(file: Path | bytes, name: str) -> Image.Image:
    """The image in a file, or in its bytes, upright and in RGB.

    Raises:
        ImageError: it is no image, a damaged one, or one of too many pixels.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {name}") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} cannot be read: it is no image; give a JPEG, PNG or WebP"
        ) from error
    except Image.DecompressionBombError as error:
        reason = str(error).rstrip(".")
        raise ImageError(f"{name} cannot be read: {reason}; give a smaller picture") from error
    except (OSError, ValueError, SyntaxError) as error:
        if isinstance(error, OSError) and error.strerror:  # the system's, not the decoder's
            raise ImageError(f"{name} cannot be read: {error.strerror}") from error
        raise ImageError(
            f"{name} is damaged and cannot be read: {error}; give a whole copy of it"
        ) from error


def check_replaceable(picture: Path, image: Path) -> None:
    """What is drawn on `image` may be written to `picture`: no file is lost but an older picture.

    Raises:
        ImageError: it is the image itself, or a file of another kind.
    """
    if not picture.exists():
        return
    if picture.samefile(image):
        raise ImageError(f"{picture} is the image that is asked about; name another with --out")
    try:
        with Image.open(picture, formats=DRAWN):
            pass
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{picture} is there already and is no {' or '.join(DRAWN)}: it is not overwritten;"
            " name another file with --out"
        ) from error
