"""pixmo.speech.recorder: invitations, pieces that arrive, and what becomes of a recording."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin
from uuid import uuid4

import av
import pytest
from starlette.testclient import TestClient

from pixmo.errors import SettingsError, SpeechError
from pixmo.files import appended_objects
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.listening import listen
from pixmo.release.erase import erasing
from pixmo.release.withdraw import Request
from pixmo.speech.audio import SAMPLE_RATE, decode
from pixmo.speech.recorder import drafts
from pixmo.speech.recorder.app import MOST_PIECE_BYTES, build_app
from pixmo.speech.recorder.assignment import Assignment
from pixmo.speech.recorder.drafts import Draft, Submission
from pixmo.speech.recorder.recorder import Recorder
from pixmo.speech.recordings import find
from pixmo.workspace.workspace import Workspace
from tests.conftest import run_pixmo
from tests.recorders import (
    TONE_HERTZ,
    Annotator,
    as_browsers_record,
    hertz,
    lines,
    make_workspace,
    recording_with,
    tone,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "workspace")


def inbox(workspace: Workspace) -> list[Path]:
    files = (workspace.audio / "recorder").rglob("*")
    return sorted(file for file in files if file.is_file() and file.name != "metadata.jsonl")


def test_a_recording_is_one_whole_file_linked_to_its_image(workspace: Workspace) -> None:
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        answer = anna.record(image, as_browsers_record(workspace.root, 3.0))
        assert answer.status_code == 200, answer.text
    (file,) = inbox(workspace)
    assert file.parent.name == "2026-03-01"
    assert answer.json()["sha256"] == sha256_file(file)
    with av.open(str(file)) as container:
        assert container.format.name == "matroska,webm"
        assert container.duration == pytest.approx(3_000_000, abs=50_000)
    (line,) = lines(workspace)
    assert line["seconds"] == pytest.approx(3.0, abs=0.05)
    assert line["sha256"] == sha256_file(file)
    assert "at first glance" in line["prompt"]
    (found,) = find(workspace, workspace.audio).recordings
    assert (found.image_sha256, found.annotator) == (image, "anna")
    assert found.recorded_at == "2026-03-01T10:00:00+00:00"
    assert not list((workspace.root / "recorder/drafts").rglob("*.part"))


@pytest.mark.parametrize("suffix", ["webm", "ogg", "m4a", "mkv"])
def test_parts_are_joined_in_order_without_encoding_them_again(
    workspace: Workspace, suffix: str
) -> None:
    pieces = [as_browsers_record(workspace.root, seconds, suffix) for seconds in (1.0, 0.5, 2.0)]
    with recording_with(workspace, "anna") as (anna,):
        assert anna.record(anna.next(), *pieces).status_code == 200
    (file,) = inbox(workspace)
    together = decode(file)
    assert len(together) / SAMPLE_RATE == pytest.approx(3.5, abs=0.15)
    # Each part is a tone that rises from 200 to 1,000 Hz: the last second is the last part's.
    assert hertz(together[-SAMPLE_RATE // 4 :]) == pytest.approx(950, rel=0.1)
    sent = [packet_bytes(write(workspace.root / f"{n}.{suffix}", p)) for n, p in enumerate(pieces)]
    assert packet_bytes(file) == b"".join(sent)


@pytest.mark.parametrize(
    "microphones",
    [
        [("m4a", 48_000, "mono"), ("m4a", 44_100, "mono")],
        [("m4a", 24_000, "mono"), ("m4a", 48_000, "mono")],
        [("m4a", 48_000, "mono"), ("m4a", 48_000, "stereo")],
        [("webm", 48_000, "mono"), ("webm", 48_000, "stereo")],
        [("webm", 48_000, "mono"), ("ogg", 48_000, "mono"), ("m4a", 44_100, "stereo")],
    ],
)
def test_parts_of_different_microphones_sound_as_they_were(
    workspace: Workspace, microphones: list[tuple[str, int, str]]
) -> None:
    pieces = [tone(workspace.root, 1.5, *microphone) for microphone in microphones]
    with recording_with(workspace, "anna") as (anna,):
        answer = anna.record(anna.next(), *pieces)
        assert answer.status_code == 200, answer.text
    (file,) = inbox(workspace)
    assert file.suffix == ".mka"
    with av.open(str(file)) as container:
        coder = container.streams.audio[0].codec_context
        best = (max(rate for _, rate, _ in microphones), max(len(one) for *_, one in microphones))
        assert (coder.name, coder.sample_rate, len(coder.layout.name)) == ("flac", *best)
    together = decode(file)
    assert len(together) / SAMPLE_RATE == pytest.approx(1.5 * len(pieces), abs=0.15)
    for number in range(len(pieces)):
        middle = int((1.5 * number + 0.75) * SAMPLE_RATE)
        heard = together[middle - SAMPLE_RATE // 4 : middle + SAMPLE_RATE // 4]
        assert hertz(heard) == pytest.approx(TONE_HERTZ, rel=0.01)
        assert 0.4 < abs(heard).max() < 0.6  # neither channel is lost


@pytest.mark.parametrize(("suffix", "mark"), [("webm", b"\x1f\x43\xb6\x75"), ("m4a", b"moof")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_part_that_ended_before_its_first_sound_spoils_nothing(
    workspace: Workspace, suffix: str, mark: bytes, place: int
) -> None:
    sound = tone(workspace.root, 1.5, suffix)
    ended = sound[: sound.index(mark) - (4 if suffix == "m4a" else 0)]
    pieces = [sound, sound]
    pieces.insert(place, ended)
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        alone = anna.record(image, ended)
        assert (alone.status_code, "empty" in alone.json()["error"]) == (422, True)
        assert anna.record(image, *pieces).status_code == 200
    assert lines(workspace)[0]["seconds"] == pytest.approx(3.0, abs=0.15)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def packet_bytes(path: Path) -> bytes:
    """All encoded sound in a file."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(container.streams.audio[0]))


