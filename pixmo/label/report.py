"""How annotators work: how much, how fast, and how alike where several did the same task.

Two annotations are of the same task where subset, image and label, question with the answer shown,
or caption are the same; a task that somebody did twice is compared in what they said last. All is
read from the annotations that count now, as they are kept.

A proposal is a text put into the box beforehand, of what was accepted in the end, or an annotation
begun from a prediction. One that most annotators leave untouched says little of what they saw.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, median
from typing import Any

from pixmo.agreement import cohen_kappa, krippendorff_alpha, nominal, point_agreement
from pixmo.label.gold import answers
from pixmo.label.ingest import parse_stored
from pixmo.label.parse import Parsed
from pixmo.label.values import Json, Refused, annotator_of, as_number
from pixmo.points import Point
from pixmo.workspace.withdrawals import read_withdrawn
from pixmo.workspace.workspace import Workspace

MOST_SECONDS = 600.0  # of one annotation; Label Studio's clock runs on through a lunch
WITHIN = 5.0  # percent of the image's width; people point at other places of one thing
NOBODY = "unknown"  # the annotator of an annotation that names none
ASKED = {"points": ("label",), "ama": ("question", "proposed_answer"), "cap": ("caption_id",)}
PIECE = 10_000  # annotations read at once
PROPOSED = "prediction"  # `origin` of a result that was left as a prediction had it


@dataclass(frozen=True)
class Alike:
    """How alike people say it; a mean over pairs of annotations of one task by two people.

    Or by one of them and the right answer.
    """

    pairs: int
    point_f1: float | None  # of points; see `pixmo.agreement`
    equal_counts: float | None  # share of pairs with as many points
    equal_verdicts: float | None  # share of pairs; of answers and captions


@dataclass(frozen=True)
class AnnotatorReport:
    """What one annotator did in one subset. None: nothing to say it of."""

    subset: str
    annotator: str
    annotations: int  # those that are a row and do not contradict themselves
    skipped: int
    unusable: int  # set aside for another reason, or contradicting themselves
    tasks_per_hour: float | None  # of the annotations with a time, in their time, clipped
    median_seconds: float | None  # of one of them, clipped
    alike: Alike  # with others
    kappa: float | None  # Cohen's, of verdicts, with what most of the others say
    proposals: int
    untouched: float | None  # share of the proposals that were submitted as they were
    gold: Alike  # with the right answers of gold tasks


@dataclass(frozen=True)
class SubsetReport:
    """How alike all annotators of a subset are."""

    subset: str
    tasks: int  # with an annotation
    tasks_of_several: int  # annotated by more than one person
    without_image: int  # of these; points of images never added cannot be compared
    alike: Alike
    alpha: float | None  # Krippendorff's, of verdicts


@dataclass(frozen=True)
class Report:
    """All annotators, by subset and name."""

    most_seconds: float  # the time of one annotation counts up to this
    within: float  # percent of the image's width within which two points are one
    subsets: tuple[SubsetReport, ...]
    annotators: tuple[AnnotatorReport, ...]


@dataclass
class Tally:
    """What one annotator did in one subset, counted."""

    annotations: int = 0
    skipped: int = 0
    unusable: int = 0
    seconds: list[float] = field(default_factory=list)
    proposals: int = 0
    untouched: int = 0

    def add(self, annotation: Json, parsed: Parsed, most_seconds: float) -> None:
        """An annotation that is a row."""
        self.annotations += 1
        seconds = as_number(annotation.get("lead_time"))
        if seconds is not None:
            self.seconds.append(min(max(seconds, 0.0), most_seconds))
        untouched = is_untouched(annotation, parsed)
        if untouched is not None:
            self.proposals += 1
            self.untouched += untouched


@dataclass(frozen=True)
class Said:
    """What somebody said last of a task."""

    when: tuple[str, str]  # updated_at, and the uid to break a tie
    answer: Any  # a verdict, or points


Task = tuple[str, ...]  # an image and what is asked of it
Tasks = dict[Task, dict[str, Said]]  # by annotator

# An image's height over its width; None where points are not compared, and no shape is needed.
Shapes = Mapping[str, float | None]


@dataclass
class Pairs:
    """Pairs of annotations of one task, compared."""

    f1s: list[float] = field(default_factory=list)
    equal_counts: list[bool] = field(default_factory=list)
    equal_verdicts: list[bool] = field(default_factory=list)

    def add(self, first: Any, second: Any, shape: float | None, within: float) -> None:
        """A pair: points on an image of this shape; verdicts where there is none."""
        if shape is None:
            self.equal_verdicts.append(first == second)
            return
        found = point_agreement(first, second, within, shape)
        self.f1s.append(found.f1)
        self.equal_counts.append(found.counts_agree)

    def alike(self) -> Alike:
        """Their means."""
        return Alike(
            len(self.f1s) + len(self.equal_verdicts),
            mean(self.f1s),
            mean(self.equal_counts),
            mean(self.equal_verdicts),
        )


def report(
    workspace: Workspace, most_seconds: float = MOST_SECONDS, within: float = WITHIN
) -> Report:
    """How the workspace's annotators work, as far as it was pulled or ingested.

    `most_seconds` is what one annotation's time counts up to, for Label Studio's is an estimate;
    `within` is how far two people's points on one thing may be apart, in percent of the image's
    width along both axes.
    """
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    tasks: dict[str, Tasks] = defaultdict(lambda: defaultdict(dict))
    for raw in annotations(workspace):
        annotation = loaded(raw)
        tally = tallies[raw["subset"], named(annotation)]
        parsed = parse_stored(raw)
        if isinstance(parsed, Parsed) and not contradicts(parsed):
            tally.add(annotation, parsed, most_seconds)
            if raw["subset"] in ASKED:  # of others, no two people do the same
                remember(tasks[raw["subset"]], raw, parsed)
        elif annotation.get("was_cancelled"):
            tally.skipped += 1
        else:
            tally.unusable += 1

    heights = heights_over_widths(workspace)
    subsets = []
    verdicts: dict[str, list[dict[str, str]]] = {}
    alike: dict[tuple[str, str], Pairs] = defaultdict(Pairs)
    with_gold: dict[tuple[str, str], Pairs] = defaultdict(Pairs)
    for subset, of_subset in sorted(tasks.items()):
        shapes = heights if subset == "points" else {image: None for image, *_ in of_subset}
        of_all, of_each, without_image = compare(of_subset, shapes, within)
        alike.update({(subset, name): pairs for name, pairs in of_each.items()})
        of_each = compare_with_gold(of_subset, right_answers(workspace, subset), shapes, within)
        with_gold.update({(subset, name): pairs for name, pairs in of_each.items()})
        verdicts[subset] = judged_by_several(of_subset) if subset != "points" else []
        subsets.append(
            SubsetReport(
                subset,
                tasks=len(of_subset),
                tasks_of_several=sum(len(said) > 1 for said in of_subset.values()),
                without_image=without_image,
                alike=of_all.alike(),
                alpha=alpha_of(verdicts[subset]),
            )
        )
    return Report(
        most_seconds,
        within,
        tuple(subsets),
        tuple(
            AnnotatorReport(
                subset,
                name,
                annotations=tally.annotations,
                skipped=tally.skipped,
                unusable=tally.unusable,
                tasks_per_hour=per_hour(tally.seconds),
                median_seconds=median(tally.seconds) if tally.seconds else None,
                alike=alike[subset, name].alike(),
                kappa=kappa_of(name, verdicts.get(subset, [])),
                proposals=tally.proposals,
                untouched=tally.untouched / tally.proposals if tally.proposals else None,
                gold=with_gold[subset, name].alike(),
            )
            for (subset, name), tally in sorted(tallies.items())
        ),
    )


def contradicts(parsed: Parsed) -> bool:
    """Whether it says that there is none and points at it, or the reverse."""
    if parsed.table != "point_annotations":
        return False
    return (str(parsed.row["presence"]) == "none") == bool(parsed.row["points"])


def annotations(workspace: Workspace) -> Iterator[Json]:
    """Yield the annotations that count now and nobody withdrew, as they are kept."""
    names = ("subset", "annotation_uid", "updated_at", "task_json", "annotation_json")
    gone = read_withdrawn(workspace).annotators
    with workspace.connect() as connection:
        found = connection.execute(
            f"select {', '.join(names)} from current_annotations where annotation_uid not in"
            " (select value from current_withdrawals where kind = 'annotation')"
        )
        while rows := found.fetchmany(PIECE):
            for row in rows:
                raw = dict(zip(names, row, strict=True))
                if not gone or named(loaded(raw)) not in gone:
                    yield raw


def loaded(raw: Json) -> Json:
    """An annotation; nothing of one nested so deeply that it was set aside."""
    try:
        annotation: Json = json.loads(raw["annotation_json"])
    except RecursionError:
        return {}
    return annotation


def right_answers(workspace: Workspace, subset: str) -> dict[Task, Any]:
    """What is right of the gold tasks."""
    return {
        (image, asked) if subset == "points" else (image, asked, row["answer"]): (
            as_points(row["points"]) if subset == "points" else row["verdict"]
        )
        for (of_subset, image, asked), row in answers(workspace).items()
        if of_subset == subset
    }


def heights_over_widths(workspace: Workspace) -> dict[str, float | None]:
    """The shape of every image as displayed, by sha256."""
    with workspace.connect() as connection:
        return dict(
            connection.execute("select image_sha256, height / width from images").fetchall()
        )


def named(annotation: Json) -> str:
    """Whose annotation it is, also where it could not be used."""
    try:
        return annotator_of(annotation.get("completed_by"))
    except Refused:
        return NOBODY


def remember(tasks: Tasks, raw: Json, parsed: Parsed) -> None:
    """What was said stands among the tasks, unless the annotator said something else later."""
    row = parsed.row
    answer = as_points(row["points"]) if raw["subset"] == "points" else row["verdict"]
    said_of_it = tasks[row["image_sha256"], *(row[name] for name in ASKED[raw["subset"]])]
    said = Said((raw["updated_at"], raw["annotation_uid"]), answer)
    known = said_of_it.get(row["annotator"])
    if known is None or known.when < said.when:
        said_of_it[row["annotator"]] = said


def as_points(points: Sequence[Mapping[str, float]]) -> list[Point]:
    """Points of a row."""
    return [Point(point["x"], point["y"]) for point in points]


def is_untouched(annotation: Json, parsed: Parsed) -> bool | None:
    """Whether a proposal was submitted as it was; None where nothing was proposed."""
    if "was_edited" in parsed.row:
        return None if parsed.row["verdict"] != "accept" else not parsed.row["was_edited"]
    if annotation.get("parent_prediction") is None:
        return None
    results = annotation["result"]
    # A snapshot, if the server kept one: only in it can be seen that something was taken away.
    snapshot = annotation.get("prediction")
    proposed = snapshot.get("result") if isinstance(snapshot, dict) else None
    names = {one.get("from_name") for one in proposed or results}
    kept = [one.get("origin") == PROPOSED for one in results if one["from_name"] in names]
    return all(kept) and len(kept) >= len(proposed or [])


def compare(tasks: Tasks, shapes: Shapes, within: float) -> tuple[Pairs, dict[str, Pairs], int]:
    """All pairs, those of each annotator, and the tasks of several that cannot be compared."""
    of_all, of_each, without_image = Pairs(), defaultdict[str, Pairs](Pairs), 0
    for (image, *_), said in tasks.items():
        if image not in shapes:
            without_image += len(said) > 1
            continue
        for one, other in combinations(sorted(said), 2):
            for pairs in (of_all, of_each[one], of_each[other]):
                pairs.add(said[one].answer, said[other].answer, shapes[image], within)
    return of_all, of_each, without_image


def compare_with_gold(
    tasks: Tasks, right: Mapping[Task, Any], shapes: Shapes, within: float
) -> dict[str, Pairs]:
    """What each annotator said of gold tasks, beside the right answers."""
    of_each = defaultdict[str, Pairs](Pairs)
    for task in tasks.keys() & right.keys():
        if task[0] in shapes:
            for name, said in tasks[task].items():
                of_each[name].add(said.answer, right[task], shapes[task[0]], within)
    return of_each


def judged_by_several(tasks: Tasks) -> list[dict[str, str]]:
    """The verdicts of each task that several people judged, by annotator."""
    return [
        {name: said.answer for name, said in task.items()}
        for task in tasks.values()
        if len(task) > 1
    ]


def alpha_of(verdicts: Sequence[Mapping[str, str]]) -> float | None:
    """Krippendorff's alpha of all."""
    return number(krippendorff_alpha([list(task.values()) for task in verdicts], nominal))


def kappa_of(annotator: str, verdicts: Sequence[Mapping[str, str]]) -> float | None:
    """Cohen's kappa of one annotator and most of the others; ties among these are passed over."""
    own, others = [], []
    for task in verdicts:
        if annotator in task:
            times = Counter(said for name, said in task.items() if name != annotator)
            (most, count), *rest = times.most_common(2)
            if not rest or count > rest[0][1]:
                own.append(task[annotator])
                others.append(most)
    return number(cohen_kappa(own, others))


def per_hour(seconds: Sequence[float]) -> float | None:
    """How many of so many seconds each make an hour."""
    return len(seconds) * 3600 / sum(seconds) if sum(seconds) else None


def mean(values: Sequence[float]) -> float | None:
    """Their mean, if there are any."""
    return fmean(values) if values else None


def number(value: float) -> float | None:
    """A number; None for what is none."""
    return None if math.isnan(value) else value
