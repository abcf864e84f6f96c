"""The probe's verdict: what was measured, what it was held against, and what follows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pixmo import schema
from pixmo.evaluate.gap import AnnotationLoss, by_image
from pixmo.evaluate.statistics import Mean, clustered_mean, paired_difference
from pixmo.files import write_json
from pixmo.text import counted
from pixmo.validate.placement import misplaced_share
from pixmo.validate.skills import Answered

TELLING = "own image told from others"
PASS, FAIL, INVALID = "PASS", "FAIL", "INVALID"
UNLEARNT = "not learnt"
CANNOT_TELL = "it could not be told whether annotations belong to their images"
# Standard errors at which answers and images do have to do with each other, however little.
CONNECTED_Z = 4.0
HELD_OUT_FACTOR = 5.0  # of the most that the rows trained on may contradict their images


@dataclass(frozen=True)
class Gate:
    """What a subset's numbers have to reach."""

    gap: float  # nats per character that the gap of the release lies above the control's
    z: float  # standard errors that the gap of the release lies above zero
    told: float  # share of answers whose image is told from others, above the control's
    most_misplaced: float  # share of the contradiction of misplaced answers, at most


@dataclass(frozen=True)
class Skill:
    """How often a model does right, beside one that cannot see and one that does not try."""

    name: str
    release: Mean
    control: Mean
    gained: Mean  # the release's minus the control's, paired over rows
    majority: float | None  # the commonest answer, always


@dataclass(frozen=True)
class SubsetVerdict:
    """One subset's numbers; losses in nats per character over held-out images."""

    stem: str
    outcome: str  # PASS, FAIL or INVALID; until all are known also UNLEARNT
    reason: str
    gate: Gate | None  # None: the probe does not know such rows
    images: int  # held-out images with rows of the subset
    right: float = 0.0  # mean loss of the release's model with the right image
    wrong: float = 0.0
    gap: Mean | None = None  # wrong minus right, paired over images
    control_gap: Mean | None = None
    misplaced: Mean | None = None  # contradiction, as a share of that of misplaced answers
    misplaced_held_out: Mean | None = None  # the same of the held-out rows
    skills: tuple[Skill, ...] = ()
    memorised: float | None = None  # held-out loss minus that of rows trained on
    repeated: float | None = None  # share of held-out answers that stand in the train rows, too

    @property
    def is_connected(self) -> bool:
        """Whether the answers have to do with their images at all."""
        return self.gap is not None and self.gap.z >= CONNECTED_Z


@dataclass(frozen=True)
class Verdict:
    """Whether a release teaches what its images show."""

    outcome: str  # PASS, FAIL or INVALID
    reason: str
    release: str  # version
    key: str  # a hash of the manifest and every option: what the verdict is about
    size: str
    steps: int
    seed: int
    train_images: int
    held_out_images: int
    subsets: tuple[SubsetVerdict, ...]
    rendered: tuple[SubsetVerdict, ...]  # the positive control, against the shuffled one
    instrument_check: str  # what the controls got

    @property
    def passed(self) -> bool:
        """Whether the release teaches what its images show."""
        return self.outcome == PASS

    def text(self) -> str:
        """The verdict as a person reads it, one screen."""
        lines = [f"Train probe of {self.release}: {self.outcome}: {self.reason}"]
        if self.subsets:
            lines += [
                f"  {self.size}, {self.steps} steps, seed {self.seed}:"
                f" {counted(self.train_images, 'image')} trained on,"
                f" {self.held_out_images} held out",
                "  held-out loss in nats per character:",
                "  subset  own image  other image  gap [95 %]                 control gap"
                "  misplaced [95 %]       outcome",
            ]
            lines += [subset_line(subset) for subset in self.subsets]
            lines += [
                f"  {subset.stem:<7} {skill_line(skill)}"
                for subset in self.subsets
                for skill in subset.skills
            ]
        if self.instrument_check:
            lines.append(f"  instrument check: {self.instrument_check}")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """`path` holds the verdict as JSON."""
        write_json(path, asdict(self))


def subset_line(subset: SubsetVerdict) -> str:
    """A subset's numbers in one line of the verdict's table."""
    if subset.gap is None or subset.control_gap is None or subset.misplaced is None:
        return f"  {subset.stem:<7} {subset.outcome}: {subset.reason}"
    gap = f"{subset.gap.value:.4f} [{subset.gap.low:.4f}, {subset.gap.high:.4f}]"
    misplaced = f"{as_percent(subset.misplaced)}"
    return (
        f"  {subset.stem:<7} {subset.right:>9.4f}  {subset.wrong:>11.4f}  {gap:<25}"
        f"  {subset.control_gap.value:>11.4f}  {misplaced:<21}"
        f"  {subset.outcome}: {subset.reason}"
    )


