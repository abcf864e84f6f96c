"""The kinds of steps a recipe may have: a query of the curator's, or a mechanism of this room."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pixmo.curate.duplicates import Likeness
from pixmo.curate.near_texts import LEAST_RECALL


@dataclass(frozen=True)
class Query:
    """One SELECT in a file."""

    file: str  # as a recipe names it: cap/too_short.sql
    path: Path
    sql: str
    explanation: str  # its leading comment


@dataclass(frozen=True)
class SqlStep:
    """Judges by a SELECT of rows and reasons."""

    query: Query
    parameters: Mapping[str, Any]
    then: str = "drop"
    called: str = ""  # as the recipe names it; empty where its kind is name enough

    @property
    def name(self) -> str:
        """The step's name in the funnel."""
        return self.called or self.query.path.stem

    @property
    def values(self) -> dict[str, object]:
        """What decides which rows it names, as a recipe gives it."""
        return dict(self.parameters)

    @property
    def identity(self) -> list[object]:
        """All that its verdicts depend on, besides the rows."""
        return [self.query.sql, self.values]

    @property
    def explanation(self) -> str:
        """Why rows go here, for a reader of the card."""
        return self.query.explanation


@dataclass(frozen=True)
class MergeStep(SqlStep):
    """Leaves one row of those that its SELECT says belong together, with new values."""


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """Judges by code of this room."""

    kind: ClassVar[str]
    then: str = "drop"
    called: str = ""  # as the recipe names it; empty where its kind is name enough

    @property
    def name(self) -> str:
        """The step's name in the funnel."""
        return self.called or self.kind

    @property
    def values(self) -> dict[str, object]:
        """What decides which rows it names, as a recipe gives it."""
        given = asdict(self)
        given |= given.pop("likeness", {})
        given = {name: value for name, value in given.items() if value != math.inf}
        for name in ("then", "called"):
            del given[name]
        return {name: value for name, value in given.items() if value is not None}

    @property
    def identity(self) -> list[object]:
        """All that its verdicts depend on, besides the rows."""
        return [self.kind, self.values]


@dataclass(frozen=True)
class NearImagesStep(Mechanism):
    """Names rows whose image resembles a better one."""

    likeness: Likeness
    kind = "near_duplicate_image"

    @property
    def explanation(self) -> str:
        """Why rows go here, for a reader of the card."""
        return (
            "Images that resemble a larger or earlier one: perceptual hashes at most"
            f" {self.likeness.max_distance} of 64 bits and"
            f" {self.likeness.max_distance_256} of 256 bits apart, and thumbnails, laid over each"
            f" other, that differ by at most {self.likeness.max_difference:g} of their contrast;"
            " equal hashes are one picture."
        )


@dataclass(frozen=True)
class NearTextsStep(Mechanism):
    """Names rows whose text repeats an earlier one."""

    column: str
    min_jaccard: float
    gram_words: int = 5
    within: str | None = None  # a column: only rows that share its value are compared
    kind = "near_duplicate_text"

    @property
    def explanation(self) -> str:
        """Why rows go here, for a reader of the card."""
        shared = "words" if self.gram_words == 1 else f"runs of {self.gram_words} words"
        return (
            f"Texts that repeat an earlier one almost word for word, by {self.column}: at least"
            f" {self.min_jaccard:.0%} of their {shared} are shared"
            f"{f', of rows with the same {self.within}' if self.within else ''}."
            f" Each is verified; of pairs just so similar at least {LEAST_RECALL:.1%} are found."
        )


@dataclass(frozen=True)
class NearEmbeddingsStep(Mechanism):
    """Names rows whose image a model of the user's own takes for a better one."""

    model: str
    min_cosine: float
    kind = "near_duplicate_embedding"

    @property
    def explanation(self) -> str:
        """Why rows go here, for a reader of the card."""
        return (
            "Images whose embedding points the way of that of a larger or earlier one: a cosine of"
            f" at least {self.min_cosine:g} by {self.model}. Images without an embedding stay."
        )


@dataclass(frozen=True)
class HeldOutImagesStep(Mechanism):
    """Names rows whose image is held out for evaluation."""

    likeness: Likeness
    kind = "held_out_image"

    @property
    def explanation(self) -> str:
        """Why rows go here, for a reader of the card."""
        return (
            "Images of evaluation data: the same bytes, or the same picture, as it is or mirrored:"
            f" perceptual hashes at most {self.likeness.max_distance} of 64 bits and"
            f" {self.likeness.max_distance_256} of 256 bits apart."
        )


@dataclass(frozen=True)
class HeldOutTextsStep(Mechanism):
    """Names rows whose text holds a question that is held out for evaluation."""

    column: str
    gram_words: int
    min_share: float
    min_words: int
    kind = "held_out_text"

    @property
    def explanation(self) -> str:
        """Why rows go here, for a reader of the card."""
        return (
            f"Evaluation questions: at least {self.min_share:.0%} of the runs of"
            f" {self.gram_words} words of one, which has {self.min_words} words or more, stand in"
            f" the {self.column}."
        )


Step = (
    SqlStep
    | NearImagesStep
    | NearTextsStep
    | NearEmbeddingsStep
    | HeldOutImagesStep
    | HeldOutTextsStep
)
