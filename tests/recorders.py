"""A workspace whose recorder can be used, and recordings as browsers send them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from starlette.testclient import TestClient

from pixmo.files import appended_objects
from pixmo.images.store import add_images
from pixmo.speech.audio import SAMPLE_RATE, Samples, decode
from pixmo.speech.recorder.app import build_app
from pixmo.speech.recorder.recorder import Recorder
from pixmo.workspace.workspace import Workspace
from tests.sounds import sweep, write_sound
from tests.workspaces import picture

TONE_HERTZ = 400
LIVE = {"webm": {"live": "1"}, "m4a": {"movflags": "frag_keyframe+empty_moov"}}


def make_workspace(root: Path, images: int = 3, settings: str = "") -> Workspace:
    """Images are taken in, and recordings of 2 to 6 seconds are asked for."""
    folder = root / "images"
    folder.mkdir(parents=True)
    for number in range(images):
        picture(number).save(folder / f"picture {number}.png")
    (root / "pixmo.toml").write_text(
        f"[record]\nmin_seconds = 2\nmax_seconds = 6\n{settings}", encoding="utf-8"
    )
    workspace = Workspace.open(root)
    add_images(workspace, folder)
    return workspace


def as_browsers_record(
    folder: Path, seconds: float, suffix: str = "webm", sound: Samples | None = None
) -> bytes:
    """A tone (or the sound, at 16 kHz) in a container that states no length."""
    path = folder / f"{uuid4()}.{suffix}"
    if sound is None:
        write_sound(path, sweep(seconds, 48_000), options=LIVE.get(suffix))
    else:
        write_sound(path, sound.astype(np.float64), 16_000, options=LIVE.get(suffix))
    return path.read_bytes()


def tone(
    folder: Path, seconds: float, suffix: str = "webm", rate: int = 48_000, layout: str = "mono"
) -> bytes:
    """A tone of 400 Hz as browsers record it with such a microphone."""
    path = folder / f"{uuid4()}.{suffix}"
    time = np.arange(int(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * TONE_HERTZ * time)
    return write_sound(path, wave, rate, layout, LIVE.get(suffix)).read_bytes()


def hertz(samples: Samples) -> float:
    """How often a second the sound, of 16 kHz, rises through zero."""
    return float(((samples[:-1] < 0) & (samples[1:] >= 0)).sum() / len(samples) * SAMPLE_RATE)


def breaks(path: Path, seconds: float) -> list[float]:
    """Where, in seconds, the tone of `sweep(seconds)` does not rise as it does.

    Three tenths of a second that are missing are seen, and where it begins anew.
    """
    sound = decode(path)
    size = SAMPLE_RATE // 2
    windows = sound[: len(sound) // size * size].reshape(-1, size)
    fine = 8 * size  # a quarter of a hertz
    spectra = np.abs(np.fft.rfft(windows * np.hanning(size), fine))
    pitches = spectra.argmax(axis=1) * SAMPLE_RATE / fine
    rise = 800 / seconds  # hertz in a second, from one window to the next but one
    wrong = np.abs(pitches[2:] - pitches[:-2] - rise) > 0.3 * rise
    return [0.5 * float(number) + 0.75 for number in np.flatnonzero(wrong)]


@dataclass(frozen=True)
class Annotator:
    """Does by HTTP what the page does for an annotator."""

    client: TestClient
    link: str

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to a request beside the page."""
        return self.client.request(method, f"{self.link}{path}", **options)

    def agree(self) -> None:
        """The consent is given."""
        text = self.call("GET", "session").json()["consent"]["text_sha256"]
        self.answer(text, agreed=True)

    def answer(self, text_sha256: str, *, agreed: bool) -> None:
        """The annotator said whether they agree to the text."""
        said = {"text_sha256": text_sha256, "agreed": agreed}
        assert self.call("POST", "consent", json=said).status_code == 200

    def next(self) -> str:
        """The image to describe."""
        image: str = self.call("POST", "next").json()["image"]
        return image

    def send(
        self, recording: str, part: int, data: bytes, offset: int = 0, image: str = ""
    ) -> httpx.Response:
        """A piece has been sent, of what is said about the image."""
        return self.call(
            "PATCH",
            f"recordings/{recording}/{part}",
            content=data,
            params={"image": image},
            headers={"Upload-Offset": str(offset)},
        )

    def submit(self, recording: str, image: str, parts: list[int]) -> httpx.Response:
        """The recording is said to be whole."""
        said = {"image": image, "recorded_at": "2026-03-01T10:00:00.123Z", "parts": parts}
        return self.call("POST", f"recordings/{recording}", json=said)

    def record(self, image: str, *parts: bytes) -> httpx.Response:
        """A recording of these parts was sent and submitted."""
        recording = str(uuid4())
        for number, data in enumerate(parts):
            assert self.send(recording, number, data).status_code == 200
        return self.submit(recording, image, [len(data) for data in parts])


@contextmanager
def recording_with(workspace: Workspace, *names: str) -> Iterator[tuple[Annotator, ...]]:
    """The recorder of the workspace runs; each annotator has a link and has agreed."""
    recorder = Recorder(workspace)
    expires = datetime.now(UTC) + timedelta(days=1)
    with TestClient(build_app(recorder)) as client:
        found = tuple(
            Annotator(client, f"/a/{recorder.invites.token(name, expires)}/") for name in names
        )
        for annotator in found:
            annotator.agree()
        yield found


def lines(workspace: Workspace) -> list[dict[str, Any]]:
    """What stands in the inbox of each recording."""
    files = sorted((workspace.audio / "recorder").glob("*/metadata.jsonl"))
    return [line for file in files for line in appended_objects(file)]
