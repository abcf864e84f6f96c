"""`croissant.json`: the release as metadata that dataset search engines and loaders read.

Source: the Croissant format, https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import re
from collections.abc import Sequence
from typing import Any

from pixmo import schema
from pixmo.dataset.manifest import EMBEDDED_COLUMN, File
from pixmo.dataset.reader import SPLITS
from pixmo.release.content import Content, SubsetContent
from pixmo.release.front_matter import members

Json = dict[str, Any]

NUMBERS = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?")

VERSION = "http://mlcommons.org/croissant/1.0"
PARQUET = "application/x-parquet"
TYPES = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float", "bool": "sc:Boolean"}
LICENSE_PAGE = "https://spdx.org/licenses/"
# As the specification's appendix has it; a loader warns of any other.
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject"),
            *("fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key"),
            *("md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
            *("replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}


def describe(content: Content, files: Sequence[File]) -> Json:
    """The release in Croissant's words: its Parquet files, and a record set per subset.

    It names no date and no place where the release is published: it knows neither.
    """
    shown = {f"{subset.recipe.name}/" for subset in content.filled}
    parquet = [file for file in files if file.path.partition("/")[0] + "/" in shown]
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": content.settings.dataset.title,
        "description": " ".join(
            schema.subset(subset.stem).description for subset in content.filled
        ),
        "version": version(content.version),
        "license": [f"{LICENSE_PAGE}{name}.html" for name in content.licenses],
        "inLanguage": content.settings.speech.language,
        "distribution": [
            *map(file_object, parquet),
            *(file_set(subset) for subset in content.filled),
        ],
        "recordSet": [
            split_set(content),
            *(record_set(content, subset) for subset in content.filled),
        ],
    }
    page = content.settings.dataset.homepage
    return described | {"url": page} if page else described


def version(name: str) -> str:
    """A release's name as a version of three numbers where it is one: v1 is 1.0.0."""
    numbers = NUMBERS.fullmatch(name)
    if numbers is None:
        return name
    return ".".join(part or "0" for part in numbers.groups())


def file_object(file: File) -> Json:
    """A file with its checksum."""
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": PARQUET,
        "sha256": file.sha256,
    }


def file_set(subset: SubsetContent) -> Json:
    """All files of a subset."""
    name = files_of(subset)
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": PARQUET,
        "includes": f"{subset.recipe.name}/*.parquet",
    }


def files_of(subset: SubsetContent) -> str:
    """The id of the set of a subset's files."""
    return f"{subset.recipe.name}-files"


def split_set(content: Content) -> Json:
    """The splits that any subset has."""
    there = [split for split in SPLITS if any(split in one.splits for one in content.filled)]
    name = {"@type": "cr:Field", "@id": "splits/name", "name": "splits/name"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [name | {"dataType": "sc:Text"}],
        "data": [{"splits/name": split} for split in there],
    }


def record_set(content: Content, subset: SubsetContent) -> Json:
    """The rows of a subset, each with its split."""
    promise = schema.subset(subset.stem)
    columns = [field(subset, column) for column in promise.columns]
    images = [image_field(subset)] if content.is_embedded else []
    return {
        "@type": "cr:RecordSet",
        "@id": promise.name,
        "name": promise.name,
        "description": promise.description,
        "field": [split_field(subset), *images, *columns],
    }


def split_field(subset: SubsetContent) -> Json:
    """The split of a row, which is in its file's name."""
    # A loader applies it to the name, and to what came of that again.
    names = "|".join(SPLITS)
    source = source_of(subset, {"fileProperty": "filename"}, {"regex": f"^({names})"})
    return named(subset, "split") | {
        "description": "The split that the row is in.",
        "dataType": "sc:Text",
        "source": source,
        "references": {"field": {"@id": "splits/name"}},
    }


def image_field(subset: SubsetContent) -> Json:
    """The image that a row holds."""
    return named(subset, EMBEDDED_COLUMN) | {
        "description": "The image itself, where the release holds it.",
        "dataType": "sc:ImageObject",
        "source": source_of(subset, {"column": EMBEDDED_COLUMN}, {"jsonPath": "bytes"}),
    }


def field(subset: SubsetContent, column: schema.Column) -> Json:
    """A column: a value, a list of values, or a list of structs."""
    described = named(subset, column.name) | {"description": column.description}
    source = source_of(subset, {"column": column.name})
    if not column.type.startswith("list<"):
        return described | {"dataType": TYPES[column.type], "source": source}
    inner = column.type.removeprefix("list<").removesuffix(">")
    described |= {"repeated": True, "source": source}
    if not inner.startswith("struct<"):
        return described | {"dataType": TYPES[inner]}
    inside = [
        named(subset, f"{column.name}/{name}")
        | {
            "dataType": TYPES[kind],
            "source": source_of(subset, {"column": column.name}, {"jsonPath": name}),
        }
        for name, kind in members(inner)
    ]
    return described | {"subField": inside}


def named(subset: SubsetContent, name: str) -> Json:
    """A field of a subset, by its id."""
    own = f"{subset.recipe.name}/{name}"
    return {"@type": "cr:Field", "@id": own, "name": own}


def source_of(subset: SubsetContent, extract: Json, transform: Json | None = None) -> Json:
    """Where a field's values come from."""
    source: Json = {"fileSet": {"@id": files_of(subset)}, "extract": extract}
    return source | {"transform": transform} if transform else source
