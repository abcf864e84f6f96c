"""The probe passes what is true and fails what is shuffled; its verdict is kept."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pixmo.dataset.reader import Release
from pixmo.drawing import FILL
from pixmo.errors import TrainingError
from pixmo.evaluate.gap import AnnotationLoss
from pixmo.molmo import checkpoint
from pixmo.molmo.data import Example
from pixmo.molmo.prompts import question
from pixmo.validate import verdict
from pixmo.validate.controls import shuffle_annotations
from pixmo.validate.placement import misplaced_share
from pixmo.validate.probe import FEWEST_HELD_OUT_IMAGES, ProbeOptions, train_probe
from pixmo.validate.probe_run import ProbeRun, RunResult, read_probe_examples, stored_result
from pixmo.validate.report import write_report
from pixmo.validate.skills import POINTING, Answered
from pixmo.validate.verdict import (
    FAIL,
    INVALID,
    PASS,
    TELLING,
    UNLEARNT,
    Gate,
    Measured,
    SubsetVerdict,
    judge_subset,
    overall,
    settle,
)
from tests.releases import Rows, shuffled_captions, write_release

STEPS = 400  # of the one probe that trains here; the demo trains another
GATE = Gate(gap=0.01, z=5.0, told=-1.0, most_misplaced=0.2)
SHORT = ProbeOptions(steps=150)
OTHERS = 4


def losses(
    right: float, gap: float, images: int = 100, misplaced: int = 0, stem: str = "cap"
) -> list[AnnotationLoss]:
    """Losses of one answer of ten characters an image, spread a little; some say another's."""
    rng = Random(0)
    found = []
    for number in range(images):
        others = tuple(10 * (right + gap) + rng.gauss(0, 6 * gap) for _ in range(OTHERS))
        own = 10 * right + rng.gauss(0, 0.05)
        if number < misplaced:  # its image is like any other
            own = 10 * (right + gap) + rng.gauss(0, 6 * gap)
        found.append(AnnotationLoss(str(number), stem, str(number), 10, own, others))
    return found


def measured(
    found: Sequence[AnnotationLoss], learnt: Sequence[AnnotationLoss] | None = None
) -> Measured:
    """Losses on rows that were held out, and the same on those trained on unless told."""
    return Measured(found, (), found if learnt is None else learnt)


def judged(
    release: Sequence[AnnotationLoss], control: Sequence[AnnotationLoss], stem: str = "cap"
) -> SubsetVerdict:
    return judge_subset(stem, measured(release), measured(control), GATE, 64, {})


@pytest.mark.parametrize(
    ("release", "control", "outcome", "why"),
    [
        (losses(0.20, 0.05), losses(0.25, 0.0), PASS, "20 % may be"),
        (losses(0.20, 0.005), losses(0.25, 0.0), UNLEARNT, "0.01 is needed"),
        (losses(0.20, 0.05), losses(0.25, 0.045), UNLEARNT, "0.01 is needed"),
        (losses(0.20, 0.2, misplaced=50), losses(0.25, 0.0), FAIL, "20 % is the most"),
        (losses(0.20, 0.2, misplaced=10), losses(0.25, 0.0), PASS, "20 % may be"),
        (losses(0.20, 0.2, 400, misplaced=140), losses(0.25, 0.0, 400), FAIL, "20 % is the most"),
        (losses(0.20, 0.05, 63), losses(0.25, 0.0, 63), INVALID, "64 are needed"),
    ],
)
def test_a_subset_is_judged_by_its_effect_and_by_what_contradicts_its_images(
    release: Sequence[AnnotationLoss], control: Sequence[AnnotationLoss], outcome: str, why: str
) -> None:
    found = judged(release, control)
    assert (found.outcome, why in found.reason) == (outcome, True), found


def test_what_contradicts_is_looked_for_in_the_rows_trained_on() -> None:
    spoiled = losses(0.2, 0.2, misplaced=50)
    found = judge_subset(
        "cap", measured(losses(0.2, 0.2), spoiled), measured(losses(0.25, 0.0)), GATE, 64, {}
    )
    assert (found.outcome, found.misplaced) == (FAIL, misplaced_share(spoiled))


def test_held_out_rows_are_looked_at_too() -> None:
    clean, spoiled = losses(0.2, 0.2), losses(0.2, 0.2, misplaced=60)
    gate = replace(GATE, z=2.0, most_misplaced=0.05)
    found = judge_subset("cap", measured(spoiled, clean), measured(losses(0.25, 0.0)), gate, 64, {})
    assert (found.outcome, "of held-out rows" in found.reason) == (FAIL, True), found
    assert found.misplaced_held_out
    assert found.misplaced_held_out.low > 5 * gate.most_misplaced


def test_an_uncertain_effect_is_not_enough() -> None:
    rng = Random(1)
    noisy = [
        AnnotationLoss(str(n), "cap", str(n), 10, 2.0, (2.2 + rng.gauss(0, 2),) * OTHERS)
        for n in range(100)
    ]
    gate = Gate(gap=0.0, z=5.0, told=-1.0, most_misplaced=1.0)
    found = judge_subset("cap", measured(noisy), measured(losses(0.25, 0.0)), gate, 64, {})
    assert found.outcome == UNLEARNT
    assert "standard errors" in found.reason


