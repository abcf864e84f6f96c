"""A release as a stream of batches: the same rows, orders and images as read at once."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError, TrainingError
from pixmo.molmo import data, tokenizer
from pixmo.molmo.distributed import ALONE, ProcessGroup
from pixmo.molmo.stopping import lost_workers_told
from pixmo.molmo.stream import (
    EPOCH_SEEDS,
    Examples,
    MicroBatches,
    Order,
    Preparation,
    open_examples,
    stream,
)
from tests.releases import write_release
from tests.train_together import TINY

STEMS = ("cap", "ama", "points")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release.open(write_release(tmp_path_factory.mktemp("release"), train=10, held_out=3))


@pytest.fixture
def examples(release: Release, tmp_path: Path) -> Examples:
    return open_examples(release, "train", STEMS, "finetune", tmp_path / "rows")


def test_examples_by_number_are_those_read_at_once(release: Release, examples: Examples) -> None:
    for seed in (None, 4):
        expected = data.read_examples(release, ["train"], STEMS, seed, "finetune")
        assert [examples.read(n, seed) for n in range(len(examples))] == expected
    characters = [
        sum(len(one.prompt) + len(one.answer) for one in examples.read(n, None).annotations)
        for n in range(len(examples))
    ]
    assert examples.characters.tolist() == characters
    again = pickle.loads(pickle.dumps(examples))
    assert again.read(3, 1) == examples.read(3, 1)


def test_what_cannot_be_trained_on_is_left_out(tmp_path: Path) -> None:
    def crowd(stem: str, split: str, rows: list[dict[str, Any]]) -> None:
        if stem == "points" and split == "train":
            rows[0]["points"] = [{"x": float(n), "y": 1.0} for n in range(41)]

    root = write_release(tmp_path / "release", 5, 1, change_rows=crowd)
    release = Release.open(root)
    gone = data.read_examples(release, ["train"], STEMS, stage="finetune")[2]
    (root / gone.image_url).unlink()
    found = open_examples(release, "train", STEMS, "finetune", tmp_path / "rows")
    read = [found.read(n, None) for n in range(len(found))]
    expected = [
        one
        for one in data.read_examples(release, ["train"], STEMS, stage="finetune")
        if one != gone
    ]
    assert read == expected
    counts = sorted(Counter(one.kind for one in e.annotations)["points"] for e in expected)
    assert counts in ([1, 2, 2, 2], [2, 2, 2, 2])  # the crowded row may be the missing image's


def test_texts_stay_on_the_disk(tmp_path: Path) -> None:
    def long(stem: str, split: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if stem == "cap":
                row["caption"] = f"{row['id']} " + "word " * 100_000  # half a megabyte each

    release = Release.open(write_release(tmp_path / "release", 24, 1, change_rows=long))
    open_examples(release, "train", ["cap"], "caption", tmp_path / "rows")
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    found = open_examples(release, "train", ["cap"], "caption", tmp_path / "rows")
    lengths = [len(found.read(n, None).annotations[0].answer) for n in range(len(found))]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert min(lengths) > 500_000
    assert peak + pa.total_allocated_bytes() - before < 6_000_000  # of 12 MB


@pytest.mark.parametrize("batch", [3, 8, 25])
def test_an_order_shows_everything_once_an_epoch_and_depends_on_seed_and_step_alone(
    batch: int,
) -> None:
    lengths = np.arange(20, dtype=np.int64) * 7 % 13
    order = Order(lengths, batch, seed=5)
    steps = 16 * 20  # whole pools and whole epochs
    batches = [order.batch(step) for step in range(steps)]
    assert {len(one) for one in batches} == {batch}
    seen = Counter(place for one in batches for place in one)
    assert set(seen.values()) == {1}
    assert len(seen) == steps * batch
    assert {epoch for epoch, _ in seen} == set(range(steps * batch // 20))
    again = Order(lengths, batch, seed=5)
    assert [again.batch(step) for step in (77, 3)] == [batches[77], batches[3]]
    assert [Order(lengths, batch, seed=6).batch(step) for step in range(3)] != batches[:3]


def test_batches_hold_examples_of_like_length() -> None:
    lengths = np.arange(400, dtype=np.int64)
    order = Order(lengths, 4, seed=0)
    spreads = [
        max(n for _, n in one) - min(n for _, n in one) for one in map(order.batch, range(100))
    ]
    assert np.mean(spreads) < 40  # of four at random: 240


def prepared(examples: Examples, group: ProcessGroup, micro_batch: int) -> MicroBatches:
    texts = (
        one.prompt + one.answer
        for n in range(len(examples))
        for one in examples.read(n, None).annotations
    )
    made = tokenizer.train(texts, TINY.vocabulary_size)
    order = Order(examples.characters, 6, seed=1)
    return MicroBatches(Preparation(examples, made, TINY, 1, "uniform"), order, group, micro_batch)


def test_processes_share_a_batch_and_micro_batches_cut_it(examples: Examples) -> None:
    whole = prepared(examples, ALONE, 6)
    (all_rows,) = next(stream(whole, range(2, 3), workers=0))
    wanted = sorted(row[row > 0].tolist() for row in all_rows.tokens)
    found = []
    for rank in (0, 1):
        group = ProcessGroup(rank, 2, torch.device("cpu"))
        (batches,) = stream(prepared(examples, group, 2), range(2, 3), workers=0)
        assert [len(one.tokens) for one in batches] == [2, 1]
        found += [row[row > 0].tolist() for one in batches for row in one.tokens]
    assert sorted(found) == wanted


def test_an_epoch_later_hints_are_other_ones(examples: Examples) -> None:
    first, later = (examples.read(0, 1 + EPOCH_SEEDS * epoch) for epoch in (0, 1))
    assert first != later
    assert first.annotations[1:] == later.annotations[1:]


def test_worker_processes_bring_the_same_batches(release: Release, examples: Examples) -> None:
    batches = prepared(examples, ALONE, 4)
    alone = list(stream(batches, range(3, 6), workers=0))
    ahead = list(stream(batches, range(3, 6), workers=1))
    assert [len(step) for step in ahead] == [2, 2, 2]
    for step, other in zip(alone, ahead, strict=True):
        for one, two in zip(step, other, strict=True):
            assert torch.equal(one.tokens, two.tokens)
            assert torch.equal(one.pixels, two.pixels)


def test_a_broken_image_is_named_from_a_worker_process(tmp_path: Path) -> None:
    root = write_release(tmp_path / "release", 4, 1)
    release = Release.open(root)
    found = open_examples(release, "train", STEMS, "finetune", tmp_path / "rows")
    broken = root / found.read(1, None).image_url
    broken.write_bytes(b"no image")
    with pytest.raises(ReleaseError, match=f"{broken} cannot be read") as caught:
        list(stream(prepared(found, ALONE, 4), range(2), workers=1))
    assert "Traceback" not in str(caught.value)


def test_a_killed_worker_is_one_error_and_the_other_ends(examples: Examples) -> None:
    batches = stream(prepared(examples, ALONE, 2), range(100), workers=2)
    lost = pytest.raises(TrainingError, match=r"was lost: .*--workers")
    with lost, lost_workers_told(), contextlib.closing(batches):
        next(batches)
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        os.kill(int(workers[0].pid or 0), signal.SIGKILL)
        list(batches)
    assert not multiprocessing.active_children()


def test_a_tokenizer_is_the_same_in_another_process() -> None:
    made = tokenizer.train(["a <patch> of grass"], 300)
    again = pickle.loads(pickle.dumps(made))
    assert again.encode("a <patch>") == made.encode("a <patch>")
    assert tokenizer.PATCH not in again.encode("a <patch>")


def test_a_damaged_file_of_the_release_is_named(tmp_path: Path) -> None:
    root = write_release(tmp_path / "release", 2, 1)
    (damaged,) = root.glob("pixmo-points/train-*.parquet")
    damaged.write_bytes(b"PAR1 nothing")
    with pytest.raises(ReleaseError, match="pixmo-points/train"):
        open_examples(Release.open(root), "train", STEMS, "finetune", tmp_path / "rows")


def test_rows_are_written_once(examples: Examples, release: Release) -> None:
    marked = examples.folder / "cap.arrow"
    before = marked.stat().st_mtime_ns
    open_examples(release, "train", STEMS, "finetune", examples.folder)
    assert marked.stat().st_mtime_ns == before
