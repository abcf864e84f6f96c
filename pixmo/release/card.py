"""The dataset card: Hugging Face front matter from schemas, and the text of a template."""

import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pixmo import schema
from pixmo.curate.recipe import find
from pixmo.curate.step_kinds import HeldOutImagesStep, HeldOutTextsStep
from pixmo.errors import RecipeError
from pixmo.release.content import Content, SubsetContent
from pixmo.release.front_matter import front_matter
from pixmo.release.sizes import Sizes
from pixmo.release.statistics import image_licenses
from pixmo.text import counted

TEMPLATE = "card.md"
WITHDRAWN = "withdrawn"  # the step that takes out what people asked to be taken out


# How each subset is made, whoever makes it.
COLLECTED = {
    "cap": "people look at an image and describe it aloud for a minute or more, or in writing; the"
    " recordings are transcribed, and a caption is written from all transcripts of an image.",
    "ama": "people ask a question about an image; an answer is proposed, and a person accepts it,"
    " mends it or rejects it. Rows hold what was accepted.",
    "points": "people are given an expression and click on every instance of it in the image, or"
    " say that there is none.",
}
LIMITS = {
    "cap": "Captions say what somebody saw and said: miscounts, mistaken names and guesses of"
    " theirs are in them, and so are mistakes of speech recognition that no step caught.",
    "ama": "One person judged each answer. What lies outside the image may be wrong in it.",
    "points": "A point is a click somewhere on the thing, not its centre or outline. Small or"
    " crowded things are missed first.",
}


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
        "licenses": " and ".join(content.licenses),
        "contact": contact(content),
        "subsets": subsets_table(content, sizes),
        "facts": "\n".join(f"- {figure}" for figure in figures),
        "collection": collection(content),
        "captions": how_captions_were_made(content),
        "limits": limits(content),
        "images": images(content),
        "withdrawals": withdrawals(content),
        "funnel": "\n\n".join(funnel(subset) for subset in content.subsets),
        "decontamination": decontamination(content),
        "preference": preference(content),
        "columns": "\n\n".join(columns(subset) for subset in content.filled),
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


def homepage(content: Content) -> str:
    """A line with the homepage, where there is one."""
    page = content.settings.dataset.homepage
    return f"More about it: {page}" if page else ""


def contact(content: Content) -> str:
    """Whom to ask."""
    said = content.settings.dataset.contact or content.settings.dataset.homepage
    return said or "the people you have this release from"


def subsets_table(content: Content, sizes: Sizes) -> str:
    """Rows and size of each subset and split."""
    lines = ["| subset | split | rows | MB on disk |", "|---|---|---:|---:|"]
    for subset in content.filled:
        for split, size in sizes[subset.recipe.name].items():
            lines.append(
                f"| {subset.recipe.name} | {split} | {size.rows:,} | {size.file_bytes / 1e6:,.1f} |"
            )
    return "\n".join(lines)


def collection(content: Content) -> str:
    """How the rows of each subset came about."""
    return "\n".join(f"- **{s.recipe.name}**: {COLLECTED[s.stem]}" for s in content.filled)


def limits(content: Content) -> str:
    """What the rows cannot be used for, as far as it can be told from them."""
    lines = [LIMITS[subset.stem] for subset in content.filled]
    lines.append(
        f"All texts are in one language, `{content.settings.speech.language}`, and show what the"
        " people who made them found worth saying."
    )
    if not content.held_out:
        lines.append("Rows were compared with no evaluation data; see Decontamination.")
    return "\n".join(f"- {line}" for line in lines)


def images(content: Content) -> str:
    """Where the images are, and under which licences."""
    inside = len(content.inside & content.images.keys())
    by_url = len(content.images) - inside
    where = "in the column `image` of the rows" if content.is_embedded else "as files in `images/`"
    lines = ["| image | images |", "|---|---:|", f"| in this release, {where} | {inside:,} |"]
    lines.append(f"| named by source URL only | {by_url:,} |")
    said = "Whether a URL still answers is not known: nobody asked when this release was built."
    if content.travel.mode != "url":
        said += "".join(named_by_url(content))
        if content.travel.is_forced:
            said += " Copies were put in whatever the licences say, as whoever built it asked for."
        if content.is_embedded:
            said += " The column `image` is null in their rows."
    lines += ["", said, "", "| licence of the image | images |", "|---|---:|"]
    lines += [
        f"| {cell(license) or 'not known'} | {count:,} |"
        for license, count in image_licenses(content).items()
    ]
    return "\n".join(lines)


def named_by_url(content: Content) -> Iterator[str]:
    """Yield why images that were to travel inside do not; nothing of what befell none."""
    outside = [image for sha256, image in content.images.items() if sha256 not in content.inside]
    changed = sum(content.travel.may(image) for image in outside)
    for images, why in (
        (len(outside) - changed, "no licence that allows a copy is known"),
        (changed, "the file was gone or changed when this release was built"),
    ):
        if images:
            yield f" Named by URL because {why}: {counted(images, 'image')}."


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


def how_captions_were_made(content: Content) -> str:
    """Who spoke and who wrote, said as it is."""
    cap = content.subset("cap")
    if cap is None:
        return "This version holds no captions."
    kinds: Mapping[str, int] = count_kinds(cap)
    spoken, written, both = kinds["spoken"], kinds["written"], kinds["both"]
    lines = [
        f"Of {cap.rows.num_rows:,} captions, {spoken:,} come from speech alone, {written:,} from"
        f" written descriptions alone and {both:,} from both."
    ]
    if spoken + both:
        lines.append(
            "Spoken descriptions were recorded and transcribed; each row names its recordings by"
            " sha256."
        )
    if written + both:
        lines.append(
            "Written descriptions were never spoken: nothing but their text says that a person"
            " saw the image. `transcript_sources` tells them apart, row by row."
        )
    writers = [writer for (writer,) in cap.rows.query("distinct writer", "order by writer")]
    lines.append(f"Captions were merged from the transcripts by {', '.join(writers)}.")
    return " ".join(lines)


def count_kinds(cap: SubsetContent) -> dict[str, int]:
    """How many captions come from speech alone, from writing alone, from both."""
    kinds = {"spoken": 0, "written": 0, "both": 0}
    for sources, rows in cap.rows.query(
        "list_sort(list_distinct(transcript_sources)) as sources, count(*)", "group by sources"
    ):
        kind = "both" if len(sources) > 1 else "spoken" if "speech" in sources else "written"
        kinds[kind] += rows
    return kinds


def funnel(subset: SubsetContent) -> str:
    """What each step of the recipe named, why, and what became of it."""
    curated = subset.curated
    lines = [
        f"### {subset.recipe.name}",
        "",
        f"{curated.candidates:,} candidates. {cell(subset.recipe.rows.explanation)}",
        "",
        "| step | why | then | rows | left | reasons |",
        "|---|---|---|---:|---:|---|",
    ]
    for step in curated.funnel:
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
    return "\n".join([*lines, "", *(compared(subset) for subset in content.subsets)])


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


def columns(subset: SubsetContent) -> str:
    """What each column holds."""
    promise = schema.subset(subset.stem)
    lines = [f"### {promise.name}", "", promise.description, "", "| column | type | holds |"]
    lines.append("|---|---|---|")
    lines += [
        f"| `{column.name}` | `{column.type}` | {cell(column.description)} |"
        for column in promise.columns
    ]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that fits into one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
