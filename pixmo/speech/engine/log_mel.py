"""Log-mel spectrograms as Whisper was trained on.

Source: Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, section
2.2; openai-whisper's `log_mel_spectrogram`.
"""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from whisper.audio import HOP_LENGTH, N_FFT, N_FRAMES, log_mel_spectrogram

from pixmo.speech.audio import Samples

LogMel: TypeAlias = NDArray[np.float32]  # [mel bands, 3000 frames of 10 ms]

# Silence enough for the last frames; `whisper.transcribe` adds 30 s, with the same result.
PADDING = N_FFT + HOP_LENGTH


def log_mel(samples: Samples, mel_bands: int) -> LogMel:
    """The spectrogram of at most 30 s, as `whisper.transcribe` makes it.

    Frames behind the sound are literal zeros, not silence's value: the model has learnt that.
    """
    frames = len(samples) // HOP_LENGTH
    if frames > N_FRAMES:
        raise ValueError(f"a window is at most 30 s, not {frames / 100} s")
    heard = log_mel_spectrogram(torch.from_numpy(samples), mel_bands, padding=PADDING)
    whole = np.zeros((mel_bands, N_FRAMES), np.float32)
    whole[:, :frames] = heard[:, :frames].numpy()
    return whole
