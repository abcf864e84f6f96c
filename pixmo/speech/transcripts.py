"""A row of the transcripts table, from speech and from writing."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pixmo.hashing import short_id
from pixmo.speech.recogniser import Recogniser, Segment
from pixmo.speech.recordings import Recording
from pixmo.text import words


def spoken_row(
    recording: Recording,
    segments: Sequence[Segment],
    language: str,
    duration_seconds: float,
    speech_seconds: float,
    recogniser: Recogniser,
    options_sha256: str,
) -> dict[str, Any]:
    """The row of a transcript of a recording."""
    text = " ".join(segment.text for segment in segments)
    minutes = speech_seconds / 60
    return {
        "transcript_id": short_id(recording.sha256, options_sha256),
        "image_sha256": recording.image_sha256,
        "source": "speech",
        "recording_sha256": recording.sha256,
        "annotator": recording.annotator,
        "text": text,
        "segments": [asdict(segment) for segment in segments],
        "language": language,
        "avg_logprob": mean_logprob(segments),
        "compression_ratio": compression_ratio(text),
        "no_speech_prob": max((segment.no_speech_prob for segment in segments), default=None),
        "duration_seconds": duration_seconds,
        "speech_seconds": speech_seconds,
        "words_per_minute": len(words(text)) / minutes if minutes else None,
        "model": recogniser.name,
        "model_sha256": recogniser.sha256,
        "options_sha256": options_sha256,
    }


def written_row(
    transcript_id: str,
    image_sha256: str,
    annotator: str,
    text: str,
    language: str,
    options_sha256: str,
) -> dict[str, Any]:
    """The row of a transcript that nobody spoke."""
    return {
        "transcript_id": transcript_id,
        "image_sha256": image_sha256,
        "source": "written",
        "recording_sha256": None,
        "annotator": annotator,
        "text": text,
        "segments": [],
        "language": language,
        "avg_logprob": None,
        "compression_ratio": compression_ratio(text),
        "no_speech_prob": None,
        "duration_seconds": 0.0,
        "speech_seconds": 0.0,
        "words_per_minute": None,
        "model": None,
        "model_sha256": None,
        "options_sha256": options_sha256,
    }


def mean_logprob(segments: Sequence[Segment]) -> float | None:
    """The mean log-probability of a token, over segments weighted by their seconds."""
    seconds = sum(segment.end - segment.start for segment in segments)
    if not seconds:
        return None
    weighted = sum(segment.avg_logprob * (segment.end - segment.start) for segment in segments)
    return weighted / seconds


def compression_ratio(text: str) -> float:
    """Length in bytes over length under zlib, as Whisper measures loops; 0 of no text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
