"""What a release is to hold, before a byte of it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixmo import schema
from pixmo.curate.curate import Curated
from pixmo.curate.recipe import Recipe
from pixmo.dataset.reader import SPLITS
from pixmo.release.images import SourceImage
from pixmo.workspace.settings import Settings


@dataclass(frozen=True)
class SubsetContent:
    """The rows of one subset, under its schema but for `split`."""

    curated: Curated
    rows: pa.Table  # the schema's columns, then `split`; sorted by image and id
    apart: pa.Table  # the same of rows set apart, then the step, reason and evidence that did it

    @property
    def recipe(self) -> Recipe:
        """The recipe that chose the rows."""
        return self.curated.recipe

    @property
    def stem(self) -> str:
        """cap, ama or points."""
        return self.recipe.stem

    @cached_property
    def splits(self) -> dict[str, pa.Table]:
        """The rows of each split that has any, under the promised schema."""
        promise = schema.subset(self.stem)
        tables = {}
        for split in SPLITS:
            rows = self.rows.filter(pc.equal(self.rows.column("split"), split))
            if rows.num_rows:
                tables[split] = rows.select(promise.column_names).cast(promise.arrow())
        return tables

    def column(self, name: str) -> list[Any]:
        """The values of a column over all splits."""
        values: list[Any] = self.rows.column(name).to_pylist()
        return values


@dataclass(frozen=True)
class Content:
    """All that card, report and manifest speak of."""

    version: str
    settings: Settings
    subsets: tuple[SubsetContent, ...]  # those with candidates; some may have kept no row
    images: Mapping[str, SourceImage]  # of the rows kept, by sha256, in order of arrival

    @property
    def filled(self) -> tuple[SubsetContent, ...]:
        """The subsets that have rows."""
        return tuple(subset for subset in self.subsets if subset.rows.num_rows)

    def subset(self, stem: str) -> SubsetContent | None:
        """The subset with this stem, if it has rows."""
        return next((subset for subset in self.filled if subset.stem == stem), None)

    @property
    def licenses(self) -> list[str]:
        """The licences of the subsets that have rows, as SPDX names."""
        return sorted({subset.recipe.license for subset in self.filled})


def fill_in(curated: Curated, images: Mapping[str, SourceImage]) -> SubsetContent:
    """The rows kept and set apart with `image_url` never null."""

    def filled(table: pa.Table) -> pa.Table:
        urls = [images[sha256].release_url for sha256 in table.column("image_sha256").to_pylist()]
        place = table.schema.get_field_index("image_url")
        promised = schema.subset(curated.recipe.stem).arrow().field("image_url")
        return table.set_column(place, promised, pa.array(urls, pa.string())).drop_columns(
            ["ordinal"]
        )

    return SubsetContent(curated, filled(curated.kept), filled(curated.apart))
