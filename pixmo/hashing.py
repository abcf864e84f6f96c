"""Content hashes: what a file or a value is, whatever it is called."""

import hashlib
import json
from pathlib import Path

CHUNK_BYTES = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """The sha256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The sha256 of a file's raw bytes, read in chunks, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_value(value: object) -> str:
    """The sha256 of a JSON-like value, the same for the same content in any key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_bytes(text.encode())


def short_id(*parts: object) -> str:
    """A stable row id: the first 16 hexadecimal digits of the sha256 of `parts`."""
    return sha256_value([str(part) for part in parts])[:16]


def unit_interval(text: str) -> float:
    """A number in [0, 1) that `text` always maps to, spread evenly: for splits and samples."""
    return int(sha256_bytes(text.encode())[:13], 16) / 16**13
