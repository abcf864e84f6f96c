"""Figures of a release, for its card and its report."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixmo.release.annotators import Annotators, contributors
from pixmo.release.content import Content, SubsetContent

Values = np.ndarray[Any, Any]

# A word is letters, marks that are parts of them, and digits, with apostrophes and hyphens inside.
LETTERS = r"[\p{L}\p{M}\p{N}]+"
WORD = f"{LETTERS}(?:[''’-]{LETTERS})*"


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
    return f"len(list_filter(string_split({spaced(column)}, ' '), lambda word: word != ''))"


def spaced(column: str) -> str:
    """SQL for a text whose tabs and line ends are spaces."""
    return f"translate({column}, chr(9) || chr(10) || chr(13), '   ')"


def of_captions(cap: SubsetContent) -> Iterator[Distribution]:
    """Yield lengths of captions and of recordings."""
    yield Distribution("Words a caption", "words", cap.rows.values(words("caption")))
    seconds = cap.rows.values("duration_seconds")
    yield Distribution("Seconds of recorded speech an image", "seconds", seconds[seconds > 0])


def of_answers(ama: SubsetContent) -> Iterator[Distribution]:
    """Yield lengths of questions and of answers."""
    for column, title in (("question", "Words a question"), ("answer", "Words an answer")):
        yield Distribution(title, "words", ama.rows.values(words(column)))


def of_points(points: SubsetContent) -> Iterator[Distribution]:
    """Yield the number of points of an expression."""
    yield Distribution("Points an expression", "points", points.rows.values("count"))


def facts(content: Content, measured: list[Distribution], people: Annotators) -> list[str]:
    """The figures of the release, a sentence each."""
    lines = [
        f"{subset.recipe.name}: {subset.rows.num_rows:,} rows on"
        f" {len(subset.image_sha256s):,} images"
        for subset in content.filled
    ]
    lines += [f"{distribution.title}: {distribution}" for distribution in measured]
    if cap := content.subset("cap"):
        lines += facts_of_captions(cap)
    if points := content.subset("points"):
        lines += facts_of_points(points)
    lines.append(f"Annotators with a row: {contributors(people):,}")
    lines.append(f"Images: {len(content.images):,}{places(content)}")
    return lines


def places(content: Content) -> str:
    """Where the images are, and that those of rows set apart are counted, if there are any."""
    inside = len(content.inside & content.images.keys())
    where = (
        (len(content.images) - inside, "named by source URL"),
        (inside, "in this release"),
    )
    said = ", ".join(f"{count:,} {place}" for count, place in where if count)
    is_any_apart = any(subset.curated.apart.num_rows for subset in content.subsets)
    return f" ({said})" + ", those of rows set apart among them" * is_any_apart


def facts_of_captions(cap: SubsetContent) -> Iterator[str]:
    """Yield sentences on transcripts and on the words that captions use."""
    ((spoken, written, hours),) = cap.rows.query(
        "sum(len(list_filter(transcript_sources, lambda source: source = 'speech'))),"
        " sum(len(list_filter(transcript_sources, lambda source: source != 'speech'))),"
        " sum(duration_seconds::decimal(18, 6)) / 3600"
    )
    kinds = [
        f"{count:,} {kind}{more}"
        for count, kind, more in (
            (spoken, "spoken", f" ({hours:,.2f} hours of recordings)"),
            (written, "written", ""),
        )
        if count
    ]
    yield f"Transcripts: {', '.join(kinds)}"
    vocabulary, running = count_words(cap, "caption")
    yield f"Vocabulary of the captions: {vocabulary:,} different words of {running:,}"


def count_words(subset: SubsetContent, column: str) -> tuple[int, int]:
    """How many different words the texts have, case aside, and how many in all."""
    # What stands between spaces is counted first: of those few the words are looked for.
    ((different, running),) = subset.rows.connection.execute(
        "with pieces as (select piece, count(*) as times from"
        f" (select unnest(string_split({spaced(f'lower({column})')}, ' ')) as piece"
        f" from {subset.rows.view}) group by piece),"
        f" found as (select unnest(regexp_extract_all(piece, '{WORD}')) as word, times from pieces)"
        " select count(distinct word), coalesce(sum(times), 0)::bigint from found"
    ).fetchall()
    return different, running


def facts_of_points(points: SubsetContent) -> Iterator[str]:
    """Yield sentences on expressions, on counts, and on how alike people pointed."""
    ((labels, rows, none, counting, merged),) = points.rows.query(
        "count(distinct label), count(*), count(*) filter (count = 0),"
        " count(*) filter (collection_method = 'counting'), count(*) filter (len(merged_from) > 0)"
    )
    yield f"Different expressions: {labels:,}"
    yield f"Expressions with no instance in the image: {none / rows:.1%}"
    if counting:
        yield f"Collected by counting: {counting / rows:.1%} of the rows, the others by pointing"
    if (alike := agreement(points)) is not None:
        several, f1 = alike
        yield (
            f"Several people pointed at {several:,} expressions: they agree to a mean F1 of"
            f" {f1:.2f}, and {merged:,} rows are their consensus"
        )


def agreement(points: SubsetContent) -> tuple[int, float] | None:
    """How many expressions several people pointed at, and their mean F1; None: no such column."""
    connection = points.rows.connection
    described = connection.execute("describe points_candidates").fetchall()
    if not {"annotators", "agreement"} <= {name for name, *_ in described}:
        return None
    ((several, f1),) = connection.execute(
        "select count(*), avg(agreement::decimal(18, 9))"
        " from (select any_value(agreement) as agreement from points_candidates"
        " where annotators > 1 group by image_sha256, label)"
    ).fetchall()
    return (several, f1) if several and f1 is not None else None


def image_licenses(content: Content) -> dict[str, int]:
    """The images of the release by licence, most frequent first; not known is an empty name."""
    counted = Counter(image.license or "" for image in content.images.values())
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
