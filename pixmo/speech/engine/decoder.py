"""Many windows through one set of slots: encoded in batches, decoded side by side.

A window that fails Whisper's guards goes back into a slot at the next temperature, with what the
encoder made of it; the host judges the windows that ended while the device is at the next steps.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from pixmo.speech.audio import SAMPLE_RATE
from pixmo.speech.engine.slots import Outcome, Slots
from pixmo.speech.recogniser import Window

# Encoded at once. More gain nothing on a GPU; on a processor two gain nothing, and what a window is
# encoded to must not depend on how many are left.
ENCODER_WINDOWS = {"cuda": 16, "cpu": 1}
STEPS_BETWEEN_LOOKS = {"cuda": 8, "cpu": 4}  # a look waits for the device


@dataclass
class Job:
    """A window on its way."""

    window: Window
    features: Tensor  # [1500, D]
    attempt: int = 0


class Decoder:
    """Runs windows through `slots`, each at the first temperature that is accepted."""

    def __init__(
        self,
        slots: Slots,
        temperatures: Sequence[float],
        accepts: Callable[[Outcome], bool],
    ) -> None:
        """`accepts` says whether no higher temperature need be tried."""
        self.slots, self.temperatures, self.accepts = slots, temperatures, accepts
        self.jobs: list[Job | None] = [None] * slots.slots
        self.ready: deque[Job] = deque()
        self.seconds: Counter[str] = Counter()  # by stage, on the host's clock
        self.counts: Counter[str] = Counter()

    @torch.inference_mode()
    def run(self, windows: Iterable[Window]) -> Iterator[tuple[Window, Outcome, float]]:
        """Every window with its outcome and its temperature, in the order in which they end."""
        source = sorted_ahead(windows, self.slots.slots)
        ended: list[tuple[Job, Outcome]] = []
        rows = self.slots.slots
        is_open = True
        while True:
            while is_open and len(self.ready) < self.free(rows):
                is_open = self.encode(source)
            rows = self.resize(rows, is_open)
            self.admit(rows)
            is_busy = any(self.jobs)
            if is_busy:
                self.advance(rows)
            yield from self.judge(ended)
            ended = self.collect() if is_busy else []
            if not (is_busy or ended or self.ready or is_open):
                return

    def free(self, rows: int) -> int:
        """How many of the first `rows` slots have nothing to do."""
        return self.jobs[:rows].count(None)

    def encode(self, source: Iterator[Window]) -> bool:
        """A batch more of the windows is ready; whether there may be further ones."""
        with self.timed("input"):
            most = ENCODER_WINDOWS[self.slots.network.device.type]
            batch = list(islice(source, min(most, self.slots.slots)))
        if batch:
            with self.timed("encoder"):
                mel = torch.stack([torch.from_numpy(window.features) for window in batch])
                features = self.slots.network.encode(mel)
                self.synchronise()
            # Each a copy of its own: a view would keep the whole batch in memory.
            self.ready.extend(Job(w, f.clone()) for w, f in zip(batch, features, strict=True))
        return bool(batch)

    def resize(self, rows: int, is_open: bool) -> int:
        """How many rows the next steps need; towards the end few, and they move to the front."""
        if is_open:
            return self.slots.slots
        live = [slot for slot, job in enumerate(self.jobs) if job]
        needed = min(len(live) + len(self.ready), self.slots.slots)
        size = min(size for size in self.slots.sizes() if size >= needed)
        if size < rows:
            sources = [slot for slot in live if slot >= size]
            targets = [slot for slot in range(size) if not self.jobs[slot]][: len(sources)]
            if sources:
                self.slots.move(sources, targets)
            for source, target in zip(sources, targets, strict=True):
                self.jobs[target], self.jobs[source] = self.jobs[source], None
        return size

    def admit(self, rows: int) -> None:
        """Ready windows stand in the free slots."""
        free = [slot for slot in range(rows) if not self.jobs[slot]][: len(self.ready)]
        if not free:
            return
        jobs = [self.ready.popleft() for _ in free]
        temperatures = [self.temperatures[job.attempt] for job in jobs]
        seeds = [int(job.window.seconds * SAMPLE_RATE) + job.attempt for job in jobs]
        with self.timed("decoder"):
            features = torch.stack([job.features for job in jobs])
            self.slots.admit(free, features, temperatures, seeds)
        for slot, job in zip(free, jobs, strict=True):
            self.jobs[slot] = job

    def advance(self, rows: int) -> None:
        """All windows in slots have some tokens more."""
        live = [job for job in self.jobs if job]
        is_sampling = any(self.temperatures[job.attempt] > 0 for job in live)
        step = self.slots.stepper(rows, is_sampling)
        steps = STEPS_BETWEEN_LOOKS[self.slots.network.device.type]
        with self.timed("decoder"):
            for _ in range(steps):
                step()
        self.counts["steps"] += steps
        self.counts["row steps"] += steps * len(live)

    def collect(self) -> list[tuple[Job, Outcome]]:
        """The windows that have ended; their slots are free."""
        with self.timed("decoder"):
            done = self.slots.done()
            slots = [slot for slot, job in enumerate(self.jobs) if job and done[slot]]
            outcomes = self.slots.outcomes(slots) if slots else []
        ended = []
        for slot, outcome in zip(slots, outcomes, strict=True):
            job = self.jobs[slot]
            assert job is not None
            ended.append((job, outcome))
            self.jobs[slot] = None
        return ended

    def judge(
        self, ended: Sequence[tuple[Job, Outcome]]
    ) -> Iterator[tuple[Window, Outcome, float]]:
        """What is accepted; the rest is ready for the next temperature."""
        for job, outcome in ended:
            with self.timed("text"):
                is_last = job.attempt + 1 == len(self.temperatures)
                is_accepted = is_last or self.accepts(outcome)
            if is_accepted:
                yield job.window, outcome, self.temperatures[job.attempt]
            else:
                self.counts["fallbacks"] += 1
                self.ready.append(Job(job.window, job.features, job.attempt + 1))

    def synchronise(self) -> None:
        """The device has done all that was asked, so that a stage's seconds are its own."""
        if self.slots.network.device.type == "cuda":
            torch.cuda.synchronize()

    def timed(self, stage: str) -> "Stopwatch":
        """A context whose seconds count for a stage."""
        return Stopwatch(self.seconds, stage)


class Stopwatch:
    """Adds the seconds spent inside to a stage's."""

    def __init__(self, seconds: "Counter[str]", stage: str) -> None:
        self.seconds, self.stage = seconds, stage

    def __enter__(self) -> None:
        self.since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] += time.perf_counter() - self.since  # type: ignore[assignment]


def sorted_ahead(windows: Iterable[Window], count: int) -> Iterator[Window]:
    """The windows, the longest first among each `count` of them.

    So that they end together. Among more of them the first recordings could be heard long after
    later ones, and an interrupt would lose all of these.
    """
    source = iter(windows)
    while batch := list(islice(source, count)):
        yield from sorted(batch, key=lambda window: -window.seconds)
