"""pixmo.publish.verify and signature: what is not as it was released, or not by whom it says."""

import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import minisign
import pytest

from pixmo.dataset.manifest import SIGNATURE, differences, read
from pixmo.errors import PublishError, ReleaseError
from pixmo.publish import signature
from pixmo.publish.fetch import fetch
from pixmo.publish.folder import Folder
from pixmo.publish.place import needed
from pixmo.publish.publish import publish
from pixmo.publish.verify import SignatureError, verify
from tests.conftest import run_pixmo
from tests.published import LARGE, SIZES, packed, plain_release

PROGRAM = shutil.which("minisign")
needs_minisign = pytest.mark.skipif(PROGRAM is None, reason="no minisign: apt-get install it")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return plain_release(tmp_path / "v1")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A secret key without a password; its public key is beside it."""
    path = tmp_path / "me.key"
    signature.new_key(path, lambda _: "")
    return path


def flip(path: Path, offset: int) -> None:
    """One bit is another."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_a_release_as_it_was_built_passes(release: Path) -> None:
    found = verify(Folder(release))
    assert found.passed
    assert (found.version, found.files, found.bytes) == ("v1", len(SIZES), sum(SIZES.values()))
    assert not found.is_signed


@pytest.mark.parametrize(
    ("spoil", "faults"),
    [
        (lambda root: (root / LARGE).unlink(), [f"{LARGE} is missing"]),
        (
            lambda root: flip(root / LARGE, SIZES[LARGE] - 1),
            [f"{LARGE} is not the file that was released: its sha256 differs"],
        ),
        (
            lambda root: (root / "empty.txt").write_bytes(b"x"),
            ["empty.txt is not the file that was released: its sha256 differs"],
        ),
        (lambda root: (root / "b.txt").write_bytes(b""), ["b.txt is not in the manifest"]),
        (
            lambda root: (root / "README.md").rename(root / "readme.md"),
            ["README.md is missing", "readme.md is not in the manifest"],
        ),
    ],
)
def test_each_fault_has_its_line(
    spoil: Callable[[Path], object], faults: list[str], release: Path
) -> None:
    spoil(release)
    found = verify(Folder(release))
    assert list(found.faults) == faults
    assert not found.passed


def test_what_is_no_release_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="holds no whole release: it has no manifest"):
        verify(Folder(tmp_path))
    with pytest.raises(ReleaseError, match="holds no whole release"):
        verify(Folder(tmp_path / "nowhere"))


def test_the_command_says_each_fault_and_fails(release: Path, pixmo: Path, tmp_path: Path) -> None:
    (release / "README.md").unlink()
    (release / "b.txt").write_text("x")
    said = run_pixmo(pixmo, "verify", "v1", cwd=tmp_path)
    assert said.returncode == 1
    first, second, summary, _ = said.stdout.splitlines()
    assert (first, second) == ("README.md is missing", "b.txt is not in the manifest")
    assert summary.endswith("bytes: 2 faults")
    as_json = run_pixmo(pixmo, "verify", "v1", "--json", cwd=tmp_path)
    assert as_json.returncode == 1
    found = json.loads(as_json.stdout)
    assert found["faults"] == [first, second]
    assert (found["passed"], found["version"]) == (False, "v1")


def test_a_version_is_that_of_the_workspace(tmp_path: Path, pixmo: Path) -> None:
    there = plain_release(tmp_path / "releases/v2", "v2")
    own = plain_release(tmp_path / "v3", "v3")
    (there / "README.md").unlink()

    def said(*words: str, cwd: Path = tmp_path) -> str:
        return run_pixmo(pixmo, "verify", *words, cwd=cwd).stdout

    assert f"README.md is missing\n{there}: release v2" in said("v2")
    assert f"README.md is missing\n{there}: release v2" in said("v2", "-w", "..", cwd=own)
    assert f"{there}: release v2" in said("v2", "-w", "..", cwd=there.parent)  # it is this one
    beside = plain_release(tmp_path / "v2", "v2")
    both = run_pixmo(pixmo, "verify", "v2", cwd=tmp_path)
    assert (both.returncode, both.stdout) == (1, "")
    assert f"of the workspace, {there}, and a folder here, {beside}; write" in both.stderr
    assert said("./v2").startswith(f"{beside}: release v2")
    assert said("v3").startswith(f"{own}: release v3")
    nowhere = run_pixmo(pixmo, "verify", "v9", cwd=tmp_path)
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert f"{tmp_path}/v9 holds no whole release" in nowhere.stderr


