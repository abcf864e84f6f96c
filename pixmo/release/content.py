"""What a release is to hold, before a byte of it is written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from pixmo import schema
from pixmo.curate.curate import Curated
from pixmo.curate.recipe import Recipe
from pixmo.curate.rows import Rows
from pixmo.dataset.reader import SPLITS
from pixmo.release.images import SourceImage, Travel
from pixmo.workspace.settings import Settings


@dataclass(frozen=True)
class SubsetContent:
    """The rows of one subset; there as long as the connection they were chosen in."""

    curated: Curated
    images: Mapping[str, SourceImage]  # of the workspace, by sha256

    @property
    def recipe(self) -> Recipe:
        """The recipe that chose the rows."""
        return self.curated.recipe

    @property
    def stem(self) -> str:
        """cap, ama or points."""
        return self.recipe.stem

    @property
    def rows(self) -> Rows:
        """The rows kept."""
        return self.curated.kept

    @cached_property
    def splits(self) -> dict[str, int]:
        """The rows of each split that has any."""
        found = dict(self.rows.query("split, count(*)", "group by split"))
        return {split: int(found[split]) for split in SPLITS if split in found}

    @cached_property
    def image_sha256s(self) -> frozenset[str]:
        """The images of the rows kept."""
        return frozenset(sha256 for (sha256,) in self.rows.query("distinct image_sha256"))

    def filled(self, rows: Rows) -> Iterator[pa.Table]:
        """Yield the rows kept or set apart, piece by piece, with `image_url` never null."""
        promised = schema.subset(self.stem).arrow().field("image_url")
        for table in rows.tables():
            sha256s = table.column("image_sha256").to_pylist()
            urls = pa.array([self.images[sha256].release_url for sha256 in sha256s], pa.string())
            yield table.set_column(table.schema.get_field_index("image_url"), promised, urls)


@dataclass(frozen=True)
class HeldOut:
    """Evaluation data that the rows were compared with, if their recipe says so."""

    source: str
    images: int
    questions: int


@dataclass(frozen=True)
class Content:
    """All that card, report and manifest speak of."""

    version: str
    settings: Settings
    subsets: tuple[SubsetContent, ...]  # those with candidates; some may have kept no row
    images: Mapping[str, SourceImage]  # of the rows kept or set apart, by sha256, as they arrived
    held_out: tuple[HeldOut, ...]
    travel: Travel
    inside: frozenset[str]  # the images that travel inside the release, by sha256

    @property
    def is_embedded(self) -> bool:
        """Whether rows hold their images."""
        return self.travel.mode == "embedded"

    @property
    def filled(self) -> tuple[SubsetContent, ...]:
        """The subsets that have rows."""
        return tuple(subset for subset in self.subsets if subset.rows.num_rows)

    @property
    def example(self) -> SubsetContent:
        """The subset to look at first."""
        return self.subset("cap") or self.filled[0]

    def subset(self, stem: str) -> SubsetContent | None:
        """The subset with this stem, if it has rows."""
        return next((subset for subset in self.filled if subset.stem == stem), None)

    @property
    def held(self) -> tuple[SubsetContent, ...]:
        """The subsets that have rows, kept or set apart."""
        return tuple(s for s in self.subsets if s.rows.num_rows or s.curated.apart.num_rows)

    @property
    def licenses(self) -> list[str]:
        """The licences of the subsets that have rows, kept or set apart, as SPDX names."""
        return sorted({subset.recipe.license for subset in self.held})