def test_without_a_valid_link_there_is_nothing(workspace: Workspace) -> None:
    recorder = Recorder(workspace)
    now = datetime.now(UTC)
    good = recorder.invites.token("anna", now + timedelta(days=1))
    signed, _, signature = good.rpartition(".")
    other = Recorder(make_workspace(workspace.root / "other")).invites
    with TestClient(build_app(recorder)) as client:
        assert client.get(f"/a/{good}/").status_code == 200
        for bad in (
            "",
            "anna",
            signed,
            f"{signed}.{'A' * len(signature)}",
            f"X{good}",
            recorder.invites.token("anna", now - timedelta(seconds=1)),
            other.token("anna", now + timedelta(days=1)),
        ):
            for method, path in (
                ("GET", ""),
                ("GET", "recorder.js"),
                ("GET", "session"),
                ("POST", "next"),
                ("GET", f"images/{next(iter(recorder.pictures))}"),
                ("PATCH", f"recordings/{uuid4()}/0"),
                ("POST", f"recordings/{uuid4()}"),
            ):
                status = client.request(method, f"/a/{bad}/{path}").status_code
                assert status == (403 if bad else 404), (bad, path)
        assert client.get("/").status_code == 404
        (recorder.folder / "secret").unlink()
    assert TestClient(build_app(Recorder(workspace))).get(f"/a/{good}/").status_code == 403


def test_a_link_can_be_taken_back_while_the_server_runs(workspace: Workspace, pixmo: Path) -> None:
    recorder = Recorder(workspace)
    expires = datetime.now(UTC) + timedelta(days=1)
    old, other = (recorder.invites.token(name, expires) for name in ("anna", "ben"))
    with TestClient(build_app(recorder)) as client:
        assert client.get(f"/a/{old}/session").status_code == 200
        revoked = run_pixmo(pixmo, "record", "--revoke", "anna", cwd=workspace.root)
        assert revoked.returncode == 0
        assert " ".join(revoked.stdout.split()) == "anna links made until now are invalid"
        answer = client.get(f"/a/{old}/session")
        assert (answer.status_code, "taken back" in answer.text) == (403, True)
        assert client.get(f"/a/{other}/session").status_code == 200
        new = recorder.invites.token("anna", expires)
        assert client.get(f"/a/{new}/session").status_code == 200


