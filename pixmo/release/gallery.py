"""Some images of a release with what was said, asked and pointed at: the page's gallery."""

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image, ImageOps

from pixmo.errors import ReleaseError
from pixmo.hashing import unit_interval
from pixmo.release.content import Content, SubsetContent
from pixmo.release.images import SourceImage
from pixmo.release.voices import voices
from pixmo.workspace.workspace import Workspace

IMAGES = 12
THUMBNAIL_PIXELS = 360
WEBP_QUALITY = 80
MOST_EXPRESSIONS = 8
MARKS = ("●", "■", "▲", "◆", "✚", "★", "⬟", "⬢")
NONE_TO_SHOW = (
    "<p>No image of this release may be shown here: as <code>thumbnails</code> in pixmo.toml has"
    " it, only those are whose licence allows a copy.</p>"
)

# What a figure tells of the rows of each subset.
TOLD = {
    "cap": ("caption",),
    "ama": ("question", "answer"),
    "points": ("label", "count", "points"),
}

Rows = dict[str, list[dict[str, Any]]]  # by image


def gallery(content: Content, workspace: Workspace) -> str:
    """Figures of a few images, the same for the same release; those with a voice come first."""
    order = drawn(content)
    cap = content.subset("cap")
    heard = voices(cap, workspace, order) if cap and content.settings.release.audio else {}
    shown = [*heard, *(sha256 for sha256 in order if sha256 not in heard)][:IMAGES]
    rows = {subset.stem: by_image(subset, shown) for subset in content.filled}
    figures = [
        figure(
            content.images[sha256],
            {stem: of.get(sha256, []) for stem, of in rows.items()},
            heard.get(sha256, ""),
        )
        for sha256 in shown
    ]
    return "\n".join(figures) or NONE_TO_SHOW


def drawn(content: Content) -> list[str]:
    """The images that may be shown, by sha256, those with rows in most subsets first, as drawn."""
    only_free = content.settings.release.thumbnails == "free"

    def richness(sha256: str) -> int:
        """In how many subsets an image has rows: those in most say most about the release."""
        return sum(sha256 in subset.image_sha256s for subset in content.filled)

    return sorted(
        {
            sha256
            for subset in content.filled
            for sha256 in subset.image_sha256s
            if not only_free or content.travel.may(content.images[sha256])
        },
        key=lambda sha256: (-richness(sha256), place(sha256)),
    )


def by_image(subset: SubsetContent, shown: Sequence[str]) -> Rows:
    """What is said of the images shown, by their sha256."""
    grouped: Rows = {}
    names = TOLD[subset.stem]
    for sha256, *values in subset.rows.query(
        f"image_sha256, {', '.join(names)}",
        "where list_contains(?, image_sha256) order by row_order",
        [list(shown)],
    ):
        grouped.setdefault(sha256, []).append(dict(zip(names, values, strict=True)))
    return grouped


def place(sha256: str) -> float:
    """Where an image comes in the draw."""
    return unit_interval(f"gallery {sha256}")


def figure(image: SourceImage, rows: Mapping[str, list[dict[str, Any]]], voice: str = "") -> str:
    """One image with its points drawn over it, and its texts and its voice beside it."""
    expressions = rows.get("points", [])[:MOST_EXPRESSIONS]
    player = f'<audio controls="" preload="metadata" aria-label="recording" src="{voice}"></audio>'
    texts = [f'<p class="caption">{escape(row["caption"])}</p>' for row in rows.get("cap", [])]
    texts += [player] if voice else []
    texts += [
        f"<p><b>{escape(row['question'])}</b> {escape(row['answer'])}</p>"
        for row in rows.get("ama", [])
    ]
    legend = [
        f'<li><b class="mark c{n}">{MARKS[n]}</b> {escape(row["label"])}:'
        f" {row['count'] or 'none'}</li>"
        for n, row in enumerate(expressions)
    ]
    points = [
        f'<b class="c{n}" style="left:{point["x"]:.2f}%;top:{point["y"]:.2f}%">{MARKS[n]}</b>'
        for n, row in enumerate(expressions)
        for point in row["points"]
    ]
    shown = thumbnail(image)
    picture = (
        f'<div class="picture"><img alt="" src="{shown}"/>{"".join(points)}</div>'
        if shown
        else f"<p>{escape(image.release_url)}</p>"
    )
    listed = f'<ul class="legend">{"".join(legend)}</ul>' if legend else ""
    return (
        f"<figure>{picture}<figcaption>{''.join(texts)}{listed}"
        f'<p class="soft">{credit(image)}</p></figcaption></figure>'
    )


def credit(image: SourceImage) -> str:
    """Which image it is, whence, and under which licence."""
    parts = [f"image <code>{image.sha256[:12]}</code>"]
    if image.license:
        parts.append(escape(image.license))
    if image.url and image.url.startswith(("http://", "https://")):
        parts.append(f'<a href="{escape(image.url)}" rel="noreferrer">source</a>')
    return " · ".join(parts)


def thumbnail(source: SourceImage) -> str:
    """A small WebP of an image, upright, as a data URI; empty where its file is no more as it was.

    People pointed at the bytes that were taken in: on others their points mean nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source.read())) as image:
                small = ImageOps.exif_transpose(image).convert("RGB")
    except (ReleaseError, OSError, ValueError, SyntaxError, Image.DecompressionBombWarning):
        return ""  # the release names it by URL, and no local copy is left
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    small.save(data, "WEBP", quality=WEBP_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