def answers(score: float, images: int = 100) -> list[Answered]:
    return [Answered(str(n), "points", POINTING, str(n), "", "", score) for n in range(images)]


def test_an_answer_is_learnt_by_who_tells_its_image_from_others() -> None:
    rng = Random(2)

    def telling(share: float) -> list[AnnotationLoss]:
        """Losses far apart, and the own image the likeliest in this share of them."""
        return [
            AnnotationLoss(
                str(n), "cap", str(n), 10, 1.0, (9.0, 9.0, 9.0, 2.0 if n < share * 100 else 0.5)
            )
            for n in range(100)
        ]

    blind = [
        AnnotationLoss(str(n), "cap", str(n), 10, 5.0, tuple(rng.sample((4.9, 4.99, 5.01, 5.1), 4)))
        for n in range(100)
    ]
    gate = replace(GATE, told=0.3, most_misplaced=1.0)
    for share, outcome in ((0.9, PASS), (0.25, UNLEARNT)):
        found = judge_subset("cap", measured(telling(share)), measured(blind), gate, 64, {})
        assert found.outcome == outcome, found.reason
        told = found.skills[0]
        assert (told.name, told.release.value, told.control.value) == (TELLING, share, 0.0)
        assert told.gained.value == pytest.approx(share)
    assert "25 % more often than by the control, 30 % are needed" in found.reason


def test_skills_are_compared_row_by_row() -> None:
    found = losses(0.2, 0.2, stem="points")
    release = Measured(found, answers(0.3), found)
    control = Measured(losses(0.25, 0.0, stem="points"), answers(0.08))
    judged = judge_subset("points", release, control, GATE, 64, {POINTING: 0.5})
    told, skill = judged.skills
    assert told.name == TELLING
    assert (skill.release.value, skill.control.value) == pytest.approx((0.3, 0.08))
    assert (skill.gained.value, skill.majority) == (pytest.approx(0.22), 0.5)


GOOD = judged(losses(0.2, 0.05), losses(0.25, 0.0))
WRONG = judged(losses(0.2, 0.2, misplaced=50), losses(0.25, 0.0))
BLIND = judged(losses(0.25, 0.0, stem="ama"), losses(0.25, 0.0, stem="ama"), "ama")
HARD = judged(losses(0.2, 0.005, stem="ama"), losses(0.25, 0.0, stem="ama"), "ama")
FEW = judged(losses(0.2, 0.05, 9, stem="points"), losses(0.2, 0.0, 9, stem="points"), "points")
LEAK = judged(losses(0.2, 0.1), losses(0.25, 0.05))


@pytest.mark.parametrize(
    ("subsets", "weak", "outcomes", "overall_outcome"),
    [
        ([GOOD], [], [PASS], PASS),
        ([GOOD, FEW], [], [PASS, INVALID], PASS),
        ([WRONG, FEW], [], [FAIL, INVALID], FAIL),
        ([FEW], [], [INVALID], INVALID),
        # Its images are read, for captions are learnt from them: what is not learnt is wrong.
        ([GOOD, BLIND], [], [PASS, FAIL], FAIL),
        ([GOOD, HARD], [], [PASS, FAIL], FAIL),
        # Nothing has to do with any image: so would it be were all shuffled.
        ([BLIND], [], [FAIL], FAIL),
        # Something is seen and nothing learnt: too hard.
        ([HARD], [], [INVALID], INVALID),
        # What the instrument does not learn from rendered pictures it cannot judge.
        ([GOOD], ["cap"], [INVALID], INVALID),
        ([WRONG], ["cap"], [INVALID], INVALID),
        ([GOOD, BLIND], ["ama"], [PASS, INVALID], PASS),
        ([GOOD, HARD], ["cap"], [INVALID, INVALID], INVALID),
        ([LEAK, HARD], [], [INVALID, INVALID], INVALID),
        # And what shuffled annotations teach, too, comes from elsewhere.
        ([LEAK], [], [INVALID], INVALID),
    ],
)
def test_the_last_word_on_a_subset_needs_all_of_them(
    subsets: Sequence[SubsetVerdict],
    weak: Sequence[str],
    outcomes: Sequence[str],
    overall_outcome: str,
) -> None:
    rendered = [
        replace(GOOD, stem=stem, outcome=UNLEARNT if stem in weak else PASS)
        for stem in ("cap", "ama", "points")
    ]
    settled = settle(subsets, rendered)
    assert [one.outcome for one in settled] == outcomes
    assert overall(settled)[0] == overall_outcome


def test_where_nothing_can_be_judged_one_line_says_what_why_and_what_to_do() -> None:
    few, other = replace(FEW, stem="cap"), FEW
    assert overall([few, replace(HARD, outcome=INVALID, reason="hard, so rest"), other]) == (
        INVALID,
        "it could not be told whether annotations belong to their images; pixmo-cap and"
        " pixmo-points: 9 held-out images, 64 are needed, so release more;"
        " pixmo-ask-model-anything: hard, so rest",
    )


