"""The train probe: a small model learns from the release, a twin from its shuffled control.

If annotations belong to their images, the first predicts held-out answers better with the right
image than with another one, and few answers contradict their images; the twin cannot see. A third
learns rendered pictures without a mistake: what does not learn these can judge nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from pixmo.dataset import manifest as manifests
from pixmo.dataset.reader import Release
from pixmo.evaluate.gap import by_image
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_file, sha256_value
from pixmo.molmo import sizes
from pixmo.molmo.data import Example
from pixmo.validate import suspects, verdict
from pixmo.validate.probe_run import (
    ProbeOptions,
    ProbeRun,
    RunResult,
    read_probe_examples,
)
from pixmo.validate.report import FILE_NAME as REPORT
from pixmo.validate.report import write_report
from pixmo.validate.side_by_side import run_side_by_side
from pixmo.validate.skills import majority
from pixmo.validate.verdict import (
    CANNOT_TELL,
    HELD_OUT_FACTOR,
    INVALID,
    Gate,
    Measured,
    SubsetVerdict,
    Verdict,
    judge_subset,
    names,
    overall,
    settle,
)

__all__ = ["ProbeOptions", "train_probe"]

FILE_NAME = "verdict.json"
RELEASE_RUN = "release"  # the folder of the model that learnt the release
MEASUREMENT = 3  # counted up when the same options would give other numbers

# Chosen, not measured: with fewer held-out images the mean is uncertain, and a model that trains on
# fewer images remembers them instead of looking.
FEWEST_HELD_OUT_IMAGES = 64
FEWEST_TRAIN_IMAGES = 512

# Set between the releases with and without wrong rows of the study in docs/validation.md.
GATES = {
    "cap": Gate(gap=0.015, z=6.0, told=0.3, most_misplaced=0.003),
    "ama": Gate(gap=0.012, z=4.0, told=0.03, most_misplaced=0.012),
    "points": Gate(gap=0.025, z=4.0, told=0.03, most_misplaced=0.016),
}


def train_probe(
    release: Release, options: ProbeOptions, folder: Path, progress: Progress = SILENT
) -> Verdict:
    """The verdict on a release; `folder` then holds it and, where it trained, report and runs.

    The positive control, which has nothing to do with the release, is kept beside `folder` for
    the next one. A verdict that is there already, on the same release under the same options, is
    returned as it is; of a probe that was killed the finished runs are kept.

    Raises:
        ReleaseError: the release cannot be read.
        TrainingError: a run stopped before its end.
    """
    learnt, held_out = read_probe_examples(release, options)
    measured_key = measurement_key(release, options, [*learnt, *held_out])
    gates = {stem: asdict(gate) for stem, gate in GATES.items()}
    key = sha256_value({"measured": measured_key, "gates": gates})
    stored = stored_verdict(folder / FILE_NAME, key)
    if stored is not None:
        return stored
    if shortage := too_short(options) or too_few(learnt, held_out):
        found = conclude(release, options, key, (len(learnt), len(held_out)), INVALID, shortage)
        for name in (REPORT, suspects.FILE_NAME):
            (folder / name).unlink(missing_ok=True)  # of an earlier verdict
    else:
        instrument = sha256_value(settings(options))
        beside = folder.parent / f"probe-rendered-{instrument[:12]}"
        jobs = [
            ProbeRun(release, options, "release", folder / RELEASE_RUN, measured_key),
            ProbeRun(release, options, "control", folder / "control", measured_key),
            ProbeRun(release, options, "rendered", beside, instrument),
        ]
        trained, control, rendered = run_side_by_side(jobs, progress)
        found = judge(release, options, key, (learnt, held_out), (trained, control, rendered))
        suspects.write(folder / suspects.FILE_NAME, learnt, held_out, trained)
        write_report(folder, release, found, (learnt, held_out), trained, control)
    found.write(folder / FILE_NAME)
    return found


def settings(options: ProbeOptions) -> dict[str, object]:
    """What a run depends on beside its data."""
    return {
        "options": asdict(options),
        "size": asdict(sizes.named(options.size)),
        "training": asdict(options.training),
        "torch": torch.__version__,
        "measurement": MEASUREMENT,
    }


def measurement_key(release: Release, options: ProbeOptions, read: Sequence[Example]) -> str:
    """A hash of everything that what is measured depends on."""
    return sha256_value(
        {
            "manifest": sha256_file(release.root / manifests.FILE_NAME),
            # Files of images may come and go: what counts is which of them the probe reads.
            "images": [example.image_sha256 for example in read],
            **settings(options),
        }
    )


def stored_verdict(path: Path, key: str) -> Verdict | None:
    """The verdict at `path` if it is this one; a file of another pixmo counts as none."""
    try:
        found = verdict.read(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.key == key else None


def too_short(options: ProbeOptions) -> str:
    """Why the probe is too short for a verdict; empty where it is not."""
    if options.most_train_images < FEWEST_TRAIN_IMAGES:
        fewest = -(-FEWEST_TRAIN_IMAGES // options.training.batch_examples)
        return (
            f"{CANNOT_TELL}; a verdict needs at least {fewest} steps, {options.steps} are set,"
            f" so set more, best the default of {ProbeOptions().steps:,}"
        )
    return ""


def too_few(learnt: Sequence[Example], held_out: Sequence[Example]) -> str:
    """Why the release is too small for a verdict; empty where it is not."""
    for found, fewest, what, split in (
        (learnt, FEWEST_TRAIN_IMAGES, "to train on", "the train split"),
        (held_out, FEWEST_HELD_OUT_IMAGES, "held out", "the validation and test splits"),
    ):
        images = len({example.cluster for example in found})
        if images < fewest:
            return (
                f"{CANNOT_TELL}; a verdict needs {fewest} different images {what}, and of {split}"
                f" {images} have their files here, so release more"
            )
    return ""


def judge(
    release: Release,
    options: ProbeOptions,
    key: str,
    examples: tuple[Sequence[Example], Sequence[Example]],
    runs: tuple[RunResult, RunResult, RunResult],
) -> Verdict:
    """The verdict from what the runs measured: of the release, its control and the rendered one."""
    learnt, held_out = examples
    trained, control, rendered = runs
    guesses = majority(learnt, trained.answered)
    images = Counter(kind for one in learnt for kind in {row.kind for row in one.annotations})
    repeated = repeated_answers(learnt, held_out)
    subsets = []
    for stem, gate in GATES.items():
        if stem not in release.stems:
            continue
        if images[stem] < FEWEST_TRAIN_IMAGES:
            reason = (
                f"{images[stem]} images to train on, {FEWEST_TRAIN_IMAGES} are needed,"
                " so release more"
            )
            subsets.append(SubsetVerdict(stem, INVALID, reason, gate, 0))
            continue
        found = judge_subset(
            stem, measured(trained), measured(control), gate, FEWEST_HELD_OUT_IMAGES, guesses
        )
        told = replace(found, memorised=memorised(stem, trained), repeated=repeated.get(stem))
        subsets.append(told)
    positive = [
        judge_subset(stem, measured(rendered), blind(rendered), of_instrument(gate), 2, {})
        for stem, gate in GATES.items()
    ]
    subsets = settle(subsets, positive)
    subsets += [
        SubsetVerdict(stem, INVALID, "the probe knows no gate for it", None, 0)
        for stem in release.stems
        if stem not in GATES
    ]
    outcome, reason = overall(subsets)
    check = (
        f"rendered pictures pass in {', '.join(names(positive, verdict.PASS)) or 'nothing'};"
        f" the shuffled control passes in"
        f" {', '.join(one.stem for one in subsets if verdict.control_passes(one)) or 'nothing'}"
    )
    sizes_of = (len(learnt), len(held_out))
    return conclude(release, options, key, sizes_of, outcome, reason, subsets, positive, check)


def of_instrument(gate: Gate) -> Gate:
    """The gate of rendered pictures, which are few, and learnt for less long than a release."""
    return replace(gate, most_misplaced=HELD_OUT_FACTOR * gate.most_misplaced)


def measured(run: RunResult) -> Measured:
    """What a run found."""
    return Measured(run.held_out, run.answered, run.learnt)


def blind(run: RunResult) -> Measured:
    """What a model would find that cannot see, and gets nothing right.

    Rendered pictures need no control of their own: one of the other images stands for the own.
    """
    return Measured(
        [
            replace(loss, own_nats=loss.other_nats[0], other_nats=loss.other_nats[1:])
            for loss in run.held_out
        ],
        [replace(one, score=0.0) for one in run.answered],
    )


def memorised(stem: str, trained: RunResult) -> float | None:
    """How much lower the loss is on rows that were trained on, in nats per character."""
    learnt, held_out = by_image(trained.learnt, stem), by_image(trained.held_out, stem)
    if not learnt or not held_out:
        return None
    of_learnt = sum(one.right for one in learnt) / len(learnt)
    return sum(one.right for one in held_out) / len(held_out) - of_learnt


def repeated_answers(learnt: Sequence[Example], held_out: Sequence[Example]) -> dict[str, float]:
    """The share of held-out answers that stand, word for word, in train rows, too, by subset."""
    known = {(one.kind, one.answer) for example in learnt for one in example.annotations}
    found: dict[str, list[bool]] = defaultdict(list)
    for example in held_out:
        for one in example.annotations:
            found[one.kind].append((one.kind, one.answer) in known)
    return {kind: sum(values) / len(values) for kind, values in found.items()}


def conclude(
    release: Release,
    options: ProbeOptions,
    key: str,
    images: tuple[int, int],
    outcome: str,
    reason: str,
    subsets: Sequence[SubsetVerdict] = (),
    rendered: Sequence[SubsetVerdict] = (),
    instrument_check: str = "",
) -> Verdict:
    """A verdict with what is the same in all of them."""
    return Verdict(
        outcome=outcome,
        reason=reason,
        release=release.manifest.version,
        key=key,
        size=options.size,
        steps=options.steps,
        seed=options.seed,
        train_images=images[0],
        held_out_images=images[1],
        subsets=tuple(subsets),
        rendered=tuple(rendered),
        instrument_check=instrument_check,
    )
