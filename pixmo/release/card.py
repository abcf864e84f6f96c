"""The dataset card: Hugging Face front matter from schemas, and the text of a template."""

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData

from pixmo import schema
from pixmo.curate.recipe import LICENSES, find
from pixmo.curate.step_kinds import HeldOutImagesStep, HeldOutTextsStep
from pixmo.errors import RecipeError
from pixmo.release.content import Content, SubsetContent

TEMPLATE = "card.md"
HUB_TYPES = {"string": "string", "int64": "int64", "double": "float64", "bool": "bool"}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LARGEST_SIZE = "1M<n<10M"


def card(content: Content, figures: Sequence[str], own: Path | None = None) -> str:
    """The card of a release, from the template in the folder `own` where it has one.

    `figures` are sentences.

    Raises:
        RecipeError: the template names something a card does not know.
    """
    path = find(TEMPLATE, own, RecipeError(f"there is no {TEMPLATE} in pipelines/"))
    template = string.Template(path.read_text("utf-8"))
    example = content.subset("cap") or content.filled[0]
    parts = {
        "title": content.settings.dataset.title,
        "version": content.version,
        "homepage": homepage(content),
        "licenses": " and ".join(content.licenses),
        "subsets": subsets_table(content),
        "facts": "\n".join(f"- {figure}" for figure in figures),
        "captions": how_captions_were_made(content),
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
    return f"---\n{front_matter(content)}\n---\n\n{text}"


def front_matter(content: Content) -> str:
    """What the hub and `datasets` read: a config per subset, features, licence, language, size."""
    rows = sum(subset.rows.num_rows for subset in content.filled)
    data: dict[str, Any] = {
        "pretty_name": content.settings.dataset.title,
        "language": [content.settings.speech.language],
        "license": [LICENSES[name] for name in content.licenses],
        "size_categories": [next((size for most, size in SIZES if rows < most), LARGEST_SIZE)],
        "task_categories": ["image-to-text", "visual-question-answering"],
        "configs": [config(subset) for subset in content.filled],
        "dataset_info": [
            {"config_name": subset.recipe.name, "features": features(schema.subset(subset.stem))}
            for subset in content.filled
        ],
    }
    return DatasetCardData(**data).to_yaml()


def config(subset: SubsetContent) -> dict[str, Any]:
    """Where the rows of a subset are; `datasets` cannot load a split without rows."""
    name = subset.recipe.name
    files = [{"split": split, "path": f"{name}/{split}-*.parquet"} for split in subset.splits]
    return {"config_name": name, "data_files": files}


def features(promise: schema.Schema) -> list[dict[str, Any]]:
    """The schema's columns as `datasets` declares them."""
    return [{"name": column.name} | feature(column.type) for column in promise.columns]


def feature(kind: str) -> dict[str, Any]:
    """A column type in the card's words."""
    if kind in HUB_TYPES:
        return {"dtype": HUB_TYPES[kind]}
    inner = kind.removeprefix("list<").removesuffix(">")
    if inner.startswith("struct<"):
        members = inner.removeprefix("struct<").removesuffix(">").split(",")
        pairs = [[part.strip() for part in member.split(":")] for member in members]
        return {"list": [{"name": name} | feature(of) for name, of in pairs]}
    return {"list": HUB_TYPES[inner]}


def homepage(content: Content) -> str:
    """A line with the homepage, where there is one."""
    page = content.settings.dataset.homepage
    return f"More about it: {page}" if page else ""


def subsets_table(content: Content) -> str:
    """Rows of each subset and split."""
    lines = ["| subset | split | rows |", "|---|---|---:|"]
    for subset in content.filled:
        for split, rows in subset.splits.items():
            lines.append(f"| {subset.recipe.name} | {split} | {rows:,} |")
    return "\n".join(lines)


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
