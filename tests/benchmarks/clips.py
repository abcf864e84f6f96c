"""Recordings of 60 to 90 s whose text is known, spoken by synthetic voices."""

from pathlib import Path
from random import Random

from pixmo.demo.describe import describe
from pixmo.demo.sample import SPEAKERS
from pixmo.demo.scenes import scene
from pixmo.demo.voice import encode, recite

FIRST_SCENE = 5000


def make_clips(folder: Path, count: int, suffix: str = "webm") -> dict[Path, str]:
    """So many recordings in `folder`, each with what is spoken in it; the same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = {}
    for number in range(count):
        told = describe(scene(FIRST_SCENE, number), Random(number))
        path = folder / f"clip-{number:04}.{suffix}"
        if not path.exists():
            recital = recite(told.spoken, SPEAKERS[number % len(SPEAKERS)], Random(number))
            path.write_bytes(encode(recital.samples, suffix))
        clips[path] = told.text
    return clips
