"""`report.html`: one page that needs no network and no script, in light and dark."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from pixmo.dataset.manifest import FunnelStep
from pixmo.release.annotators import AnnotatorRows, Annotators, contributors
from pixmo.release.changes import section as changes_section
from pixmo.release.content import Content, SubsetContent
from pixmo.release.difference import Difference
from pixmo.release.gallery import gallery
from pixmo.release.plots import histogram
from pixmo.release.statistics import Distribution
from pixmo.text import counted
from pixmo.workspace.workspace import Workspace

STYLE = Path(__file__).with_name("report.css")
MOST_ANNOTATORS = 20  # a subset; the others stand in one line
PARTS = (
    ("changes", "changes"),
    ("distributions", "distributions"),
    ("funnel", "what was dropped"),
    ("annotators", "annotators"),
    ("images", "images"),
    ("probe", "train probe"),
)
# A copy of the page has the verdict in its place: see `pixmo.validate.release_report`.
PROBE_BEGINS, PROBE_ENDS = '<section id="probe">', "</section><!-- of the probe -->"


def report(
    content: Content,
    figures: Sequence[str],
    measured: Sequence[Distribution],
    workspace: Workspace,
    people: Annotators,
    changes: Difference | None = None,
) -> str:
    """The page of a release: figures, plots, funnels, a gallery; well-formed, in one file."""
    title = escape(f"{content.settings.dataset.title}, {content.version}")
    sections = (
        changes_section(changes),
        distributions_section(measured),
        funnel_section(content),
        annotators_section(content, people),
        images_section(content, workspace),
        probe_section(content.version),
    )
    body = "".join(sections)
    links = "".join(
        f'<a href="#{name}">{words}</a>' for name, words in PARTS if f'id="{name}"' in body
    )
    return f"""<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<style>
{STYLE.read_text("utf-8")}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="soft">What this release holds, what was left out of it and why. It is all in this one
file.</p>
<nav aria-label="Parts of this page">{links}</nav>
{tiles(content, people)}
<ul class="facts">
{"".join(f"<li>{escape(fact)}</li>" for fact in figures)}
</ul>
{body}</main>
</body>
</html>
"""


def tiles(content: Content, people: Annotators) -> str:
    """The numbers to see first."""
    shown = [
        *((subset.rows.num_rows, f"rows of {subset.recipe.name}") for subset in content.filled),
        (len(content.images), "images"),
        (contributors(people), "annotators"),
    ]
    items = "".join(f"<li><b>{number:,}</b>{escape(what)}</li>\n" for number, what in shown)
    return f'<ul class="tiles">\n{items}</ul>'


def distributions_section(measured: Sequence[Distribution]) -> str:
    """The plots."""
    return (
        '<section id="distributions">\n<h2>Distributions</h2>\n<div class="plots">\n'
        f"{''.join(plot(distribution) for distribution in measured)}</div>\n</section>\n"
    )


def plot(distribution: Distribution) -> str:
    """A histogram under its title."""
    said = f"{distribution.title}: {distribution}"
    svg = histogram(distribution.values, distribution.unit, said)
    return f"<div><h3>{escape(distribution.title)}</h3>\n{svg}\n</div>\n"


def funnel_section(content: Content) -> str:
    """What the steps of each recipe took."""
    return f"""<section id="funnel">
