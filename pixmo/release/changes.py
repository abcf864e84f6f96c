"""What a report says of the release before: what became of its rows."""

from html import escape

from pixmo.release.difference import Cause, Difference, SubsetDifference

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
        '<div class="scroll" tabindex="0" role="region" aria-label="Rows that changed"><table>\n'
        '<tr><th scope="col">subset</th><th scope="col" class="number">added</th>'
        '<th scope="col" class="number">removed</th><th scope="col" class="number">changed</th>'
        '<th scope="col" class="number">moved</th><th scope="col" class="number">same</th></tr>\n'
        f"{rows}</table></div>\n{''.join(map(details, changes.subsets))}</section>\n"
    )


def details(subset: SubsetDifference) -> str:
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
        if number(figure.before) != number(figure.after)
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
