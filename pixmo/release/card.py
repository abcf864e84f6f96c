"""The dataset card: Hugging Face front matter from schemas, and the text of a template."""

import string
from collections.abc import Sequence
from pathlib import Path

import pixmo
from pixmo import schema
from pixmo.curate.recipe import find
from pixmo.curate.step_kinds import HeldOutImagesStep, HeldOutTextsStep
from pixmo.dataset.manifest import EMBEDDED_COLUMN, FunnelStep
from pixmo.errors import RecipeError
from pixmo.release import card_images
from pixmo.release.card_captions import (
    how_captions_come_about,
    how_captions_were_made,
    limits_of_captions,
)
from pixmo.release.content import Content, SubsetContent
from pixmo.release.front_matter import front_matter
from pixmo.release.sizes import Sizes, readable
from pixmo.text import cell, counted, listed

TEMPLATE = "card.md"
WITHDRAWN = "withdrawn"  # the step that takes out what people asked to be taken out


# What the rows of each subset are, and how they are made, whoever makes them.
SUBJECTS = {
    "cap": "dense descriptions",
    "ama": "questions with accepted answers",
    "points": "points on what was named",
}
COLLECTED = {
    "ama": "people ask a question about an image; an answer is proposed, and a person accepts it,"
    " mends it or rejects it. Rows hold what was accepted.",
    "points": "people are given an expression and click on every instance of it in the image, or"
    " say that there is none.",
}
FATES = {
    "drop": "Every dropped row stands in `dropped/`, with its step, reason and evidence.",
    "set_apart": "Rows set apart stand whole in `apart/`, with their step, reason and evidence.",
    "flag": "Flagged rows stay in their split, and their column `flags` names the step.",
}
LIMITS = {
    "ama": "One person judged each answer. What lies outside the image may be wrong in it.",
    "points": "A point is a click somewhere on the thing, not its centre or outline. Small or"
    " crowded things are missed first.",
}

EMBEDDED = "The image itself; null where it may not be given on."


def card(content: Content, figures: Sequence[str], sizes: Sizes, own: Path | None = None) -> str:
    """The card of a release, from the template in the folder `own` where it has one.

    `figures` are sentences.

    Raises:
        RecipeError: the template names something a card does not know.
    """
    path = find(TEMPLATE, own, RecipeError(f"there is no {TEMPLATE} in pipelines/"))
    template = string.Template(path.read_text("utf-8"))
    example = content.example
    parts = {
        "title": content.settings.dataset.title,
        "version": content.version,
        "homepage": homepage(content),
        "tool": pixmo.__version__,
        "subject": subject(content),
        "licenses": " and ".join(content.licenses),
        "distribution": card_images.distribution(content),
        "contact": contact(content),
        "subsets": subsets_table(content, sizes),
        "facts": "\n".join(f"- {figure}" for figure in figures),
        "collection": collection(content),
        "captions": how_captions_were_made(content),
        "limits": limits(content),
        "loading": card_images.loading(content),
        "where_images_are": card_images.where(content),
        "images": card_images.images(content),
        "withdrawals": withdrawals(content),
        "fates": fates(content),
        "funnel": "\n\n".join(funnel(subset) for subset in content.subsets),
        "decontamination": decontamination(content),
        "preference": preference(content),
        "columns": "\n\n".join(columns(subset, content.is_embedded) for subset in content.filled),
        "example_subset": example.recipe.name,
        "example_split": next(iter(example.splits)),
    }
    try:
        text = template.substitute(parts)
    except (KeyError, ValueError) as error:
        raise RecipeError(
            f"{path}: {error} is not known to a card; known are {', '.join(parts)};"
            " a dollar sign is written $$"
        ) from error
    return f"---\n{front_matter(content, sizes)}\n---\n\n{text}"


def subject(content: Content) -> str:
    """What there is of images, in a phrase."""
    return listed([text for stem, text in SUBJECTS.items() if content.subset(stem)])


def homepage(content: Content) -> str:
    """A line with the homepage, where there is one."""
    page = content.settings.dataset.homepage
    return f"More about it: {page}" if page else ""


def contact(content: Content) -> str:
    """Whom to ask."""
    said = content.settings.dataset.contact or content.settings.dataset.homepage
    return said or "whoever gave it to you (nobody is named in it to be asked)"


def subsets_table(content: Content, sizes: Sizes) -> str:
    """Rows and size of each subset and split."""
    lines = ["| subset | split | rows | on disk |", "|---|---|---:|---:|"]
    for subset in content.filled:
        for split, size in sizes[subset.recipe.name].items():
            lines.append(
                f"| {subset.recipe.name} | {split} | {size.rows:,} | {readable(size.file_bytes)} |"
            )
    return "\n".join(lines)


def collection(content: Content) -> str:
    """How the rows of each subset came about."""
    return "\n".join(
        f"- **{subset.recipe.name}**:"
        f" {COLLECTED.get(subset.stem) or how_captions_come_about(subset)}"
        for subset in content.filled
    )


