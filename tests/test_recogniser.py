"""The shipped recogniser: small, an ordinary Whisper checkpoint, and it understands the sample."""

from pathlib import Path
from random import Random

import pytest
import torch
import whisper
from safetensors.torch import load_file
from whisper.model import Whisper

from pixmo.demo.describe import is_held_out
from pixmo.demo.recogniser import COMPACT, DIMENSIONS, EMBEDDING, checkpoint, expand, write_compact
from pixmo.demo.training.evaluate import (
    decode_window,
    held_out_sentences,
    score,
    speak_held_out,
    speak_unseen_voices,
    word_error_rate,
)
from pixmo.demo.voice import silence

# openai-whisper leaves its vocabulary's file for the garbage collector to close
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(cache: Path) -> Whisper:
    return whisper.load_model(str(checkpoint(cache)))


def test_the_shipped_file_is_small_and_has_a_card() -> None:
    assert COMPACT.stat().st_size < 4_000_000
    assert "for tests only" in (COMPACT.parent / "README.md").read_text()


def test_the_checkpoint_is_made_once_and_has_the_same_bytes_anywhere(
    cache: Path, tmp_path: Path
) -> None:
    path = checkpoint(cache)
    made = path.stat().st_mtime_ns
    assert checkpoint(cache) == path
    assert path.stat().st_mtime_ns == made
    assert checkpoint(tmp_path).read_bytes() == path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_it_is_an_english_whisper(model: Whisper) -> None:
    assert not model.is_multilingual
    assert vars(model.dims) == DIMENSIONS


def test_tokens_that_were_never_learned_share_one_row() -> None:
    compact = load_file(COMPACT)
    embedding = expand(compact)[EMBEDDING]
    learned = compact["token_ids"].long()
    assert torch.equal(embedding[learned], compact["token_rows"])
    others = torch.ones(len(embedding), dtype=torch.bool)
    others[learned] = False
    assert others.sum() > 49_000
    assert (embedding[others] == compact["unused_row"]).all()


def test_a_compact_file_keeps_what_it_is_given_in_half_precision(tmp_path: Path) -> None:
    weights = {"rows": torch.randn(3, 4), "token_ids": torch.arange(3, dtype=torch.int32)}
    write_compact(weights, tmp_path / "model.safetensors")
    kept = load_file(tmp_path / "model.safetensors")
    assert torch.equal(kept["rows"], weights["rows"].half())
    assert torch.equal(kept["token_ids"], weights["token_ids"])


def test_the_exam_was_never_trained_on() -> None:
    sentences = held_out_sentences(40)
    assert len(set(sentences)) == 40
    assert all(is_held_out(text) for text in sentences)


def test_word_error_rate_counts_words_and_leaves_case_and_punctuation() -> None:
    assert word_error_rate(["Um, there are two."], ["um there are two"]) == 0
    assert word_error_rate(["There are two."], ["There are three blue."]) == pytest.approx(2 / 3)


def test_it_understands_held_out_sentences(model: Whisper) -> None:
    rate, heard = score(model, speak_held_out(8), decode_window)
    assert rate < 0.1, heard
    assert all(text[0].isupper() and text[-1] == "." for text in heard)


def test_it_understands_a_voice_it_never_heard(model: Whisper) -> None:
    rate, heard = score(model, speak_unseen_voices(3), decode_window)
    assert rate < 0.2, heard


def test_it_hears_no_speech_in_silence(model: Whisper) -> None:
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(silence(10, Random(1))))
    result = whisper.decode(model, mel, whisper.DecodingOptions(language="en", fp16=False))
    assert result.no_speech_prob > 0.6
