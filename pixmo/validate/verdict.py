"""The probe's verdict: what was measured, what it was held against, and what follows."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixmo import schema
from pixmo.evaluate.gap import AnnotationLoss, by_image
from pixmo.evaluate.statistics import Mean, paired_difference
from pixmo.files import write_json
from pixmo.text import counted

PASS, FAIL, INVALID = "PASS", "FAIL", "INVALID"
NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Gate:
    """What a subset's numbers have to reach."""

    gap: float  # nats per character that the gap of the release lies above the control's
    z: float  # standard errors that the gap of the release lies above zero
    gained: float = 0.0  # nats per character that its loss lies below the control's, more than


@dataclass(frozen=True)
class SubsetVerdict:
    """One subset's numbers, in nats per character over held-out images."""

    stem: str
    outcome: str  # PASS, FAIL or NOT_JUDGED
    reason: str
    gate: Gate | None  # None where this probe cannot judge the subset
    images: int  # held-out images with rows of the subset
    right: float = 0.0  # mean loss of the release's model with the right image
    wrong: float = 0.0
    gap: Mean | None = None  # wrong minus right, paired over images
    control_gap: Mean | None = None
    gained: Mean | None = None  # loss of the control's model minus the release's, right images


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
    instrument_check: str  # the shuffled control, judged as if it were the release

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
                "  subset  own image  other image  gap [95 %]                 control gap  outcome",
            ]
            lines += [subset_line(subset) for subset in self.subsets]
        if self.instrument_check:
            lines.append(f"  instrument check: {self.instrument_check}")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """`path` holds the verdict as JSON."""
        write_json(path, asdict(self))


def subset_line(subset: SubsetVerdict) -> str:
    """A subset's numbers in one line of the verdict's table."""
    if subset.gap is None or subset.control_gap is None:
        return f"  {subset.stem:<7} {subset.outcome}: {subset.reason}"
    interval = f"{subset.gap.value:.4f} [{subset.gap.low:.4f}, {subset.gap.high:.4f}]"
    return (
        f"  {subset.stem:<7} {subset.right:>9.4f}  {subset.wrong:>11.4f}  {interval:<25}"
        f"  {subset.control_gap.value:>11.4f}  {subset.outcome}: {subset.reason}"
    )


def read(path: Path) -> Verdict:
    """The verdict written at `path`.

    Raises:
        ValueError, KeyError, TypeError, OSError: there is none, or another pixmo wrote it.
    """
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    subsets = tuple(read_subset(subset) for subset in data.pop("subsets"))
    return Verdict(**data, subsets=subsets)


def read_subset(data: dict[str, Any]) -> SubsetVerdict:
    """A subset's verdict from its JSON."""
    gate = data.pop("gate")
    for name in ("gap", "control_gap", "gained"):
        data[name] = Mean(**data[name]) if data[name] else None
    return SubsetVerdict(**data, gate=Gate(**gate) if gate else None)


def judge_subset(
    stem: str,
    release: Sequence[AnnotationLoss],
    control: Sequence[AnnotationLoss],
    gate: Gate | None,
    fewest_images: int,
) -> SubsetVerdict:
    """What the two runs' losses on the same held-out rows say of one subset."""
    if gate is None:
        reason = "so small a model does not learn to point in its steps"
        return SubsetVerdict(stem, NOT_JUDGED, reason, gate, images=0)
    own, theirs = by_image(release, stem), by_image(control, stem)
    if len(own) < max(2, fewest_images):
        reason = f"{len(own)} held-out images, {fewest_images} are needed"
        return SubsetVerdict(stem, NOT_JUDGED, reason, gate, len(own))
    gap = paired_difference([one.wrong for one in own], [one.right for one in own])
    control_gap = paired_difference([one.wrong for one in theirs], [one.right for one in theirs])
    gained = paired_difference([one.right for one in theirs], [one.right for one in own])
    outcome, reason = weigh(gap, control_gap, gained, gate)
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
        gained=gained,
    )


def weigh(gap: Mean, control_gap: Mean, gained: Mean, gate: Gate) -> tuple[str, str]:
    """The outcome of a subset and the number that decides it."""
    effect = gap.value - control_gap.value
    if effect < gate.gap:
        return FAIL, f"the gap is {effect:.4f} above the control's, {gate.gap} is needed"
    if gap.z < gate.z:
        return FAIL, f"the gap is {gap.z:.1f} standard errors above zero, {gate.z} are needed"
    if gained.value <= gate.gained:
        return FAIL, f"its model predicts worse than the control's, by {-gained.value:.4f}"
    return PASS, f"{effect:.4f} above the control, {gate.gap} is needed"


def control_passes(subset: SubsetVerdict) -> bool:
    """Whether the control would pass the gate that the release has to pass.

    It is held against a model that cannot see: no gap, and no better with the image than without.
    """
    if subset.gate is None or subset.control_gap is None or subset.outcome == NOT_JUDGED:
        return False
    gap = subset.control_gap
    return gap.value >= subset.gate.gap and gap.z >= subset.gate.z


def overall(subsets: Sequence[SubsetVerdict], leaks: Sequence[str]) -> tuple[str, str]:
    """The outcome of a release from its subsets'; `leaks` are subsets whose control passed."""
    failed, passed, unjudged = (
        [schema.subset(subset.stem).name for subset in subsets if subset.outcome == outcome]
        for outcome in (FAIL, PASS, NOT_JUDGED)
    )
    left_open = f"; not judged: {', '.join(unjudged)}" if unjudged else ""
    if leaks:
        return INVALID, "annotations shuffled between images pass, too: the instrument is broken"
    if not failed and not passed:
        return INVALID, "no subset has enough held-out images to be judged"
    if failed:
        return FAIL, (
            f"what {' and '.join(failed)} says of an image is hardly learnt from the image:"
            " annotations are on wrong images, or are too hard for so small a model in so few steps"
            f"{left_open}"
        )
    teaches = "teaches what its images" if len(passed) == 1 else "teach what their images"
    return PASS, f"{' and '.join(passed)} {teaches} show{left_open}"
