"""Two releases by their probes' models: who learnt more is better, and only if it is certain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pixmo.dataset.reader import Release
from pixmo.errors import TrainingError
from pixmo.evaluate.gap import AnnotationLoss
from pixmo.molmo import checkpoint, data, tokenizer
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.molmo.train import TrainingOptions, train
from pixmo.validate import against
from pixmo.validate.against import BETTER, SAME, WORSE, compare
from pixmo.validate.verdict import PASS, SubsetVerdict, Verdict
from tests.molmo_configs import TINY
from tests.releases import write_release

Runs = tuple[Release, Path, Path]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A release, the run of a model that has learnt some of it, and of one that has not."""
    folder = tmp_path_factory.mktemp("against")
    release = Release.open(write_release(folder / "v1", train=24, held_out=40))
    examples = data.read_examples(release, ("train",), ("cap", "ama", "points"))
    made = tokenizer.train(
        [one.prompt + one.answer for example in examples for one in example.annotations], 300
    )
    crops = [data.load_crops(release, example, TINY) for example in examples]
    packed = [
        data.pack(image, example.annotations, made, TINY)
        for image, example in zip(crops, examples, strict=True)
    ]
    model: Molmo = build(TINY, made.vocabulary_size, 0)
    save(folder / "untrained", model, made)
    for _ in train(model, packed, crops, TrainingOptions(steps=30, warmup_steps=5)):
        pass
    save(folder / "trained", model, made)
    return release, folder / "trained", folder / "untrained"


def save(probe: Path, model: Molmo, made: Tokenizer, steps: int = 30) -> None:
    """A probe's folder holds the model of its release."""
    checkpoint.save(probe / "release", model, made)
    judged = SubsetVerdict("cap", PASS, "", None, 0)
    Verdict(PASS, "", "v1", "", "tiny", steps, 0, 24, 80, (judged,), (), "").write(
        probe / "verdict.json"
    )


def outcomes(release: Release, newer: Path, older: Path) -> dict[str, str]:
    return {one.stem: one.outcome for one in compare(release, newer, release, older)}


def test_who_learnt_more_is_better(runs: Runs) -> None:
    release, trained, untrained = runs
    assert outcomes(release, trained, untrained) == dict.fromkeys(("cap", "ama", "points"), BETTER)
    assert outcomes(release, untrained, trained) == dict.fromkeys(("cap", "ama", "points"), WORSE)
    for one in compare(release, trained, release, trained):
        assert (one.outcome, one.gained.value, one.images) == (SAME, 0.0, 80)
        assert one.gained.low < 0 < one.gained.high  # another seed might have done so much better
        assert "no different, by 0.0000 nats a character" in one.text()


def test_a_difference_within_the_luck_of_the_seed_is_none(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, trained, untrained = runs
    monkeypatch.setattr(against, "SEED_DEVIATION", {"cap": 9.0, "ama": 0.0, "points": 9.0})
    assert outcomes(release, trained, untrained) == {"cap": SAME, "ama": BETTER, "points": SAME}


def test_gained_is_the_difference_of_the_losses_per_character(runs: Runs) -> None:
    release, trained, untrained = runs
    examples = [
        against.cut(one)
        for one in data.read_examples(release, ("validation", "test"), ("cap", "ama", "points"))
    ]
    sums: dict[str, list[float]] = {"cap": [0.0, 0.0], "ama": [0.0, 0.0], "points": [0.0, 0.0]}
    for run, sign in ((untrained, 1), (trained, -1)):
        per_image: dict[tuple[str, str], list[float]] = {}
        for loss in against.losses_of(run / "release", release, examples):
            place = per_image.setdefault((loss.kind, loss.image_sha256), [])
            place.append(loss.own_nats / loss.characters)
        for (kind, _), values in per_image.items():
            sums[kind][0] += sign * sum(values) / len(values)
            sums[kind][1] += 0.5
    for one in compare(release, trained, release, untrained):
        assert one.gained.value == pytest.approx(sums[one.stem][0] / sums[one.stem][1], rel=1e-6)


def test_images_that_the_earlier_release_trained_on_are_left_out(
    runs: Runs, tmp_path: Path
) -> None:
    release, trained, untrained = runs
    most: Callable[[int], Release] = lambda count: Release.open(  # noqa: E731
        write_release(tmp_path / str(count), train=count, held_out=2)
    )
    # The pictures are numbered: the first 24 + 80 are the release's, its last 80 held out.
    assert {one.images for one in compare(release, trained, most(30), untrained)} == {74}
    with pytest.raises(TrainingError, match="54 images are held out"):
        compare(release, trained, most(50), untrained)
    with pytest.raises(TrainingError, match="holds no probe of this pixmo"):
        compare(release, trained, release, tmp_path / "nothing")


def test_probes_with_other_options_are_not_compared(runs: Runs, tmp_path: Path) -> None:
    release, trained, _ = runs
    model, made = checkpoint.load(trained / "release")
    save(tmp_path / "longer", model, made, steps=31)
    with pytest.raises(TrainingError, match="tiny, 30 steps, seed 0 and tiny, 31 steps, seed 0"):
        compare(release, trained, release, tmp_path / "longer")


def test_rows_are_paired_by_what_they_are() -> None:
    def loss(kind: str, row: str, characters: int, nats: float) -> AnnotationLoss:
        return AnnotationLoss(row, kind, row, characters, nats, ())

    mine = [loss("cap", "1", 5, 1.0), loss("cap", "2", 5, 2.0), loss("ama", "1", 5, 3.0)]
    theirs = [loss("ama", "1", 5, 6.0), loss("cap", "1", 5, 4.0), loss("cap", "2", 4, 5.0)]
    own, other = against.both_read(mine, theirs)
    assert [(a.own_nats, b.own_nats) for a, b in zip(own, other, strict=True)] == [(1, 4), (3, 6)]
