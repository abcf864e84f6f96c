"""The probe passes what is true and fails what is shuffled; its verdict is kept."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from pixmo.dataset.reader import Release
from pixmo.errors import TrainingError
from pixmo.evaluate.gap import AnnotationLoss
from pixmo.molmo import checkpoint
from pixmo.molmo.data import Example
from pixmo.molmo.prompts import question
from pixmo.validate import verdict
from pixmo.validate.controls import shuffle_annotations
from pixmo.validate.probe import FEWEST_HELD_OUT_IMAGES, ProbeOptions, train_probe
from pixmo.validate.probe_run import RunResult, read_probe_examples
from pixmo.validate.report import write_report
from pixmo.validate.verdict import FAIL, INVALID, NOT_JUDGED, PASS, Gate, judge_subset, overall
from tests.releases import Rows, shuffled_captions, write_release

GATE = Gate(gap=0.01, z=5.0)
SHORT = ProbeOptions(steps=150)


def losses(right: float, gap: float, images: int = 100) -> list[AnnotationLoss]:
    """Losses of one answer of ten characters an image, spread a little."""
    rng = Random(0)
    return [
        AnnotationLoss(
            str(n), "cap", str(n), 10, 10 * right, 10 * (right + gap) + rng.gauss(0, 0.05)
        )
        for n in range(images)
    ]


@pytest.mark.parametrize(
    ("release", "control", "outcome", "why"),
    [
        (losses(0.20, 0.05), losses(0.25, 0.0), PASS, "above the control"),
        (losses(0.20, 0.005), losses(0.25, 0.0), FAIL, "0.01 is needed"),
        (losses(0.20, 0.05), losses(0.25, 0.045), FAIL, "0.01 is needed"),
        (losses(0.30, 0.05), losses(0.25, 0.0), FAIL, "worse than the control's"),
        (losses(0.20, 0.05, 63), losses(0.25, 0.0, 63), NOT_JUDGED, "64 are needed"),
    ],
)
def test_a_subset_is_judged_by_its_effect(
    release: Sequence[AnnotationLoss], control: Sequence[AnnotationLoss], outcome: str, why: str
) -> None:
    found = judge_subset("cap", release, control, GATE, 64)
    assert (found.outcome, why in found.reason) == (outcome, True), found


def test_an_uncertain_effect_is_not_enough() -> None:
    rng = Random(1)
    noisy = [
        AnnotationLoss(str(n), "cap", str(n), 10, 2.0, 2.2 + rng.gauss(0, 2)) for n in range(100)
    ]
    found = judge_subset("cap", noisy, losses(0.25, 0.0), Gate(gap=0.0, z=5.0), 64)
    assert found.outcome == FAIL
    assert "standard errors" in found.reason


def test_a_release_passes_if_all_that_can_be_judged_does() -> None:
    good = judge_subset("cap", losses(0.2, 0.05), losses(0.25, 0.0), GATE, 64)
    bad = judge_subset("cap", losses(0.2, 0.0), losses(0.25, 0.0), GATE, 64)
    unknown = judge_subset("points", [], [], None, 64)
    assert overall([good], []) == (PASS, "pixmo-cap teaches what its images show")
    assert overall([good, unknown], []) == (
        PASS,
        "pixmo-cap teaches what its images show; not judged: pixmo-points",
    )
    outcome, reason = overall([good, bad, unknown], [])
    assert (outcome, reason.endswith("; not judged: pixmo-points")) == (FAIL, True)
    assert overall([unknown], [])[0] == INVALID
    assert overall([good], ["cap"])[0] == INVALID
    assert not verdict.control_passes(good)
    leaking = judge_subset("cap", losses(0.2, 0.1), losses(0.25, 0.05), GATE, 64)
    assert verdict.control_passes(leaking)


def test_no_image_of_the_control_keeps_its_annotations() -> None:
    examples = [Example("", str(n), "", (question(str(n), "?", "!"),)) for n in range(50)]
    control = shuffle_annotations(examples, seed=0)
    pairs = zip(examples, control, strict=True)
    assert not [one for one, other in pairs if one.annotations == other.annotations]
    assert [one.image_sha256 for one in control] == [one.image_sha256 for one in examples]
    assert {one.annotations for one in control} == {one.annotations for one in examples}
    assert shuffle_annotations(examples, seed=0) == control != shuffle_annotations(examples, seed=1)


def test_a_small_release_gets_no_verdict_and_is_told_why(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=520, held_out=8))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/report.html").write_text("Train probe of v0: PASS")
    found = train_probe(release, SHORT, tmp_path / "run")
    assert (found.outcome, found.passed) == (INVALID, False)
    assert f"needs {FEWEST_HELD_OUT_IMAGES} different images held out" in found.text()
    assert "have 16" in found.text()
    assert verdict.read(tmp_path / "run/verdict.json") == found
    assert not (tmp_path / "run/report.html").exists()


def test_a_verdict_is_of_the_images_that_the_probe_reads(tmp_path: Path) -> None:
    copies: dict[str, Path] = {}

    def by_url(stem: str, split: str, rows: Rows) -> None:
        for row in rows:
            copies[row["image_sha256"]] = tmp_path / "v1" / row["image_url"]
            row["image_url"] = f"https://example.org/{row['image_sha256']}.png"

    root = write_release(tmp_path / "v1", train=3, held_out=2, change_rows=by_url)

    def judged(local_images: dict[str, Path]) -> verdict.Verdict:
        return train_probe(Release.open(root, local_images), SHORT, tmp_path / "run")

    first = judged(copies)
    assert (first.train_images, first.held_out_images) == (3, 4)
    unrelated = tmp_path / "unrelated.png"
    unrelated.write_bytes(b"another image of the workspace")
    assert judged(copies | {"0" * 64: unrelated}) == first
    next(iter(copies.values())).unlink()
    fewer = judged(copies)
    assert fewer.train_images + fewer.held_out_images == 6
    assert fewer.key != first.key


def test_a_small_subset_is_not_crowded_out_of_the_held_out_images(tmp_path: Path) -> None:
    def questions_on_a_few(stem: str, split: str, rows: Rows) -> None:
        if stem == "ama":
            del rows[2 * 35 :]  # two questions an image

    root = write_release(tmp_path / "v1", held_out=340, change_rows=questions_on_a_few)
    _, held_out = read_probe_examples(Release.open(root), SHORT)
    assert len({example.image_sha256 for example in held_out}) == 512
    kinds = [{one.kind for one in example.annotations} for example in held_out]
    assert sum("ama" in kind for kind in kinds) == 70


def test_an_image_that_cannot_be_read_stops_the_probe_in_one_line(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1", train=520, held_out=40)
    sorted(root.glob("images/*/*.png"))[0].write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"00000\.png cannot be read"):
        train_probe(Release.open(root), SHORT, tmp_path / "run")
    assert not (tmp_path / "run/verdict.json").exists()


def test_the_report_shows_numbers_curves_and_prompts(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1"))
    _, held_out = read_probe_examples(release, SHORT)
    measured = tuple(
        AnnotationLoss(one.id, one.kind, example.image_sha256, 10, 2.0, 2.5)
        for example in held_out
        for one in example.annotations
    )
    judged = judge_subset("cap", losses(0.2, 0.05), losses(0.25, 0.0), GATE, 64)
    found = verdict.Verdict(
        PASS, "it teaches", "v1", "key", "probe-xs", 40, 0, 1, 8,
        (judged, judge_subset("points", [], [], None, 64)), "the control fails",
    )  # fmt: skip
    falling = tuple(6.0 / (step + 1) for step in range(40))
    runs = (RunResult(falling, measured), RunResult(falling, ()))
    write_report(tmp_path, release, found, held_out, *runs)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "1 image trained on, 8 held out" in page
    assert f'<td class="number">{judged.right:.4f}' in page
    assert "not judged: so small a model" in page
    assert page.count("<polyline") == 2
    assert page.count("stroke-dasharray") == 1
    assert "<i>User: What is behind? Assistant:</i> It is " in page
    hint = re.search(r"<td class=\"text\"><i>long_caption (\d+):</i> (There is [^<]*)", page)
    assert hint
    assert int(hint[1]) == len(hint[2]) // 15
    assert "about\n32 × 15 characters" in page


@pytest.mark.slow
def test_a_true_release_passes_and_its_verdict_and_runs_are_kept(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=600, held_out=40))
    folder = tmp_path / "run"
    found = train_probe(release, SHORT, folder)
    assert found.passed, found.text()
    outcomes = {subset.stem: subset.outcome for subset in found.subsets}
    assert outcomes == {"ama": PASS, "cap": PASS, "points": NOT_JUDGED}
    for subset in found.subsets:
        if subset.control_gap:
            assert abs(subset.control_gap.value) < 0.005
    assert (found.train_images, found.held_out_images) == (600, 80)
    assert "instrument check: the shuffled control" in found.text()
    assert json.loads((folder / "verdict.json").read_text("utf-8"))["outcome"] == PASS
    assert (folder / "report.html").read_text("utf-8").count("<polyline") == 2
    model, _ = checkpoint.load(folder / "release")
    assert model.size.name == "probe-xs"

    results = [folder / arm / "result.json" for arm in ("release", "control")]
    before = [path.stat().st_mtime_ns for path in results]
    assert train_probe(release, SHORT, folder) == found
    (folder / "verdict.json").unlink()  # as if killed after the runs, before the verdict
    assert train_probe(release, SHORT, folder) == found
    assert [path.stat().st_mtime_ns for path in results] == before

    results[1].unlink()  # as if killed while one run was still at work
    (folder / "verdict.json").unlink()
    assert train_probe(release, SHORT, folder) == found
    assert results[0].stat().st_mtime_ns == before[0]
    assert results[1].stat().st_mtime_ns != before[1]


@pytest.mark.slow
def test_a_release_with_shuffled_captions_fails(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1", train=600, held_out=40, change_train=shuffled_captions)
    found = train_probe(Release.open(root), SHORT, tmp_path / "run")
    assert found.outcome == FAIL, found.text()
    outcomes = {subset.stem: subset.outcome for subset in found.subsets}
    assert outcomes["cap"] == FAIL
    assert outcomes["ama"] == PASS
    assert "pixmo-cap" in found.reason