def test_a_signature_holds_and_names_the_release(release: Path, key: Path) -> None:
    path = signature.sign(Folder(release), key, lambda _: pytest.fail("it has no password"))
    assert path == release / SIGNATURE
    assert list(differences(release, read(release))) == []
    found = needed(Folder(release))
    comment = f"manifest.json of release v1, sha256 {found.sha256}"
    for public in (f"{key}.pub", Path(f"{key}.pub").read_text().splitlines()[1]):
        assert signature.check(found, public) == comment
    checked = verify(Folder(release), check_signature=lambda c: signature.check(c, f"{key}.pub"))
    assert (checked.passed, checked.is_signed, checked.signed) == (True, True, comment)
    before = path.read_bytes()
    signature.sign(Folder(release), key, lambda _: "")
    assert path.read_bytes() == before


def test_a_signature_of_something_else_is_a_fault(release: Path, key: Path, tmp_path: Path) -> None:
    def faults(public: str = f"{key}.pub") -> list[str]:
        checked = verify(Folder(release), check_signature=lambda c: signature.check(c, public))
        return list(checked.faults)

    assert faults() == [f"{SIGNATURE} is missing: the release is not signed"]
    signature.sign(Folder(release), key, lambda _: "")
    assert faults() == []
    stranger = tmp_path / "stranger.key"
    signature.new_key(stranger, lambda _: "")
    (line,) = faults(f"{stranger}.pub")
    assert line.startswith(f"{SIGNATURE} does not hold: ")
    data = json.loads((release / "manifest.json").read_text())
    data["license"] = "CC0-1.0"  # all files are as promised, but the promise is another
    (release / "manifest.json").write_text(json.dumps(data))
    (line,) = faults()
    assert line == f"{SIGNATURE} does not hold: signature verification failed"
    (release / SIGNATURE).write_text("nonsense")
    (line,) = faults()
    assert line.startswith(f"{SIGNATURE} does not hold: ")


def test_a_comment_that_was_changed_does_not_hold(release: Path, key: Path) -> None:
    path = signature.sign(Folder(release), key, lambda _: "")
    path.write_text(path.read_text().replace("release v1", "release v2"))
    with pytest.raises(SignatureError, match="does not hold"):
        signature.check(needed(Folder(release)), f"{key}.pub")


def test_only_what_is_as_it_was_built_is_signed(release: Path, key: Path) -> None:
    flip(release / LARGE, 5)
    with pytest.raises(ReleaseError, match=r"is not what its manifest says"):
        signature.sign(Folder(release), key, lambda _: "")
    assert not (release / SIGNATURE).exists()


