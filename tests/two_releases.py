"""Releases written straight from tables, and what differs between two of them, told slowly."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pixmo import schema
from pixmo.dataset.manifest import FunnelStep, Manifest, Subset, file_entry

Tables = Mapping[str, Mapping[str, pa.Table]]  # by stem and split
Verdicts = Mapping[str, Sequence[tuple[str, str, str]]]  # by stem: id, step, reason


def write(
    root: Path,
    tables: Tables,
    dropped: Verdicts | None = None,
    apart: Verdicts | None = None,
    funnels: Mapping[str, Sequence[FunnelStep]] | None = None,
    recipes: Mapping[str, str] | None = None,
    tool: str = "0.1.0",
) -> Manifest:
    """A release of these rows in the folder `root`; its manifest, which stands there, too."""
    files, subsets = [], []
    for stem, of_split in tables.items():
        name = schema.subset(stem).name
        for split, table in of_split.items():
            if len(table):
                path = root / name / f"{split}-00000-of-00001.parquet"
                files.append(put(root, path, table))
        for folder, verdicts in (("dropped", dropped or {}), ("apart", apart or {})):
            if stem in verdicts or folder == "dropped":
                rows = [
                    {"id": row, "image_sha256": "", "step": step, "reason": why, "evidence": "{}"}
                    for row, step, why in verdicts.get(stem, ())
                ]
                names = ("id", "image_sha256", "step", "reason", "evidence")
                columns = pa.schema([(column, pa.string()) for column in names])
                path = root / folder / f"{stem}.parquet"
                files.append(put(root, path, pa.Table.from_pylist(rows, columns)))
        subsets.append(
            Subset(
                stem,
                name,
                sum(map(len, of_split.values())),
                {split: len(table) for split, table in of_split.items() if len(table)},
                len((apart or {}).get(stem, ())),
                tuple((funnels or {}).get(stem, ())),
                (recipes or {}).get(stem, "recipe"),
                "schema",
            )
        )
    manifest = Manifest(root.name, tool, "ODC-BY-1.0", tuple(subsets), tuple(files))
    manifest.write(root)
    return manifest


def put(root: Path, path: Path, table: pa.Table) -> Any:
    """The table is in the file; the manifest's line for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return file_entry(root, path, len(table))


def told_slowly(
    before: Mapping[str, pa.Table], after: Mapping[str, pa.Table]
) -> tuple[Counter[tuple[str, str, str]], Counter[str]]:
    """Rows of one subset by change and both splits, and changed rows by column: a pandas merge.

    Only columns of both are compared.
    """
    old, new = (
        pd.concat([table.to_pandas().assign(split=split) for split, table in side.items()])
        for side in (before, after)
    )
    both = [name for name in old.columns if name in new.columns and name not in ("id", "split")]
    merged = old.merge(new, on="id", how="outer", suffixes=("_old", "_new"), indicator=True)
    flows: Counter[tuple[str, str, str]] = Counter()
    columns: Counter[str] = Counter()
    for row in merged.to_dict("records"):
        if row["_merge"] == "left_only":
            flows["removed", row["split_old"], ""] += 1
        elif row["_merge"] == "right_only":
            flows["added", "", row["split_new"]] += 1
        else:
            pairs = ((name, row[f"{name}_old"], row[f"{name}_new"]) for name in both)
            changed = [name for name, one, other in pairs if as_text(one) != as_text(other)]
            columns.update(changed)
            moved = row["split_old"] != row["split_new"]
            change = "changed" if changed else "moved" if moved else "same"
            flows[change, row["split_old"], row["split_new"]] += 1
    return flows, columns


def as_text(value: Any) -> str:
    """A value, lists in it too, so that equal ones are equal."""
    return str(value.tolist() if hasattr(value, "tolist") else value)
