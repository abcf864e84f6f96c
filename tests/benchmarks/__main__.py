"""Runs every benchmark, writes `docs/benchmarks.json` and from it `docs/benchmarks.md`."""

import json
from pathlib import Path
from typing import Any

from pixmo.files import write_json, write_text
from tests.benchmarks import near_duplicates

DOCS = Path(__file__).parents[2] / "docs"
BENCHMARKS = (near_duplicates,)


def page(results: list[dict[str, Any]]) -> str:
    """The whole of `docs/benchmarks.md`."""
    lines = ["# Benchmarks", "", "Made by `make bench` from `docs/benchmarks.json`. Ratios of two"]
    lines += ["things measured in one process carry over to other machines; seconds do not.", ""]
    for result in results:
        lines += [f"## {result['title']}", "", "| | |", "| --- | ---: |"]
        lines += [f"| {name} | {value} |" for name, value in result["rows"].items()]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Both files hold what was measured just now."""
    results = [benchmark.run() for benchmark in BENCHMARKS]
    write_json(DOCS / "benchmarks.json", results)
    write_text(DOCS / "benchmarks.md", page(results))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