def test_an_expired_link_says_so_to_who_opens_it_and_to_the_page(workspace: Workspace) -> None:
    recorder = Recorder(workspace)
    token = recorder.invites.token("anna", datetime.now(UTC) - timedelta(seconds=1))
    with TestClient(build_app(recorder)) as client:
        opened = client.get(f"/a/{token}/", headers={"Accept": "text/html,*/*"})
        assert opened.headers["content-type"].startswith("text/html")
        assert "<h1>this link has expired; ask for a new one</h1>" in opened.text
        asked = client.get(f"/a/{token}/session")
        assert asked.json() == {"error": "this link has expired; ask for a new one"}
        assert opened.status_code == asked.status_code == 403


def test_a_link_without_its_last_slash_leads_to_the_page_wherever_it_is(
    workspace: Workspace,
) -> None:
    with recording_with(workspace, "anna") as (anna,):
        answer = anna.call("GET", "../" + anna.link.split("/")[2], follow_redirects=False)
        target = answer.headers["location"]
        assert urljoin(f"https://host/speak{anna.link[:-1]}", target) == (
            f"https://host/speak{anna.link}"
        )
        assert anna.client.get("/a/anna", follow_redirects=False).status_code == 403


def test_a_workspace_is_known_by_an_id_of_its_own(workspace: Workspace) -> None:
    first = Recorder(workspace)
    (first.folder / "secret").unlink()  # all links are invalid, and drafts are found again
    assert Recorder(workspace).workspace_id == first.workspace_id
    other = Recorder(make_workspace(workspace.root / "other"))
    assert other.workspace_id != first.workspace_id
    with recording_with(workspace, "anna") as (anna,):
        assert anna.call("GET", "session").json()["workspace"] == first.workspace_id


