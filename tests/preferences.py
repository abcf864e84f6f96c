"""Tasks, and four models' answers to them, as people are asked which they prefer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixmo.evaluate.answers import Task
from pixmo.evaluate.pairs import choose, write
from pixmo.resources import shared
from tests import label_studio_exports as ls
from tests.releases import lone_task

STRENGTH = {"molmo-large": 1150.0, "molmo-small": 1050.0, "pilot": 950.0, "stub": 850.0}
CONFIG = shared("annotation_ui", "evaluation", "preference.xml")
AWAY = "https://example.org/a.jpg"
Json = dict[str, Any]


def asked(count: int, image: str = AWAY) -> list[Task]:
    return [
        replace(lone_task(image, f"What is {n}?"), id=f"t{n}", image_sha256=ls.IMAGE_SHA256)
        for n in range(count)
    ]


def answered(tasks: Sequence[Task]) -> dict[str, dict[str, str]]:
    """An answer of each model to each task, no two alike, none with its model's name in it."""
    codes = dict(zip(STRENGTH, "WXYZ", strict=True))
    return {model: {t.id: f"{codes[model]} says {t.id}" for t in tasks} for model in STRENGTH}


def made(folder: Path, count: int = 12, per_pair: int = 12) -> list[Json]:
    """Tasks as they are imported into Label Studio."""
    tasks = asked(count)
    write(folder, choose(tasks, answered(tasks), per_pair))
    found: list[Json] = json.loads((folder / "tasks.json").read_text("utf-8"))
    return found
