"""Figures of a release, for its card and its report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from pixmo.release.content import Content, SubsetContent
from pixmo.text import words


@dataclass(frozen=True)
class Distribution:
    """How often which value occurs."""

    title: str
    unit: str
    values: Sequence[float]

    def __str__(self) -> str:
        """Mean, median and range in one phrase."""
        return (
            f"mean {fmean(self.values):,.1f}, median {median(self.values):,.1f},"
            f" from {min(self.values):,.0f} to {max(self.values):,.0f}"
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
        if distribution.values
    ]


def of_captions(cap: SubsetContent) -> Iterator[Distribution]:
    """Yield lengths of captions and of recordings."""
    lengths = [len(words(caption)) for caption in cap.column("caption")]
    yield Distribution("Words a caption", "words", lengths)
    spoken = [seconds for seconds in cap.column("duration_seconds") if seconds > 0]
    yield Distribution("Recorded speech an image", "seconds", spoken)


def of_answers(ama: SubsetContent) -> Iterator[Distribution]:
    """Yield lengths of questions and of answers."""
    for column, title in (("question", "Words a question"), ("answer", "Words an answer")):
        yield Distribution(title, "words", [len(words(text)) for text in ama.column(column)])


def of_points(points: SubsetContent) -> Iterator[Distribution]:
    """Yield the number of points of an expression."""
    yield Distribution("Points an expression", "points", points.column("count"))


def facts(content: Content) -> list[str]:
    """The figures of the release, a sentence each."""
    lines = [
        f"{content_of.recipe.name}: {content_of.rows.num_rows:,} rows on"
        f" {len(set(content_of.column('image_sha256'))):,} images"
        for content_of in content.filled
    ]
    lines += [f"{d.title}: {d}" for d in distributions(content)]
    if cap := content.subset("cap"):
        sources = [source for row in cap.column("transcript_sources") for source in row]
        hours = sum(cap.column("duration_seconds")) / 3600
        lines.append(
            f"Transcripts: {sources.count('speech'):,} spoken ({hours:,.2f} hours of recordings),"
            f" {sources.count('written'):,} written"
        )
    if points := content.subset("points"):
        counts = points.column("count")
        lines.append(
            f"Expressions with no instance in the image: {counts.count(0) / len(counts):.1%}"
        )
    with_url = sum(image.url is not None for image in content.images.values())
    lines.append(
        f"Images: {len(content.images):,}, of which {with_url:,} are named by their source URL and"
        f" {len(content.images) - with_url:,} lie in this release"
    )
    return lines