<h2>What was dropped, and why</h2>
<p class="soft">Steps run in order, each over the rows that the ones before it left. Every dropped
row stands in dropped/, with its evidence; rows set apart stand whole in apart/; flagged rows stay,
and their column flags says so. Numbers in reasons are written as #. In the bars, of all candidates,
<i class="key kept"></i> were left by a step and <i class="key lost"></i> taken by it.</p>
{"".join(funnel(subset) for subset in content.subsets)}</section>
"""


def funnel(subset: SubsetContent) -> str:
    """A table of the steps that named rows, and one of those that named none."""
    steps = subset.curated.funnel
    idle = [step for step in steps if not step.rows]
    name = subset.recipe.name
    found = table(subset, [step for step in steps if step.rows], f"Steps of {name}")
    others = (
        f"<details><summary>{counted(len(idle), 'step')} found nothing</summary>\n"
        f"{table(subset, idle, f'Steps of {name} that found nothing')}</details>\n"
        if idle
        else ""
    )
    return (
        f"<h3>{escape(name)}</h3>\n<p>{subset.rows.num_rows:,} of"
        f" {subset.curated.candidates:,} candidates kept.</p>\n{found}{others}"
    )


def table(subset: SubsetContent, steps: Sequence[FunnelStep], label: str) -> str:
    """Steps as a table; a bar shows what a step left and what it took of all candidates."""
    if not steps:
        return ""
    candidates = subset.curated.candidates
    rows = []
    for step in steps:
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in step.reasons.items())
        kept, lost = (100 * count / candidates for count in (step.kept, step.gone))
        rows.append(
            f'<tr><th scope="row">{escape(step.step)}</th>'
            f'<td class="why">{escape(step.explanation)}</td>'
            f'<td class="then">{step.then.replace("_", " ")}</td>'
            f'<td class="number rows">{step.rows:,}</td>'
            f'<td class="number left">{step.kept:,}</td>'
            f'<td class="share"><div class="bar"><i style="width:{kept:.2f}%"></i>'
            f'<i style="width:{lost:.2f}%"></i></div></td>'
            f'<td class="reasons">{escape(reasons)}</td></tr>'
        )
    head = "".join(
        f'<th scope="col"{kind}>{name}</th>'
        for name, kind in (
            *(("step", ""), ("why", ""), ("then", ""), ("rows", ' class="number"')),
            *(("left", ' class="number"'), ("of all", ""), ("reasons", "")),
        )
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="funnel">\n<tr>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>\n"
    )


def annotators_section(content: Content, people: Annotators) -> str:
    """How each annotator's rows fared."""
    return f"""<section id="annotators">
<h2>Annotators, without their names</h2>
<p class="soft">A number is one person in all tables; rows name annotators by pseudonym, and who
holds them can tell by counting whose a number is. Dropped counts what was set apart, too, and not
what was merged with others' rows. What was withdrawn is not counted at all.
Agreement is the mean F1 of a person's points with others' on the same expression; gold is the share
of tasks with known answers that they got right. Either is there where it is known of somebody.</p>
<div class="people">
{"".join(annotators(subset, people[subset.stem]) for subset in content.subsets)}</div>
</section>
"""


def annotators(subset: SubsetContent, people: Sequence[AnnotatorRows]) -> str:
    """A table of a subset's annotators; what is known of none of them has no column."""
    shown, others = people[:MOST_ANNOTATORS], people[MOST_ANNOTATORS:]
    cells: dict[str, list[str]] = {
        "rows": [f"{one.candidates:,}" for one in shown],
        "dropped": [f"{one.dropped_share:.1%}" for one in shown],
    }
    if any(one.agreement is not None for one in people):
        cells["agreement"] = [share(one.agreement) for one in shown]
    if any(one.gold_accuracy is not None for one in people):
        cells["gold"] = [share(one.gold_accuracy) for one in shown]
    heads = "".join(f'<th scope="col" class="number">{name}</th>' for name in cells)
    rows = "".join(
        f'<tr><th scope="row">annotator {one.number}</th>'
        + "".join(f'<td class="number">{column[n]}</td>' for column in cells.values())
        + "</tr>\n"
        for n, one in enumerate(shown)
    )
    rest = sum(one.candidates for one in others)
    more = f"<p>{counted(len(others), 'other')} with {rest:,} rows.</p>\n" if others else ""
    label = escape(f"Annotators of {subset.recipe.name}")
    return (
        f"<div><h3>{escape(subset.recipe.name)}</h3>\n"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="figures">\n<tr><th scope="col">who</th>{heads}</tr>\n{rows}</table></div>\n'
        f"{more}</div>\n"
    )


def share(value: float | None) -> str:
    """A share to two places; a dash where it is not known."""
    return "–" if value is None else f"{value:.2f}"


def images_section(content: Content, workspace: Workspace) -> str:
    """The gallery."""
    first = ", those with a recording first" if content.settings.release.audio else ""
    return f"""<section id="images">
<h2>Some of the images</h2>
<p class="soft">Drawn at random among the images that have rows in most subsets{first}; points as
annotators set them.</p>
{gallery(content, workspace)}
</section>
"""


def probe_section(version: str) -> str:
    """Where the verdict will be."""
    return (
        f"{PROBE_BEGINS}\n<h2>Train probe</h2>\n<p>A release does not change once it is built, and"
        " the probe learns from it afterwards: <code>pixmo validate"
        f" {escape(version)} --train-probe</code> writes a copy of this page that holds its"
        f" verdict.</p>\n{PROBE_ENDS}\n"
    )