def as_percent(share: Mean) -> str:
    """A share and its interval, in percent."""
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def skill_line(skill: Skill) -> str:
    """A skill's numbers in one line."""
    guess = "" if skill.majority is None else f", always the commonest {skill.majority:.2f}"
    return (
        f"{skill.name}: {skill.release.value:.2f}"
        f" [{skill.release.low:.2f}, {skill.release.high:.2f}],"
        f" the control {skill.control.value:.2f}{guess}"
    )


def read(path: Path) -> Verdict:
    """The verdict written at `path`.

    Raises:
        ValueError, KeyError, TypeError, OSError: there is none, or another pixmo wrote it.
    """
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    subsets = tuple(read_subset(subset) for subset in data.pop("subsets"))
    rendered = tuple(read_subset(subset) for subset in data.pop("rendered"))
    return Verdict(**data, subsets=subsets, rendered=rendered)


def read_subset(data: dict[str, Any]) -> SubsetVerdict:
    """A subset's verdict from its JSON."""
    gate = data.pop("gate")
    for name in ("gap", "control_gap", "misplaced", "misplaced_held_out"):
        data[name] = Mean(**data[name]) if data[name] else None
    skills = tuple(
        Skill(
            **{**skill, **{name: Mean(**skill[name]) for name in ("release", "control", "gained")}}
        )
        for skill in data.pop("skills")
    )
    return SubsetVerdict(**data, gate=Gate(**gate) if gate else None, skills=skills)


@dataclass(frozen=True)
class Measured:
    """What a model was found to do on held-out rows, and on those it was trained on."""

    losses: Sequence[AnnotationLoss]
    answered: Sequence[Answered]
    learnt: Sequence[AnnotationLoss] = ()  # of rows that were trained on


def judge_subset(
    stem: str,
    release: Measured,
    control: Measured,
    gate: Gate,
    fewest_images: int,
    majority: Mapping[str, float],
) -> SubsetVerdict:
    """What the two runs' losses and answers to the same held-out rows say of one subset."""
    own, theirs = by_image(release.losses, stem), by_image(control.losses, stem)
    if len(own) < max(2, fewest_images):
        reason = f"{len(own)} held-out images, {fewest_images} are needed, so release more"
        return SubsetVerdict(stem, INVALID, reason, gate, len(own))
    gap = paired_difference([one.wrong for one in own], [one.right for one in own])
    control_gap = paired_difference([one.wrong for one in theirs], [one.right for one in theirs])
    # Of the rows trained on: there are ten times as many, and in a few epochs none is remembered
    # so well that it agrees with an image it does not belong to.
    misplaced, held_out = (
        misplaced_share([loss for loss in losses if loss.kind == stem])
        for losses in (release.learnt, release.losses)
    )
    told = compare_telling(stem, release.losses, control.losses)
    skills = (told, *compare_skills(stem, release.answered, control.answered, majority))
    outcome, reason = learning(gap, control_gap, told, gate)
    if outcome == PASS:
        outcome, reason = placing(misplaced, held_out, gate)
    return SubsetVerdict(
        stem=stem,
        outcome=outcome,
        reason=reason,
        gate=gate,
        images=len(own),
        right=sum(one.right for one in own) / len(own),
        wrong=sum(one.wrong for one in own) / len(own),
        gap=gap,
        control_gap=control_gap,
        misplaced=misplaced,
        misplaced_held_out=held_out,
        skills=skills,
    )


def compare_skills(
    stem: str,
    release: Sequence[Answered],
    control: Sequence[Answered],
    majority: Mapping[str, float],
) -> Sequence[Skill]:
    """The skills that a subset's rows ask for, of two models that were asked the same."""
    found = []
    theirs = {(one.kind, one.id): one.score for one in control}
    for name in dict.fromkeys(one.skill for one in release if one.kind == stem):
        rows = [one for one in release if one.kind == stem and one.skill == name]
        images = [one.image_sha256 for one in rows]
        if len(set(images)) < 2:
            continue
        own, other = [one.score for one in rows], [theirs[one.kind, one.id] for one in rows]
        found.append(
            Skill(
                name,
                release=clustered_mean(own, images),
                control=clustered_mean(other, images),
                gained=clustered_mean(
                    [mine - its for mine, its in zip(own, other, strict=True)], images
                ),
                majority=majority.get(name),
            )
        )
    return found


def compare_telling(
    stem: str, release: Sequence[AnnotationLoss], control: Sequence[AnnotationLoss]
) -> Skill:
    """How often two models tell which image an answer is of: the one where it is likeliest."""
    own, theirs = (
        [one for one in losses if one.kind == stem and one.other_nats]
        for losses in (release, control)
    )
    images = [one.image_sha256 for one in own]
    scores = [
        [float(one.own_nats < min(one.other_nats)) for one in losses] for losses in (own, theirs)
    ]
    gained = [mine - its for mine, its in zip(*scores, strict=True)]
    first, second, difference = (clustered_mean(values, images) for values in (*scores, gained))
    return Skill(TELLING, first, second, difference, majority=None)


