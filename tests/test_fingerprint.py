"""pixmo.images.fingerprint: what an image is, and why a file is none."""

import io
import struct
import zlib
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from pixmo.errors import ImageError
from pixmo.hashing import sha256_bytes
from pixmo.images.fingerprint import Unreadable, examine, fingerprint
from tests.workspaces import picture

SIZE = (96, 64)
ORIENTATION = 0x0112


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def why(path: Path) -> str:
    seen = examine(path)
    assert isinstance(seen, Unreadable), seen
    assert "\n" not in seen.detail
    return seen.reason


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_is_read(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "image", picture(1, SIZE), format=kind)
    seen = fingerprint(path)
    with Image.open(path) as image:
        assert seen.phash_64 == str(imagehash.phash(image, hash_size=8))
        assert seen.phash_256 == str(imagehash.phash(image, hash_size=16))
    assert (seen.format, seen.width, seen.height, seen.exif_orientation) == (kind, *SIZE, 1)
    assert seen.image_sha256 == sha256_bytes(path.read_bytes())
    assert seen.bytes == len(path.read_bytes())
    assert (len(seen.phash_64), len(seen.phash_256)) == (16, 64)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_seen_as_it_is_displayed(tmp_path: Path, kind: str, orientation: int) -> None:
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    path = tmp_path / "image"
    saved(path, picture(2, SIZE), format=kind, exif=exif(orientation), **options)
    seen = fingerprint(path)
    assert seen.exif_orientation == orientation
    assert (seen.width, seen.height) == (SIZE if orientation < 5 else SIZE[::-1])
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    assert seen.phash_64 == str(imagehash.phash(upright, hash_size=8))


def test_a_turned_image_looks_like_the_upright_one(tmp_path: Path) -> None:
    upright = fingerprint(saved(tmp_path / "upright.png", picture(3, SIZE)))
    lying = picture(3, SIZE).transpose(Image.Transpose.ROTATE_90)
    turned = fingerprint(saved(tmp_path / "turned.png", lying, exif=exif(6)))
    untold = fingerprint(saved(tmp_path / "untold.png", lying))
    assert (turned.width, turned.height) == (upright.width, upright.height)
    assert turned.phash_256 == upright.phash_256 != untold.phash_256


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_means_nothing_is_none(tmp_path: Path, orientation: int) -> None:
    path = saved(tmp_path / "image.jpg", picture(4, SIZE), exif=exif(orientation))
    assert fingerprint(path).exif_orientation == 1


def test_sixteen_bits_look_like_eight(tmp_path: Path) -> None:
    gray = np.asarray(picture(5, SIZE).convert("L"))
    eight = fingerprint(saved(tmp_path / "8.png", Image.fromarray(gray)))
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    for name in ("16.png", "16.tif"):
        sixteen = fingerprint(saved(tmp_path / name, deep))
        assert sixteen.phash_64 == eight.phash_64
        assert sixteen.phash_256 == eight.phash_256


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    name = "image.tif" if mode == "CMYK" else "image.png"
    assert fingerprint(saved(tmp_path / name, picture(6, SIZE).convert(mode))).width == SIZE[0]


def test_a_phones_picture_with_another_behind_it_is_a_jpeg(tmp_path: Path) -> None:
    first, second = picture(7, SIZE), picture(8, SIZE)
    path = tmp_path / "phone.jpg"
    saved(path, first, format="MPO", save_all=True, append_images=[second])
    with Image.open(path) as image:
        assert image.format == "MPO"
    plain = fingerprint(saved(tmp_path / "plain.jpg", first))
    assert fingerprint(path).format == "JPEG"
    assert fingerprint(path).phash_256 == plain.phash_256


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_what_moves_is_no_still_image(tmp_path: Path, kind: str) -> None:
    frames = [picture(seed, SIZE) for seed in (1, 2, 3)]
    path = tmp_path / "image"
    saved(path, frames[0], format=kind, save_all=True, append_images=frames[1:])
    assert why(path) == "more than one frame"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_image_is_refused(tmp_path: Path, kind: str, kept: float) -> None:
    data = io.BytesIO()
    picture(9, SIZE).save(data, kind)
    whole = data.getvalue()
    path = tmp_path / "image"
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert why(path) in ("damaged image", "not an image")


def test_a_truncated_jpeg_is_damaged_and_keeps_its_hash(tmp_path: Path) -> None:
    path = saved(tmp_path / "image.jpg", picture(9, SIZE), quality=95)
    path.write_bytes(path.read_bytes()[:-500])
    seen = examine(path)
    assert isinstance(seen, Unreadable)
    assert seen.reason == "damaged image"
    assert "truncated" in seen.detail
    assert seen.sha256 == sha256_bytes(path.read_bytes())


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_an_image_that_unpacks_to_too_many_pixels_is_refused(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b""))
    )
    assert why(path) == "too many pixels"


@pytest.mark.parametrize("data", [b"", b"no image", b"%PDF-1.4", b"ffconcat version 1.0\n"])
def test_a_file_that_only_calls_itself_an_image_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(data)
    assert why(path) == "not an image"


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_a_phones_heic_says_what_to_do(tmp_path: Path, brand: bytes) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic")
    seen = examine(path)
    assert isinstance(seen, Unreadable)
    assert (seen.reason, seen.detail) == ("HEIC or AVIF image", "convert it to JPEG or PNG")
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0")  # an MP4
    assert why(path) == "not an image"


@pytest.mark.parametrize("kind", ["PPM", "ICO", "EPS", "PCX"])
def test_other_decoders_are_never_asked(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "image.png", picture(1, SIZE), format=kind)
    assert why(path) == "not an image"


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random(SIZE, np.float32)
    assert why(saved(tmp_path / "image.tif", Image.fromarray(noise))) == "unsupported pixels"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    assert why(tmp_path) == "cannot be opened"
    assert why(tmp_path / "gone.png") == "cannot be opened"


def test_an_error_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"^.*image\.png: not an image: .*; replace it") as caught:
        fingerprint(path)
    assert "\n" not in str(caught.value)


def test_mutated_bytes_are_a_fingerprint_or_a_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "image"
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        data = io.BytesIO()
        picture(10, (32, 24)).save(data, kind)
        whole = np.frombuffer(data.getvalue(), np.uint8)
        for _ in range(40):
            broken = whole.copy()
            broken[rng.integers(0, len(broken), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(broken.tobytes())
            seen = examine(path)
            assert not isinstance(seen, Unreadable) or seen.reason
