"""What a model in training answers to a few held-out images: pictures and an offline page."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from html import escape
from pathlib import Path

from PIL import Image

from pixmo.drawing import draw_points
from pixmo.files import replace_atomically, write_text
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.data import open_image
from pixmo.molmo.generate import Request
from pixmo.molmo.metrics import Metrics, keep_steps
from pixmo.molmo.prompts import Annotation
from pixmo.molmo.sizes import Size
from pixmo.molmo.stream import Examples
from pixmo.points import from_text

FOLDER, LINES, PAGE = "samples", "samples.jsonl", "samples.html"
SAMPLE_IMAGES = 4
WIDEST_PIXELS = 640  # of a picture on the page
STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
section { display: grid; grid-template-columns: minmax(0, 20rem) minmax(0, 1fr); gap: 1.2rem;
  border-top: 1px solid #8886; padding: 1.2rem 0 }
@media (max-width: 40rem) { section { grid-template-columns: minmax(0, 1fr) } }
img { width: 100% } p { overflow-wrap: anywhere; margin: .3rem 0 } b { font-weight: 600 }
li { overflow-wrap: anywhere }
"""


@dataclass(frozen=True)
class Sample:
    """A question about a held-out image."""

    image: Image.Image
    crops: Crops
    annotation: Annotation

    @property
    def request(self) -> Request:
        """What the model is asked."""
        return Request(self.crops, self.annotation.prompt)


@dataclass(frozen=True)
class Line:
    """An answer, as `samples.jsonl` holds it."""

    step: int
    number: int  # of the sample
    question: str
    truth: str
    answer: str
    picture: str  # relative to the run


def choose(examples: Examples, size: Size) -> list[Sample]:
    """The first annotation of each subset on the first images."""
    samples = []
    for number in range(min(SAMPLE_IMAGES, len(examples))):
        example = examples.read(number, None)
        image = open_image(examples.release, example)
        crops = preprocess(image, size)
        first = {one.kind: one for one in reversed(example.annotations)}
        samples += [Sample(image, crops, one) for one in first.values()]
    return samples


def show(
    run: Path, step: int, samples: Sequence[Sample], answers: Sequence[str], metrics: Metrics
) -> None:
    """The run's folder shows what was answered at this step, and TensorBoard does."""
    keep_steps(run / LINES, step - 1)
    lines = read(run)
    for number, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
        picture = f"{FOLDER}/step-{step:06}/{number}.png"
        drawn = draw_points(sample.image, from_text(answer))
        drawn.thumbnail((WIDEST_PIXELS, WIDEST_PIXELS))
        replace_atomically(run / picture, partial(drawn.save, format="PNG"))
        question, truth = sample.annotation.prompt.strip(), sample.annotation.answer.strip()
        lines.append(Line(step, number, question, truth, answer, picture))
        metrics.show(step, f"sample {number}", drawn, f"{question}\n\n{answer}")
    write_text(run / LINES, "".join(f"{json.dumps(asdict(line))}\n" for line in lines))
    write_text(run / PAGE, page(run.name, lines))


def read(run: Path) -> list[Line]:
    """The answers of the run so far."""
    path = run / LINES
    text = path.read_text("utf-8") if path.exists() else ""
    return [Line(**json.loads(line)) for line in text.splitlines()]


def page(name: str, lines: Sequence[Line]) -> str:
    """One page: every sample with its newest answer, earlier ones below."""
    by_number: dict[int, list[Line]] = {}
    for line in sorted(lines, key=lambda line: -line.step):
        by_number.setdefault(line.number, []).append(line)
    title = escape(f"Samples of {name}")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>
<h1>{title}</h1>
<p>Held-out images: what the model answers after so many steps, and what people said.</p>
{"".join(section(found) for _, found in sorted(by_number.items()))}
</html>
"""


def section(lines: Sequence[Line]) -> str:
    """One sample, its newest answer first."""
    newest = lines[0]
    earlier = "".join(f"<li>step {line.step}: {escape(line.answer)}" for line in lines[1:])
    history = f"<details><summary>earlier answers</summary><ul>{earlier}</ul></details>"
    return f"""<section><img alt="" src="{escape(newest.picture)}"><div>
<p><i>{escape(newest.question)}</i></p>
<p><b>step {newest.step}:</b> {escape(newest.answer)}</p>
<p><b>people:</b> {escape(newest.truth)}</p>
{history if earlier else ""}</div></section>
"""
