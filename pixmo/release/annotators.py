"""How each annotator's rows fared, by number.

A number keeps a name out of a page that is handed on. It hides nobody from who holds the rows: they
have the annotators' pseudonyms, and how many rows a pseudonym has tells its number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixmo import schema
from pixmo.curate.step_kinds import MergeStep
from pixmo.curate.withdrawn import WithdrawnStep
from pixmo.release.content import Content, SubsetContent

MEASURES = ("agreement", "gold_accuracy")  # columns of candidates; a recipe need not have them


@dataclass(frozen=True)
class AnnotatorRows:
    """What became of one person's candidates in one subset."""

    number: int  # the same in all subsets of a release
    candidates: int
    dropped: int  # or set apart
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


Annotators = Mapping[str, Sequence[AnnotatorRows]]  # by the subset's stem


def by_subset(content: Content) -> Annotators:
    """The annotators of every subset, by its stem; those with most candidates first.

    Numbers are given in the order of their candidates in all subsets, most first. Whose rows were
    withdrawn is none of them.
    """
    found = {subset.stem: tallies(subset) for subset in content.subsets}
    candidates: Counter[str] = Counter()
    for tally in found.values():
        candidates.update({name: count for name, count, *_ in tally})
    ordered = sorted(candidates, key=lambda name: (-candidates[name], name))
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


def contributors(people: Annotators) -> int:
    """How many people have a row in the release, by itself or merged with others'."""
    return len({one.number for rows in people.values() for one in rows if one.kept})


def tallies(subset: SubsetContent) -> Sequence[tuple[str, int, int, float | None, float | None]]:
    """Name, candidates, those dropped, agreement and gold accuracy of each annotator.

    Who takes part in a row of several people has it among theirs, and a row that was merged into
    another was not dropped. Rows that were withdrawn are not counted at all.
    """
    connection, stem = subset.rows.connection, subset.stem
    described = connection.execute(f"describe {stem}_candidates").fetchall()
    measured = {name for name, *_ in described}
    promised = schema.subset(stem).column_names
    who = "unnest(list_distinct(annotators))" if "annotators" in promised else "annotator"
    columns = [f"{name if name in measured else 'null'}::double as {name}" for name in MEASURES]
    merging = [
        number for number, step in enumerate(subset.recipe.steps, 1) if isinstance(step, MergeStep)
    ]
    # A task with a known answer is dropped however well it was done.
    wanted = "where not is_gold" if "is_gold" in measured else ""
    return connection.execute(
        f"with theirs as (select {who} as who, id, {', '.join(columns)}"
        f" from {stem}_candidates {wanted})"
        " select who, count(*),"
        " count(*) filter (gone.id is not null and not list_contains(?, gone.step_number)),"
        # Decimals: the sum of floating-point numbers differs with the order they are read in.
        f" {', '.join(f'avg({name}::decimal(18, 9))' for name in MEASURES)}"
        f" from theirs left join {stem}_gone as gone using (id)"
        " where who is not null and who != '' and gone.step is distinct from ?"
        " group by who order by who",
        [merging, WithdrawnStep.name],
    ).fetchall()
