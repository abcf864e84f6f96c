"""From recordings to text on a GPU, in the true dimensions of large models.

The weights are random and every window is forced to 110 tokens, where real ones cannot be had: the
texts mean nothing and no window fails a guard, but the work on the device is that of the real
model. `--smoke` runs the same code with tiny dimensions on whatever there is.
"""

import argparse
import dataclasses
import functools
import gc
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.model import ModelDimensions, Whisper

from pixmo.errors import AudioError
from pixmo.hashing import sha256_file
from pixmo.speech.ctranslate2_weights import convert, whisper_tokenizer
from pixmo.speech.engine.decoder import Decoder
from pixmo.speech.engine.log_mel import log_mel
from pixmo.speech.engine.slots import Outcome, Slots
from pixmo.speech.engine.token_rules import TokenRules
from pixmo.speech.faster_whisper_model import suppressed
from pixmo.speech.hear import Heard, hear, workers_beside
from pixmo.speech.recordings import Recording
from pixmo.speech.whisper_guards import TEMPERATURES
from pixmo.speech.whisper_model import WhisperRecogniser
from tests.benchmarks.clips import make_clips

FORCED_TOKENS = 110  # of a window of 25 s at the speed of these speakers
DISTINCT_CLIPS = 32  # spoken; the others are copies under other names
CLIPS = {"turbo": 1500, "large-v3": 750, "tiny": 10}
PEER_CLIPS = {"turbo": 60, "large-v3": 30, "tiny": 3}
PEER_BATCHES = {"cuda": (16, 32, 64), "cpu": (4,)}
SEED = 0
LANGUAGE = "en"
STAGES = ("input", "encoder", "decoder", "text")


def dimensions(width: int, heads: int, encoder: int, decoder: int, mel_bands: int) -> Any:
    """Whisper's, in the vocabulary of large-v3."""
    return ModelDimensions(
        n_mels=mel_bands,
        n_audio_ctx=1500,
        n_audio_state=width,
        n_audio_head=heads,
        n_audio_layer=encoder,
        n_vocab=51_866,
        n_text_ctx=448,
        n_text_state=width,
        n_text_head=heads,
        n_text_layer=decoder,
    )


DIMENSIONS = {
    "turbo": dimensions(1280, 20, 32, 4, 128),
    "large-v3": dimensions(1280, 20, 32, 32, 128),
    "tiny": dimensions(64, 2, 2, 2, 128),
}


@dataclass(frozen=True)
class Forced(WhisperRecogniser):
    """Random weights in true dimensions; every window is as long as a real one."""

    dims: Any = None
    decoders: list[Decoder] = field(default_factory=list)

    @functools.cached_property
    def model(self) -> Any:
        """The network, drawn anew so that nothing overflows in half precision."""
        return random_whisper(self.dims).to(self.device)

    def decoder(self, language: str, slots: int, _: Callable[[Outcome], bool]) -> Decoder:
        """As ever, with as many tokens as were asked for; random text would fail each guard."""
        rules = TokenRules.of(self.model, language, self.network.device)
        made = Decoder(
            Slots(self.network, rules, slots, FORCED_TOKENS), TEMPERATURES, lambda _: True
        )
        self.decoders.append(made)
        return made


def random_whisper(dims: Any) -> Whisper:
    """A network of these dimensions, the same for the same ones."""
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        model = Whisper(dims)
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if weights.dim() > 1:
                    weights.normal_(0, 0.02)
                else:
                    weights.fill_(float(name.endswith("weight")))
    return model.eval()


def recordings(folder: Path, count: int, distinct: int) -> list[Recording]:
    """So many files; what is spoken repeats."""
    spoken = list(make_clips(folder / "spoken", min(count, distinct)))
    (folder / "clips").mkdir(exist_ok=True)
    made = []
    for number in range(count):
        source = spoken[number % len(spoken)]
        file = folder / "clips" / f"{number:05}{source.suffix}"
        shutil.copy(source, file)
        made.append(Recording(sha256_file(file), file, file.name, ""))
    return made


