"""Rows with planted defects for one step of ama or points, and how well the step tells them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.planted_rows import Row, connect, judged, step

SEED = 0
DEFECTIVE = 10  # one row in so many

Beside = Mapping[str, tuple[Any, ...]]  # parameters, and their values below and above the default


@dataclass
class Trial:
    """Rows for one step, and those that it is to name."""

    stem: str
    file: str
    beside: Beside = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    defects: set[str] = field(default_factory=set)
    images: list[Row] = field(default_factory=list)
    pointed: list[Row] = field(default_factory=list)

    def uid(self, is_defect: bool) -> str:
        """The next row's annotation; it is remembered whether it is to be named."""
        uid = f"{self.file}-{len(self.rows)}"
        if is_defect:
            self.defects.add(uid)
        return uid

    @property
    def name(self) -> str:
        """Of its first row in the table."""
        return " ".join([self.file, *list(self.beside)[:1]])

    @property
    def honest(self) -> int:
        """How many rows are not to be named."""
        return len(self.rows) - len(self.defects)

    def named(self, **changed: Any) -> "Score":
        """How the step does with its parameters as the recipe has them or `changed`."""
        connection = connect(self.stem, self.rows, self.images, self.pointed)
        found = set(judged(connection, self.stem, self.file, **changed))
        connection.close()
        right = len(found & self.defects)
        return Score(right, len(found) - right, len(self.defects))


@dataclass(frozen=True)
class Score:
    """How a step did."""

    right: int  # defects named
    wrong: int  # honest rows named
    defects: int

    @property
    def precision(self) -> float:
        """The share of defects among the rows named."""
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        """The share of the defects that are named."""
        return self.right / self.defects

    @property
    def both(self) -> str:
        """Precision / recall; without a row named there is no precision."""
        precision = f"{self.precision:.3f}" if self.right + self.wrong else "–"
        return f"{precision} / {self.recall:.3f}"


def kinds(size: int) -> Iterator[tuple[int, bool, Random]]:
    """A row's number, whether it is to have the defect, and its random numbers."""
    for number in range(size):
        yield number, number % DEFECTIVE == 0, Random(f"{SEED} {number}")


def default_of(trial: Trial, parameter: str) -> Any:
    """The recipe's value."""
    return step(trial.stem, trial.file).parameters[parameter]


def table_row(trial: Trial, setting: str, score: Score, beside: Mapping[Any, Score]) -> list[Any]:
    """A row of the table: how a step does at its default, and at the values beside it."""
    others = "; ".join(f"{value}: {score.both}" for value, score in beside.items())
    return [setting, len(trial.defects), trial.honest, *score.both.split(" / "), others]


def table(makers: Sequence[Callable[[int], Trial]], size: int) -> dict[str, list[Any]]:
    """A row for each parameter that a trial varies; one in all for a step without."""
    rows = {}
    for make in makers:
        trial = make(size)
        score = trial.named()
        if not trial.beside:
            rows[trial.file] = table_row(trial, "", score, {})
        for parameter, values in trial.beside.items():
            beside = {value: trial.named(**{parameter: value}) for value in values}
            setting = f"{parameter} = {default_of(trial, parameter)}"
            rows[f"{trial.file} {parameter}"] = table_row(trial, setting, score, beside)
    return rows


def result(stem: str, rows: dict[str, list[Any]], *notes: str) -> dict[str, Any]:
    """What a benchmark gives back."""
    return {
        "title": f"Steps of {stem} on planted defects",
        "columns": ["default", "defects", "honest", "precision", "recall", "beside it"],
        "rows": rows,
        "notes": [
            f"Planted by `tests/benchmarks/{stem}_thresholds.py`, which says how; one row in ten or"
            " so has the defect. Beside the default stand precision / recall at other values of the"
            " same parameter.",
            *notes,
        ],
    }
