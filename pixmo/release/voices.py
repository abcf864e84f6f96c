"""A few recordings for a page: small, and inside the page itself."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from pixmo.errors import AudioError
from pixmo.hashing import sha256_file
from pixmo.release.content import SubsetContent
from pixmo.speech.audio import SAMPLE_RATE, Samples, decode
from pixmo.workspace.workspace import Workspace

MOST_VOICES = 4  # a minute of each is 120 kB
BITS_PER_SECOND = 16_000  # of Opus, which speech needs to sound natural
LONGEST_SECONDS = 180.0


def voices(cap: SubsetContent, workspace: Workspace, images: Iterable[str]) -> dict[str, str]:
    """A recording of each of a few of the images, in their order, as a data URI by sha256."""
    recordings = {
        sha256: [recording for recording in named if recording]
        for sha256, named in cap.rows.query(
            "image_sha256, recording_sha256s", "where duration_seconds > 0"
        )
    }
    paths = {
        sha256: workspace.path(path)
        for sha256, path in cap.rows.connection.execute(
            "select recording_sha256, path from recordings"
        ).fetchall()
    }
    found: dict[str, str] = {}
    for image in images:
        if len(found) == MOST_VOICES:
            break
        here = [recording for recording in recordings.get(image, []) if recording in paths]
        if here and (uri := data_uri(paths[here[0]], here[0])):
            found[image] = uri
    return found


def data_uri(path: Path, sha256: str) -> str:
    """A recording as a data URI; empty where its file is gone, or is not the one taken in."""
    try:
        if sha256_file(path) != sha256:
            return ""
        samples = decode(path, LONGEST_SECONDS)
    except (AudioError, OSError):
        return ""
    return "data:audio/webm;base64," + base64.b64encode(small(samples)).decode()


def small(samples: Samples) -> bytes:
    """Samples at 16 kHz as Opus in WebM; the same samples give the same bytes."""
    data = io.BytesIO()
    whole = (np.clip(samples, -1, 1) * np.iinfo(np.int16).max).astype(np.int16)
    # Else the container holds a random number.
    options = {"fflags": "+bitexact"}
    with av.open(data, "w", format="webm", container_options=options) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BITS_PER_SECOND
        frame = av.AudioFrame.from_ndarray(whole[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return data.getvalue()
