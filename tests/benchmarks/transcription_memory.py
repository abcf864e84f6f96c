"""How much memory transcribing takes as it goes on."""

import itertools
import statistics
import tempfile
from pathlib import Path
from typing import Any

from pixmo.demo.recogniser import checkpoint
from tests.benchmarks.clips import make_clips
from tests.benchmarks.faster_whisper_folder import faster_whisper_folder
from tests.benchmarks.transcription import run_peer

CLIPS = 192
PARTS = 4
OURS = ("pixmo", "pixmo --engine faster-whisper, int8")


def run(clips: int = CLIPS) -> dict[str, Any]:
    """Each engine's memory in each quarter of its run, processes that prepare included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(folder / "clips", clips)
        weights = checkpoint(folder)
        converted = faster_whisper_folder(weights, folder / "converted")
        arguments = [folder / "clips", folder, weights, converted]
        quarters = {peer: by_quarter(run_peer(peer, arguments)[1]) for peer in OURS}
    return {
        "title": f"Memory while {clips} recordings (60 to 90 s, webm) become text, MB, median",
        "columns": [f"{number}. quarter of the time" for number in range(1, PARTS + 1)],
        "rows": {peer: [f"{median:,.0f}" for median in found] for peer, found in quarters.items()},
        "notes": ["On the processor. What processes share counts once."],
        "median_megabytes": quarters,
    }


def by_quarter(taken: list[float]) -> list[float]:
    """The median of each quarter of the samples."""
    edges = [len(taken) * number // PARTS for number in range(PARTS + 1)]
    return [statistics.median(taken[low:high]) for low, high in itertools.pairwise(edges)]
