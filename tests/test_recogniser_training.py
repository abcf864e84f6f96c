"""The making of the recogniser: seeded, resumable, and nothing held out is learned from."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

from pixmo.demo.describe import is_held_out
from pixmo.demo.recogniser import DIMENSIONS, expand, write_compact
from pixmo.demo.training.__main__ import Schedule, Training
from pixmo.demo.training.bank import UNSEEN_VOICES, VARIANTS, Bank, build_bank
from pixmo.demo.training.batches import NOTHING, Batch, BatchMaker
from pixmo.demo.training.codes import Codes
from pixmo.demo.training.windows import FULL, SHORT, TOLD, Stage, WindowMaker

# openai-whisper leaves its vocabulary's file for the garbage collector to close
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

FEW = Stage(frames=FULL.frames, windows=2, full=True)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return build_bank(40, seed=1)


@pytest.fixture(scope="module")
def codes(bank: Bank) -> Codes:
    return Codes(bank, get_tokenizer(multilingual=False))


@pytest.fixture
def training(bank: Bank, codes: Codes) -> Training:
    return Training(codes, BatchMaker(bank, codes, seed=1), Schedule(steps=4, short=4, told=0))


def same(one: Batch, other: Batch) -> bool:
    names = ("mel", "codes", "targets", "spans", "labels")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def test_the_bank_is_the_same_for_the_same_seed(bank: Bank) -> None:
    again = build_bank(20, seed=1)
    assert again.utterances == bank.utterances[:20]
    assert np.array_equal(again.mel, bank.mel[: len(again.mel)])
    assert build_bank(20, seed=2).utterances != again.utterances


def test_nothing_held_out_is_learned_from(bank: Bank) -> None:
    assert not any(is_held_out(utterance.text) for utterance in bank.utterances)
    assert not {voice.partition("+")[2] for voice in UNSEEN_VOICES} - {""} & set(VARIANTS)


def test_word_spans_are_in_order_and_within_the_sound(bank: Bank) -> None:
    for utterance in bank.utterances:
        assert len(utterance.spans) == len(utterance.text.split())
        assert list(utterance.spans) == sorted(utterance.spans)
        assert all(start < end for start, end in utterance.spans)
        assert utterance.spans[-1][1] <= utterance.frames / 100 + 0.05


@pytest.mark.parametrize("stage", [SHORT, FEW])
def test_a_batch_depends_on_its_seed_and_step_alone(bank: Bank, codes: Codes, stage: Stage) -> None:
    maker = BatchMaker(bank, codes, seed=1)
    fifth = maker.batch(stage, 5)
    maker.batch(stage, 6)
    assert same(maker.batch(stage, 5), fifth)
    assert maker.batch(stage, 7).codes.tolist() != fifth.codes.tolist()
    assert not same(BatchMaker(bank, codes, seed=2).batch(stage, 5), fifth)


def test_a_window_says_whole_sentences_with_rising_times(bank: Bank, codes: Codes) -> None:
    """Every timed window reads: time, a sentence of the bank, time, and so on, then the end."""
    sentences = {tuple(codes.text(utterance)) for utterance in bank.utterances}
    maker = BatchMaker(bank, codes, seed=3)
    seen = 0
    for step in range(12):
        batch = maker.batch(FEW, step)
        for codes_given, wanted in zip(batch.codes.tolist(), batch.targets.tolist(), strict=True):
            start = codes_given.index(codes.sot)
            said = [code for code in wanted[start:] if code != NOTHING]
            if said[0] == codes.no_speech or codes.no_timestamps in codes_given:
                continue
            times = [code for code in said if code >= codes.first_timestamp]
            assert times == sorted(times)
            assert said[-1] == codes.eot
            parts: list[list[int]] = [[]]
            for code in said[:-1]:
                if code >= codes.first_timestamp:
                    parts.append([])
                else:
                    parts[-1].append(code)
            texts = [tuple(part) for part in parts if part]
            assert all(text in sentences for text in texts[1:])  # the first may lack its beginning
            seen += len(texts)
    assert seen > 50


def test_every_word_is_heard_between_its_times(bank: Bank, codes: Codes) -> None:
    """Also where the window has missed the beginning of its first sentence."""
    maker = WindowMaker(bank, codes)
    rng = Random(5)
    for _ in range(60):
        window = maker.window(FEW, rng)
        begin = 0.0
        for code, span in zip(window.codes, window.spans, strict=True):
            if span is None:
                assert 2 * (code - codes.first_timestamp) >= begin - 2
                begin = 2 * (code - codes.first_timestamp)
            else:
                assert span[0] >= begin - 2
                assert span[1] <= window.end + 5


def test_told_windows_and_their_prompts_keep_the_order_of_the_bank(
    bank: Bank, codes: Codes
) -> None:
    texts = [codes.text(utterance) for utterance in bank.utterances]
    maker = WindowMaker(bank, codes)
    rng = Random(4)
    seen = 0
    for _ in range(40):
        window = maker.window(TOLD, rng)
        if window.told_from is None or not window.codes or window.spans[0] is not None:
            continue
        said = [code for code in window.codes if code < codes.first_timestamp]
        following = [code for i in range(40) for code in texts[(window.told_from + i) % 40]]
        if said[0] == following[0]:  # else the window has missed its first sentence's beginning
            assert said == following[: len(said)]
            seen += 1
        _, *prompt = maker.prompt(window, rng)
        before = [code for i in range(-40, 0) for code in texts[(window.told_from + i) % 40]]
        words = [code for code in prompt if code < codes.first_timestamp]
        assert words == before[-len(words) :]
    assert seen > 10


def test_training_goes_on_where_it_was_killed(
    bank: Bank, codes: Codes, training: Training, tmp_path: Path
) -> None:
    training.advance()
    training.save(tmp_path / "state.pt")
    first, _ = training.advance()
    other = Training(codes, BatchMaker(bank, codes, seed=1), Schedule(steps=4, short=4, told=0))
    other.load(tmp_path / "state.pt")
    second, _ = other.advance()
    assert other.step == training.step == 2
    assert first.decoder.item() == second.decoder.item()
    for one, same_one in zip(
        training.learner.parameters(), other.learner.parameters(), strict=True
    ):
        assert torch.equal(one, same_one)


def test_the_shipped_whisper_computes_what_the_learner_does(
    training: Training, codes: Codes, tmp_path: Path
) -> None:
    write_compact(training.compact(), tmp_path / "model.safetensors")
    model = Whisper(ModelDimensions(**DIMENSIONS))
    model.load_state_dict(expand(load_file(tmp_path / "model.safetensors")))
    batch = training.maker.batch(FEW, 0)
    first = codes.tokenizer.timestamp_begin
    unused = next(token for token in range(1000) if token not in codes.token_ids)
    tokens = torch.tensor([*codes.token_ids, *range(first, first + 1501), unused])
    with torch.no_grad():
        audio, _ = training.learner.encode(batch.mel, batch.offsets)
        table = training.learner.table()
        hidden, _ = training.learner.decode(batch.codes, audio, table)
        expected = hidden @ table.t()
        logits = model.decoder(tokens[batch.codes], model.encoder(batch.mel))[..., tokens]
    assert expected.abs().max() > 1
    assert torch.allclose(logits, expected, atol=0.05)
