"""What the hub and `datasets` read of a card: its YAML, from schemas, recipes and files.

Source: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
"""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import DatasetCardData

from pixmo import schema
from pixmo.curate.recipe import LICENSES
from pixmo.dataset.manifest import EMBEDDED_COLUMN
from pixmo.release.card_captions import CLEANER, is_any_spoken
from pixmo.release.content import Content, SubsetContent
from pixmo.release.sizes import Sizes, SplitSize

HUB_TYPES = {"string": "string", "int64": "int64", "double": "float64", "bool": "bool"}
SIZES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    *((10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B")),
)
LARGEST_SIZE = "1B<n<10B"
TASKS = {
    "cap": ("image-to-text", "image-text-to-text"),
    "ama": ("visual-question-answering", "image-text-to-text"),
    "points": ("keypoint-detection", "image-text-to-text"),
}
TAGS = {
    "cap": ("dense-captions",),
    "ama": ("visual-question-answering",),
    "points": ("pointing", "counting"),
}
SPOKEN = "spoken-descriptions"


def front_matter(content: Content, sizes: Sizes) -> str:
    """A config per subset, features, sizes, splits, licence, language and who made it."""
    rows = sum(size.rows for splits in sizes.values() for size in splits.values())
    stems = [subset.stem for subset in content.filled]
    cap = content.subset("cap")
    spoken = {SPOKEN} if cap and is_any_spoken(cap) else set()
    data: dict[str, Any] = {
        "pretty_name": content.settings.dataset.title,
        "language": [content.settings.speech.language],
        "license": [LICENSES[name] for name in content.licenses],
        "size_categories": [next((size for most, size in SIZES if rows < most), LARGEST_SIZE)],
        "task_categories": sorted({task for stem in stems for task in TASKS[stem]}),
        "annotations_creators": ["crowdsourced"],
        "language_creators": makers(content),
        "multilinguality": ["monolingual"],
        "source_datasets": ["original"],
        "tags": ["pixmo", *sorted(spoken | {tag for stem in stems for tag in TAGS[stem]})],
        "configs": [config(subset, subset is content.example) for subset in content.filled],
        "dataset_info": [
            dataset_info(content, subset, sizes[subset.recipe.name]) for subset in content.filled
        ],
    }
    return DatasetCardData(**data).to_yaml()


def makers(content: Content) -> list[str]:
    """Who made the texts, in the hub's words: people, and a language model where one wrote."""
    cap, ama = content.subset("cap"), content.subset("ama")
    writers = [writer for (writer,) in cap.rows.query("distinct writer")] if cap else []
    wrote = any(not writer.startswith(CLEANER) for writer in writers)
    if ama:
        proposed = "semi join answer_rounds using (image_sha256, question)"
        ((answers,),) = ama.rows.query("count(*)", proposed)
        wrote = wrote or answers > 0
    return ["crowdsourced", *["machine-generated"] * wrote]


def config(subset: SubsetContent, is_default: bool) -> dict[str, Any]:
    """Where the rows of a subset are; `datasets` cannot load a split without rows."""
    name = subset.recipe.name
    files = [{"split": split, "path": f"{name}/{split}-*.parquet"} for split in subset.splits]
    default = {"default": True} if is_default else {}
    return {"config_name": name, "data_files": files} | default


def dataset_info(
    content: Content, subset: SubsetContent, splits: Mapping[str, SplitSize]
) -> dict[str, Any]:
    """The columns and the size of a subset."""
    columns = features(schema.subset(subset.stem))
    if content.is_embedded:
        columns = [{"name": EMBEDDED_COLUMN, "dtype": "image"}, *columns]
    return {
        "config_name": subset.recipe.name,
        "features": columns,
        "splits": [
            {"name": split, "num_bytes": size.bytes, "num_examples": size.rows}
            for split, size in splits.items()
        ],
        "download_size": sum(size.file_bytes for size in splits.values()),
        "dataset_size": sum(size.bytes for size in splits.values()),
    }


def features(promise: schema.Schema) -> list[dict[str, Any]]:
    """The schema's columns as `datasets` declares them."""
    return [{"name": column.name} | feature(column.type) for column in promise.columns]


def feature(kind: str) -> dict[str, Any]:
    """A column type in the card's words."""
    if kind in HUB_TYPES:
        return {"dtype": HUB_TYPES[kind]}
    inner = kind.removeprefix("list<").removesuffix(">")
    if inner.startswith("struct<"):
        return {"list": [{"name": name} | feature(of) for name, of in members(inner)]}
    return {"list": HUB_TYPES[inner]}


def members(struct: str) -> list[tuple[str, str]]:
    """The names and types of a struct's fields, none of which is a struct."""
    inner = struct.removeprefix("struct<").removesuffix(">")
    pairs = [member.split(":") for member in inner.split(",")]
    return [(name.strip(), kind.strip()) for name, kind in pairs]
