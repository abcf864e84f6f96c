"""Runs every benchmark, writes `docs/benchmarks.json` and from it `docs/benchmarks.md`.

With names as arguments only those; what the others measured before stays.
"""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pixmo.files import write_json, write_text
from tests.benchmarks import (
    ama_thresholds,
    cap_thresholds,
    curation,
    decontamination,
    diff,
    label_studio,
    look_alikes,
    near_duplicates,
    near_texts,
    points_thresholds,
    publish,
    recorder_load,
    training,
    transcription,
    transcription_gpu,
    transcription_memory,
)

DOCS = Path(__file__).parents[2] / "docs"
BENCHMARKS = (
    cap_thresholds,
    ama_thresholds,
    points_thresholds,
    curation,
    near_duplicates,
    near_texts,
    look_alikes,
    decontamination,
    diff,
    recorder_load,
    label_studio,
    publish,
    transcription,
    transcription_memory,
    transcription_gpu,
    training,
)


def page(results: list[dict[str, Any]]) -> str:
    """The whole of `docs/benchmarks.md`."""
    lines = ["# Benchmarks", "", "Made by `make bench` from `docs/benchmarks.json`. Ratios of two"]
    lines += ["things measured in one process carry over to other machines; seconds do not.", ""]
    for result in results:
        columns = result.get("columns", [""])
        lines += [f"## {result['title']}", "", f"| | {' | '.join(columns)} |"]
        lines += [f"| --- |{' ---: |' * len(columns)}"]
        for name, values in result["rows"].items():
            cells = values if isinstance(values, list) else [values]
            lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
        lines += ["", *(f"{note}\n" for note in result.get("notes", ()))]
    return "\n".join(lines)


def name_of(benchmark: ModuleType) -> str:
    """The module's own name."""
    return benchmark.__name__.rpartition(".")[2]


def wanted(names: list[str]) -> list[ModuleType]:
    """The benchmarks of these names; without any, all that this machine can run."""
    if names:
        return [benchmark for benchmark in BENCHMARKS if name_of(benchmark) in names]
    has_gpu = torch.cuda.is_available()
    return [benchmark for benchmark in BENCHMARKS if has_gpu or benchmark is not transcription_gpu]


def main() -> None:
    """Both files hold what was measured just now, and before it what was not measured again."""
    file = DOCS / "benchmarks.json"
    known = {result.get("benchmark"): result for result in json.loads(file.read_text())}
    names = [name_of(benchmark) for benchmark in BENCHMARKS]
    for benchmark in wanted(sys.argv[1:]):
        known[name_of(benchmark)] = {"benchmark": name_of(benchmark), **benchmark.run()}
        results = [known[name] for name in names if name in known]
        write_json(file, results)
        write_text(DOCS / "benchmarks.md", page(results))
        print(json.dumps(known[name_of(benchmark)], indent=2), flush=True)


if __name__ == "__main__":
    main()