def test_the_reason_names_what_passed_and_what_was_not_judged() -> None:
    assert overall([GOOD, FEW]) == (
        PASS,
        "pixmo-cap teaches what its images show; not judged: pixmo-points",
    )
    assert overall([WRONG, FEW])[1].startswith("what pixmo-cap say of images is not what these")
    assert verdict.control_passes(LEAK)
    assert not verdict.control_passes(GOOD)


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
    assert found.reason == (
        f"{verdict.CANNOT_TELL}; a verdict needs {FEWEST_HELD_OUT_IMAGES} different images held"
        " out, and of the validation and test splits 16 have their files here, so release more"
    )
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


def test_the_report_shows_numbers_curves_answers_and_suspects(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1"))
    learnt, held_out = read_probe_examples(release, SHORT)
    rows, of_learnt = (
        tuple(
            AnnotationLoss(one.id, one.kind, example.image_sha256, 10, 2.0, (2.5, 2.6, 2.4))
            for example in examples
            for one in example.annotations
        )
        for examples in (held_out, learnt)
    )
    pointed = next(one for one in held_out[0].annotations if "<point" in one.answer)
    answered = Answered(
        pointed.id, "points", POINTING, held_out[0].image_sha256, pointed.answer,
        '<point x="25.0" y="50.0" alt="a">a</point>', 0.75,
    )  # fmt: skip
    found = verdict.Verdict(
        PASS, "it teaches", "v1", "key", "probe-xs", 40, 0, 1, 8,
        (replace(GOOD, memorised=0.0123, repeated=0.25), FEW), (GOOD,), "the control fails",
    )  # fmt: skip
    falling = tuple(6.0 / (step + 1) for step in range(40))
    trained = RunResult(falling, rows, of_learnt, (answered,))
    control = RunResult(falling, (), (), (replace(answered, answer="There are none."),))
    write_report(tmp_path, release, found, (learnt, held_out), trained, control)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "1 image trained on, 8 held out" in page
    assert f'<td class="number">{GOOD.right:.4f}' in page
    assert "64 are needed" in page
    assert page.count("<polyline") == 2
    assert page.count("stroke-dasharray") == 1
    assert "<i>User: What is behind? Assistant:</i> It is " in page
    hint = re.search(r"<td class=\"text\"><i>long_caption (\d+):</i> (There is [^<]*)", page)
    assert hint
    assert int(hint[1]) == len(hint[2]) // 15
    assert "about\n32 × 15 characters" in page
    assert "predicted 0.0123 nats a character better" in page
    assert "25 % of held-out answers stand word for word" in page
    assert '<td class="text">&lt;point x=&quot;25.0&quot;' in page
    assert "There are none." in page
    drawn = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]*)", page)]
    pixels = [Image.open(BytesIO(data)).convert("RGB").getpixel((20, 30)) for data in drawn]
    # The point that was answered, at 25 % and 50 % of 80 x 60; JPEG changes it a little.
    assert any(max(abs(a - b) for a, b in zip(found, FILL, strict=True)) < 40 for found in pixels)


@pytest.mark.slow
def test_shuffled_captions_fail_beside_true_answers_and_all_is_kept(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1", train=600, held_out=40, change_train=shuffled_captions)
    release, folder = Release.open(root), tmp_path / "run"
    options = ProbeOptions(steps=STEPS)
    found = train_probe(release, options, folder)
    assert found.outcome == FAIL, found.text()
    outcomes = {subset.stem: subset.outcome for subset in found.subsets}
    assert outcomes["cap"] == FAIL
    assert outcomes["ama"] == PASS
    assert "pixmo-cap" in found.reason
    assert (found.train_images, found.held_out_images) == (600, 80)
    assert "rendered pictures pass in pixmo-cap" in found.instrument_check
    for subset in found.subsets:
        assert subset.control_gap
        assert abs(subset.control_gap.value) < 0.008
    assert json.loads((folder / "verdict.json").read_text("utf-8"))["outcome"] == FAIL
    assert (folder / "report.html").read_text("utf-8").count("<polyline") == 2
    assert pq.read_table(folder / "evidence.parquet").num_rows > 600
    model, _ = checkpoint.load(folder / "release")
    assert model.size.name == "probe-xs"

    (rendered,) = tmp_path.glob("probe-rendered-*")
    results = [folder / arm / "result.json" for arm in ("release", "control")]
    results.append(rendered / "result.json")
    before = [path.stat().st_mtime_ns for path in results]
    assert train_probe(release, options, folder) == found
    (folder / "verdict.json").unlink()  # as if killed after the runs, before the verdict
    assert train_probe(release, options, folder) == found
    assert [path.stat().st_mtime_ns for path in results] == before
    other = ProbeRun(release, options, "release", folder / "release", "another release")
    assert stored_result(other.folder, other.key) is None
