"""Which rows hurt: the rows that the probe has measured, those that contradict their image first.

The table is for the next curation: a row far below zero is likelier said of another image.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pixmo.files import replace_atomically
from pixmo.molmo.data import Example
from pixmo.validate.placement import evidence
from pixmo.validate.probe_run import RunResult
from pixmo.workspace.workspace import Workspace

FILE_NAME = "evidence.parquet"
COLUMNS = pa.schema(
    [
        ("subset", pa.string()),
        ("id", pa.string()),
        ("image_sha256", pa.string()),
        ("trained_on", pa.bool_()),
        ("evidence", pa.float64()),  # nats that the answer is likelier on its own image
        ("prompt", pa.string()),
        ("answer", pa.string()),
    ]
)


def table(learnt: Sequence[Example], held_out: Sequence[Example], trained: RunResult) -> pa.Table:
    """A line for every row, by subset, the least evidence first."""
    texts = {
        (one.kind, one.id): one for example in [*learnt, *held_out] for one in example.annotations
    }
    lines = []
    for losses, trained_on in ((trained.learnt, True), (trained.held_out, False)):
        if not losses:
            continue
        own, _ = evidence(losses)
        for loss, value in zip(losses, own.mean(1).tolist(), strict=True):
            text = texts[loss.kind, loss.id]
            lines.append(
                {
                    "subset": loss.kind,
                    "id": loss.id,
                    "image_sha256": loss.image_sha256,
                    "trained_on": trained_on,
                    "evidence": value,
                    "prompt": text.prompt.strip(),
                    "answer": text.answer.strip(),
                }
            )
    lines.sort(key=lambda line: (line["subset"], line["evidence"], line["id"]))
    return pa.Table.from_pylist(lines, schema=COLUMNS)


def remember(workspace: Workspace, release: str, probe: str, path: Path) -> int:
    """The workspace's table `probe_evidence` holds the table at `path`; how many rows are new.

    For the recipes' step images/contradicts.sql. What a probe has said once is not said again.
    """
    known = workspace.read("probe_evidence")
    if not path.is_file() or probe in known.column("probe").unique().to_pylist():
        return 0
    rows = [
        {
            "release": release,
            "probe": probe,
            "subset": row["subset"],
            "id": row["id"],
            "evidence": row["evidence"],
            "is_trained_on": row["trained_on"],
        }
        for row in pq.read_table(path).to_pylist()
    ]
    workspace.append("probe_evidence", rows)
    return len(rows)


def write(
    path: Path, learnt: Sequence[Example], held_out: Sequence[Example], trained: RunResult
) -> None:
    """`path` holds the table as Parquet."""
    found = table(learnt, held_out, trained)
    replace_atomically(path, lambda place: pq.write_table(found, place))
