"""`pixmo build-release` at PixMo's full size: time, memory, and what a change costs."""

import re
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixmo.resources import shared
from tests.benchmarks.full_size import make
from tests.benchmarks.watched import run_watched

SHARES = (0.01, 0.1, 1.0)  # of PixMo's rows
CHANGE = (r"(?m)^max_repeated = \S+", "max_repeated = 0.15")  # a threshold of the captions


@dataclass(frozen=True)
class Measured:
    """A command's cost."""

    wall: float  # seconds
    processor: float  # seconds, of both cores together
    peak: float  # megabytes


def run(shares: tuple[float, ...] = SHARES) -> dict[str, Any]:
    """A first build and one after a change, for every size."""
    found = {}
    for share in shares:
        with tempfile.TemporaryDirectory() as name:
            workspace = make(Path(name), share)
            first = measured(workspace.root, "build-release", "v1")
            again = measured(workspace.root, "build-release", "again")
            workspace.recipes.mkdir()
            text = shared("pipelines", "cap.toml").read_text("utf-8")
            (workspace.recipes / "cap.toml").write_text(re.sub(*CHANGE, text), "utf-8")
            changed = measured(workspace.root, "build-release", "v2")
            step = ("recipe", "try", "cap/looped.sql", "max_repeated=0.3")
            tried = measured(workspace.root, *step)
        found[share] = {"first": first, "again": again, "changed": changed, "tried": tried}
        print(share, found[share], flush=True)
    return {
        "title": "pixmo build-release at PixMo's size: 717,042 captions of 1.3 million transcripts,"
        " 161,737 answers, 2,376,222 rows of points, 50,000 held-out pictures",
        "columns": [
            "first build, s",
            "processor time, s",
            "peak memory, MB",
            "the same again, s",
            "with one threshold changed, s",
            "trying a step, s",
        ],
        "rows": {
            f"{share:.0%} of the rows": [
                f"{costs['first'].wall:,.0f}",
                f"{costs['first'].processor:,.0f}",
                f"{costs['first'].peak:,.0f}",
                f"{costs['again'].wall:,.0f}",
                f"{costs['changed'].wall:,.0f}",
                f"{costs['tried'].wall:,.0f}",
            ]
            for share, costs in found.items()
        },
        "notes": [
            "Two shared cores. Images are on the web, so none is copied. The threshold is one of"
            " the captions' (cap/looped.sql): its step and those after it judge anew."
        ],
        "costs": {
            str(share): {name: vars(cost) for name, cost in costs.items()}
            for share, costs in found.items()
        },
    }


def measured(workspace: Path, *words: str) -> Measured:
    """What the command costs, its process and those it starts together."""
    before = processor_seconds()
    start = time.perf_counter()
    command = [sys.executable, "-c", "from pixmo.cli.app import main; main()", *words]
    _, taken = run_watched(command, workspace)
    wall = time.perf_counter() - start
    return Measured(wall, processor_seconds() - before, max(taken))


def processor_seconds() -> float:
    """What ended processes have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
