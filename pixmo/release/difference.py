"""What a comparison of two releases found, as data; `diff` finds it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pixmo.dataset.manifest import FunnelStep

# What became of a row. One whose content changed may have moved to another split, too.
CHANGES = ("added", "removed", "changed", "moved", "same")
# What is said of removed and of added rows that the other release has no verdict on.
GONE = "no candidate any more: its source is gone"
NEW = "no candidate yet"


@dataclass(frozen=True)
class Flow:
    """Rows of one change, by the split they were in and the one they are in."""

    change: str  # one of CHANGES
    split_before: str  # empty: the row was in none
    split_after: str  # empty: it is in none
    rows: int


@dataclass(frozen=True)
class Cause:
    """Why rows went, or where rows came from."""

    verdict: str  # dropped, set apart, or none: the other release knows no such row
    step: str  # of the recipe that took them; empty where none did
    reason: str  # numbers and hashes as #
    rows: int


@dataclass(frozen=True)
class Retyped:
    """A column that holds another type."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Figure:
    """A number of both releases; null where there is nothing to count."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class StepDifference:
    """A step of the recipe and the rows that it named; null where the recipe has no such step."""

    step: str
    then_before: str  # drop, set_apart or flag; empty where the recipe has no such step
    then_after: str
    rows_before: int | None
    rows_after: int | None
    is_reworded: bool  # its explanation, which holds the values of mechanisms, is another


@dataclass(frozen=True)
class SubsetDifference:
    """What became of one subset."""

    stem: str
    name: str
    presence: str  # in both, new, or gone
    added: int
    removed: int
    changed: int
    moved: int  # only to another split
    same: int
    flows: tuple[Flow, ...]
    columns_changed: Mapping[str, int]  # rows by the column that changed, most frequent first
    removed_because: tuple[Cause, ...]  # most frequent first
    added_from: tuple[Cause, ...]  # most frequent first
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns_retyped: tuple[Retyped, ...]  # their values are not compared
    is_recipe_changed: bool
    steps: tuple[StepDifference, ...]  # those that differ
    figures: tuple[Figure, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the rows, their columns and the recipe are the same."""
        return not (
            self.added
            or self.removed
            or self.changed
            or self.moved
            or self.columns_added
            or self.columns_removed
            or self.columns_retyped
            or self.is_recipe_changed
        )


@dataclass(frozen=True)
class Difference:
    """What became of a release."""

    before: str  # the versions
    after: str
    pixmo_before: str  # the tool's versions
    pixmo_after: str
    license_before: str
    license_after: str
    subsets: tuple[SubsetDifference, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no subset differs."""
        return all(subset.is_empty for subset in self.subsets)


def steps(
    before: tuple[FunnelStep, ...], after: tuple[FunnelStep, ...]
) -> tuple[StepDifference, ...]:
    """The steps that differ in what they do or in how many rows they named, in their order."""
    old = {step.step: step for step in before}
    new = {step.step: step for step in after}
    found = []
    for name in dict.fromkeys([*new, *old]):
        one, other = old.get(name), new.get(name)
        difference = StepDifference(
            step=name,
            then_before=one.then if one else "",
            then_after=other.then if other else "",
            rows_before=one.rows if one else None,
            rows_after=other.rows if other else None,
            is_reworded=bool(one and other and one.explanation != other.explanation),
        )
        is_same = one and other and (one.then, one.rows) == (other.then, other.rows)
        if not is_same or difference.is_reworded:
            found.append(difference)
    return tuple(found)
