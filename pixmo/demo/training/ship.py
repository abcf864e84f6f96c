"""Ship a trained recogniser: `python -m pixmo.demo.training.ship FOLDER`.

The weights in FOLDER lie in `pixmo/demo/recogniser/` afterwards, with a card of what they reach.
"""

import argparse
import json
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import whisper

from pixmo.demo.recogniser import COMPACT, checkpoint
from pixmo.demo.training.__main__ import SEED, UTTERANCES, Schedule
from pixmo.demo.training.bank import ACCENTS, UNSEEN_VOICES, VARIANTS
from pixmo.demo.training.evaluate import (
    Hearing,
    Spoken,
    decode_windows,
    recite_descriptions,
    score,
    speak_held_out,
    speak_unseen_voices,
    transcribe,
    transcribe_conditioned,
    word_error_rate,
)
from pixmo.files import replace_atomically, write_text

CARD = """\
# The sample's recogniser

A real Whisper, very small, that understands the few sentences of the sample and nothing else. **It
is for the sample and for tests only**: of anybody else it writes nonsense in the sample's words.

- Architecture: OpenAI's Whisper, English only, width 128, 3 encoder layers of 4 heads, 2 decoder
  layers of 2 heads. `pixmo.demo.recogniser.checkpoint` expands `model.safetensors` to a checkpoint
  that `whisper.load_model` takes. The file keeps the rows of the {tokens} learned tokens and the
  timestamps in half precision ({megabytes:.1f} MB); all other tokens share one row.
- Data: no recordings of people. {utterances:,} sentences of `pixmo/demo/sentences.py` ({hours:.1f}
  hours), spoken by espeak-ng in {accents} accents x {variants} voices at 125 to 205 words a minute,
  with hesitations. One sentence in twenty, chosen by its hash, is never trained on.
- Training: {steps:,} steps: {short:,} on windows of 8 s, then on Whisper's 30 s with pauses, noise,
  cut sentences, earlier text and silence, the last {told:,} mostly on sentences in the order of
  their description; seed {seed}; one CPU core. Anew:
  `python -m pixmo.demo.training FOLDER && python -m pixmo.demo.training.ship FOLDER`. A new
  run gives weights that are alike, not equal: processors round differently.

| never trained on | heard by | word error rate |
|---|---|---|
{rows}

Word error rates leave case and punctuation aside. The recordings are of scenes and speakers' takes
that training never had; single sentences in them may be among those it was trained on. Unseen
voices one by one: {voices}.
"""


@dataclass(frozen=True)
class Exam:
    """Something to hear, and how it is heard."""

    what: str
    how: str
    spoken: list[Spoken]
    hear: Hearing


def exams(sentences: int, unseen: int, recordings: int) -> list[Exam]:
    """Everything the card has figures of; the second exam is that of the unseen voices."""
    recited = recite_descriptions(recordings)
    alone = "`whisper.transcribe`"
    whole = f"{recordings} whole recordings of 60 to 90 s (webm, Opus)"
    unconditioned = f"{alone}, `condition_on_previous_text=False`"
    return [
        Exam(f"{sentences} sentences", alone, speak_held_out(sentences), transcribe),
        Exam(
            f"{unseen} sentences, {len(UNSEEN_VOICES)} unseen voices",
            alone,
            speak_unseen_voices(unseen),
            transcribe,
        ),
        Exam(whole, "windows cut at silence, as `pixmo transcribe` does", recited, decode_windows),
        Exam(whole, unconditioned, recited, transcribe),
        Exam(whole, f"{alone}, its defaults", recited, transcribe_conditioned),
    ]


def ship(folder: Path) -> str:
    """The weights and the card are in place; returns the card."""
    torch.set_num_threads(1)
    replace_atomically(COMPACT, lambda path: shutil.copyfile(folder / "model.safetensors", path))
    with TemporaryDirectory() as cache:
        model = whisper.load_model(str(checkpoint(Path(cache))))
    rows: list[str] = []
    voices = ""
    for exam in exams(sentences=120, unseen=63, recordings=14):
        rate, heard = score(model, exam.spoken, exam.hear)
        rows.append(f"| {exam.what} | {exam.how} | {rate:.1%} |")
        if "unseen" in exam.what:
            voices = by_voice(exam.spoken, heard)
    text = card(folder, rows, voices)
    write_text(COMPACT.parent / "README.md", text)
    return text


def by_voice(spoken: list[Spoken], heard: list[str]) -> str:
    """The word error rate of each voice."""
    pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for one, text in zip(spoken, heard, strict=True):
        pairs[one.voice].append((one.text, text))
    rates = {
        voice: word_error_rate(*zip(*texts, strict=True)) for voice, texts in sorted(pairs.items())
    }
    return ", ".join(f"{voice} {rate:.1%}" for voice, rate in rates.items())


def card(folder: Path, rows: list[str], voices: str) -> str:
    """The model card."""
    with (folder / "log.jsonl").open() as log:
        bank = json.loads(log.readline())
    return CARD.format(
        tokens=bank["tokens"],
        megabytes=COMPACT.stat().st_size / 1e6,
        utterances=UTTERANCES,
        hours=bank["hours"],
        accents=len(set(ACCENTS)),
        variants=len(VARIANTS),
        steps=Schedule.steps,
        short=Schedule.short,
        told=Schedule.told,
        seed=SEED,
        rows="\n".join(rows),
        voices=voices,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder that training wrote to")
    ship(parser.parse_args().folder)


if __name__ == "__main__":
    main()
