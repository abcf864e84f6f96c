"""How each annotator's rows fared, without their names."""

from collections.abc import Sequence
from dataclasses import dataclass

from pixmo import schema
from pixmo.hashing import sha256_bytes
from pixmo.release.content import Content, SubsetContent

MEASURES = ("agreement", "gold_accuracy")  # columns of candidates; a recipe need not have them


@dataclass(frozen=True)
class AnnotatorRows:
    """What became of one person's candidates in one subset."""

    number: int  # the same in all subsets of a release
    candidates: int
    dropped: int
    agreement: float | None  # mean F1 of their points with others' on the same; None: unknown
    gold_accuracy: float | None  # share of tasks with known answers that they got right

    @property
    def kept(self) -> int:
        """Their candidates that are in the release, by themselves or merged with others'."""
        return self.candidates - self.dropped

    @property
    def dropped_share(self) -> float:
        """Of their candidates, those that were dropped or set apart."""
        return self.dropped / self.candidates


def by_subset(content: Content) -> dict[str, tuple[AnnotatorRows, ...]]:
    """The annotators of every subset, by its stem; those with most candidates first.

    Numbers are given in the order of the names' hashes, which says nothing of anybody.
    """
    found = {subset.stem: tallies(subset) for subset in content.subsets}
    names = {name for tally in found.values() for name, *_ in tally}
    ordered = sorted(names, key=lambda name: sha256_bytes(name.encode()))
    numbers = {name: number for number, name in enumerate(ordered, 1)}
    return {
        stem: tuple(
            sorted(
                (AnnotatorRows(numbers[row[0]], *row[1:]) for row in tally),
                key=lambda rows: (-rows.candidates, rows.number),
            )
        )
        for stem, tally in found.items()
    }


def by_person(content: Content) -> dict[int, list[AnnotatorRows]]:
    """What each person did in the subsets, by their number."""
    people: dict[int, list[AnnotatorRows]] = {}
    for rows in by_subset(content).values():
        for one in rows:
            people.setdefault(one.number, []).append(one)
    return people


def tallies(subset: SubsetContent) -> Sequence[tuple[str, int, int, float | None, float | None]]:
    """Name, candidates, those gone, agreement and gold accuracy of each annotator.

    Who takes part in a row of several people has it among theirs.
    """
    connection, stem = subset.rows.connection, subset.stem
    described = connection.execute(f"describe {stem}_candidates").fetchall()
    measured = {name for name, *_ in described}
    promised = schema.subset(stem).column_names
    who = "unnest(list_distinct(annotators))" if "annotators" in promised else "annotator"
    columns = [f"{name if name in measured else 'null'}::double as {name}" for name in MEASURES]
    # A task with a known answer is dropped however well it was done.
    wanted = "where not is_gold" if "is_gold" in measured else ""
    return connection.execute(
        f"with theirs as (select {who} as who, id, {', '.join(columns)}"
        f" from {stem}_candidates {wanted})"
        " select who, count(*), count(*) filter (gone.id is not null),"
        f" {', '.join(f'avg({name})' for name in MEASURES)}"
        f" from theirs left join {stem}_gone as gone using (id)"
        " where who is not null and who != '' group by who order by who"
    ).fetchall()
