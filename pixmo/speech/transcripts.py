"""A row of the transcripts table, from speech and from writing."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pixmo.hashing import short_id
from pixmo.speech.guards import guards, repeated_share
from pixmo.speech.hear import Heard
from pixmo.speech.recogniser import Recogniser, Segment
from pixmo.speech.recordings import Recording
from pixmo.text import words


def spoken_row(
    recording: Recording,
    heard: Heard,
    language: str,
    recogniser: Recogniser,
    options_sha256: str,
) -> dict[str, Any]:
    """The row of a transcript of a recording."""
    text = " ".join(segment.text for segment in heard.segments)
    sound = heard.prepared.signals
    signs = guards(heard.segments, heard.prepared.speech)
    minutes = sound.speech_seconds / 60
    return {
        "transcript_id": short_id(recording.sha256, options_sha256),
        "image_sha256": recording.image_sha256,
        "source": "speech",
        "recording_sha256": recording.sha256,
        "annotator": recording.annotator,
        "text": text,
        "segments": [asdict(segment) for segment in heard.segments],
        "language": language,
        "language_prob": heard.language_prob,
        "avg_logprob": mean_logprob(heard.segments),
        "lowest_logprob": signs.lowest_logprob,
        "highest_temperature": signs.highest_temperature,
        "compression_ratio": compression_ratio(text),
        "highest_compression_ratio": signs.highest_compression_ratio,
        "no_speech_prob": signs.highest_no_speech_prob,
        "words_over_silence_share": signs.words_over_silence_share,
        "stock_phrases": list(signs.stock_phrases),
        "repeated_share": signs.repeated_share,
        "overlap_disagreement": heard.overlap_disagreement,
        **asdict(sound),
        "words_per_minute": len(words(text)) / minutes if minutes else None,
        "model": recogniser.name,
        "model_sha256": recogniser.sha256,
        "options_sha256": options_sha256,
    }


NOT_SPOKEN: dict[str, Any] = {
    "recording_sha256": None,
    "segments": [],
    "language_prob": None,
    "avg_logprob": None,
    "lowest_logprob": None,
    "highest_temperature": None,
    "highest_compression_ratio": None,
    "no_speech_prob": None,
    "words_over_silence_share": None,
    "overlap_disagreement": None,
    "duration_seconds": 0.0,
    "speech_seconds": 0.0,
    "longest_silence_seconds": None,
    "rms_dbfs": None,
    "peak_dbfs": None,
    "clipped_share": None,
    "noise_dbfs": None,
    "starts_in_speech": None,
    "is_cut_off": None,
    "words_per_minute": None,
    "model": None,
    "model_sha256": None,
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
        **NOT_SPOKEN,
        "transcript_id": transcript_id,
        "image_sha256": image_sha256,
        "source": "written",
        "annotator": annotator,
        "text": text,
        "language": language,
        "compression_ratio": compression_ratio(text),
        "stock_phrases": [],
        "repeated_share": repeated_share(text),
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
