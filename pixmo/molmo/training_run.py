"""A training run in a folder, from the first step to the last, whatever stops it in between.

    runs/train-v1-caption-probe-xs/
      run.json        what it trains
      rows/           the release's rows, until it is finished
      checkpoints/    the last ones: see `checkpoint`
      metrics.jsonl   tensorboard/
      samples/        samples.jsonl  samples.html

A checkpoint holds the weights, the optimisers' state and, in its name, the step. Everything else
that a step depends on follows from seed and step: its examples, and the random numbers of dropout.
So a run that was killed gives the losses of one that was not.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from pixmo.dataset import manifest as manifests
from pixmo.dataset.reader import Release
from pixmo.errors import TrainingError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_file
from pixmo.molmo import checkpoint, distributed, metrics, samples
from pixmo.molmo import tokenizer as tokenizers
from pixmo.molmo.data import PADDING_SEGMENT, Batch
from pixmo.molmo.device import memory_told, peak_memory_bytes, precision_on, recompute
from pixmo.molmo.distributed import ProcessGroup, blocks
from pixmo.molmo.metrics import Metrics
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.optimisers import component_optimisers
from pixmo.molmo.run_folder import ROWS, Note, claimed
from pixmo.molmo.samples import Sample
from pixmo.molmo.sizes import Size
from pixmo.molmo.stages import Stage
from pixmo.molmo.stopping import lost_workers_told, stop_asked
from pixmo.molmo.stream import (
    Examples,
    MicroBatches,
    Order,
    Preparation,
    open_examples,
    stream,
)
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.molmo.train import Objective, mean_loss, training_step

HELD_OUT_SPLIT = "validation"
HELD_OUT_EXAMPLES = 128
TOKENIZER_EXAMPLES = 100_000  # whose texts a tokenizer of our own is trained on
SEED_STEPS, SEED_PROCESSES = 10**9, 10**5  # apart, so that no two steps share random numbers
GPU_PADDING = 128  # tokens: a kernel is compiled for each length


@dataclass(frozen=True)
class RunOptions:
    """What to train, and how."""

    release: Release
    stage: Stage
    size: Size
    steps: int
    batch_examples: int  # of all processes together
    micro_batch: int  # examples that one process computes at once; more are added up
    seed: int = 0
    init: str = ""  # the run to start from; empty: random weights, or the backbones' own
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    workers: int = 2  # processes that prepare batches for each process that trains
    every: int = 100  # steps: a checkpoint, the held-out loss, samples

    def identity(self) -> dict[str, object]:
        """What must stay the same for a run to go on."""
        manifest = self.release.root / manifests.FILE_NAME
        found = {
            "release": self.release.manifest.version,
            "manifest_sha256": sha256_file(manifest),
            "stage": asdict(self.stage),
            "size": asdict(self.size),
            "steps": self.steps,
            "batch": self.batch_examples,
            "seed": self.seed,
            "init": self.init,
            "precision": self.precision,
        }
        read: dict[str, object] = json.loads(json.dumps(found))  # JSON has lists for tuples
        return read


@dataclass(frozen=True)
class Finished:
    """What came of a run."""

    folder: Path
    steps: int
    loss: float  # of the last step, nats an answer token
    held_out_loss: float | None  # None: the release holds nothing out


def train_release(
    options: RunOptions,
    folder: Path,
    progress: Progress = SILENT,
    note: Note = lambda _: None,
) -> Finished | None:
    """`folder` holds the finished run; what was done before is not done again.

    Of several processes that train together, all but the first return None. `note` hears where a
    run goes on, and of what is hardly meant.

    Raises:
        ReleaseError: the release cannot be read.
        TrainingError: the folder is another run's, nothing is there to train on, or memory is
            short.
    """
    with distributed.join(options.device) as group:
        check_shares(options, group)
        precision_on(group.device, options.precision)  # refused before there is a folder
        if not group.is_first:
            progress, note = SILENT, lambda _: None
        with (
            claimed(folder, options.identity(), group, note),
            memory_told(group.device, options.micro_batch),
        ):
            last = checkpoint.newest(folder)
            done = checkpoint.step_of(last) if last else 0
            if done < options.steps:
                if last:
                    note(f"going on at step {done + 1} of {options.steps}")
                train_from(last, options, folder, group, progress, note)
            else:
                note(f"already finished: all {options.steps} steps are done")
            if group.is_first:  # also of a run that was killed after its last step
                shutil.rmtree(folder / ROWS, ignore_errors=True)
            return finished(folder) if group.is_first else None


def check_shares(options: RunOptions, group: ProcessGroup) -> None:
    """Every process gets as many examples of a batch.

    Raises:
        TrainingError: the batch does not part so.
    """
    if options.batch_examples % group.size:
        raise TrainingError(
            f"a batch of {options.batch_examples} does not part into {group.size} equal shares;"
            f" give --batch a multiple of {group.size}"
        )


def train_from(
    last: Path | None,
    options: RunOptions,
    folder: Path,
    group: ProcessGroup,
    progress: Progress,
    note: Note,
) -> None:
    """Every step after the checkpoint `last` is done."""
    done = checkpoint.step_of(last) if last else 0
    learnt, held_out = read_release(options, folder, group, progress)
    if options.batch_examples > len(learnt):
        note(
            f"a batch of {options.batch_examples} images is more than the {len(learnt)} there are:"
            " a step sees some several times; lower --batch for fewer"
        )
    model, tokenizer = starting_model(options, last, learnt)
    run = Run(options, folder, group, model, tokenizer, learnt, held_out, done)
    if last is not None:
        checkpoint.restore(last, model, run.optimisers)
    with (
        progress.task("Training", options.steps, "steps") as advance,
        stop_asked() as is_asked,
        lost_workers_told(),
        contextlib.closing(run.batches(done)) as stream_of_batches,
    ):
        advance(done)
        for step, (batches, waited) in enumerate(timed(stream_of_batches), start=done + 1):
            values = run.step(step, batches, waited)
            stopped = group.any(is_asked())
            due = step % options.every == 0 or step == options.steps
            if due:
                values |= run.look(step)
            run.write(step, values)
            if due or stopped:
                checkpoint.save_step(folder, step, model, tokenizer, run.optimisers, group)
            advance(1, f"loss {values['loss']:.3f}")
            if stopped and step < options.steps:
                raise KeyboardInterrupt
    run.close()


class Run:
    """A model in training: what it learns from, how, and where that is written down."""

    def __init__(
        self,
        options: RunOptions,
        folder: Path,
        group: ProcessGroup,
        model: Molmo,
        tokenizer: Tokenizer,
        learnt: Examples,
        held_out: Examples,
        done: int,
    ) -> None:
        """The model is on its device, shared among the processes and, if asked for, compiled."""
        self.options, self.folder, self.group = options, folder, group
        self.tokenizer = tokenizer
        padding = GPU_PADDING if group.device.type == "cuda" else 1
        self.learnt = Preparation(
            learnt, tokenizer, model.size, options.seed, options.stage.weighting, padding
        )
        self.held_out = replace(self.learnt, examples=held_out)
        self.samples: Sequence[Sample] = samples.choose(held_out, model.size)
        self.metrics = Metrics(folder, done) if group.is_first else None
        self.objective = Objective(model, precision_on(group.device, options.precision))
        for block in blocks(model):
            if model.size.recompute:
                recompute(block)
            if options.compile:
                block.compile()
        # Shared first: a device may hold its share where it would not hold the whole model.
        group.share(self.objective, ["answers"])
        self.objective.to(group.device)
        self.optimisers = component_optimisers(model, options.stage, options.steps)

    def batches(self, done: int) -> Generator[list[Batch], None, None]:
        """Yield this process's share of every batch after the first `done`."""
        order = Order(
            self.learnt.examples.characters, self.options.batch_examples, self.options.seed
        )
        data = MicroBatches(self.learnt, order, self.group, self.options.micro_batch)
        pinned = self.group.device.type == "cuda"
        return stream(data, range(done, self.options.steps), self.options.workers, pinned)

    def step(self, step: int, batches: Sequence[Batch], waited: float) -> dict[str, float]:
        """The model has made a step; returns what was measured. The first step is 1."""
        started = time.perf_counter()
        # A step's random numbers follow from its number: nothing of them needs keeping.
        number = self.options.seed * SEED_STEPS + step
        torch.manual_seed((number * SEED_PROCESSES + self.group.rank) % 2**63)
        self.objective.train()
        there = [batch.to(self.group.device) for batch in batches]
        measured = training_step(self.objective, self.optimisers, there, step - 1, self.group)
        seconds = time.perf_counter() - started + waited
        tokens = sum((batch.segments != PADDING_SEGMENT).sum() for batch in there)
        return {
            "loss": measured.loss,
            **{f"learning_rate/{one.name}": one.schedule.at(step - 1) for one in self.optimisers},
            **{f"gradient_norm/{name}": norm for name, norm in measured.gradient_norms.items()},
            "images_per_second": self.options.batch_examples / seconds,
            "tokens_per_second": self.group.sum(torch.as_tensor(tokens)).item() / seconds,
            "waiting_share": waited / seconds,
            "peak_memory_gb": peak_memory_bytes(self.group.device) / 1e9,
        }

    def look(self, step: int) -> dict[str, float]:
        """The held-out loss; what the samples are answered stands in the folder."""
        if len(self.held_out.examples) < self.group.size:
            return {}
        answers = self.objective.answers(self.tokenizer, [one.request for one in self.samples])
        if self.metrics is not None:
            samples.show(self.folder, step, self.samples, answers, self.metrics)
        return {"held_out_loss": mean_loss(self.objective, self.held_out_batches(), self.group)}

    def held_out_batches(self) -> Iterator[Batch]:
        """Yield this process's share of the held-out examples; all processes have as many."""
        group, size = self.group, self.options.micro_batch
        count = min(HELD_OUT_EXAMPLES, len(self.held_out.examples)) // group.size
        share = [(0, group.rank + group.size * number) for number in range(count)]
        for start in range(0, count, size):
            yield self.held_out.batch(share[start : start + size]).to(group.device)

    def write(self, step: int, values: dict[str, float]) -> None:
        """The values stand in the metrics."""
        if self.metrics is not None:
            self.metrics.write(step, values)

    def close(self) -> None:
        """Everything is on the disk."""
        if self.metrics is not None:
            self.metrics.close()


