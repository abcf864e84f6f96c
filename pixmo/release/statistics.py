"""Figures of a release, for its card and its report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixmo.release.content import Content, SubsetContent

Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Distribution:
    """How often which value occurs."""

    title: str
    unit: str
    values: Values

    def __str__(self) -> str:
        """Mean, median and range in one phrase."""
        return (
            f"mean {np.mean(self.values):,.1f}, median {np.median(self.values):,.1f},"
            f" from {np.min(self.values):,.0f} to {np.max(self.values):,.0f}"
        )


def distributions(content: Content) -> list[Distribution]:
    """What there is to plot, subset by subset."""
    measures: dict[str, Callable[[SubsetContent], Iterator[Distribution]]] = {
        "cap": of_captions,
        "ama": of_answers,
        "points": of_points,
    }
    return [
        distribution
        for subset in content.filled
        for distribution in measures[subset.stem](subset)
        if len(distribution.values)
    ]


def words(column: str) -> str:
    """SQL for the number of words of a text, as spaces and line ends part them."""
    spaced = f"translate({column}, chr(9) || chr(10) || chr(13), '   ')"
    return f"len(list_filter(string_split({spaced}, ' '), lambda word: word != ''))"


def of_captions(cap: SubsetContent) -> Iterator[Distribution]:
    """Yield lengths of captions and of recordings."""
    yield Distribution("Words a caption", "words", cap.rows.values(words("caption")))
    seconds = cap.rows.values("duration_seconds")
    yield Distribution("Recorded speech an image", "seconds", seconds[seconds > 0])


def of_answers(ama: SubsetContent) -> Iterator[Distribution]:
    """Yield lengths of questions and of answers."""
    for column, title in (("question", "Words a question"), ("answer", "Words an answer")):
        yield Distribution(title, "words", ama.rows.values(words(column)))


def of_points(points: SubsetContent) -> Iterator[Distribution]:
    """Yield the number of points of an expression."""
    yield Distribution("Points an expression", "points", points.rows.values("count"))


def facts(content: Content, measured: list[Distribution]) -> list[str]:
    """The figures of the release, a sentence each."""
    lines = [
        f"{subset.recipe.name}: {subset.rows.num_rows:,} rows on"
        f" {len(subset.image_sha256s):,} images"
        for subset in content.filled
    ]
    lines += [f"{distribution.title}: {distribution}" for distribution in measured]
    if cap := content.subset("cap"):
        ((spoken, written, hours),) = cap.rows.query(
            "sum(len(list_filter(transcript_sources, lambda source: source = 'speech'))),"
            " sum(len(list_filter(transcript_sources, lambda source: source != 'speech'))),"
            " sum(duration_seconds) / 3600"
        )
        lines.append(
            f"Transcripts: {spoken:,} spoken ({hours:,.2f} hours of recordings),"
            f" {written:,} written"
        )
    if points := content.subset("points"):
        ((none,),) = points.rows.query("count(*)", "where count = 0")
        lines.append(
            f"Expressions with no instance in the image: {none / points.rows.num_rows:.1%}"
        )
    with_url = sum(image.url is not None for image in content.images.values())
    lines.append(
        f"Images: {len(content.images):,}, of which {with_url:,} are named by their source URL and"
        f" {len(content.images) - with_url:,} lie in this release"
    )
    return lines
