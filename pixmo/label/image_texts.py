"""What stands written in images, read once each by OCR (RapidOCR, whose models come with it)."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pixmo.drawing import read_upright
from pixmo.errors import LabelError, ReleaseError
from pixmo.execution.progress import Progress
from pixmo.label.pictures import pictures
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "ocr"
INSTALL = "pip install 'pixmo[ocr]'"
LONGEST_SIDE = 2048  # pixels; text that is legible is legible then
PART_IMAGES = 100

Reader = Callable[[Any], Sequence[str]]  # of an upright image: its lines, from top to bottom


def image_texts(
    workspace: Workspace, images: Iterable[str], read: Reader, reader: str, progress: Progress
) -> dict[str, str]:
    """The text in each of the images, by sha256; those not read yet by this reader are read now.

    An image that cannot be read is set aside, and has no text.
    """
    known = {
        row["image_sha256"]: row["text"]
        for row in workspace.read("image_texts").to_pylist()
        if row["reader"] == reader
    }
    shown = pictures(workspace)
    missing = [image for image in dict.fromkeys(images) if image not in known and image in shown]
    with progress.task("Reading text in images", len(missing), "images") as advance:
        for start in range(0, len(missing), PART_IMAGES):
            rows = []
            for image in missing[start : start + PART_IMAGES]:
                picture = shown[image]
                try:
                    lines = read(read_upright(picture.path, LONGEST_SIDE))
                except ReleaseError as error:
                    path = workspace.relative(picture.path)
                    item = SetAside(STAGE, image, path, "image cannot be read", str(error))
                    workspace.set_aside([item])
                else:
                    known[image] = "\n".join(lines)
                    row = {"image_sha256": image, "text": known[image], "reader": reader}
                    rows.append(row)
                advance(1)
            workspace.append("image_texts", rows)
    return {image: known.get(image, "") for image in images}


def rapid_ocr() -> tuple[Reader, str]:
    """RapidOCR, and its name with its version.

    Raises:
        LabelError: it is not installed.
    """
    try:
        import rapidocr
    except ImportError as error:
        raise LabelError(f"to read the text in images, {INSTALL}; or --no-ocr") from error

    @cache
    def engine() -> Any:  # it loads its models: not before there is an image to read
        return rapidocr.RapidOCR(params={"Global.log_level": "error"})

    def read(image: Any) -> Sequence[str]:
        import numpy as np

        found = engine()(np.asarray(image)[:, :, ::-1])  # it takes blue, green, red
        return [str(line) for line in found.txts or ()]

    return read, f"rapidocr {version('rapidocr')}"