def read_release(
    options: RunOptions, folder: Path, group: ProcessGroup, progress: Progress
) -> tuple[Examples, Examples]:
    """The examples to train on, and those held out.

    Raises:
        ReleaseError: a file of the release cannot be read.
        TrainingError: there is nothing to train on.
    """
    if not group.is_first:
        group.wait()
    stems = options.stage.stems
    with progress.task("Reading the release", 2, "splits") as advance:
        found = []
        for split in ("train", HELD_OUT_SPLIT):
            place = folder / ROWS / split
            found.append(open_examples(options.release, split, stems, options.stage.name, place))
            advance(1)
    if group.is_first:
        group.wait()
    if not len(found[0]):
        raise TrainingError(
            f"there is nothing to train on: the train split of {options.release.root} has no row"
            f" of {', '.join(stems)} whose image has a file here"
        )
    return found[0], found[1]


def starting_model(
    options: RunOptions, last: Path | None, learnt: Examples
) -> tuple[Molmo, Tokenizer]:
    """The model to go on with, and its tokenizer: of the last checkpoint, of `init`, or new ones.

    Raises:
        TrainingError: it cannot be loaded.
    """
    if last is not None or options.init:
        model, tokenizer = checkpoint.load(last or options.init)
    else:
        tokenizer = new_tokenizer(options.size, learnt)
        model = build(
            options.size, tokenizer.vocabulary_size, options.seed, options.size.is_pretrained
        )
    model.train_as(options.stage)
    return model, tokenizer


def new_tokenizer(size: Size, learnt: Examples) -> Tokenizer:
    """The language backbone's tokenizer; without one, one of the release's own texts."""
    if size.language_backbone:
        return tokenizers.of_backbone(size.language_backbone)
    numbers = range(min(TOKENIZER_EXAMPLES, len(learnt)))
    texts = (
        one.prompt + one.answer
        for number in numbers
        for one in learnt.read(number, None).annotations
    )
    return tokenizers.train(texts, size.vocabulary_size)


def finished(folder: Path) -> Finished:
    """What the finished run in `folder` came to."""
    last = metrics.read(folder)[-1]
    return Finished(folder, int(last["step"]), last["loss"], last.get("held_out_loss"))


def timed(batches: Iterator[list[Batch]]) -> Iterator[tuple[list[Batch], float]]:
    """Yield the batches, and how many seconds each was waited for."""
    while True:
        started = time.perf_counter()
        try:
            found = next(batches)
        except StopIteration:
            return
        yield found, time.perf_counter() - started
