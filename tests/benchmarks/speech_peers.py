"""Ways from recordings to text, each run in a process of its own; prints one line of JSON.

Loading a model is not timed, and each has heard one recording before. What a way starts within its
run, such as worker processes, is timed.
"""

import dataclasses
import json
import multiprocessing
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixmo.images.store import add_images
from pixmo.speech import transcribe as transcribing
from pixmo.speech.engine.decoder import Decoder
from pixmo.speech.faster_whisper_model import FasterWhisperRecogniser
from pixmo.speech.hear import cores
from pixmo.speech.recogniser import Recogniser
from pixmo.speech.whisper_model import WhisperRecogniser
from pixmo.workspace.workspace import Workspace

Texts = dict[str, str]  # by file stem
LANGUAGE = "en"
SIZE = 16  # pixels of a picture that nobody looks at


@dataclass(frozen=True)
class Task:
    """What to hear, and with which weights."""

    clips: tuple[Path, ...]
    folder: Path  # for whatever is written
    checkpoint: Path
    converted: Path


@dataclass(frozen=True)
class Watched(WhisperRecogniser):
    """A recogniser that keeps its decoders, whose clocks say where the time went."""

    decoders: list[Decoder] = field(default_factory=list)

    def decoder(self, *arguments: Any) -> Decoder:
        """As ever, and remembered."""
        made = super().decoder(*arguments)
        self.decoders.append(made)
        return made


Outcome = tuple[Texts, Counter[str]]  # and seconds by stage, where they are known
Run = Callable[[Sequence[Path]], Outcome]


def pixmo(task: Task) -> Run:
    """`pixmo transcribe` on its own engine."""
    recogniser = Watched.load(str(task.checkpoint), "cpu")
    recogniser = dataclasses.replace(recogniser, decoders=[])

    def run(clips: Sequence[Path]) -> Outcome:
        recogniser.decoders.clear()
        texts, seconds = transcribed(task, clips, recogniser)
        for decoder in recogniser.decoders:
            seconds.update(decoder.seconds)
        return texts, seconds

    return run


def pixmo_on_ctranslate2(compute_type: str) -> Callable[[Task], Run]:
    """`pixmo transcribe --engine faster-whisper`."""

    def prepare(task: Task) -> Run:
        recogniser = FasterWhisperRecogniser.load(
            str(task.converted), "cpu", compute_type=compute_type
        )
        return lambda clips: transcribed(task, clips, recogniser)

    return prepare


def transcribed(task: Task, clips: Sequence[Path], recogniser: Recogniser) -> Outcome:
    """The whole command on a new workspace: rows in a table, and what was written in them."""
    root = task.folder / f"world-{time.monotonic_ns()}"
    workspace = Workspace.init(root)
    workspace.images.mkdir()
    workspace.audio.mkdir()
    rng = np.random.default_rng(0)
    for clip in clips:
        pixels = rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(workspace.images / f"{clip.stem}.png")
        (workspace.audio / clip.name).hardlink_to(clip)
    add_images(workspace, workspace.images)
    seconds: Counter[str] = Counter()
    begun = time.perf_counter()
    save = transcribing.Unsaved.save

    def timed_save(unsaved: transcribing.Unsaved) -> None:
        since = time.perf_counter()
        save(unsaved)
        seconds["writing"] += time.perf_counter() - since  # type: ignore[assignment]

    transcribing.Unsaved.save = timed_save  # type: ignore[method-assign]
    try:
        transcribing.transcribe(workspace, workspace.audio, recogniser)
    finally:
        transcribing.Unsaved.save = save  # type: ignore[method-assign]
    seconds["all"] = time.perf_counter() - begun  # type: ignore[assignment]
    with workspace.connect() as connection:
        rows = connection.execute(
            "select recordings.path, text from current_transcripts"
            " join recordings using (recording_sha256)"
        ).fetchall()
    return {Path(path).stem: text for path, text in rows}, seconds


def openai_whisper(task: Task) -> Run:
    """`whisper.transcribe`, file after file; previous text is not shown, as pixmo does not.

    With one thread or with one a core, whichever is quicker here: on a busy machine one is.
    """
    import whisper

    from pixmo.speech.audio import decode

    model = whisper.load_model(str(task.checkpoint), "cpu")

    def text(clip: Path) -> str:
        said = whisper.transcribe(
            model,
            decode(clip),  # its own loader starts ffmpeg, which need not be here
            language=LANGUAGE,
            fp16=False,
            condition_on_previous_text=False,
        )
        return str(said["text"])

    def heard(threads: int) -> None:
        torch.set_num_threads(threads)
        text(task.clips[0])

    torch.set_num_threads(quickest(heard))
    return lambda clips: ({clip.stem: text(clip) for clip in clips}, Counter())


def quickest(heard: Callable[[int], object]) -> int:
    """How many threads to hear a recording with: one, or one a core; on a busy machine one."""
    heard(1)

    def seconds(threads: int) -> float:
        begun = time.perf_counter()
        heard(threads)
        return time.perf_counter() - begun

    return min((1, cores()), key=seconds)


def faster_whisper(compute_type: str, batch: int | None) -> Callable[[Task], Run]:
    """faster-whisper, file after file, greedy and with the same fallback; batched within a file."""

    def prepare(task: Task) -> Run:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        options = {"language": LANGUAGE, "beam_size": 1, "best_of": 1}
        options |= {"condition_on_previous_text": False, "without_timestamps": False}
        models = {
            threads: WhisperModel(
                str(task.converted), "cpu", compute_type=compute_type, cpu_threads=threads
            )
            for threads in {1, cores()}
        }

        def text(clip: Path, threads: int) -> str:
            model = models[threads]
            if batch is None:
                segments, _ = model.transcribe(str(clip), **options)
            else:
                pipeline = BatchedInferencePipeline(model)
                segments, _ = pipeline.transcribe(str(clip), batch_size=batch, **options)
            return " ".join(segment.text.strip() for segment in segments)

        threads = quickest(lambda threads: text(task.clips[0], threads))
        return lambda clips: ({clip.stem: text(clip, threads) for clip in clips}, Counter())

    return prepare


PEERS: dict[str, Callable[[Task], Run]] = {
    "pixmo": pixmo,
    "pixmo --engine faster-whisper, int8": pixmo_on_ctranslate2("int8"),
    "pixmo --engine faster-whisper, float32": pixmo_on_ctranslate2("float32"),
    "whisper.transcribe": openai_whisper,
    "faster-whisper, int8": faster_whisper("int8", None),
    "faster-whisper, float32": faster_whisper("float32", None),
    "faster-whisper batched, int8": faster_whisper("int8", 16),
    "faster-whisper batched, float32": faster_whisper("float32", 16),
}


def processor_seconds() -> float:
    """What this process and those it started have used."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """One way's run over all clips, measured."""
    warnings.simplefilter("ignore")
    name, clips, folder, checkpoint, converted = sys.argv[1:]
    files = tuple(sorted(Path(clips).iterdir()))
    task = Task(files, Path(folder), Path(checkpoint), Path(converted))
    run = PEERS[name](task)
    run(files[:1])
    wall, processor = time.perf_counter(), processor_seconds()
    texts, seconds = run(files)
    wall = time.perf_counter() - wall
    for child in multiprocessing.active_children():  # what they used counts once they ended
        child.join()
    result = {
        "wall": wall,
        "processor": processor_seconds() - processor,
        "threads": torch.get_num_threads(),
        "stages": dict(seconds),
        "texts": texts,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
