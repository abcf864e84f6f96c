"""The probe's report: one offline page with the verdict, the loss curves and held-out images."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from pixmo.dataset.reader import Release
from pixmo.evaluate.gap import AnnotationLoss, wrong_images
from pixmo.files import write_text
from pixmo.molmo.data import Example
from pixmo.validate.probe_run import RunResult
from pixmo.validate.verdict import Verdict

FILE_NAME = "report.html"
SAMPLE_IMAGES = 8
CURVE_WIDTH, CURVE_HEIGHT = 640, 240  # pixels
SMOOTHED_STEPS = 20  # a curve shows the mean of so many steps
MEDIA_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f3f3f3; padding: 1rem; overflow-x: auto }
table { border-collapse: collapse } td, th { padding: .3rem .6rem; text-align: left }
td { vertical-align: top; border-top: 1px solid #ddd } td.number { text-align: right }
img { width: 180px; display: block }
"""


def write_report(
    folder: Path,
    release: Release,
    found: Verdict,
    held_out: Sequence[Example],
    trained: RunResult,
    control: RunResult,
) -> None:
    """`folder/report.html` shows the verdict and what it rests on."""
    title = f"Train probe of {found.release}: {found.outcome}"
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>
<h1>{html.escape(title)}</h1>
<pre>{html.escape(found.text())}</pre>
<h2>Training loss</h2>
<p>Nats a token, mean of {SMOOTHED_STEPS} steps: <b style="color:#06c">release</b>,
<b style="color:#c60">shuffled control</b>. The control learns the language, too; what the release
learns beyond it comes from the images.</p>
{curves((trained.losses, "#06c"), (control.losses, "#c60"))}
<h2>Held-out images</h2>
<p>Loss of the release's model in nats per character, with the image and with the one beside it.</p>
<table><tr><th>image<th>another image<th>answer<th>own<th>other</tr>
{sample_rows(release, held_out, trained.held_out)}</table>
</html>
"""
    write_text(folder / FILE_NAME, page)


def curves(*runs: tuple[Sequence[float], str]) -> str:
    """Loss curves of several runs, each with its colour, as one SVG."""
    smoothed = [(smooth(losses), colour) for losses, colour in runs]
    top = max(max(values) for values, _ in smoothed)
    lines = []
    for values, colour in smoothed:
        last = max(1, len(values) - 1)
        points = " ".join(
            f"{CURVE_WIDTH * step / last:.1f},{CURVE_HEIGHT * (1 - value / top):.1f}"
            for step, value in enumerate(values)
        )
        lines.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
        )
    return (
        f'<svg viewBox="0 0 {CURVE_WIDTH} {CURVE_HEIGHT + 20}" width="{CURVE_WIDTH}" role="img">'
        f'{"".join(lines)}<line x1="0" y1="{CURVE_HEIGHT}" x2="{CURVE_WIDTH}" y2="{CURVE_HEIGHT}"'
        f' stroke="#999"/><text x="4" y="14" font-size="12">{top:.2f}</text>'
        f'<text x="4" y="{CURVE_HEIGHT + 15}" font-size="12">0 nats, steps 1 to'
        f" {max(len(losses) for losses, _ in runs)}</text></svg>"
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
    others = wrong_images(held_out)
    rows = []
    for number, example in enumerate(held_out[:SAMPLE_IMAGES]):
        shown = [one for one in example.annotations if (one.kind, one.id) in by_id]
        pictures = "".join(
            f'<td rowspan="{len(shown)}">{picture(release, one)}</td>'
            for one in (example, held_out[others[number]])
        )
        for annotation in shown:
            loss = by_id[annotation.kind, annotation.id]
            rows.append(
                f"<tr>{pictures}<td>{html.escape(f'{annotation.prompt}{annotation.answer}')}</td>"
                f'<td class="number">{loss.right:.3f}</td><td class="number">{loss.wrong:.3f}</td>'
            )
            pictures = ""
    return "\n".join(rows)


def picture(release: Release, example: Example) -> str:
    """An image inside the page itself."""
    path = release.image_path(example.image_url, example.image_sha256)
    kind = MEDIA_TYPES.get(path.suffix.lower(), "image/png")
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{example.image_sha256[:12]}" src="data:{kind};base64,{data}">'
