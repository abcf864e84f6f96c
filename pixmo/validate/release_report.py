"""A copy of a release's report with what the probe found; the release itself never changes."""

import html
from pathlib import Path

from pixmo.dataset.reader import Release
from pixmo.files import write_text
from pixmo.release.report import PROBE_BEGINS, PROBE_ENDS
from pixmo.validate.verdict import Skill, SubsetVerdict, Verdict, as_percent

RELEASE_REPORT = "report.html"  # of a release
FILE_NAME = "release.html"  # of a probe's run


def write_copy(folder: Path, release: Release, found: Verdict) -> Path | None:
    """`folder/release.html` is the release's report with the verdict; None where it has no report.

    A report without a place for it, of an earlier pixmo, has it at its end.
    """
    try:
        page = (release.root / RELEASE_REPORT).read_text("utf-8")
    except OSError:  # somebody took it away, and the checks say so
        return None
    before, begins, rest = page.partition(PROBE_BEGINS)
    _, ends, after = rest.partition(PROBE_ENDS)
    if not (begins and ends):
        before, end, after = page.rpartition("</body>")
        after = end + after
    path = folder / FILE_NAME
    text = f"{before}{section(found)}{after}"
    if not path.exists() or path.read_text("utf-8") != text:  # a probe done before redoes nothing
        write_text(path, text)
    return path


def section(found: Verdict) -> str:
    """The verdict as a part of the page."""
    rows = "".join(map(row, found.subsets))
    heads = "".join(
        f'<th scope="col"{kind}>{name}</th>'
        for name, kind in (
            *(("subset", ""), ("outcome", "")),
            *((name, ' class="number"') for name in ("gap, 95 %", "control's gap", "misplaced")),
            *(("skills", ""), ("why", "")),
        )
    )
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="The probe by subset"><table>\n'
        f"<tr>{heads}</tr>\n{rows}</table></div>\n"
    )
    return (
        f'{PROBE_BEGINS}\n<h2>Train probe: <span class="verdict {found.outcome}">{found.outcome}'
        f"</span></h2>\n<p>{html.escape(found.reason)}.</p>\n"
        '<p class="soft">A small model was trained on this release and another on shuffled'
        " annotations. Gap: nats per character by which an answer is worse predicted from another"
        " image than from its own. Skills: right answers to held-out rows, of the release's model"
        f" against the control's. {found.steps} steps, seed {found.seed}, {found.train_images:,}"
        f" images trained on, {found.held_out_images:,} held out.</p>\n"
        f"{table if found.subsets else ''}{PROBE_ENDS}"
    )


def row(subset: SubsetVerdict) -> str:
    """A subset's numbers as a row of the table."""
    numbers = ("–", "–", "–")
    if subset.gap and subset.control_gap and subset.misplaced:
        gap = f"{subset.gap.value:.4f}, {subset.gap.low:.4f} to {subset.gap.high:.4f}"
        numbers = (gap, f"{subset.control_gap.value:.4f}", as_percent(subset.misplaced))
    cells = "".join(f'<td class="number">{html.escape(number)}</td>' for number in numbers)
    return (
        f'<tr><th scope="row">{html.escape(subset.stem)}</th>'
        f'<td><span class="verdict {subset.outcome}">{subset.outcome}</span></td>{cells}'
        f"<td>{'; '.join(map(skill, subset.skills)) or '–'}</td>"
        f'<td class="reasons">{html.escape(subset.reason)}</td></tr>\n'
    )


def skill(one: Skill) -> str:
    """How often it did right, beside the control."""
    return html.escape(f"{one.name} {one.release.value:.2f} against {one.control.value:.2f}")
