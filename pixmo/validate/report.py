"""The probe's report: one offline page with the verdict, the loss curves and held-out images."""

import base64
import html
import io
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pixmo.dataset.reader import Release
from pixmo.drawing import draw_points, read_upright
from pixmo.evaluate.gap import AnnotationLoss, other_images
from pixmo.files import write_text
from pixmo.molmo.data import Example
from pixmo.molmo.prompts import HINT_CHARACTERS
from pixmo.points import Point, from_text
from pixmo.text import counted
from pixmo.validate import suspects
from pixmo.validate.probe_run import RunResult
from pixmo.validate.skills import WITHIN_PERCENT, Answered
from pixmo.validate.verdict import Skill, SubsetVerdict, Verdict, as_percent

FILE_NAME = "report.html"
SAMPLE_IMAGES = 8
CURVE_WIDTH, CURVE_HEIGHT = 640, 240  # pixels
SMOOTHED_STEPS = 20  # a curve shows the mean of so many steps
RELEASE_LINE = 'stroke="#06c" stroke-width="1.5"'
CONTROL_LINE = 'stroke="#c60" stroke-width="2.5" stroke-dasharray="7 5"'
PICTURE_PIXELS = 360  # of the longer side: twice what is shown, for fine screens
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { padding: .3rem .6rem; text-align: left; vertical-align: top }
td { border-top: 1px solid #ddd } td i { color: #666 } td.text { overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums }
@media (max-width: 40rem) { table { font-size: .8rem } td, th { padding: .3rem .2rem } }
img { width: 100%; min-width: 80px; max-width: 180px; display: block } svg { max-width: 100% }
"""


def write_report(
    folder: Path,
    release: Release,
    found: Verdict,
    examples: tuple[Sequence[Example], Sequence[Example]],
    trained: RunResult,
    control: RunResult,
) -> None:
    """`folder/report.html` shows the verdict and what it rests on.

    `examples` are those trained on, and those held out.
    """
    learnt, held_out = examples
    title = f"Train probe of {found.release}: {found.outcome}"
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>
<h1>{html.escape(title)}</h1>
<p>{html.escape(found.reason)}.</p>
<p>{found.size}, {found.steps} steps, seed {found.seed}:
{counted(found.train_images, "image")} trained on, {found.held_out_images} held out.
Instrument check: {html.escape(found.instrument_check)}.</p>
<p>Loss on held-out answers, in nats per character; of points only the digits of their places. The
gap is how much worse an answer is predicted from another image than from its own; the control was
trained on shuffled annotations. Misplaced: how much answers contradict their images, as a share of
what answers on wrong images would.</p>
<table><tr><th>subset<th>own image<th>other image<th>gap, 95 %<th>control's gap<th>misplaced, 95 %
<th>outcome</tr>
{"".join(map(subset_row, found.subsets))}</table>
<p>The same of rendered pictures without a mistake, which a working instrument learns:</p>
<table><tr><th>subset<th>own image<th>other image<th>gap, 95 %<th>control's gap<th>misplaced, 95 %
<th>outcome</tr>
{"".join(map(subset_row, found.rendered))}</table>
<h2>Skills</h2>
<p>Held-out rows asked and answered. A point counts within {WITHIN_PERCENT:g} % of the image's
width.</p>
<table><tr><th>subset<th>skill<th>release, 95 %<th>shuffled control
<th>always the commonest answer</tr>
{"".join(skill_row(one.stem, skill) for one in found.subsets for skill in one.skills)}</table>
<p>{html.escape("; ".join(signals(found.subsets)))}.</p>
<h2>Training loss</h2>
<p>Nats a token on a logarithmic scale, mean of {SMOOTHED_STEPS} steps:
<b style="color:#06c">release</b> as a line, <b style="color:#c60">shuffled control</b> in dashes.
The control learns the language, too; what the release learns beyond it comes from the images.</p>
{curves((trained.losses, RELEASE_LINE), (control.losses, CONTROL_LINE))}
<h2>Held-out images</h2>
<p>Loss of the release's model in nats per character, with the image and with the one beside it.
The prompt is in italics: <i>long_caption 32:</i> asks for a description of about
32 × {HINT_CHARACTERS} characters.</p>
<table><tr><th>image<th>another image<th>prompt and answer<th>own<th>other</tr>
{sample_rows(release, held_out, trained.held_out)}</table>
<h2>Answers</h2>
<p>What the release's model and the shuffled control's answer to held-out rows. Points that the
model gives are discs.</p>
<table><tr><th>image<th>prompt and truth<th>release<th>control</tr>
{answer_rows(release, held_out, trained.answered, control.answered)}</table>
<h2>Rows that contradict their image</h2>
<p>The first of each subset in {suspects.FILE_NAME}, which holds all rows: the nats by which an
answer is likelier on its own image than on others.</p>
<table><tr><th>image<th>prompt and answer<th>evidence</tr>
{suspect_rows(release, learnt, held_out, trained)}</table>
</html>
"""
    write_text(folder / FILE_NAME, page)


def subset_row(subset: SubsetVerdict) -> str:
    """A subset's numbers as a row of the table."""
    outcome = html.escape(f"{subset.outcome}: {subset.reason}")
    if subset.gap is None or subset.control_gap is None or subset.misplaced is None:
        return f'<tr><td>{subset.stem}<td colspan="5"><td>{outcome}</tr>'
    gap = f"{subset.gap.value:.4f}, {subset.gap.low:.4f} to {subset.gap.high:.4f}"
    numbers = (
        f"{subset.right:.4f}",
        f"{subset.wrong:.4f}",
        gap,
        f"{subset.control_gap.value:.4f}",
        as_percent(subset.misplaced),
    )
    cells = "".join(f'<td class="number">{number}' for number in numbers)
    return f"<tr><td>{subset.stem}{cells}<td>{outcome}</tr>"


def skill_row(stem: str, skill: Skill) -> str:
    """A skill's numbers as a row of the table."""
    own = skill.release
    guess = "" if skill.majority is None else f"{skill.majority:.2f}"
    return (
        f"<tr><td>{stem}<td>{skill.name}"
        f'<td class="number">{own.value:.2f}, {own.low:.2f} to {own.high:.2f}'
        f'<td class="number">{skill.control.value:.2f}<td class="number">{guess}</tr>'
    )


def signals(subsets: Sequence[SubsetVerdict]) -> list[str]:
    """What else may be seen in each subset: memorising, and answers that are in both splits."""
    said = []
    for subset in subsets:
        if subset.memorised is not None:
            said.append(
                f"{subset.stem}: rows trained on are predicted {subset.memorised:.4f} nats a"
                " character better than held-out ones"
            )
        if subset.repeated is not None:
            said.append(
                f"{subset.stem}: {100 * subset.repeated:.0f} % of held-out answers stand word for"
                " word in train rows"
            )
    return said


def curves(*runs: tuple[Sequence[float], str]) -> str:
    """Loss curves of several runs, each with its look, as one SVG."""
    smoothed = [(smooth(losses), look) for losses, look in runs]
    top = max(max(values) for values, _ in smoothed)
    bottom = min(min(values) for values, _ in smoothed)
    height = math.log(top / bottom) or 1.0  # a loss is never quite zero
    lines = []
    for values, look in smoothed:
        last = max(1, len(values) - 1)
        points = " ".join(
            f"{CURVE_WIDTH * step / last:.1f},{CURVE_HEIGHT * math.log(top / value) / height:.1f}"
            for step, value in enumerate(values)
        )
        lines.append(f'<polyline fill="none" {look} points="{points}"/>')
    return (
        f'<svg viewBox="0 0 {CURVE_WIDTH} {CURVE_HEIGHT + 20}" width="{CURVE_WIDTH}" role="img">'
        f'{"".join(lines)}<line x1="0" y1="{CURVE_HEIGHT}" x2="{CURVE_WIDTH}" y2="{CURVE_HEIGHT}"'
        f' stroke="#999"/><text x="{CURVE_WIDTH}" y="14" font-size="12" text-anchor="end">'
        f'{top:.2f} nats at the top</text><text x="0" y="{CURVE_HEIGHT + 15}" font-size="12">'
        f"{bottom:.2f} nats; steps 1 to {max(len(losses) for losses, _ in runs)}</text></svg>"
    )


def smooth(losses: Sequence[float]) -> list[float]:
    """The mean of each run of SMOOTHED_STEPS losses."""
    starts = range(0, len(losses), SMOOTHED_STEPS)
    runs = [losses[start : start + SMOOTHED_STEPS] for start in starts]
    return [sum(run) / len(run) for run in runs]


def sample_rows(
    release: Release, held_out: Sequence[Example], losses: Sequence[AnnotationLoss]
) -> str:
    """Table rows of the first held-out images, their answers and losses."""
    by_id = {(loss.kind, loss.id): loss for loss in losses}
    others = other_images(held_out, 1)
    rows = []
    for number, example in enumerate(held_out[:SAMPLE_IMAGES]):
        shown = [one for one in example.annotations if (one.kind, one.id) in by_id]
        pictures = "".join(
            f'<td rowspan="{len(shown)}">{picture(release, one)}</td>'
            for one in (example, held_out[others[number][0]])
        )
        for annotation in shown:
            loss = by_id[annotation.kind, annotation.id]
            rows.append(
                f'<tr>{pictures}<td class="text"><i>{html.escape(annotation.prompt.strip())}</i>'
                f"{html.escape(annotation.answer)}</td>"
                f'<td class="number">{loss.right:.3f}</td><td class="number">{loss.wrong:.3f}</td>'
            )
            pictures = ""
    return "\n".join(rows)


def answer_rows(
    release: Release,
    held_out: Sequence[Example],
    trained: Sequence[Answered],
    control: Sequence[Answered],
) -> str:
    """Table rows of the first answers of each skill, with the points that were given."""
    by_image = {example.image_sha256: example for example in held_out}
    theirs = {(one.kind, one.id): one for one in control}
    texts = {(one.kind, one.id): one for example in held_out for one in example.annotations}
    rows = []
    for skill in dict.fromkeys(one.skill for one in trained):
        for one in [one for one in trained if one.skill == skill][:SAMPLE_IMAGES]:
            shown = picture(release, by_image[one.image_sha256], from_text(one.answer))
            prompt = texts[one.kind, one.id].prompt.strip()
            rows.append(
                f'<tr><td>{shown}<td class="text"><i>{html.escape(prompt)}</i>'
                f" {html.escape(one.truth)}"
                f'<td class="text">{html.escape(one.answer)}'
                f'<td class="text">{html.escape(theirs[one.kind, one.id].answer)}'
            )
    return "\n".join(rows)


def suspect_rows(
    release: Release,
    learnt: Sequence[Example],
    held_out: Sequence[Example],
    trained: RunResult,
) -> str:
    """Table rows of those that contradict their image most, of each subset."""
    by_image = {example.image_sha256: example for example in [*learnt, *held_out]}
    rows = []
    shown: Counter[str] = Counter()
    for line in suspects.table(learnt, held_out, trained).to_pylist():
        shown[line["subset"]] += 1
        if shown[line["subset"]] > SAMPLE_IMAGES:
            continue
        image = picture(release, by_image[line["image_sha256"]], from_text(line["answer"]))
        rows.append(
            f'<tr><td>{image}<td class="text"><i>{html.escape(line["prompt"])}</i>'
            f' {html.escape(line["answer"])}<td class="number">{line["evidence"]:.1f}'
        )
    return "\n".join(rows)


def picture(release: Release, example: Example, points: Sequence[Point] = ()) -> str:
    """An image inside the page itself, with points drawn on it."""
    path = release.image_path(example.image_url, example.image_sha256)
    drawn = draw_points(read_upright(path, PICTURE_PIXELS), points)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=90)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{example.image_sha256[:12]}" src="data:image/jpeg;base64,{data}">'
