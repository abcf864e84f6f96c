"""What an image file is, whatever it is called: its bytes, its size as displayed, its looks."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import ExifTags, Image, ImageFilter, ImageOps, UnidentifiedImageError

from pixmo.errors import ImageError
from pixmo.hashing import sha256_bytes, sha256_file

# Formats that are read, and the names that such files go by. A stranger's file is never offered to
# any other of Pillow's decoders.
SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
EXIF_ORIENTATIONS = range(1, 9)
MULTI_PICTURE = "MPO"  # a JPEG with further pictures behind it, as many phones write

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1", b"avif", b"avis")
THUMBNAIL_SIDE = 64  # grey levels
BLUR = 4  # before, at four times the size; or thin lines would come and go with a pixel's shift

FLOATING_POINT = "F"  # Pillow's mode; such numbers have no agreed black and white

Raw = bytes  # a fingerprint has a field of that name


@dataclass(frozen=True)
class Fingerprint:
    """What a file itself is; the fields are named as columns of `images` and `image_thumbnails`."""

    image_sha256: str
    width: int  # pixels, after EXIF orientation
    height: int  # pixels, after EXIF orientation
    format: str
    exif_orientation: int  # 1 to 8
    bytes: int  # of the file
    phash_64: str  # 16 hexadecimal digits
    phash_256: str  # 64 hexadecimal digits
    thumbnail: Raw  # 64 × 64 grey levels, row by row


@dataclass(frozen=True)
class MirroredFingerprint(Fingerprint):
    """A fingerprint that knows how the picture looks in a mirror, left being right."""

    mirrored_phash_64: str
    mirrored_phash_256: str


@dataclass(frozen=True)
class Unreadable:
    """Why a file has no fingerprint."""

    reason: str  # the same words for the same kind of fault
    detail: str
    sha256: str = ""  # of the file's raw bytes, where they could be read


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of one file.

    Raises:
        ImageError: the file is no still image that can be read whole; the message says why.
    """
    seen = examine(path)
    if isinstance(seen, Unreadable):
        raise ImageError(f"{path}: {seen.reason}: {seen.detail}; replace it or leave it out")
    return seen


def examine(path: Path) -> Fingerprint | Unreadable:
    """The fingerprint of one file, or why it has none; nothing is raised for a bad file."""
    return guarded(path, is_mirrored_too=False)


def examine_mirrored(file: Path | bytes) -> Fingerprint | Unreadable:
    """The MirroredFingerprint of a file, or of its raw bytes; else as `examine`."""
    return guarded(file, is_mirrored_too=True)


def guarded(file: Path | bytes, is_mirrored_too: bool) -> Fingerprint | Unreadable:
    """What `look` returns, and a reason for whatever it raises."""
    try:
        if isinstance(file, bytes):
            sha256, size_bytes = sha256_bytes(file), len(file)
        elif not file.is_file():
            return Unreadable("cannot be opened", "not a regular file")
        else:
            sha256, size_bytes = sha256_file(file), file.stat().st_size
    except OSError as error:
        return Unreadable("cannot be opened", error.strerror or str(error))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF tags and palettes do no harm
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return look(file, sha256, size_bytes, is_mirrored_too)
    except UnidentifiedImageError:
        if is_heif(file):
            return Unreadable("HEIC or AVIF image", "convert it to JPEG or PNG", sha256)
        detail = f"its bytes are none of {', '.join(SUFFIXES)}"
        return Unreadable("not an image", detail, sha256)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return Unreadable("too many pixels", one_line(error), sha256)
    except Exception as error:  # noqa: BLE001 - decoders fail in any way on a stranger's bytes
        return Unreadable("damaged image", one_line(error), sha256)


def look(
    file: Path | bytes, sha256: str, size_bytes: int, is_mirrored_too: bool
) -> Fingerprint | Unreadable:
    """The fingerprint of the picture in a file whose bytes are known."""
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    with Image.open(source, formats=list(SUFFIXES)) as image:
        kind = "JPEG" if image.format == MULTI_PICTURE else str(image.format)
        if image.format != MULTI_PICTURE and getattr(image, "is_animated", False):
            return Unreadable("more than one frame", f"an animated or many-paged {kind}", sha256)
        if image.mode == FLOATING_POINT:
            detail = "floating point; save 8 or 16 bits a channel"
            return Unreadable("unsupported pixels", detail, sha256)
        # Asked before the pixels are decoded: a TIFF turns itself then, and forgets.
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        ImageOps.exif_transpose(image, in_place=True)  # decodes all; a truncated file raises
        gray = grayscale(image)
    seen = Fingerprint(
        image_sha256=sha256,
        width=gray.width,
        height=gray.height,
        format=kind,
        exif_orientation=orientation if orientation in EXIF_ORIENTATIONS else 1,
        bytes=size_bytes,
        phash_64=str(imagehash.phash(gray, hash_size=8)),
        phash_256=str(imagehash.phash(gray, hash_size=16)),
        thumbnail=thumbnail(gray),
    )
    if not is_mirrored_too:
        return seen
    mirrored = ImageOps.mirror(gray)
    return MirroredFingerprint(
        **vars(seen),
        mirrored_phash_64=str(imagehash.phash(mirrored, hash_size=8)),
        mirrored_phash_256=str(imagehash.phash(mirrored, hash_size=16)),
    )


def thumbnail(gray: Image.Image) -> bytes:
    """The picture from afar: 64 × 64 levels, row by row, of the whole squeezed into a square."""
    side = THUMBNAIL_SIDE
    large = gray.resize((4 * side, 4 * side), Image.Resampling.LANCZOS, reducing_gap=3)
    blurred = large.filter(ImageFilter.GaussianBlur(BLUR))
    return blurred.resize((side, side), Image.Resampling.BOX).tobytes()


def is_heif(file: Path | bytes) -> bool:
    """Whether a file is of the family of HEIC and AVIF, as phones write, by its first bytes."""
    if isinstance(file, bytes):
        head = file[:12]
    else:
        with file.open("rb") as opened:
            head = opened.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def grayscale(image: Image.Image) -> Image.Image:
    """`image` in 8-bit grey, as a screen shows it."""
    if image.mode.startswith("I"):
        # 16 bits a pixel. Pillow's own conversion clips them to 255: nearly every pixel white, and
        # so nearly every such image the twin of any other. Keep the high byte instead.
        high_bytes = np.asarray(image).clip(0, 0xFFFF) >> 8
        return Image.fromarray(high_bytes.astype(np.uint8))
    return image.convert("L")


def one_line(error: BaseException) -> str:
    """What a decoder said, on one line; its kind where it said nothing."""
    return " ".join(str(error).split()) or type(error).__name__