def of_pixmo(name: str, files: list[Recording], device: str, slots: int) -> dict[str, Any]:
    """The whole way from files to text; the first run, in which graphs are made, is not timed."""
    recogniser = Forced(name, "", "", device, slots, dims=DIMENSIONS[name], decoders=[])
    warm = files[: 2 * DISTINCT_CLIPS if device == "cuda" else 2]
    hear(warm, recogniser, LANGUAGE, lambda *_: None, 0 if device == "cpu" else None)
    recogniser.decoders.clear()
    if device == "cuda":
        # What the first run's cache leaves to torch would not count as free.
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    done: list[tuple[float, float, int]] = []  # when, seconds of sound, windows
    begun = time.perf_counter()

    def take(_: Recording, heard: Heard | AudioError) -> None:
        if isinstance(heard, AudioError):
            raise heard
        sound = heard.prepared.signals.duration_seconds
        done.append((time.perf_counter() - begun, sound, len(heard.prepared.windows)))

    hear(files, recogniser, LANGUAGE, take)
    wall = time.perf_counter() - begun
    for child in multiprocessing.active_children():
        child.join()
    seconds = sum(sound for _, sound, _ in done)
    stages, counts = Counter[str](), Counter[str]()
    for decoder in recogniser.decoders:
        stages.update(decoder.seconds)
        counts.update(decoder.counts)
    result = {
        "times_real_time": round(seconds / wall, 1),
        "hours_of_audio": round(seconds / 3600, 2),
        "windows": sum(windows for _, _, windows in done),
        "slots": recogniser.decoders[0].slots.slots,
        "workers": workers_beside(device),
        "wall_seconds": round(wall, 2),
        "seconds_to_first_clip": round(done[0][0], 2),
        "shares": {stage: round(stages[stage] / wall, 4) for stage in STAGES},
        "steps": counts["steps"],
        "mean_rows_of_a_step": round(counts["row steps"] / max(1, counts["steps"]), 1),
        "peak_host_megabytes": peak_host_megabytes(),
    }
    if device == "cuda":
        result["peak_gpu_gigabytes"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        result["reserved_gpu_gigabytes"] = round(torch.cuda.max_memory_reserved() / 2**30, 2)
    return result


def peak_host_megabytes() -> int:
    """Of this process, and of the largest that it started."""
    return sum(
        resource.getrusage(who).ru_maxrss // 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def of_faster_whisper(name: str, files: list[Recording], device: str) -> dict[str, Any]:
    """The model behind faster-whisper's batched pipeline, on spectrograms that are ready.

    That flatters it: no file is decoded, no speech looked for, and batches are full across files.
    Its pipeline ends a random text where it likes; here each is as long as pixmo's.
    """
    import ctranslate2

    with tempfile.TemporaryDirectory() as folder:
        checkpoint, converted = Path(folder) / "random.pt", Path(folder) / "converted"
        weights = random_whisper(DIMENSIONS[name]).half().state_dict()
        dims = dataclasses.asdict(DIMENSIONS[name])
        torch.save({"dims": dims, "model_state_dict": weights}, checkpoint)
        del weights
        convert(checkpoint, converted)
        checkpoint.unlink()
        kind = "float16" if device == "cuda" else "float32"
        model = ctranslate2.models.Whisper(str(converted), device, compute_type=kind)
    mels, seconds = spectrograms(files, DIMENSIONS[name].n_mels)
    tokenizer = whisper_tokenizer(DIMENSIONS[name].n_vocab, LANGUAGE)
    found = {}
    for batch in PEER_BATCHES[device]:
        run = functools.partial(generate, model, mels, batch, tokenizer)
        try:
            run(limit=batch)
            begun = time.perf_counter()
            tokens = run()
            wall = time.perf_counter() - begun
            found[f"batch {batch}"] = {
                "times_real_time": round(seconds / wall, 1),
                "tokens_of_a_window": tokens,
            }
        except RuntimeError as error:  # of its memory, or of a library that is not there
            found[f"batch {batch}"] = {"error": str(error)[:200]}
    return found


def spectrograms(files: list[Recording], mel_bands: int) -> tuple[list[Any], float]:
    """Full windows of 30 s of the recordings, one after the other, and the seconds they hold."""
    from pixmo.speech.audio import SAMPLE_RATE, decode

    whole = np.concatenate([decode(recording.file) for recording in files])
    length = 30 * SAMPLE_RATE
    mels = [
        log_mel(whole[start : start + length], mel_bands) for start in range(0, len(whole), length)
    ]
    return mels, len(whole) / SAMPLE_RATE


def generate(
    model: Any, mels: list[Any], batch: int, tokenizer: Any, limit: int | None = None
) -> float:
    """All windows are decoded; the mean number of tokens of one."""
    import ctranslate2

    counts: list[int] = []
    mels = mels[:limit]
    for start in range(0, len(mels), batch):
        some = np.stack(mels[start : start + batch])
        sound = model.encode(ctranslate2.StorageView.from_array(some))
        results = model.generate(
            sound,
            [list(tokenizer.sot_sequence)] * len(some),
            beam_size=1,
            max_length=2 * FORCED_TOKENS,  # CTranslate2 takes half of it for a text
            suppress_tokens=[*suppressed(tokenizer), tokenizer.eot],
            return_scores=True,
            return_no_speech_prob=True,
        )
        counts += [len(result.sequences_ids[0]) for result in results]
    return round(sum(counts) / len(counts), 1)


def rows(results: dict[str, Any]) -> dict[str, str]:
    """The table's lines."""
    lines = {}
    for name, found in results.items():
        ours, theirs = found["pixmo"], found["faster-whisper"]
        lines[f"{name}, pixmo"] = (
            f"{ours['times_real_time']:,} × real time, {ours['hours_of_audio']} h,"
            f" {ours['slots']} slots, {ours.get('peak_gpu_gigabytes', 0)} GB of the GPU"
        )
        lines[f"{name}, share of time: input, encoder, decoder, text"] = " · ".join(
            f"{100 * ours['shares'][stage]:.1f} %" for stage in STAGES
        )
        for batch, speed in theirs.items():
            lines[f"{name}, CTranslate2 on ready spectrograms, {batch}"] = (
                f"{speed['times_real_time']:,} × real time"
                if "times_real_time" in speed
                else speed.get("error", str(speed))
            )
    return lines


def measure(names: list[str], device: str, clips: int | None, slots: int) -> dict[str, Any]:
    """Every model's figures, pixmo's and CTranslate2's."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        most = max(clips or CLIPS[name] for name in names)
        files = recordings(Path(folder), most, DISTINCT_CLIPS if device == "cuda" else 3)
        for name in names:
            found = {"pixmo": of_pixmo(name, files[: clips or CLIPS[name]], device, slots)}
            if device == "cuda":
                torch.cuda.empty_cache()
            try:
                peer = of_faster_whisper(name, files[: PEER_CLIPS[name]], device)
            except (ImportError, RuntimeError, ValueError) as error:
                peer = {"it could not run": {"error": str(error)[:200]}}
            found["faster-whisper"] = peer
            results[name] = found
            print(name, json.dumps(found, indent=2), flush=True)
    where = torch.cuda.get_device_name() if device == "cuda" else "the processor"
    return {
        "title": (
            f"Recordings of 60 to 90 s (webm, Opus) to text on {where}, random weights in true"
            f" dimensions, {FORCED_TOKENS} tokens forced for each window"
        ),
        "rows": rows(results),
        "models": results,
        "versions": {"torch": torch.__version__, "openai-whisper": whisper.__version__},
    }


def run() -> dict[str, Any]:
    """The figures of both large models on a GPU."""
    return measure(["turbo", "large-v3"], "cuda", None, 0)


def main() -> None:
    """Measures, and writes what was measured to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="turbo,large-v3")
    parser.add_argument("--clips", type=int, help="recordings, for every model")
    parser.add_argument("--slots", type=int, default=0, help="0: as many as fit")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("transcription_gpu.json"))
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = ["tiny"] if options.smoke else options.models.split(",")
    result = measure(names, device, options.clips, options.slots)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["rows"], indent=2))


if __name__ == "__main__":
    main()
