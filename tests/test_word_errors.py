"""Whole recordings: the batched engine makes no more word errors than `whisper.transcribe`."""

from pathlib import Path

import jiwer
import pytest
import whisper

from pixmo.demo.recogniser import checkpoint
from pixmo.errors import AudioError
from pixmo.evaluate.statistics import paired_difference
from pixmo.hashing import sha256_file
from pixmo.speech.audio import decode
from pixmo.speech.hear import Heard, hear
from pixmo.speech.recordings import Recording
from pixmo.speech.whisper_model import WhisperRecogniser
from pixmo.text import normalise
from tests.benchmarks.clips import make_clips

CLIPS = 12
WORSE_BY_AT_MOST = 0.5  # points of word error rate, at the interval's upper end


@pytest.mark.slow
def test_no_more_word_errors_than_whisper_transcribe(tmp_path: Path) -> None:
    spoken = make_clips(tmp_path, CLIPS)
    recogniser = WhisperRecogniser.load(str(checkpoint(tmp_path)), "cpu")
    said: dict[Path, str] = {}

    def take(recording: Recording, heard: Heard | AudioError) -> None:
        assert isinstance(heard, Heard)
        said[recording.file] = " ".join(segment.text for segment in heard.segments)

    hear([Recording(sha256_file(p), p, p.name, "") for p in spoken], recogniser, "en", take)
    ours, theirs = [], []
    for path, text in spoken.items():
        whispers = whisper.transcribe(
            recogniser.model,
            decode(path),
            language="en",
            fp16=False,
            condition_on_previous_text=False,
        )["text"]
        ours.append(word_error_rate(text, said[path]))
        theirs.append(word_error_rate(text, str(whispers)))
    difference = paired_difference(ours, theirs)
    assert difference.units == CLIPS
    print(
        f"word error rate {sum(ours) / CLIPS:.2f} against {sum(theirs) / CLIPS:.2f}, {difference}"
    )
    assert difference.high < WORSE_BY_AT_MOST


def word_error_rate(spoken: str, heard: str) -> float:
    """In points, without case and punctuation."""
    return 100 * float(jiwer.wer(normalise(spoken), normalise(heard)))
