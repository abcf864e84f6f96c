"""`report.html`: one page that needs no network and no script, in light and dark."""

from collections.abc import Sequence
from html import escape

from pixmo.release.content import Content, SubsetContent
from pixmo.release.gallery import gallery
from pixmo.release.plots import histogram
from pixmo.release.statistics import Distribution

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2126; --soft: #5d6670; --line: #d9dee3;
  --accent: #2f6fb2; --lost: #c9622f; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e9ec; --soft: #9aa4ae;
  --line: #343b43; --accent: #6fa8e0; --lost: #e08a58; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.soft, code { color: var(--soft); font-size: .85rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
.plots svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: flex; width: 9rem; height: .7rem; margin-top: .4rem; background: var(--line); }
.bar i { background: var(--accent); } .bar i + i { background: var(--lost); }
figure { display: grid; grid-template-columns: minmax(0, 22rem) minmax(0, 1fr); gap: 1.2rem;
  margin: 1.5rem 0; }
@media (max-width: 40rem) { figure { grid-template-columns: minmax(0, 1fr); } }
.picture { position: relative; align-self: start; } .picture img { display: block; width: 100%; }
.picture b { position: absolute; transform: translate(-50%, -50%); line-height: 1;
  font-size: .8rem; text-shadow: 0 0 2px #000, 0 0 2px #000, 0 0 3px #fff; }
.legend { list-style: none; padding: 0; }
figcaption p:first-child { margin-top: 0; }
.picture .c0 { color: #ff5fa2; } .picture .c1 { color: #4fd1ff; } .picture .c2 { color: #ffd84f; }
.picture .c3 { color: #7dff6a; } .picture .c4 { color: #c79bff; } .picture .c5 { color: #ff9a4f; }
.picture .c6 { color: #fff; } .picture .c7 { color: #9fb3ff; }
@media print { figure, .plots div { break-inside: avoid; } }
"""


def report(content: Content, figures: Sequence[str], measured: Sequence[Distribution]) -> str:
    """The page of a release: figures, plots, funnels, a gallery; well-formed, in one file."""
    title = escape(f"{content.settings.dataset.title}, {content.version}")
    return f"""<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<ul>
{"".join(f"<li>{escape(fact)}</li>" for fact in figures)}
</ul>
<h2>Distributions</h2>
<div class="plots">
{"".join(plot(distribution) for distribution in measured)}
</div>
<h2>What was dropped, and why</h2>
<p class="soft">Steps run in order, each over the rows that the ones before it left. Every dropped
row stands in dropped/, with its evidence; rows set apart stand whole in apart/; flagged rows stay,
and their column flags says so. Numbers in reasons are written as #.</p>
{"".join(funnel(subset) for subset in content.subsets)}
<h2>Some of the images</h2>
<p class="soft">Drawn at random among the images that have rows in most subsets; points as
annotators set them.</p>
{gallery(content)}
</body>
</html>
"""


def plot(distribution: Distribution) -> str:
    """A histogram under its title."""
    svg = histogram(distribution.values, distribution.unit)
    return f"<div><h3>{escape(distribution.title)}</h3>\n{svg}\n</div>\n"


def funnel(subset: SubsetContent) -> str:
    """A table of steps; a bar shows what a step left and what it took of all candidates."""
    candidates = subset.curated.candidates
    rows = []
    for step in subset.curated.funnel:
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in step.reasons.items())
        kept, lost = (100 * count / candidates for count in (step.kept, step.gone))
        rows.append(
            f"<tr><td>{escape(step.step)}</td><td>{escape(step.explanation)}</td>"
            f"<td>{step.then.replace('_', ' ')}</td>"
            f'<td class="number">{step.rows:,}</td><td class="number">{step.kept:,}</td>'
            f'<td><div class="bar"><i style="width:{kept:.2f}%"></i>'
            f'<i style="width:{lost:.2f}%"></i></div></td><td>{escape(reasons)}</td></tr>'
        )
    return (
        f"<h3>{escape(subset.recipe.name)}</h3>\n<p>{candidates:,} candidates,"
        f' {subset.rows.num_rows:,} rows kept.</p>\n<div class="scroll"><table>\n<tr><th>step</th>'
        "<th>why</th><th>then</th><th>rows</th><th>left</th><th></th><th>reasons</th></tr>\n"
        + "\n".join(rows)
        + "\n</table></div>\n"
    )
