"""pixmo.speech.audio, .containers, .speech_activity and .windows on real codecs."""

import contextlib
import itertools
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from pixmo.errors import AudioError
from pixmo.speech.audio import SAMPLE_RATE, decode
from pixmo.speech.containers import ends_early
from pixmo.speech.speech_activity import Span, speech_seconds, speech_spans
from pixmo.speech.windows import cut
from tests.sounds import said, silence, sweep, write_sound

SECONDS = 6.0


def peak_frequency(samples: np.ndarray) -> float:
    """The strongest frequency, in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE / len(samples))


@pytest.mark.parametrize(
    ("name", "rate", "layout"),
    [
        ("browser.webm", 48_000, "mono"),
        ("film.mkv", 96_000, "5.1"),
        ("phone.opus", 48_000, "stereo"),
        ("phone.ogg", 24_000, "mono"),
        ("telephone.wav", 8_000, "mono"),
        ("studio.wav", 96_000, "5.1"),
        ("music.mp3", 44_100, "stereo"),
        ("phone.m4a", 48_000, "mono"),
        ("film.mp4", 44_100, "stereo"),
        ("studio.flac", 96_000, "stereo"),
    ],
)
def test_every_container_decodes_to_the_same_sound(
    tmp_path: Path, name: str, rate: int, layout: str
) -> None:
    path = write_sound(tmp_path / name, sweep(SECONDS, rate), rate, layout)
    samples = decode(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.12)  # mp3 and aac are framed
    for second, hertz in ((1, 333), (3, 600), (5, 867)):
        around = samples[int((second - 0.1) * SAMPLE_RATE) : int((second + 0.1) * SAMPLE_RATE)]
        assert peak_frequency(around) == pytest.approx(hertz, abs=25)
        # An encoder may change the level a little; a downmix must not clip or lose it.
        assert 0.3 < np.abs(around).max() < 0.7


def test_wav_at_16_khz_is_decoded_bit_for_bit(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(-32768, 32767, SAMPLE_RATE)
    path = write_sound(tmp_path / "noise.wav", numbers / 32767, SAMPLE_RATE)
    raw = np.frombuffer(path.read_bytes()[-2 * SAMPLE_RATE :], np.int16)
    assert np.array_equal(decode(path) * 32768, raw)


def test_the_name_is_not_believed(tmp_path: Path) -> None:
    right = write_sound(tmp_path / "right.flac", sweep(1.0, 16_000), 16_000)
    wrong = right.rename(tmp_path / "named wrongly 🎙 concat:x.webm")
    assert len(decode(wrong)) == SAMPLE_RATE


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXTINF:10,\nsecret.wav\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "just text",
    ],
)
def test_playlists_and_session_descriptions_are_refused(tmp_path: Path, text: str) -> None:
    write_sound(tmp_path / "secret.wav", sweep(1.0, 16_000), 16_000)
    for suffix in ("webm", "wav", "mp3"):
        path = tmp_path / f"renamed.{suffix}"
        path.write_text(text)
        with pytest.raises(AudioError, match=r"^not a sound file: it begins with"):
            decode(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.webm", {}),
        ("live.webm", {"live": "1"}),  # states no length, as a browser's recorder
        ("a.mkv", {}),
        ("a.opus", {}),
        ("a.wav", {}),
        ("a.mp3", {}),
        ("a.m4a", {}),
        ("front.m4a", {"movflags": "faststart"}),
        ("pieces.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.flac", {}),
    ],
)
def test_a_truncated_file_is_refused_and_the_whole_one_is_not(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = write_sound(tmp_path / name, sweep(SECONDS, 48_000), options=options)
    assert len(decode(path)) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.12)
    data = path.read_bytes()
    for share in (0.35, 0.6, 0.85):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(AudioError, match=r"^(truncated|damaged) recording: "):
            decode(path)


def test_cut_inside_its_last_bytes(tmp_path: Path) -> None:
    for name, missing in (("a.webm", 1), ("live.webm", 1), ("a.opus", 1), ("a.wav", 2)):
        options = {"live": "1"} if name == "live.webm" else {}
        path = write_sound(tmp_path / name, sweep(1.0, 48_000), options=options)
        path.write_bytes(path.read_bytes()[:-missing])
        with pytest.raises(AudioError, match=r"^truncated recording: its last bytes are missing$"):
            decode(path)


@pytest.mark.parametrize("size", [0, 0x7FFFF024, 0x7FFFFFFF, 0x80000024, 0xFFFFFFFF])
def test_a_wav_whose_recorder_knew_no_length(tmp_path: Path, size: int) -> None:
    path = write_sound(tmp_path / "stream.wav", sweep(40.0, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    assert len(data) > 1_000_000
    place = data.index(b"data") + 4
    data[4:8] = struct.pack("<I", size)
    data[place : place + 4] = struct.pack("<I", max(0, size - 36))
    path.write_bytes(data)
    assert len(decode(path)) == 40 * SAMPLE_RATE


def test_a_wav_that_counts_a_padding_byte_that_is_not_there(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "odd.wav", sweep(1.0, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", len(data) - 8 + 1)
    path.write_bytes(data)
    assert len(decode(path)) == SAMPLE_RATE


def test_what_nothing_can_tell_from_a_whole_file(tmp_path: Path) -> None:
    """docs/transcribing.md names them: whoever can tell one of them should take it out there."""
    ogg = write_sound(tmp_path / "a.opus", sweep(SECONDS, 48_000))
    data = ogg.read_bytes()
    ogg.write_bytes(data[: data.rindex(b"OggS", 0, len(data) // 2)])
    mp3 = write_sound(tmp_path / "a.mp3", sweep(SECONDS, 48_000), options={"write_xing": "0"})
    mp3.write_bytes(mp3.read_bytes()[: mp3.stat().st_size // 2])
    for path in (ogg, mp3):
        assert 0.4 < len(decode(path)) / SAMPLE_RATE < SECONDS - 0.5


def test_files_without_sound(tmp_path: Path) -> None:
    empty = tmp_path / "empty.webm"
    empty.touch()
    with pytest.raises(AudioError, match=r"^empty file: 0 bytes$"):
        decode(empty)
    with pytest.raises(AudioError, match=r"^cannot be read: No such file or directory$"):
        decode(tmp_path / "absent.webm")
    with pytest.raises(AudioError, match=r"^cannot be read: "):
        decode(tmp_path)
    nothing = tmp_path / "nothing.wav"
    with wave.open(str(nothing), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
    with pytest.raises(AudioError, match=r"^no sound in this file: "):
        decode(nothing)


def test_a_film_without_an_audio_stream(tmp_path: Path) -> None:
    import av

    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"^no sound in this file: it has no audio stream$"):
        decode(path)


def test_decoded_length_is_capped(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "long.opus", np.zeros(48_000 * 30))
    assert path.stat().st_size < 60_000
    assert len(decode(path, longest_seconds=30.1)) == 30 * SAMPLE_RATE
    with pytest.raises(AudioError, match=r"^too long: more than 0\.005 h$"):
        decode(path, longest_seconds=18)


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("a.webm", "a.opus", "a.wav", "a.mp3", "a.m4a", "a.flac"):
        path = write_sound(tmp_path / name, sweep(0.5, 48_000))
        data = path.read_bytes()
        for _ in range(25):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 8):
                broken[place] = random.integers(256)
            path.write_bytes(broken)
            with contextlib.suppress(AudioError):
                decode(path)


def test_speech_is_told_from_silence_and_noise() -> None:
    speech = said("There are two red circles at the top of the picture.")
    seconds = len(speech) / SAMPLE_RATE
    spans = speech_spans(np.concatenate([silence(3.0), speech, silence(4.0)]))
    assert speech_seconds(spans) == pytest.approx(seconds, abs=0.5)
    assert spans[0].start / SAMPLE_RATE == pytest.approx(3.0, abs=0.2)
    assert spans[-1].end / SAMPLE_RATE == pytest.approx(3.0 + seconds, abs=0.3)
    noise = np.random.default_rng(0).normal(0, 0.05, 5 * SAMPLE_RATE).astype(np.float32)
    for nothing in (silence(5.0), noise, silence(0.01)):
        assert speech_spans(nothing) == []


def seconds(*spans: tuple[float, float]) -> list[Span]:
    return [Span(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)) for start, end in spans]


def test_windows_end_in_pauses() -> None:
    samples = silence(80)
    spoken = seconds((1, 9), (10, 19), (20, 28), (31, 40), (60, 70))
    expected = seconds((0.8, 28.2), (30.8, 40.2), (59.8, 70.2))
    assert cut(samples, spoken) == expected
    assert cut(samples, []) == []
    # A margin reaches at most half-way to the next window and never beyond the recording.
    close = cut(silence(58), seconds((0, 28), (28.1, 58)))
    assert close[0] == seconds((0, 28.05))[0]
    assert close[-1].end == 58 * SAMPLE_RATE


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    random = np.random.default_rng(0)
    samples = random.normal(0, 0.1, 70 * SAMPLE_RATE).astype(np.float32)
    for second in (21, 45):
        samples[second * SAMPLE_RATE : int((second + 0.4) * SAMPLE_RATE)] *= 0.05
    windows = cut(samples, seconds((0, 70)))
    assert [w.start / SAMPLE_RATE for w in windows] == pytest.approx(
        [0, 21.2 - 0.75, 45.2 - 0.75], abs=0.2
    )
    overlaps = [a.end - b.start for a, b in itertools.pairwise(windows)]
    assert overlaps == [int(1.5 * SAMPLE_RATE)] * 2
    assert windows[-1].end == len(samples)
    assert max(window.seconds for window in windows) <= 30


def test_clusters_of_unknown_length_as_browsers_write_them(tmp_path: Path) -> None:
    unknown = b"\x01\xff\xff\xff\xff\xff\xff\xff"
    header = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67" + unknown
    cluster = b"\x1f\x43\xb6\x75" + unknown + b"\xe7\x81\x00\xa3\x85\x81\x00\x00\x80\x07"
    path = tmp_path / "live.webm"
    path.write_bytes(header + cluster * 3)
    assert not ends_early(path, "matroska")
    for missing in range(1, 11):
        path.write_bytes((header + cluster * 3)[:-missing])
        # Without the whole last block (7 bytes) or both elements it ends where it might.
        assert ends_early(path, "matroska") is (missing not in (7, 10))
