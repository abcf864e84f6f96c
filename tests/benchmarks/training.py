"""A step of the trainer beside the same one padded, and beside transformers' Molmo2."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.watched import run_watched

PEERS = {
    "pixmo": "pixmo",
    "compiled": "pixmo --compile",
    "padded": "the same model, padded to the most crops and the longest text, dense mask",
    "molmo2": "transformers' Molmo2ForConditionalGeneration of the same dimensions",
}
EQUAL_LOSS = 1e-2  # nats; one batch, one model, two ways
ROOT = Path(__file__).parents[2]


def run() -> dict[str, Any]:
    """Each peer in a process of its own, on the same images and texts.

    Raises:
        RuntimeError: the padded step has another loss than ours.
    """
    is_gpu = torch.cuda.is_available()  # a processor compiles longer than it then computes
    found = {peer: measure(peer) for peer in PEERS if is_gpu or peer != "compiled"}
    difference = abs(found["pixmo"]["loss"] - found["padded"]["loss"])
    if difference > EQUAL_LOSS:
        raise RuntimeError(f"the padded step's loss differs by {difference:.4f} nats")
    where = "GPU, bfloat16" if is_gpu else "processor, float32"
    return {
        "title": f"A training step ({where}), images of many shapes",
        "columns": [
            *("images/s", "tokens/s", "useful share of peak", "waiting for data"),
            *("first step, s", "memory, MB"),
        ],
        "rows": {PEERS[peer]: row(result) for peer, result in found.items()},
        "notes": [
            "Useful are the operations for patches and tokens that are there; padding is not. The"
            " peak is a measured product of matrices on a processor, 989 TFLOP/s on a GPU.",
            "Timed is all of a step: waiting for the workers that decode and cut images, the copy,"
            " two micro-batches forwards and backwards, clipping and the optimisers (the trainer's"
            " with dropout and z-loss).",
            f"One batch's loss, ours and padded: {difference:.1e} nats apart.",
        ],
        "measured": found,
    }


def measure(peer: str) -> dict[str, float]:
    """What one peer took."""
    command = [sys.executable, "-m", "tests.benchmarks.training_peers", peer]
    output, megabytes = run_watched(command, cwd=ROOT)
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return {**result, "megabytes": result["gpu_megabytes"] or max(megabytes)}


def row(result: dict[str, float]) -> list[str]:
    """A line of the table."""
    return [
        f"{result['images_per_second']:.1f}",
        f"{result['tokens_per_second']:,.0f}",
        f"{result['useful_share_of_peak']:.0%}",
        f"{result['waiting_share']:.0%}",
        f"{result['first_step_seconds']:.1f}",
        f"{result['megabytes']:,.0f}",
    ]
