"""What kind of sound file this is, by its first bytes, and whether its end is missing.

A file's name is never believed: a demuxer chosen by FFmpeg itself would follow playlists and
session descriptions, whatever they are called.
"""

import mmap
from collections.abc import Callable
from pathlib import Path

# Matroska's elements that a recorder may begin before it knows how long they become.
SEGMENT = 0x18538067
CLUSTER = 0x1F43B675
OGG_HEADER_BYTES = 27
LONGEST_OGG_PAGE = OGG_HEADER_BYTES + 255 + 255 * 255
RIFF_HEADER_BYTES = 8
# Recorders that cannot seek back write 0 or a size near the largest of 31 or 32 bits.
RIFF_UNKNOWN_SIZES_FROM = 0x7FFFF000
RIFF_PADDING_BYTES = 1  # behind data of an odd size; not all recorders write what they count


def demuxer(head: bytes) -> str | None:
    """FFmpeg's name of the container that `head`, a file's first 12 bytes, begins; or None."""
    mpeg_frame = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06
    kinds = {
        "matroska": head.startswith(b"\x1a\x45\xdf\xa3"),
        "ogg": head.startswith(b"OggS"),
        "wav": head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE",
        "flac": head.startswith(b"fLaC"),
        "mp3": head.startswith(b"ID3") or bool(mpeg_frame),
        "mov": head[4:8] == b"ftyp",
    }
    return next((name for name, matches in kinds.items() if matches), None)


def states_length(head: bytes, kind: str) -> bool:
    """Whether to believe the length that a file of this container, by its first bytes, states."""
    if kind == "mp3":  # without this header it is a guess from the first bit rate
        return b"Xing" in head or b"Info" in head
    # RF64 has a chunk of its own for it.
    return kind != "wav" or riff_size(head) is not None or head.startswith(b"RF64")


def ends_early(path: Path, kind: str) -> bool:
    """Whether the bytes of a file of this container stop before the container does.

    Of mp3, mov and flac only the decoder, or the length they state, can tell: always False.
    Of an Ogg cut between pages, and of a live Matroska cut between elements, nothing can: there
    are recorders that never mark the end (Telegram's on Android leaves out Ogg's last flag).
    """
    checks: dict[str, Callable[[mmap.mmap], bool]] = {
        "matroska": matroska_ends_early,
        "ogg": ogg_ends_early,
        "wav": wav_ends_early,
    }
    if kind not in checks:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return checks[kind](data)


def wav_ends_early(data: mmap.mmap) -> bool:
    """Whether the RIFF header promises more bytes than there are."""
    size = riff_size(data[:RIFF_HEADER_BYTES])
    return size is not None and RIFF_HEADER_BYTES + size > len(data) + RIFF_PADDING_BYTES


def riff_size(head: bytes) -> int | None:
    """The bytes that a RIFF header promises behind itself; None where its writer knew none."""
    size = int.from_bytes(head[4:8], "little")
    return size if 0 < size < RIFF_UNKNOWN_SIZES_FROM else None


def ogg_ends_early(data: mmap.mmap) -> bool:
    """Whether the last page is cut; its segment table says how long it is (RFC 3533)."""
    start = data.rfind(b"OggS", max(0, len(data) - LONGEST_OGG_PAGE))
    table = start + OGG_HEADER_BYTES
    if start < 0 or table > len(data):
        return True
    lengths = data[table : table + data[table - 1]]
    return len(lengths) < data[table - 1] or table + len(lengths) + sum(lengths) > len(data)


def matroska_ends_early(data: mmap.mmap) -> bool:
    """Whether an element reaches beyond the file; live recordings state no overall length.

    Source: RFC 8794, sections 5 and 6 (element ids and sizes).
    """
    position = 0
    while position < len(data):
        identifier, position = variable_integer(data, position, keep_marker=True)
        size, position = variable_integer(data, position, keep_marker=False)
        if identifier is not None and size is not None:
            position += size
        elif identifier not in (SEGMENT, CLUSTER):
            return True
    return position > len(data)


def variable_integer(
    data: mmap.mmap, position: int, *, keep_marker: bool
) -> tuple[int | None, int]:
    """The EBML integer at `position` and where it ends; None when unknown, invalid or cut."""
    if position >= len(data) or data[position] == 0:
        return None, position + 1
    length = 9 - data[position].bit_length()
    end = position + length
    value = int.from_bytes(data[position:end], "big")
    if end > len(data):
        return None, end
    if not keep_marker:
        value -= 1 << 7 * length
        if value == (1 << 7 * length) - 1:
            return None, end
    return value, end
