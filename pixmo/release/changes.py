"""What a report says of the release before: what became of its rows."""

from collections.abc import Sequence
from html import escape

from pixmo.release.difference import GONE, NEW, Cause, Difference, SubsetDifference

MOST_CAUSES = 12
DIGITS = 4
LARGE = 1000  # of such a number nobody wants decimals


def section(changes: Difference | None) -> str:
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
        '<p class="soft">A row is known by its id. Changed rows hold other values than before;'
        " moved ones are in another split, and else the same.</p>\n"
        '<div class="scroll" tabindex="0" role="region" aria-label="Rows that changed"><table>\n'
        '<tr><th scope="col">subset</th><th scope="col" class="number">added</th>'
        '<th scope="col" class="number">removed</th><th scope="col" class="number">changed</th>'
        '<th scope="col" class="number">moved</th><th scope="col" class="number">same</th></tr>\n'
        f"{rows}</table></div>\n{''.join(map(details, changes.subsets))}</section>\n"
    )


def details(subset: SubsetDifference) -> str:
    """A subset's figures on both sides, and why rows of it went, came or changed."""
    figures = "".join(
        f'<tr><th scope="row">{escape(figure.name)}</th><td class="number">{number(figure.before)}'
        f'</td><td class="number">{number(figure.after)}</td></tr>\n'
        for figure in subset.figures
        if number(figure.before) != number(figure.after)
    )
    table = (
        f'<div class="scroll" tabindex="0" role="region"'
        f' aria-label="Figures of {escape(subset.name)}">'
        '<table class="figures">\n<tr><th scope="col">figure</th>'
        '<th scope="col" class="number">before</th>'
        f'<th scope="col" class="number">now</th></tr>\n{figures}</table></div>\n'
        if figures
        else ""
    )
    said = (
        f"{table}{causes('Removed rows, and why', subset.removed_because, GONE)}"
        f"{causes('Added rows, and what they were before', subset.added_from, NEW)}"
        f"{columns(subset)}{recipe(subset)}"
    )
    return f"<h3>{escape(subset.name)}</h3>\n{said}" if said else ""


def causes(title: str, listed: Sequence[Cause], none: str) -> str:
    """Why rows went or came, most frequent first; `none` is said of rows that nothing took."""
    if not listed:
        return ""
    items = [f"{cause.rows:,} {escape(told(cause, none))}" for cause in listed[:MOST_CAUSES]]
    if others := listed[MOST_CAUSES:]:
        items.append(f"{sum(cause.rows for cause in others):,} for {len(others)} other reasons")
    lines = "".join(f"<li>{item}</li>\n" for item in items)
    return f"<p>{title}:</p>\n<ul>\n{lines}</ul>\n"


def columns(subset: SubsetDifference) -> str:
    """Which values of changed rows are others, and which columns came or went."""
    changed = [f"{escape(name)} ({count:,})" for name, count in subset.columns_changed.items()]
    parts = (
        ("Changed values, by column", changed),
        ("New columns", [escape(name) for name in subset.columns_added]),
        ("Columns that are gone", [escape(name) for name in subset.columns_removed]),
    )
    return "".join(f"<p>{title}: {', '.join(names)}.</p>\n" for title, names in parts if names)


def recipe(subset: SubsetDifference) -> str:
    """That the recipe is another, and which of its steps name another number of rows."""
    if not subset.is_recipe_changed:
        return ""
    steps = [
        f"{escape(step.step)} ({times(step.rows_before)}, now {times(step.rows_after)})"
        for step in subset.steps
        if step.rows_before != step.rows_after
    ]
    named = f" Steps that name another number of rows: {', '.join(steps)}." if steps else ""
    return f"<p>The recipe changed.{named}</p>\n"


def times(rows: int | None) -> str:
    """How many rows a step named; that it was not there."""
    return "not there" if rows is None else f"{rows:,}"


def told(cause: Cause, none: str) -> str:
    """Why rows went or came, in words."""
    return f"{cause.verdict} by {cause.step}: {cause.reason}" if cause.step else none


def number(value: float | None) -> str:
    """A figure; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= LARGE:
        return f"{value:,.0f}"
    return f"{value:.{DIGITS}g}"