def test_a_key_with_a_password_needs_it(release: Path, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    signature.new_key(key, lambda _: "open sesame")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(PublishError, match=r"locked\.key: wrong password"):
        signature.sign(Folder(release), key, lambda _: "sesame")
    signature.sign(Folder(release), key, lambda _: "open sesame")
    assert signature.check(needed(Folder(release)), f"{key}.pub")
    with pytest.raises(ReleaseError, match="a key is never overwritten"):
        signature.new_key(key, lambda _: "")


def test_what_is_no_key_is_said(release: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "no.key").write_text("nothing")
    with pytest.raises(PublishError, match=r"no\.key: .*give a secret key in minisign's format"):
        signature.sign(Folder(release), tmp_path / "no.key", lambda _: "")
    signature.sign(Folder(release), key, lambda _: "")
    with pytest.raises(PublishError, match="give a public key in minisign's format"):
        signature.check(needed(Folder(release)), str(tmp_path / "no.key"))


def test_a_signature_goes_along_and_may_follow(release: Path, key: Path, tmp_path: Path) -> None:
    early, late = Folder(tmp_path / "early"), Folder(tmp_path / "late")
    publish(packed(release), late)
    signature.sign(Folder(release), key, lambda _: "")
    publish(packed(release), early)
    followed = publish(packed(release), late)
    assert (followed.is_published, followed.sends_signature) == (True, True)
    for place in (early, late):
        assert signature.check(needed(place), f"{key}.pub")
    assert not publish(packed(release), late).sends_signature
    stranger = tmp_path / "stranger.key"
    signature.new_key(stranger, lambda _: "")
    signature.sign(Folder(release), stranger, lambda _: "")
    with pytest.raises(PublishError, match="with another signature, which stays"):
        publish(packed(release), late)
    assert signature.check(needed(late), f"{key}.pub")


def test_a_signature_that_came_later_is_fetched_into_a_copy(
    release: Path, key: Path, tmp_path: Path
) -> None:
    copy = Folder(tmp_path / "copy")
    fetch(Folder(release), copy)
    path = signature.sign(Folder(release), key, lambda _: "")
    fetch(Folder(release), copy)
    assert signature.check(needed(copy), f"{key}.pub")
    stranger = tmp_path / "stranger.key"
    signature.new_key(stranger, lambda _: "")
    before = path.read_bytes()
    signature.sign(Folder(release), stranger, lambda _: "")
    fetch(Folder(release), copy)  # one that is there stays
    assert (copy.root / SIGNATURE).read_bytes() == before


@needs_minisign
def test_minisign_accepts_what_is_signed_here(release: Path, key: Path) -> None:
    signature.sign(Folder(release), key, lambda _: "")
    command = [PROGRAM, "-V", "-p", f"{key}.pub", "-m", release / "manifest.json"]
    said = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "Trusted comment: manifest.json of release v1" in said.stdout
    flip(release / "manifest.json", 3)
    assert subprocess.run([*map(str, command)], capture_output=True, check=False).returncode


@needs_minisign
def test_what_minisign_signs_with_its_keys_holds_here(release: Path, tmp_path: Path) -> None:
    key, public = tmp_path / "mini.key", tmp_path / "mini.pub"
    password = "open sesame\n"
    make = [PROGRAM, "-G", "-p", public, "-s", key]
    subprocess.run([*map(str, make)], input=password * 2, text=True, check=True)
    by_it = [PROGRAM, "-S", "-s", key, "-m", release / "manifest.json"]
    subprocess.run([*map(str, by_it)], input=password, text=True, check=True)
    found = needed(Folder(release))
    assert "file:manifest.json" in signature.check(found, str(public))
    (release / SIGNATURE).unlink()
    signature.sign(Folder(release), key, lambda _: "open sesame")
    assert signature.check(needed(Folder(release)), str(public))


def test_the_commands_make_a_key_sign_and_verify(
    release: Path, pixmo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINISIGN_PASSWORD", "open sesame")
    made = run_pixmo(pixmo, "sign", release, "--new-key", "me.key", "--key", "me.key", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert f"signature  {release.relative_to(tmp_path)}/{SIGNATURE}" in made.stdout
    secret = minisign.SecretKey.from_file(tmp_path / "me.key")
    assert secret.is_encrypted()
    checked = run_pixmo(pixmo, "verify", "v1", "--public-key", "me.key.pub", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "signature holds: manifest.json of release v1" in checked.stdout
    unchecked = run_pixmo(pixmo, "verify", "v1", cwd=tmp_path)
    assert "signed, not checked; give --public-key" in unchecked.stdout
    nothing = run_pixmo(pixmo, "sign", "v1", cwd=tmp_path)
    assert nothing.returncode == 1
    assert "give a release and --key, or --new-key" in nothing.stderr


def test_a_script_is_told_how_to_give_the_password(
    release: Path, pixmo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_terminal(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [pixmo, "sign", *words],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # as of cron: it has no terminal
        )

    monkeypatch.delenv("MINISIGN_PASSWORD", raising=False)
    told = without_terminal("--new-key", "me.key")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        "pixmo: Password for me.key, empty for none: there is no terminal to type it; set"
        " MINISIGN_PASSWORD, to nothing where the key has none\n"
    )
    assert not list(tmp_path.glob("me.key*"))
    monkeypatch.setenv("MINISIGN_PASSWORD", "")
    assert without_terminal("--new-key", "me.key").returncode == 0
    monkeypatch.delenv("MINISIGN_PASSWORD")
    assert without_terminal(str(release), "--key", "me.key").returncode == 0  # it has none
    assert (release / SIGNATURE).is_file()
