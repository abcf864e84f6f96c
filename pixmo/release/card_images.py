"""What a card says of images: where they are, how to open them, and under which licences."""

from collections.abc import Iterator

from pixmo.dataset.manifest import EMBEDDED_COLUMN, IMAGES
from pixmo.release.content import Content
from pixmo.release.statistics import image_licenses
from pixmo.text import cell, counted, listed

IN_THE_ROW = f"""\
    if row["{EMBEDDED_COLUMN}"] is not None:
        return row["{EMBEDDED_COLUMN}"]
"""
BESIDE = f"""\
    folder = Path(release, "{IMAGES}", row["image_sha256"][:2])
    for path in folder.glob(row["image_sha256"] + ".*"):
        return ImageOps.exif_transpose(Image.open(path))
"""
BY_URL = """\
    asked = Request(row["image_url"], headers={"User-Agent": "your name and address"})
    with urlopen(asked) as answer:
        data = answer.read()
    if sha256(data).hexdigest() != row["image_sha256"]:
        raise ValueError(row["image_url"] + " is another picture now")
    return ImageOps.exif_transpose(Image.open(BytesIO(data)))
"""
IMPORTS = {  # the line that a piece of code needs, by what stands in it
    "sha256(": "from hashlib import sha256\n",
    "BytesIO(": "from io import BytesIO\n",
    "Path(": "from pathlib import Path\n",
    "urlopen(": "from urllib.request import Request, urlopen\n",
}


def loading(content: Content) -> str:
    """Python that loads the rows to look at first and opens the image of one of them.

    It runs as it stands, with the release's folder for `path/to/…`.
    """
    example = content.example
    inside, outside = places(content)
    own = IN_THE_ROW if content.is_embedded else BESIDE
    body = own * (inside > 0) + BY_URL * (outside > 0)
    imports = "".join(line for name, line in IMPORTS.items() if name in body)
    imports += "\n" if imports else ""
    pillow = "from PIL import Image, ImageOps\n" if "Image.open" in body else ""
    define = f"\n\ndef open_image(row):\n{body}\n" if pillow else ""
    opened = "open_image(row)" if pillow else f'row["{EMBEDDED_COLUMN}"]'
    return f"""\
{imports}from datasets import load_dataset
{pillow}{define}
release = "path/to/{content.version}"
rows = load_dataset(release, "{example.recipe.name}", split="{next(iter(example.splits))}")
row = rows[0]
image = {opened}"""


def places(content: Content) -> tuple[int, int]:
    """How many images travel inside the release, and how many it only names by URL."""
    inside = len(content.inside & content.images.keys())
    return inside, len(content.images) - inside


def where(content: Content) -> str:
    """What the columns of a row say of its image."""
    inside, outside = places(content)
    lines = []
    if content.is_embedded and inside:
        lines.append(
            f"The image of a row stands in its column `{EMBEDDED_COLUMN}`, which `datasets` opens"
            " upright. `image_url` only says where it came from; of an image without a source URL"
            " it is a name, and there is no such file."
        )
        if outside:
            lines.append(
                f"Where `{EMBEDDED_COLUMN}` is null, the image is not in this release and"
                " `image_url` is where to get it."
            )
    elif inside and not outside:
        lines.append(f"Images lie in `{IMAGES}/`, each named by its sha256.")
    elif inside:
        lines.append(
            f"Some images lie in `{IMAGES}/`, each named by its sha256; the others are named by"
            " `image_url` only."
        )
    else:
        lines.append("No image is in this release: `image_url` is where to get it.")
    if inside and not content.is_embedded:
        lines.append(
            "`image_url` is the source URL, or the place in this release of an image that has none."
        )
    lines.append("`image_sha256` is the sha256 of the image's raw bytes.")
    if outside:
        lines.append("Pictures on the web change or go: compare what you download with it.")
    if content.subset("points"):
        lines.append(
            "Points are percent (0 to 100) of the width and height of the upright image, which is"
            " what people saw."
        )
    if inside and not content.is_embedded:
        lines.append(
            "Of a release on the hub, `huggingface_hub.snapshot_download(name,"
            ' repo_type="dataset")` gets a folder with the images in it.'
        )
    return " ".join(lines)


def images(content: Content) -> str:
    """Where the images are, and under which licences."""
    inside, outside = places(content)
    there = f"in the column `{EMBEDDED_COLUMN}` of the rows"
    there = there if content.is_embedded else f"as files in `{IMAGES}/`"
    lines = ["| image | images |", "|---|---:|"]
    if inside:
        lines.append(f"| in this release, {there} | {inside:,} |")
    if outside:
        lines.append(f"| named by source URL only | {outside:,} |")
        lines += ["", " ".join(of_those_outside(content))]
    if is_any_forced(content):
        lines += [
            "",
            "Copies were put in whatever the licences say, as whoever built it asked for.",
        ]
    lines += ["", "| licence of the image | images |", "|---|---:|"]
    lines += [
        f"| {cell(license) or 'not known'} | {count:,} |"
        for license, count in image_licenses(content).items()
    ]
    if any(subset.curated.apart.num_rows for subset in content.subsets):
        lines += ["", "Images of rows that were set apart are counted, too."]
    return "\n".join(lines)


def of_those_outside(content: Content) -> Iterator[str]:
    """Yield what is true of images that are named by URL, a sentence each."""
    yield "Whether a URL still answers is not known: nobody asked when this release was built."
    if content.travel.mode != "url":
        yield from named_by_url(content)
    if content.is_embedded:
        yield f"The column `{EMBEDDED_COLUMN}` is null in their rows."


def named_by_url(content: Content) -> Iterator[str]:
    """Yield why images that were to travel inside do not; nothing of what befell none."""
    outside = [image for sha256, image in content.images.items() if sha256 not in content.inside]
    changed = sum(content.travel.may(image) for image in outside)
    for count, why in (
        (len(outside) - changed, "no licence that allows a copy is known"),
        (changed, "the file was gone or changed when this release was built"),
    ):
        if count:
            yield f"Named by URL because {why}: {counted(count, 'image')}."


def is_any_forced(content: Content) -> bool:
    """Whether an image travels that its licence would have kept out."""
    return content.travel.is_forced and any(
        image.url is not None and not content.travel.is_free(image)
        for sha256, image in content.images.items()
        if sha256 in content.inside
    )


def distribution(content: Content) -> str:
    """What the licence covers, and what it does not."""
    inside, outside = places(content)
    lines = [
        f"The annotations are under {by_license(content)}. That does not cover the pictures: the"
        " rights in them stay with their owners."
    ]
    if inside:
        lines.append("The licences of those in this release, where known, are counted above.")
    if outside:
        lines.append("Pictures named by URL are no part of this release.")
    return " ".join(lines)


def by_license(content: Content) -> str:
    """The licences, and of which subsets, where they differ."""
    licenses = content.licenses
    if len(licenses) == 1:
        return licenses[0]
    return listed(
        [
            f"{name} ({', '.join(s.recipe.name for s in content.held if s.recipe.license == name)})"
            for name in licenses
        ]
    )
