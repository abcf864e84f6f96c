"""From recordings to text on the processor: pixmo beside its peers, same weights, same clips."""

import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jiwer

from pixmo.demo.recogniser import checkpoint
from pixmo.evaluate.statistics import paired_difference
from pixmo.speech.audio import SAMPLE_RATE, decode
from pixmo.text import normalise
from tests.benchmarks.clips import make_clips
from tests.benchmarks.faster_whisper_folder import faster_whisper_folder
from tests.benchmarks.watched import run_watched

CLIPS = 24
ROUNDS = 3
PEERS = (
    "pixmo",
    "pixmo --engine faster-whisper, int8",
    "pixmo --engine faster-whisper, float32",
    "whisper.transcribe",
    "faster-whisper, int8",
    "faster-whisper, float32",
    "faster-whisper batched, int8",
    "faster-whisper batched, float32",
)
STAGES = ("input", "encoder", "decoder", "text", "writing")
MEGABYTE = 1 << 20


@dataclass
class Measured:
    """One peer's rounds."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peak_megabytes: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # of the fastest round
    texts: dict[str, str] = field(default_factory=dict)


def run(clips: int = CLIPS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Every peer's times, memory and errors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spoken = make_clips(folder / "clips", clips)
        weights = checkpoint(folder)
        converted = faster_whisper_folder(weights, folder / "converted")
        seconds = sum(len(decode(path)) for path in spoken) / SAMPLE_RATE
        measured = {peer: Measured() for peer in PEERS}
        for number in range(rounds):
            # Another one begins each time: whatever else the machine does meets them all.
            begin = number * len(PEERS) // rounds
            for peer in (*PEERS[begin:], *PEERS[:begin]):
                arguments = [folder / "clips", folder, weights, converted]
                add(measured[peer], *run_peer(peer, arguments))
                print(f"round {number + 1}, {peer}: {measured[peer].wall[-1]:.1f} s", flush=True)
    reference = {path.stem: normalise(text) for path, text in spoken.items()}
    return {
        "title": f"{clips} recordings of 60 to 90 s (webm, Opus) to text, on the processor",
        "columns": [
            "× real time",
            "time, pixmo's is 1",
            "processor time, pixmo's is 1",
            "word error rate",
            "peak memory, MB",
        ],
        "rows": rows(measured, seconds, reference),
        "notes": [
            *notes(measured["pixmo"]),
            against_whisper(measured["pixmo"], measured["whisper.transcribe"], reference),
        ],
        "peers": {peer: summary(result, seconds, reference) for peer, result in measured.items()},
    }


def run_peer(peer: str, arguments: list[Path]) -> tuple[dict[str, Any], list[float]]:
    """What a peer's process prints, and the megabytes that it and its own took, over time."""
    command = [sys.executable, "-m", "tests.benchmarks.speech_peers", peer, *arguments]
    output, taken = run_watched(command)
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result, taken


def add(measured: Measured, result: dict[str, Any], taken: list[float]) -> None:
    """A round more."""
    if not measured.wall or result["wall"] < min(measured.wall):
        measured.stages = result["stages"]
    measured.wall.append(result["wall"])
    measured.processor.append(result["processor"])
    measured.peak_megabytes = max(measured.peak_megabytes, *taken)
    measured.texts = result["texts"]


def summary(measured: Measured, seconds: float, reference: dict[str, str]) -> dict[str, Any]:
    """A peer's figures; a ratio's seconds are the median of the rounds."""
    whole = measured.stages.get("all")
    return {
        "times_real_time": round(seconds / statistics.median(measured.wall), 1),
        "wall_seconds": [round(wall, 2) for wall in measured.wall],
        "processor_seconds": [round(used, 2) for used in measured.processor],
        "processor_seconds_per_hour": round(statistics.median(measured.processor) / seconds * 3600),
        "peak_megabytes": round(measured.peak_megabytes),
        "word_error_rate": round(word_error_rate(measured.texts, reference), 4),
        "shares": {
            stage: round(measured.stages.get(stage, 0.0) / whole, 3) for stage in STAGES if whole
        },
    }


def word_error_rate(texts: dict[str, str], reference: dict[str, str]) -> float:
    """Of all clips together, without case and punctuation."""
    heard = [normalise(texts.get(stem, "")) for stem in reference]
    return float(jiwer.wer(list(reference.values()), heard))


def rows(
    measured: dict[str, Measured], seconds: float, reference: dict[str, str]
) -> dict[str, list[str]]:
    """The table's lines, cell by cell."""
    ours = measured["pixmo"]
    lines = {}
    for peer, result in measured.items():
        found = summary(result, seconds, reference)
        lines[peer] = [
            f"{found['times_real_time']}",
            f"{ratio(result.wall, ours.wall):.2f}",
            f"{ratio(result.processor, ours.processor):.2f}",
            f"{100 * found['word_error_rate']:.1f} %",
            f"{found['peak_megabytes']:,}",
        ]
    return lines


def ratio(theirs: list[float], ours: list[float]) -> float:
    """Of each round by itself, their median: the machine is not equally free in all of them."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def notes(ours: Measured) -> list[str]:
    """What the table has no column for."""
    whole = ours.stages["all"]
    shares = (f"{stage} {100 * ours.stages.get(stage, 0) / whole:.0f} %" for stage in STAGES)
    return [
        f"Rounds: {len(ours.wall)}, in which the ways took turns, each in a process of"
        " its own on two shared cores.",
        f"pixmo's own engine spends its time in: {', '.join(shares)}; input is waiting for the"
        " processes that decode, look for speech and make spectrograms, their start included.",
    ]


def against_whisper(ours: Measured, whispers: Measured, reference: dict[str, str]) -> str:
    """Whose word error rate is lower, clip by clip, with its interval."""

    def rates(texts: dict[str, str]) -> list[float]:
        return [100 * word_error_rate(texts, {stem: said}) for stem, said in reference.items()]

    found = paired_difference(rates(ours.texts), rates(whispers.texts))
    return (
        f"pixmo's word error rate less that of whisper.transcribe, clip by clip: {found.value:+.1f}"
        f" points [{found.low:+.1f}, {found.high:+.1f}] (95 %)."
    )


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
