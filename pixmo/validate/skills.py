"""What the probe's model can do: point, count and answer, each held-out row by row."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pixmo.evaluate import counting, pointing, vqa
from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Example
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.model import Molmo
from pixmo.molmo.prompts import Annotation, user_turn
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.points import from_text

POINTING, COUNTING, ANSWERING = "pointing F1", "counts right", "answers right"
WITHIN_PERCENT = 10.0  # of the width: so small a model sees a picture in a few dozen patches
MOST_ASKED = 192  # rows of each skill
COUNT_PROMPT = user_turn("How many ").split(" Assistant:")[0]


@dataclass(frozen=True)
class Answered:
    """One held-out row, asked and answered."""

    id: str
    kind: str  # the stem of its subset
    skill: str
    image_sha256: str
    truth: str
    answer: str
    score: float  # 0 to 1


def skill_of(annotation: Annotation) -> str:
    """The skill that an annotation asks for; empty where it is only judged by its loss."""
    if annotation.kind == "ama":
        return ANSWERING
    if annotation.kind == "points":
        return COUNTING if annotation.prompt.startswith(COUNT_PROMPT) else POINTING
    return ""


def ask(
    model: Molmo,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    images: Sequence[Crops],
    shapes: Mapping[str, float],
) -> list[Answered]:
    """What the model answers to held-out rows, and how right it is.

    `shapes` are heights over widths of the images as they are shown, by sha256.
    """
    writable = model.size.most_answer_tokens - 1  # and the one that ends it
    rows = chosen(examples, images, lambda text: len(tokenizer.encode(text)) <= writable)
    asked = sorted(rows, key=lambda one: len(tokenizer.encode(one[2].prompt)))
    requests = [Request(crops, annotation.prompt) for _, crops, annotation in asked]
    answers = generate(model, tokenizer, requests)
    return [
        Answered(
            id=annotation.id,
            kind=annotation.kind,
            skill=skill_of(annotation),
            image_sha256=example.image_sha256,
            truth=annotation.answer.strip(),
            answer=answer,
            score=score(annotation, answer, shapes[example.image_sha256]),
        )
        for (example, _, annotation), answer in zip(asked, answers, strict=True)
    ]


def chosen(
    examples: Sequence[Example], images: Sequence[Crops], is_writable: Callable[[str], bool]
) -> Iterator[tuple[Example, Crops, Annotation]]:
    """Yield the first MOST_ASKED rows of each skill whose answer the model can write to its end."""
    counts: Counter[str] = Counter()
    for example, crops in zip(examples, images, strict=True):
        for annotation in example.annotations:
            skill = skill_of(annotation)
            if skill and counts[skill] < MOST_ASKED and is_writable(annotation.answer):
                counts[skill] += 1
                yield example, crops, annotation


def score(annotation: Annotation, answer: str, height_over_width: float) -> float:
    """How right an answer is, 0 to 1."""
    skill, truth = skill_of(annotation), annotation.answer
    if skill == ANSWERING:
        return vqa.exact(answer, [truth])
    said = counting.count_said(answer)
    if skill == COUNTING:
        return float(said is not None and said == counting.count_said(truth))
    predicted = from_text(answer)
    if not predicted and said != 0:
        return 0.0  # who says nothing has not said that there is none
    found = pointing.score_by_distance(
        predicted, from_text(truth), WITHIN_PERCENT, height_over_width
    )
    return found.f1


def majority(learnt: Sequence[Example], answered: Sequence[Answered]) -> dict[str, float]:
    """How often the commonest answer of the train rows is right for the rows asked, by skill.

    Nothing for pointing: no place is common.
    """
    known = count_answers(
        (skill_of(one), one.answer) for example in learnt for one in example.annotations
    )
    asked = count_answers((one.skill, one.truth) for one in answered)
    return {
        skill: asked[skill][known[skill].most_common(1)[0][0]] / asked[skill].total()
        for skill in (COUNTING, ANSWERING)
        if known[skill] and asked[skill]
    }


def count_answers(rows: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """How often each answer is right, by skill; written alike where it counts alike."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for skill, answer in rows:
        same = str(counting.count_said(answer)) if skill == COUNTING else vqa.normalise(answer)
        found[skill][same] += 1
    return found
