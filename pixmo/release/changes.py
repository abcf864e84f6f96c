"""What a report says of the release before: shapes of a comparison, and its section."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol

from pixmo.dataset.reader import Release

MOST_CAUSES = 12
DIGITS = 4
LARGE = 1000  # of such a number nobody wants decimals


class Cause(Protocol):
    """Why rows went."""

    @property
    def verdict(self) -> str:
        """dropped, set apart; empty: there was no such candidate."""

    @property
    def step(self) -> str:
        """The step that took them; empty where none did."""

    @property
    def reason(self) -> str:
        """Its reason; numbers as #."""

    @property
    def rows(self) -> int:
        """How many they are."""


class Figure(Protocol):
    """A number of both releases; None where there is nothing to count."""

    @property
    def name(self) -> str:
        """What is counted."""

    @property
    def before(self) -> float | None:
        """In the earlier release."""

    @property
    def after(self) -> float | None:
        """In this one."""


class SubsetChanges(Protocol):
    """What became of the rows of a subset."""

    @property
    def name(self) -> str:
        """pixmo-cap …"""

    @property
    def added(self) -> int:
        """Rows that the earlier release has not."""

    @property
    def removed(self) -> int:
        """Rows that this one has not."""

    @property
    def changed(self) -> int:
        """Rows that hold something else."""

    @property
    def moved(self) -> int:
        """Rows that are in another split, and else the same."""

    @property
    def same(self) -> int:
        """All others."""

    @property
    def removed_because(self) -> Sequence[Cause]:
        """Why rows went, most frequent first."""

    @property
    def figures(self) -> Sequence[Figure]:
        """What can be counted on either side."""


class Changes(Protocol):
    """What became of a release."""

    @property
    def before(self) -> str:
        """The version compared with."""

    @property
    def subsets(self) -> Sequence[SubsetChanges]:
        """Every subset of either."""


# The earlier release and the one that is built, whose manifest is not on the disk yet.
Compare = Callable[[Release, Release], Changes]


def section(changes: Changes | None) -> str:
    """What changed, as a part of the page; nothing where there is no release before."""
    if changes is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}</th>'
        + "".join(
            f'<td class="number">{count:,}</td>'
            for count in (one.added, one.removed, one.changed, one.moved, one.same)
        )
        + "</tr>\n"
        for one in changes.subsets
    )
    return (
        f'<section id="changes">\n<h2>What changed since {escape(changes.before)}</h2>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Rows that changed"><table>\n'
        '<tr><th scope="col">subset</th><th scope="col" class="number">added</th>'
        '<th scope="col" class="number">removed</th><th scope="col" class="number">changed</th>'
        '<th scope="col" class="number">moved</th><th scope="col" class="number">same</th></tr>\n'
        f"{rows}</table></div>\n{''.join(map(details, changes.subsets))}</section>\n"
    )


def details(subset: SubsetChanges) -> str:
    """Why rows of a subset went, and its figures on both sides."""
    causes = "".join(
        f"<li>{cause.rows:,} {escape(told(cause))}</li>\n"
        for cause in subset.removed_because[:MOST_CAUSES]
    )
    removed = f"<p>Removed rows of {escape(subset.name)}:</p>\n<ul>\n{causes}</ul>\n"
    figures = "".join(
        f'<tr><th scope="row">{escape(figure.name)}</th><td class="number">{number(figure.before)}'
        f'</td><td class="number">{number(figure.after)}</td></tr>\n'
        for figure in subset.figures
        if figure.before != figure.after
    )
    table = (
        f"<h3>{escape(subset.name)}</h3>\n"
        f'<div class="scroll" tabindex="0" role="region"'
        f' aria-label="Figures of {escape(subset.name)}">'
        '<table class="figures">\n<tr><th scope="col">figure</th>'
        '<th scope="col" class="number">before</th>'
        f'<th scope="col" class="number">now</th></tr>\n{figures}</table></div>\n'
    )
    return (table if figures else "") + (removed if causes else "")


def told(cause: Cause) -> str:
    """Why rows went, in words."""
    if not cause.step:
        return "are no candidates any more"
    return f"{cause.verdict} by {cause.step}: {cause.reason}"


def number(value: float | None) -> str:
    """A figure; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= LARGE:
        return f"{value:,.0f}"
    return f"{value:.{DIGITS}g}"