def test_what_a_kill_left_of_a_secret_is_none(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            Recorder(workspace)
    secret = workspace.root / "recorder/secret"
    assert not secret.exists()
    Recorder(workspace)
    assert (len(secret.read_bytes()), secret.stat().st_mode & 0o777) == (32, 0o600)
    secret.write_bytes(b"")
    with pytest.raises(SpeechError, match="secret is damaged; delete it and invite everybody"):
        Recorder(workspace)


@pytest.mark.parametrize("name", ["", "../anna", "a/b", ".anna", "anna\n", "ä", "a" * 65])
def test_a_name_that_could_be_no_folder_is_not_invited(workspace: Workspace, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be invited"):
        Recorder(workspace).invites.token(name, datetime.now(UTC))


def test_nothing_is_recorded_without_consent(workspace: Workspace) -> None:
    recorder = Recorder(workspace)
    token = recorder.invites.token("anna", datetime.now(UTC) + timedelta(days=1))
    with TestClient(build_app(recorder)) as client:
        base = f"/a/{token}"
        told = client.get(f"{base}/session").json()["consent"]
        assert not told["is_given"]
        assert told["text_sha256"] == sha256_bytes(told["text"].encode())
        for method, path in (
            ("POST", "next"),
            ("PATCH", f"recordings/{uuid4()}/0"),
            ("POST", "skip"),
        ):
            assert client.request(method, f"{base}/{path}").status_code == 403
        other = client.post(f"{base}/consent", json={"text_sha256": "0" * 64, "agreed": True})
        assert other.status_code == 409
        anna = Annotator(client, f"{base}/")
        for agreed in (False, True, False, True):  # the newest answer counts
            anna.answer(told["text_sha256"], agreed=agreed)
            assert client.get(f"{base}/session").json()["consent"]["is_given"] == agreed
            assert client.post(f"{base}/next").status_code == (200 if agreed else 403)
            assert Recorder(workspace).has_consent("anna") == agreed
    kept = list(appended_objects(workspace.root / "recorder/consents.jsonl"))
    assert [row["agreed"] for row in kept] == [False, True, False, True]
    assert {(row["annotator"], row["text_sha256"]) for row in kept} == {
        ("anna", told["text_sha256"])
    }
    assert all(datetime.fromisoformat(row["at"]).tzinfo for row in kept)
    # Another server knows of it; another text is another question.
    assert Recorder(workspace).has_consent("anna")
    (workspace.root / "ours.txt").write_text("May we?")
    toml = workspace.root / "pixmo.toml"
    toml.write_text(toml.read_text() + 'consent = "ours.txt"\n')
    ours = Recorder(Workspace.open(workspace.root))
    assert ours.consent_text == "May we?"
    assert not ours.has_consent("anna")


def test_pieces_continue_where_they_stopped(workspace: Workspace) -> None:
    data = as_browsers_record(workspace.root, 3.0)
    recording = str(uuid4())
    half = len(data) // 2
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        assert anna.send(recording, 0, data[:half]).json() == {"offset": half}
        again = anna.send(recording, 0, data[:half])  # the answer was lost on its way
        assert (again.status_code, again.json()["offset"]) == (409, half)
        ahead = anna.send(recording, 0, data[half:], half + 5)
        assert (ahead.status_code, ahead.json()["offset"]) == (409, half)
        early = anna.submit(recording, image, [len(data)])
        assert (early.status_code, early.json()["parts"]) == (409, [half])
    with recording_with(workspace, "anna") as (anna,):  # another server, later
        assert anna.call("GET", f"recordings/{recording}").json() == {
            "parts": [half],
            "filed": False,
        }
        assert anna.send(recording, 0, data[half:], half).status_code == 200
        assert anna.submit(recording, image, [len(data)]).status_code == 200
    assert len(inbox(workspace)) == 1


def test_submitting_twice_files_once(workspace: Workspace) -> None:
    data = as_browsers_record(workspace.root, 3.0)
    recording = str(uuid4())
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        anna.send(recording, 0, data)
        first = anna.submit(recording, image, [len(data)])
        second = anna.submit(recording, image, [len(data)])
        assert (second.status_code, second.json()) == (200, first.json())
        assert anna.send(recording, 0, data).status_code == 409
        assert anna.call("GET", "session").json()["recorded"] == 1
    assert len(lines(workspace)) == len(inbox(workspace)) == 1
    with recording_with(workspace, "anna") as (anna,):  # another server
        assert anna.submit(recording, image, [len(data)]).json() == first.json()
        assert anna.call("GET", "session").json()["recorded"] == 1
        assert anna.next() != image


def test_what_is_too_short_can_be_gone_on_with(workspace: Workspace) -> None:
    first, second = (as_browsers_record(workspace.root, seconds) for seconds in (0.7, 2.0))
    recording = str(uuid4())
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        anna.send(recording, 0, first)
        short = anna.submit(recording, image, [len(first)])
        assert (short.status_code, short.json()["kept"]) == (422, "draft")
        assert short.json()["seconds"] == pytest.approx(0.7, abs=0.05)  # for the page's clock
        assert "2 s are asked for" in short.json()["error"]
        # Else the next server would file it while she speaks.
        assert not list(workspace.root.glob("recorder/drafts/anna/*/submitted.json"))
        anna.send(recording, 1, second)
        assert anna.submit(recording, image, [len(first), len(second)]).status_code == 200
    assert lines(workspace)[0]["seconds"] == pytest.approx(2.7, abs=0.1)
    assert not list(workspace.root.glob("recorder/refused/*/*"))


@pytest.mark.parametrize(("seconds", "status"), [(0.9, 422), (1.3, 200), (6.7, 200), (7.2, 422)])
def test_the_decoded_length_may_be_a_second_off(
    workspace: Workspace, seconds: float, status: int
) -> None:
    with recording_with(workspace, "anna") as (anna,):
        data = as_browsers_record(workspace.root, seconds)
        assert anna.record(anna.next(), data).status_code == status


def test_what_is_no_recording_is_set_aside_with_its_reason(workspace: Workspace) -> None:
    sound = as_browsers_record(workspace.root, 3.0)
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        for data, wanted, reason in (
            (b"This is a text, whatever it is called.", image, "not a sound file"),
            (sound[:200] + bytes(100_000), image, "damaged recording"),
            (sound[:300], image, "empty recording"),
            (b"ffconcat version 1.0\nfile /etc/passwd\n", image, "not a sound file"),
            (as_browsers_record(workspace.root, 9.0), image, "too long"),
            (sound, "0" * 64, "no such image"),
        ):
            answer = anna.record(wanted, data)
            assert (answer.status_code, answer.json()["kept"]) == (422, "set aside"), reason
            assert reason in answer.json()["error"]
            (kept,) = [
                path.parent
                for path in workspace.root.glob("recorder/refused/anna/*/0.part")
                if path.read_bytes() == data
            ]
            reasons = {item.key: item.reason for item in workspace.still_set_aside()}
            assert reason in reasons[kept.name]
        assert anna.record(image, sound).status_code == 200
        second = anna.record(image, sound)  # in a second tab
        assert "second recording" in second.json()["error"]
    assert len(inbox(workspace)) == 1
    assert len(list(workspace.root.glob("recorder/refused/anna/*"))) == 7


def test_what_is_refused_twice_is_kept_twice_and_keeps_nobody_from_recording(
    workspace: Workspace,
) -> None:
    recording, data = str(uuid4()), b"This is a text."
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        for _ in range(2):  # the first answer was lost
            assert anna.send(recording, 0, data).status_code == 200
            assert anna.submit(recording, image, [len(data)]).json()["kept"] == "set aside"
    assert len(list(workspace.root.glob("recorder/refused/anna/*/0.part"))) == 2
    recorder = Recorder(workspace)
    draft = recorder.draft("anna", recording, image)
    draft.append(0, 0, data)
    draft.submit(Submission(recording, "anna", image, "2026-03-01T10:00:00+00:00"))
    assert recorder.file_what_was_submitted() == 0
    assert len(list(workspace.root.glob("recorder/refused/anna/*/0.part"))) == 3


def submitted(recorder: Recorder, data: bytes) -> tuple[Draft, Submission]:
    """Anna's recording of the first image, which nobody has filed."""
    image = next(iter(recorder.pictures))
    submission = Submission(str(uuid4()), "anna", image, "2026-03-01T10:00:00+00:00")
    draft = recorder.draft("anna", submission.recording_id, image)
    draft.append(0, 0, data)
    draft.submit(submission)
    return draft, submission


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_refuses_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(workspace)
    draft, submission = submitted(recorder, as_browsers_record(workspace.root, 3.0))
    with monkeypatch.context() as patch:
        patch.setattr("pixmo.speech.recorder.joining.remux", full)
        with pytest.raises(OSError, match="No space left"):
            recorder.file(draft, submission)
        assert recorder.file_what_was_submitted() == 0
    assert not list(workspace.root.glob("recorder/refused/*/*"))
    assert Recorder(workspace).file_what_was_submitted() == 1


def test_a_full_disk_is_called_one(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording_with(workspace, "anna") as (anna,), monkeypatch.context() as patch:
        patch.setattr(Draft, "append", full)
        answer = anna.send(str(uuid4()), 0, b"x")
        assert (answer.status_code, "disk is full" in answer.json()["error"]) == (507, True)


def test_too_much_is_refused_before_it_fills_the_disk(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "MOST_BYTES", 1_000)
    recording = str(uuid4())
    with recording_with(workspace, "anna") as (anna,):
        assert anna.send(recording, 0, b"x" * 800).status_code == 200
        assert anna.send(recording, 0, b"x" * 300, 800).status_code == 413
        assert anna.send(recording, 1, b"x" * 300).status_code == 413
        long = anna.send(recording, 0, b"x" * (MOST_PIECE_BYTES + 1), 800)
        assert (long.status_code, long.json()["error"]) == (413, "a piece has at most 4000 kB")
        said = anna.call("POST", "skip", json={"reason": "x" * 10_000})
        assert (said.status_code, "at most 10 kB" in said.json()["error"]) == (413, True)
        assert anna.call("GET", f"recordings/{recording}").json()["parts"] == [800]


def test_nobody_reaches_another_persons_draft_or_a_file_outside(workspace: Workspace) -> None:
    recording = str(uuid4())
    with recording_with(workspace, "anna", "ben") as (anna, ben):
        anna.send(recording, 0, b"hers")
        assert ben.call("GET", f"recordings/{recording}").json()["parts"] == []
        ben.call("DELETE", f"recordings/{recording}")
        assert anna.call("GET", f"recordings/{recording}").json()["parts"] == [4]
        anna.call("DELETE", f"recordings/{recording}")
        assert anna.call("GET", f"recordings/{recording}").json()["parts"] == []
        for bad in ("..%2f..%2fsecret", "%2e%2e", "secret", f"{recording}%00", recording.upper()):
            assert anna.send(bad, 0, b"x").status_code == 404, bad
        for bad in ("..%2fpixmo.toml", "pixmo.toml", "0" * 64):
            assert anna.call("GET", f"images/{bad}").status_code == 404
            assert anna.call("GET", bad).status_code == 404
        assert anna.call("POST", "skip", json={"image": "no", "reason": ""}).status_code == 422
        assert anna.call("POST", "skip", content=b"[" * 5_000).status_code == 422
        assert anna.call("POST", "skip", content=b"[]").status_code == 422


def test_what_is_said_is_about_the_image_that_it_was_begun_about(workspace: Workspace) -> None:
    sound, recording = as_browsers_record(workspace.root, 3.0), str(uuid4())
    half = len(sound) // 2
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        other = next(one for one in map(sha256_file, workspace.images.iterdir()) if one != image)
        assert anna.send(recording, 0, sound[:half], image=image).status_code == 200
        mixed = anna.send(recording, 0, sound[half:], half, image=other)
        assert (mixed.status_code, "another image" in mixed.json()["error"]) == (422, True)
        assert anna.send(recording, 0, sound[half:], half, image=image).status_code == 200
    with recording_with(workspace, "anna") as (anna,):  # another server
        answer = anna.submit(recording, other, [len(sound)])
        assert (answer.status_code, "another image" in answer.json()["error"]) == (422, True)
        assert "kept" not in answer.json()  # nothing is set aside
        assert anna.submit(recording, image, [len(sound)]).status_code == 200
    assert [line["image"] for line in lines(workspace)] == [image]


def test_forms_that_cannot_be_are_refused(workspace: Workspace) -> None:
    sound, recording = as_browsers_record(workspace.root, 3.0), str(uuid4())
    huge = "9" * 5_000
    with recording_with(workspace, "anna") as (anna,):
        wanted = anna.next()
        assert anna.send(recording, 0, sound).status_code == 200
        for image in ("\ud800", None, 5, [wanted], "", "../pixmo.toml", wanted.upper()):
            said = json.dumps({"image": image, "parts": [len(sound)]})
            answer = anna.call("POST", f"recordings/{recording}", content=said)
            assert answer.status_code == 422, image
        for offset in (huge, "-1", "1.5", "", b"\xb2"):
            headers = {"Upload-Offset": offset}
            answer = anna.call("PATCH", f"recordings/{recording}/0", headers=headers)
            assert answer.status_code == 422, offset
        for part in (huge, "-1", "first", "%D9%A1"):
            headers = {"Upload-Offset": "0"}
            answer = anna.call("PATCH", f"recordings/{recording}/{part}", headers=headers)
            assert answer.status_code == 404, part
        stated = anna.call("POST", "skip", headers={"Content-Length": huge}, content=b"{}")
        assert stated.status_code == 413
        assert anna.submit(recording, wanted, [len(sound)]).status_code == 200


def test_what_a_killed_server_had_not_filed_is_filed_by_the_next(workspace: Workspace) -> None:
    recorder = Recorder(workspace)
    _, submission = submitted(recorder, as_browsers_record(workspace.root, 3.0))
    spoken = recorder.draft("ben", str(uuid4()), "")
    spoken.append(0, 0, b"was speaking still")
    later = Recorder(workspace)
    assert later.drafts.unfinished() == 1
    assert later.file_what_was_submitted() == 1
    assert later.file_what_was_submitted() == 0
    assert [line["annotator"] for line in lines(workspace)] == ["anna"]
    assert later.assignment.has_recorded("anna", submission.image_sha256)
    assert spoken.sizes == [len(b"was speaking still")]


def test_a_kill_between_file_and_line_leaves_one_recording(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(workspace)
    draft, submission = submitted(recorder, as_browsers_record(workspace.root, 3.0))
    with monkeypatch.context() as patch:
        patch.setattr("pixmo.speech.recorder.filing.write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            recorder.file(draft, submission)
    assert len(inbox(workspace)) == 1
    assert not lines(workspace)
    assert Recorder(workspace).file_what_was_submitted() == 1
    assert len(inbox(workspace)) == len(lines(workspace)) == 1


def killed(*_: object) -> None:
    raise KeyboardInterrupt


# Files what was submitted, and dies before the sound that it has written gets its name.
DIES_WHILE_FILING = """
import os, signal, sys
from pathlib import Path
from pixmo.speech.recorder.recorder import Recorder
from pixmo.workspace.workspace import Workspace

def rename(path, target):
    if target.parent.parent.name == "recorder":
        os.kill(os.getpid(), signal.SIGKILL)
    os.replace(path, target)

Path.replace = rename
Recorder(Workspace.open(Path(sys.argv[1]))).file_what_was_submitted()
"""


def test_what_a_kill_left_half_written_is_swept_by_the_next_and_erased(
    workspace: Workspace,
) -> None:
    _, submission = submitted(Recorder(workspace), as_browsers_record(workspace.root, 3.0))
    dying = [sys.executable, "-c", DIES_WHILE_FILING, str(workspace.root)]
    assert subprocess.run(dying, check=False).returncode == -signal.SIGKILL
    (left,) = inbox(workspace)
    process = left.name.split(".")[-2]
    assert left.name == f".{submission.recording_id}.webm.{process}.tmp"
    assert left in erasing(workspace, Request("annotator", "anna")).inside
    assert left not in erasing(workspace, Request("annotator", "ben")).inside
    other = workspace.root / f"recorder/.address.{process}.tmp"
    other.touch()
    assert Recorder(workspace).file_what_was_submitted() == 1
    assert not other.exists()
    (file,) = inbox(workspace)
    assert file.name == f"{submission.recording_id}.webm"
    left.write_bytes(b"of an earlier server that was killed")
    assert {left, file} <= set(erasing(workspace, Request("annotator", "anna")).inside)


def test_a_day_that_somebody_edited_is_added_to_and_a_line_that_is_none_is_named(
    workspace: Workspace,
) -> None:
    sound = as_browsers_record(workspace.root, 3.0)
    with recording_with(workspace, "anna") as (anna,):
        assert anna.record(anna.next(), sound).status_code == 200
    (metadata,) = (workspace.audio / "recorder").glob("*/metadata.jsonl")
    metadata.write_text("\n\n" + metadata.read_text().rstrip())
    with recording_with(workspace, "anna") as (anna,):
        assert anna.call("GET", "session").json()["recorded"] == 1
        assert anna.record(anna.next(), sound + bytes(1)).status_code == 200
    assert len(lines(workspace)) == 2
    assert len(find(workspace, workspace.audio).recordings) == 2
    for wrong in ('{"file_name": "a.webm"}', "{", "[]"):
        metadata.write_text(f"\n{wrong}\n")
        with pytest.raises(SpeechError, match=r"metadata.jsonl line 2 is no line of the recorder"):
            Recorder(workspace)


def test_who_was_at_an_image_when_the_server_ended_is_at_it_again(workspace: Workspace) -> None:
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
    recording = str(uuid4())
    for method, path in (("GET", recording), ("PATCH", f"{recording}/0")):
        with recording_with(workspace, "anna", "ben") as (anna, ben):  # another server
            headers = {"Upload-Offset": "0"}
            at = {"image": image}
            anna.call(method, f"recordings/{path}", params=at, headers=headers).raise_for_status()
            assert ben.next() != image
            assert anna.next() == image
    with recording_with(workspace, "anna", "ben") as (anna, ben):
        anna.call("POST", "skip", json={"image": image, "reason": ""})
        anna.call("GET", f"recordings/{recording}", params={"image": image})
        assert ben.next() == image  # it is not anna's to take


def test_an_image_that_was_skipped_is_not_asked_for_again(workspace: Workspace) -> None:
    with recording_with(workspace, "anna") as (anna,):
        image = anna.next()
        anna.call("POST", "skip", json={"image": image, "reason": "it is disturbing"})
        assert anna.next() != image
    kept = json.loads((workspace.root / "recorder/skips.jsonl").read_text())
    assert (kept["annotator"], kept["image"], kept["reason"]) == ("anna", image, "it is disturbing")
    with recording_with(workspace, "anna", "ben") as (anna, ben):  # another server
        assert anna.next() != image
        assert ben.next() == image


def test_images_taken_in_meanwhile_are_handed_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixmo.images.store import add_images
    from pixmo.workspace.tables import Table
    from tests.workspaces import picture

    read: list[Path] = []
    read_part = Table.read_part
    monkeypatch.setattr(
        Table, "read_part", lambda self, path: read.append(path) or read_part(self, path)
    )
    with recording_with(workspace, "anna") as (anna,):
        sound = as_browsers_record(workspace.root, 3.0)
        for _ in range(3):
            assert anna.record(anna.next(), sound + bytes(1)).status_code == 200
        assert anna.next() is None
        picture(9).save(workspace.images / "new.png")
        add_images(workspace, workspace.images)
        read.clear()
        for _ in range(2):
            assert anna.next() == sha256_file(workspace.images / "new.png")
        assert len(read) == 1  # what is new, once


def test_images_are_sent_as_they_are_or_as_browsers_show_them(workspace: Workspace) -> None:
    from pixmo.images.store import add_images
    from tests.workspaces import picture

    picture(8).save(workspace.images / "scan.tiff")
    add_images(workspace, workspace.images)
    with recording_with(workspace, "anna") as (anna,):
        png = workspace.images / "picture 0.png"
        sent = anna.call("GET", f"images/{sha256_file(png)}")
        assert (sent.headers["content-type"], sent.content) == ("image/png", png.read_bytes())
        tiff = anna.call("GET", f"images/{sha256_file(workspace.images / 'scan.tiff')}")
        assert tiff.headers["content-type"] == "image/jpeg"
        assert tiff.content.startswith(b"\xff\xd8")


def test_a_picture_that_several_want_at_once_is_whole(workspace: Workspace) -> None:
    from pixmo.images.store import add_images
    from tests.workspaces import picture

    picture(8, (1600, 1200)).save(workspace.images / "scan.tiff")
    add_images(workspace, workspace.images)
    tiff = f"images/{sha256_file(workspace.images / 'scan.tiff')}"
    with (
        recording_with(workspace, "anna", "ben", "carl", "dora") as people,
        ThreadPoolExecutor(len(people)) as together,
    ):
        answers = list(together.map(lambda one: one.call("GET", tiff), people))
    assert [answer.status_code for answer in answers] == [200] * len(people)
    assert len({answer.content for answer in answers}) == 1


def test_requests_wait_for_no_disk_and_their_thread_alone_says_who_is_at_what(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, moved = set(), set()
    fsync, move = os.fsync, Assignment._move

    def noted_fsync(handle: int) -> None:
        synced.add(threading.get_ident())
        fsync(handle)

    def noted_move(self: Assignment, image: str, by: int) -> None:
        moved.add(threading.get_ident())
        move(self, image, by)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Assignment, "_move", noted_move)
    with recording_with(workspace, "anna") as (anna,):
        said = {"image": anna.next(), "reason": "it is disturbing"}
        assert anna.call("POST", "skip", json=said).status_code == 200
        assert anna.record(anna.next(), as_browsers_record(workspace.root, 3.0)).status_code == 200
    assert len(moved) == 1
    assert synced
    assert not synced & moved


def test_an_answer_is_sent_at_once() -> None:
    with listen("127.0.0.1", 0) as server, socket.create_connection(server.getsockname()):
        connection, _ = server.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_every_answer_tells_the_browser_to_load_nothing_from_elsewhere(
    workspace: Workspace,
) -> None:
    with recording_with(workspace, "anna") as (anna,):
        for path in ("", "session", "nothing"):
            headers = anna.call("GET", path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
        page = anna.call("GET", "").text
    assert "http" not in page  # no other host, and nothing that begins at the host's root
    assert 'src="/' not in page
    assert 'href="/' not in page


def test_settings_that_cannot_be_are_named(workspace: Workspace) -> None:
    toml = workspace.root / "pixmo.toml"
    before = toml.read_text()
    (workspace.root / "blank.txt").write_text(" \n\n")
    for line, named in (
        ('consent = "none.txt"', "consent"),
        ('questions = "none.txt"', r"questions: \S+none.txt: No such file or directory"),
        ('questions = "blank.txt"', "questions: blank.txt has none"),
    ):
        toml.write_text(before + line)
        with pytest.raises(SettingsError, match=named):
            Recorder(Workspace.open(workspace.root))
    toml.write_text("[record]\nmin_seconds = 9\nmax_seconds = 6\n")
    with pytest.raises(SettingsError, match="max_seconds"):
        Recorder(Workspace.open(workspace.root))


def test_a_draft_takes_so_many_parts_and_no_more(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "draft")
    for part in range(drafts.MOST_PARTS):
        draft.append(part, 0, b"x")
    with pytest.raises(drafts.TooLargeError, match="at most 100 parts"):
        draft.append(drafts.MOST_PARTS, 0, b"x")


def test_a_draft_takes_parts_in_order(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "draft")
    with pytest.raises(drafts.OffsetError):
        draft.append(1, 0, b"second")
    draft.append(0, 0, b"first")
    draft.append(1, 0, b"second")
    assert draft.sizes == [5, 6]