def limits(content: Content) -> str:
    """What the rows cannot be used for, as far as it can be told from them."""
    lines = [LIMITS.get(subset.stem) or limits_of_captions(subset) for subset in content.filled]
    lines.append(
        f"All texts are in one language, `{content.settings.speech.language}`, and show what the"
        " people who made them found worth saying."
    )
    if not content.held_out:
        lines.append("Rows were compared with no evaluation data; see Decontamination.")
    return "\n".join(f"- {line}" for line in lines)


def withdrawals(content: Content) -> str:
    """What people asked to be taken out, by subset; reasons name nobody."""
    gone = {
        subset.recipe.name: step
        for subset in content.subsets
        for step in subset.curated.funnel
        if step.step == WITHDRAWN and step.rows
    }
    if not gone:
        return "No row was withdrawn from this version."
    return "\n".join(
        f"- {name}: {counted(step.rows, 'row')} taken out"
        f" ({'; '.join(f'{reason}: {rows:,}' for reason, rows in step.reasons.items())})."
        for name, step in gone.items()
    )


def fates(content: Content) -> str:
    """Where rows are that a step named; nothing of what became of none."""
    done = {step.then for one in content.subsets for step in one.curated.funnel if step.rows}
    said = [text for then, text in FATES.items() if then in done]
    said += ["Numbers in reasons are written as #."] * bool(said)
    return " ".join(said)


def funnel(subset: SubsetContent) -> str:
    """What each step of the recipe named, why, and what became of it; idle ones fold away."""
    steps = subset.curated.funnel
    idle = [step for step in steps if not step.rows]
    parts = [
        f"### {subset.recipe.name}",
        f"{subset.rows.num_rows:,} of {subset.curated.candidates:,} candidates kept."
        f" {cell(subset.recipe.rows.explanation)}",
        steps_table([step for step in steps if step.rows]),
    ]
    if idle:
        summary = f"<summary>{counted(len(idle), 'step')} found nothing</summary>"
        parts += [f"<details>\n{summary}", steps_table(idle), "</details>"]
    return "\n\n".join(part for part in parts if part)


def steps_table(steps: Sequence[FunnelStep]) -> str:
    """Steps in order, a row each; empty where there are none."""
    if not steps:
        return ""
    lines = [
        "| step | why | then | rows | left | reasons |",
        "|---|---|---|---:|---:|---|",
    ]
    for step in steps:
        reasons = "; ".join(f"{reason} ({rows:,})" for reason, rows in step.reasons.items())
        lines.append(
            f"| {step.step} | {cell(step.explanation)} | {step.then.replace('_', ' ')} |"
            f" {step.rows:,} | {step.kept:,} | {cell(reasons)} |"
        )
    return "\n".join(lines)


def decontamination(content: Content) -> str:
    """Which evaluation data the rows were compared with, and how."""
    if not content.held_out:
        return (
            "This version was not decontaminated: when it was built, no evaluation data was held"
            " out of it."
        )
    lines = ["| held out | images | questions |", "|---|---:|---:|"]
    lines += [
        f"| {cell(held_out.source)} | {held_out.images:,} | {held_out.questions:,} |"
        for held_out in content.held_out
    ]
    lines += ["", *(compared(subset) for subset in content.subsets)]
    looked = {
        step.name
        for subset in content.subsets
        for step in subset.recipe.steps
        if isinstance(step, (HeldOutImagesStep, HeldOutTextsStep))
    }
    steps = (step for subset in content.subsets for step in subset.curated.funnel)
    found = sorted({step.step for step in steps if step.rows and step.step in looked})
    if found:
        lines += [
            "",
            "What was found stands in the tables above, as"
            f" {listed([f'`{name}`' for name in found])}, and row by row, with the image or"
            " question that was hit, in the evidence.",
        ]
    elif looked:
        lines += ["", "Nothing of it was found."]
    return "\n".join(lines)


def compared(subset: SubsetContent) -> str:
    """By what the rows of a subset were compared with evaluation data."""
    steps = subset.recipe.steps
    kinds = {
        "images": any(isinstance(step, HeldOutImagesStep) for step in steps),
        "questions": any(isinstance(step, HeldOutTextsStep) for step in steps),
    }
    with_what = " and ".join(kind for kind, is_there in kinds.items() if is_there)
    if not with_what:
        return f"- {subset.recipe.name} was not compared with it."
    return f"- {subset.recipe.name} was compared with the {with_what}."


def preference(content: Content) -> str:
    """Which pictures are likelier to test than to train; all recipes split alike."""
    splits = content.subsets[0].recipe.splits
    if splits.agreed_weight == 1:
        return "Agreement plays no part in it."
    explanation = splits.agreed.explanation
    return (
        f"To validation and test go {splits.agreed_weight:g} times as often:"
        f" {explanation[:1].lower()}{explanation[1:]}"
    )


def columns(subset: SubsetContent, is_embedded: bool) -> str:
    """What each column holds."""
    promise = schema.subset(subset.stem)
    lines = [f"### {promise.name}", "", promise.description, "", "| column | type | holds |"]
    lines.append("|---|---|---|")
    if is_embedded:
        lines.append(f"| `{EMBEDDED_COLUMN}` | image | {EMBEDDED} |")
    lines += [
        f"| `{column.name}` | `{column.type}` | {cell(column.description)} |"
        for column in promise.columns
    ]
    return "\n".join(lines)
