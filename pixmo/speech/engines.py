"""The recogniser that a workspace's settings name."""

import dataclasses
from collections.abc import Callable
from typing import Any

from pixmo.errors import SpeechError
from pixmo.speech.recogniser import Recogniser
from pixmo.workspace.workspace import Workspace


def open_recogniser(
    workspace: Workspace, note: Callable[[str], None] = lambda _: None, **options: Any
) -> Recogniser:
    """The recogniser of `[speech]` in pixmo.toml; `options` replace settings there.

    A model that is a file or folder in the workspace is taken from there. `note` is told what a
    person should know while it works.

    Raises:
        ModelError: there is no such model or device.
        SpeechError: the engine cannot do what is asked.
    """
    speech = dataclasses.replace(workspace.settings.speech, **options)
    inside = workspace.path(speech.model)
    model = str(inside) if inside.exists() else speech.model
    if speech.engine == "faster-whisper":
        from pixmo.speech.faster_whisper_model import FasterWhisperRecogniser

        if speech.word_times:
            raise SpeechError("the engine faster-whisper gives no word times here; use pixmo")
        faster: Recogniser = FasterWhisperRecogniser.load(
            model, speech.device, slots=speech.batch, note=note
        )
        return faster
    from pixmo.speech.whisper_model import WhisperRecogniser

    return WhisperRecogniser.load(
        model, speech.device, slots=speech.batch, word_times=speech.word_times, note=note
    )