def learning(gap: Mean, control_gap: Mean, told: Skill, gate: Gate) -> tuple[str, str]:
    """Whether a subset is learnt from its images, and the number that decides it."""
    effect = gap.value - control_gap.value
    if effect < gate.gap:
        return UNLEARNT, f"the gap is {effect:.4f} above the control's, {gate.gap} is needed"
    if gap.z < gate.z:
        return UNLEARNT, f"the gap is {gap.z:.1f} standard errors above zero, {gate.z} are needed"
    if told.gained.value < gate.told:
        return UNLEARNT, (
            f"the image is told {100 * told.gained.value:.0f} % more often than by the control,"
            f" {100 * gate.told:g} % are needed"
        )
    return PASS, "it is learnt"


def placing(misplaced: Mean, held_out: Mean, gate: Gate) -> tuple[str, str]:
    """Whether answers are on their own images, and the number that decides it.

    Of held-out rows there are fewer, and the model knows less of them: they fail where it is
    certain that they are several times as bad as may be.
    """
    most = gate.most_misplaced
    share = f"contradiction of images is {100 * misplaced.value:.1f} % of that of misplaced answers"
    if misplaced.value > most:
        return FAIL, f"{share}, {100 * most:g} % is the most"
    if held_out.low > HELD_OUT_FACTOR * most:
        return FAIL, f"of held-out rows contradiction of images is {as_percent(held_out)}"
    return PASS, f"{share}, {100 * most:g} % may be"


def control_passes(subset: SubsetVerdict) -> bool:
    """Whether the control would pass the gate that the release has to pass.

    It is held against a model that cannot see, whose gap is zero.
    """
    gap, gate = subset.control_gap, subset.gate
    return bool(gap and gate and gap.value >= gate.gap and gap.z >= gate.z)


def settle(
    subsets: Sequence[SubsetVerdict], rendered: Sequence[SubsetVerdict]
) -> list[SubsetVerdict]:
    """The subsets with their last outcomes, given all of them and the positive control's.

    Nothing is said of a subset whose kind the instrument does not learn from rendered pictures, or
    learns from shuffled annotations. What is not learnt counts against a release whose images can
    be read, for another subset is learnt from them, and against one where no answer has to do with
    any image. Where something is seen and nothing learnt, the images are too much for the model.
    """
    weak = {one.stem for one in rendered if one.outcome != PASS}
    images_are_read = any(
        one.outcome in (PASS, FAIL) and one.stem not in weak and not control_passes(one)
        for one in subsets
    )
    nothing_is_seen = not any(one.is_connected for one in subsets)
    settled = []
    for one in subsets:
        if control_passes(one):
            reason = (
                "a model that learnt shuffled annotations passes, too, so to pass would mean"
                " nothing: try another [probe] seed"
            )
            one = replace(one, outcome=INVALID, reason=reason)
        elif one.stem in weak and one.gap is not None:
            reason = "not even rendered pictures without a mistake are learnt, so set more steps"
            one = replace(one, outcome=INVALID, reason=reason)
        elif one.outcome == UNLEARNT and (images_are_read or nothing_is_seen):
            one = replace(one, outcome=FAIL)
        elif one.outcome == UNLEARNT:
            reason = (
                f"something of its images is learnt, but too little ({one.reason}),"
                " so set more steps or release more images"
            )
            one = replace(one, outcome=INVALID, reason=reason)
        settled.append(one)
    return settled


def names(subsets: Sequence[SubsetVerdict], outcome: str) -> list[str]:
    """The published names of the subsets with this outcome."""
    return [schema.subset(subset.stem).name for subset in subsets if subset.outcome == outcome]


def why_unjudged(subsets: Sequence[SubsetVerdict]) -> str:
    """Why no subset can be judged, and what to do: each reason once, with what it is of."""
    by_reason: dict[str, list[SubsetVerdict]] = {}
    for one in subsets:
        by_reason.setdefault(one.reason, []).append(one)
    return "; ".join(
        f"{' and '.join(names(some, INVALID))}: {reason}" for reason, some in by_reason.items()
    )


def overall(subsets: Sequence[SubsetVerdict]) -> tuple[str, str]:
    """The outcome of a release from its subsets' last ones."""
    passed, failed, unjudged = (names(subsets, outcome) for outcome in (PASS, FAIL, INVALID))
    left_open = f"; not judged: {', '.join(unjudged)}" if unjudged else ""
    if failed:
        return FAIL, (
            f"what {' and '.join(failed)} say of images is not what these show: annotations are on"
            f" wrong images, or too hard for so small a model{left_open}"
        )
    if not passed:
        return INVALID, f"{CANNOT_TELL}; {why_unjudged(subsets)}"
    teaches = "teaches what its images" if len(passed) == 1 else "teach what their images"
    return PASS, f"{' and '.join(passed)} {teaches} show{left_open}"
