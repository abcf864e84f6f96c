"""Train the sample's recogniser: `python -m pixmo.demo.training FOLDER`.

Killed and started again, it goes on from its last checkpoint.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import whisper
from safetensors.torch import load_file
from torch import nn
from whisper.tokenizer import get_tokenizer

from pixmo.demo.recogniser import DIMENSIONS, EMBEDDING, POSITIONS, expand, write_compact
from pixmo.demo.training.bank import build_bank
from pixmo.demo.training.batches import BatchMaker
from pixmo.demo.training.codes import Codes
from pixmo.demo.training.evaluate import decode_window, score, speak_held_out
from pixmo.demo.training.network import Learner, Losses
from pixmo.demo.training.windows import FULL, SHORT, TOLD, Stage
from pixmo.files import replace_atomically

SEED = 20
UTTERANCES = 24_000  # 16 hours
PEAK_LEARNING_RATE = 2e-3
WARM_UP_STEPS = 150
LOG_EVERY, SAVE_EVERY, SCORE_EVERY = 20, 200, 400  # steps


@dataclass(frozen=True)
class Schedule:
    """How many steps there are, and of which stage: short windows, full ones, told ones."""

    steps: int = 2_700
    short: int = 1_200
    told: int = 900

    def stage(self, step: int) -> Stage:
        """What the windows of a step are like."""
        if step < self.short:
            return SHORT
        return FULL if step < self.steps - self.told else TOLD

    def learning_rate(self, step: int) -> float:
        """A linear warm-up, then half a cosine."""
        warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return PEAK_LEARNING_RATE * warm_up * (0.01 + 0.99 * cosine)


class Training:
    """The learner, its optimiser and the step they have reached."""

    def __init__(self, codes: Codes, maker: BatchMaker, schedule: Schedule) -> None:
        torch.manual_seed(SEED)
        self.codes, self.maker, self.schedule = codes, maker, schedule
        self.learner = Learner(
            len(codes.token_ids), len(codes.word_labels), len(codes.phoneme_labels)
        )
        self.optimizer = torch.optim.AdamW(
            self.learner.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.step = 0

    def advance(self) -> tuple[Losses, float]:
        """One step of gradient descent; the losses before it and the gradient's norm."""
        stage = self.schedule.stage(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(self.step)
        losses = self.learner(self.maker.batch(stage, self.step))
        helping = 1.0 if stage is SHORT else 0.4
        loss = losses.decoder + helping * (losses.words + losses.phonemes) + 0.3 * losses.attention
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return losses, float(norm)

    def save(self, path: Path) -> None:
        state = {
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        replace_atomically(path, lambda temporary: torch.save(state, temporary))

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def compact(self) -> dict[str, torch.Tensor]:
        """The weights to ship, as `recogniser.expand` takes them."""
        codes, table = self.codes, self.learner.table
        first = codes.tokenizer.timestamp_begin
        rows = [table.tokens.detach(), table.timestamps().detach()]
        timestamp_ids = range(first, first + len(rows[1]))
        state = {
            name: value.detach().clone()
            for name, value in self.learner.whisper.state_dict().items()
            if name not in (EMBEDDING, POSITIONS)
        }
        return {
            **state,
            "token_ids": torch.tensor([*codes.token_ids, *timestamp_ids], dtype=torch.int32),
            "token_rows": torch.cat(rows),
            "unused_row": table.unused.detach().clone(),
        }


def load_whisper(compact: Path) -> whisper.Whisper:
    """The model as `whisper.load_model` would give it."""
    model = whisper.Whisper(whisper.ModelDimensions(**DIMENSIONS))
    model.load_state_dict(expand(load_file(compact)))
    return model.eval()


def train(folder: Path, schedule: Schedule, utterances: int) -> None:
    """`folder` holds log.jsonl, state.pt and, at the end, model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # several are slower on a busy machine
    began = time.monotonic()
    bank = build_bank(utterances, SEED)
    codes = Codes(bank, get_tokenizer(multilingual=False))
    training = Training(codes, BatchMaker(bank, codes, SEED), schedule)
    state, compact = folder / "state.pt", folder / "model.safetensors"
    if state.exists():
        training.load(state)
    exam = speak_held_out(20)
    with (folder / "log.jsonl").open("a") as log:

        def note(**values: Any) -> None:
            minutes = round((time.monotonic() - began) / 60, 2)
            log.write(json.dumps({"step": training.step, "minutes": minutes, **values}) + "\n")
            log.flush()

        note(
            utterances=len(bank.utterances),
            hours=len(bank.mel) / 360_000,
            tokens=len(codes.token_ids),
        )
        while training.step < schedule.steps:
            losses, norm = training.advance()
            if training.step % LOG_EVERY == 0 or training.step < 4:
                note(
                    **{k: round(v.item(), 3) for k, v in vars(losses).items()}, norm=round(norm, 2)
                )
            if training.step % SAVE_EVERY == 0 or training.step == schedule.steps:
                training.save(state)
            if training.step % SCORE_EVERY == 0 or training.step == schedule.steps:
                write_compact(training.compact(), compact)
                rate, heard = score(load_whisper(compact), exam, decode_window)
                note(word_error_rate=round(rate, 4), said=exam[0].text, heard=heard[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--short", type=int, default=Schedule.short, help="steps of windows of 8 s")
    parser.add_argument("--told", type=int, default=Schedule.told, help="steps at the end")
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    arguments = parser.parse_args()
    schedule = Schedule(arguments.steps, arguments.short, arguments.told)
    train(arguments.folder, schedule, arguments.utterances)


if __name__ == "__main__":
    main()
