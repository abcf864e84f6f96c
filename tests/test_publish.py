"""pixmo.publish into folders, what it checks first, and the commands."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from pixmo.errors import PublishError, ReleaseError
from pixmo.execution.progress import SILENT
from pixmo.publish.fetch import fetch
from pixmo.publish.folder import Folder
from pixmo.publish.places import opened
from pixmo.publish.publish import plan, publish
from pixmo.publish.shipment import MOST_PARTS, PART_BYTES, pack, part_bytes
from pixmo.publish.verify import verify
from pixmo.release.build import build_release
from pixmo.release.withdraw import Request, withdraw
from pixmo.workspace.workspace import Workspace
from tests import object_stores
from tests.conftest import run_pixmo
from tests.object_stores import BUCKET, CREDENTIALS, client_of
from tests.published import LARGE, SIZES, contents, packed, plain_release
from tests.releases import write_release
from tests.test_verify import flip
from tests.workspaces import Planter, picture


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_release(tmp_path_factory.mktemp("release") / "v1")


def hidden(folder: Path) -> list[str]:
    """What stands in a folder that begins with a dot."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_folder_holds_the_release_to_the_byte(release: Path, tmp_path: Path) -> None:
    place = opened(str(tmp_path / "some" / "where" / "v1"))
    done = publish(packed(release), place)
    assert [file.path for file in done.sends] == sorted(SIZES)
    assert done.bytes == sum(SIZES.values())
    assert contents(tmp_path / "some/where/v1") == contents(release)
    assert not hidden(tmp_path / "some/where")
    assert verify(place).passed


def test_publishing_again_does_nothing_and_another_release_is_refused(
    release: Path, tmp_path: Path
) -> None:
    place = Folder(tmp_path / "place")
    publish(packed(release), place)
    before = {path: path.stat().st_mtime_ns for path in place.root.rglob("*")}
    again = publish(packed(release), place)
    assert again.is_published
    assert not again.sends
    assert len(again.there) == len(SIZES)
    other = plain_release(tmp_path / "v2", "v2", seed=1)
    with pytest.raises(PublishError, match="holds another release, v1; a published release never"):
        publish(packed(other), place)
    assert {path: path.stat().st_mtime_ns for path in place.root.rglob("*")} == before


def test_a_folder_with_anything_in_it_and_a_file_are_refused(release: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PublishError, match=r"holds 1 file .* such as notes.txt"):
        publish(packed(release), Folder(tmp_path))
    with pytest.raises(PublishError, match=r"notes\.txt is a file; name a folder"):
        publish(packed(release), Folder(tmp_path / "notes.txt"))
    (tmp_path / "hollow/sub").mkdir(parents=True)
    with pytest.raises(PublishError, match=r"holds 1 file of something else, such as sub"):
        plan(packed(release), Folder(tmp_path / "hollow"))
    with pytest.raises(PublishError, match=r"hollow is not empty; name a new folder"):
        fetch(Folder(release), Folder(tmp_path / "hollow"))
    (tmp_path / "empty").mkdir()
    publish(packed(release), Folder(tmp_path / "empty"))
    assert contents(tmp_path / "empty") == contents(release)


def test_a_release_is_never_copied_into_itself(release: Path, tmp_path: Path) -> None:
    before = contents(release)
    (tmp_path / "link").symlink_to(release)
    for within in (release / "copy", release / "images/copy", tmp_path / "link/copy"):
        with pytest.raises(PublishError, match="is inside of the release itself; name another"):
            plan(packed(release), Folder(within))
        with pytest.raises(PublishError, match="is inside of the release itself; name another"):
            fetch(Folder(release), Folder(within))
    assert contents(release) == before
    assert not hidden(release)


def test_a_place_that_has_lost_a_file_is_not_said_to_hold_the_release(
    release: Path, tmp_path: Path
) -> None:
    place = Folder(tmp_path / "place")
    publish(packed(release), place)
    (place.root / "README.md").write_bytes(b"short")
    says = r"has the manifest of release v1, but README\.md has another size there; pixmo verify /"
    with pytest.raises(PublishError, match=says):
        publish(packed(release), place)
    (place.root / "README.md").unlink()
    with pytest.raises(PublishError, match=r"but README\.md is missing there"):
        plan(packed(release), place)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: (root / LARGE).unlink(), f"{LARGE} is missing or is not the file"),
        (lambda root: (root / "README.md").write_bytes(b"x" * 700), "README.md is missing or is"),
        (lambda root: (root / "README.md").write_bytes(b"x"), "README.md is missing or is not"),
        (lambda root: (root / "mine.txt").write_bytes(b"x"), "mine.txt is not in the manifest"),
        (lambda root: (root / "manifest.json").unlink(), "holds no whole release"),
        (lambda root: (root / "manifest.json").write_text("[]"), "is not a manifest"),
    ],
)
def test_what_is_not_as_it_was_built_is_never_sent(spoil, says: str, tmp_path: Path) -> None:
    root = plain_release(tmp_path / "v1")
    spoil(root)
    with pytest.raises(ReleaseError, match=re.escape(says)):
        pack(Folder(root), SILENT)


def test_every_fault_of_a_release_is_counted(tmp_path: Path) -> None:
    root = plain_release(tmp_path / "v1")
    (root / "README.md").unlink()
    (root / "empty.txt").unlink()
    with pytest.raises(
        ReleaseError, match=r"README\.md .*, and 1 more like it; restore it .* another name"
    ):
        pack(Folder(root), SILENT)


@pytest.mark.parametrize(
    "path", ["../out.txt", "/etc/passwd", "a/../../b", "manifest.json", "", "a//b", "./a", "a\\b"]
)
def test_a_strangers_manifest_can_name_nothing_outside_the_release(
    path: str, tmp_path: Path
) -> None:
    root = plain_release(tmp_path / "v1", sizes={"a.txt": 3})
    data = json.loads((root / "manifest.json").read_text())
    data["files"][0]["path"] = path
    (root / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(ReleaseError, match="which can be no file of a release"):
        fetch(Folder(root), Folder(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("version", "../../.ssh", "has version '../../.ssh', which names no release"),
        ("version", "/etc", "has version '/etc', which names no release"),
        ("version", "..", "has version '..', which names no release"),
        ("version", "", "has version '', which names no release"),
        ("version", 1, "is not a manifest: 'version' of a manifest cannot be 1"),
        ("license", None, "is not a manifest: 'license' of a manifest cannot be None"),
        ("images", ["url"], "is not a manifest: 'images' of a manifest cannot be ['url']"),
        ("files", 3, "is not a manifest: 'int' object is not iterable"),
        ("files", [3], "is not a manifest: 'int' object is not a mapping"),
        ("subsets", ["cap"], "is not a manifest: "),
        ("path", 3, "is not a manifest: 'path' of a file cannot be 3"),
        ("sha256", None, "is not a manifest: 'sha256' of a file cannot be None"),
        ("bytes", "3", "is not a manifest: 'bytes' of a file cannot be '3'"),
        ("bytes", True, "is not a manifest: 'bytes' of a file cannot be True"),
        ("rows", 1.5, "is not a manifest: 'rows' of a file cannot be 1.5"),
    ],
)
def test_a_strangers_manifest_with_wrong_values_is_one_line(
    field: str, value: object, says: str, tmp_path: Path
) -> None:
    root = plain_release(tmp_path / "v1", sizes={"a.txt": 3})
    data = json.loads((root / "manifest.json").read_text())
    (data if field in data else data["files"][0])[field] = value
    (root / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(ReleaseError, match=re.escape(says)):
        fetch(Folder(root), Folder(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_a_manifest_of_endless_brackets_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(ReleaseError, match="is not a manifest"):
        fetch(Folder(tmp_path), Folder(tmp_path / "copy"))


def test_parts_are_as_many_as_a_store_takes() -> None:
    assert part_bytes(0) == part_bytes(PART_BYTES * MOST_PARTS) == PART_BYTES
    for size in (PART_BYTES * MOST_PARTS + 1, 5 << 40):
        part = part_bytes(size)
        assert part % (1 << 20) == 0
        assert -(-size // part) <= MOST_PARTS


def test_a_killed_copy_leaves_no_release_and_goes_on(
    release: Path, tmp_path: Path, pixmo: Path
) -> None:
    place = Folder(tmp_path / "place" / "v1")
    shipment = packed(release)
    staging = place.staging(shipment.contents)
    source = tmp_path / "v1"
    shutil.copytree(release, source)
    # One of its files never ends, so the copy is caught in the middle.
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.published import packed\n"
        "from pixmo.publish.folder import Folder\nfrom pixmo.publish.publish import publish\n"
        "sent = packed(Path(sys.argv[1]))\n"
        "large = Path(sys.argv[1], sys.argv[3])\n"
        "large.unlink()\nos.mkfifo(large)\n"
        "publish(sent, Folder(Path(sys.argv[2])))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, source, place.root, LARGE])
    wait_for(process, source / LARGE)
    with (source / LARGE).open("wb") as pipe:
        pipe.write((release / LARGE).read_bytes()[:100_000])
        pipe.flush()
        while not all((staging / path).exists() for path in SIZES if path != LARGE):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not place.root.exists()
    assert not (staging / "manifest.json").exists()
    assert not (staging / LARGE).exists()
    planned = plan(shipment, place)
    assert [file.path for file in planned.sends] == [LARGE]
    publish(shipment, place)
    assert contents(place.root) == contents(release)
    assert not hidden(place.root.parent)


def test_two_processes_never_copy_into_one_folder(release: Path, tmp_path: Path) -> None:
    place, shipment = Folder(tmp_path / "v1"), packed(release)
    with (
        place.only_copier(place.staging(shipment.contents)),
        pytest.raises(PublishError, match="another process copies this release"),
    ):
        publish(shipment, place)
    publish(shipment, place)
    assert contents(place.root) == contents(release)


def wait_for(process: "subprocess.Popen[bytes]", pipe: Path) -> None:
    """The process has made its pipe."""
    while not pipe.is_fifo():
        assert process.poll() is None


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process can be larger than a megabyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    release: Path, tmp_path: Path, small_disk: None
) -> None:
    shipment = packed(release)
    says = re.escape(f"{tmp_path / 'v1'}: {os.strerror(errno.EFBIG)}; nothing is left there")
    with pytest.raises(PublishError, match=says):
        publish(shipment, Folder(tmp_path / "v1"))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_a_release_is_fetched_is_one_line(
    release: Path, tmp_path: Path, small_disk: None, pixmo: Path
) -> None:
    said = run_pixmo(pixmo, "fetch", release, tmp_path / "v1", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"pixmo: {tmp_path / 'v1'}: {os.strerror(errno.EFBIG)}; nothing is left")
    assert list(tmp_path.iterdir()) == []


def test_of_two_releases_into_one_folder_the_first_stays(release: Path, tmp_path: Path) -> None:
    """The second has copied everything when the first takes the name."""
    place = Folder(tmp_path / "place")
    late = packed(plain_release(tmp_path / "v2", "v2", seed=1))
    planned = plan(late, place)
    publish(packed(release), place)
    with pytest.raises(PublishError, match="was filled by somebody else meanwhile"):
        place.receive(late, planned.sends, SILENT)
    assert contents(place.root) == contents(release)
    same = packed(release)
    place.receive(same, same.files, SILENT)  # the same release, however, is no conflict
    assert contents(place.root) == contents(release)
    assert len(hidden(tmp_path)) == 1  # what the late one copied, should it find another place


def test_a_fetched_release_is_whole_and_checked(release: Path, tmp_path: Path) -> None:
    source = tmp_path / "place"
    publish(packed(release), Folder(source))
    fetch(Folder(source), Folder(tmp_path / "here"))
    assert contents(tmp_path / "here") == contents(release)
    fetch(Folder(source), Folder(tmp_path / "here"))  # nothing to do
    flip(tmp_path / "here" / LARGE, 5)
    with pytest.raises(ReleaseError, match=f"here is not what its manifest says: {LARGE} is not"):
        fetch(Folder(source), Folder(tmp_path / "here"))
    flip(tmp_path / "here" / LARGE, 5)
    (source / "README.md").write_bytes(b"y" * SIZES["README.md"])
    with pytest.raises(ReleaseError, match=r"README\.md is not the file that was released"):
        fetch(Folder(source), Folder(tmp_path / "again"))
    (source / "README.md").unlink()
    with pytest.raises(ReleaseError, match=r"README\.md is missing"):
        fetch(Folder(source), Folder(tmp_path / "again"))
    assert not (tmp_path / "again").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(PublishError, match="is not empty; name a new folder"):
        fetch(Folder(source), Folder(tmp_path / "full"))
    other = plain_release(tmp_path / "v2", "v2", seed=1)
    with pytest.raises(PublishError, match="holds another release, v1"):
        fetch(Folder(other), Folder(tmp_path / "here"))


def test_an_address_of_nothing_known_is_refused() -> None:
    with pytest.raises(PublishError, match=r"ftp://host/x is no place .* give s3://bucket/prefix"):
        opened("ftp://host/x")
    with pytest.raises(PublishError, match=r"s3:/bucket/x is no place .* give s3://bucket/prefix"):
        opened("s3:/bucket/x")


def test_a_profile_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(PublishError, match=r"s3://bucket/x: .*profile \(nope\) could not be found"):
        opened("s3://bucket/x")
    monkeypatch.delenv("AWS_PROFILE")
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    with pytest.raises(PublishError, match="Partial credentials"):
        opened("s3://bucket/x")


def test_an_empty_key_checks_nothing_and_is_refused(release: Path, pixmo: Path) -> None:
    done = run_pixmo(pixmo, "verify", release, "--public-key", "", cwd=release)
    assert done.returncode != 0
    assert "--public-key: is empty" in done.stderr.replace("\n", " ")


def test_a_store_of_a_test_or_a_benchmark_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        with object_stores.moto() as url:
            client = client_of(url)
            assert client.list_buckets()["Buckets"] == []
            client.create_bucket(Bucket=BUCKET)
            client.close()


@pytest.fixture
def workspace(release: Path, tmp_path: Path) -> Path:
    """A workspace with a release of real rows."""
    root = tmp_path / "data"
    write_release(root / "releases" / "v1")
    return root


def test_the_commands_publish_verify_fetch_and_validate(
    workspace: Path, tmp_path: Path, pixmo: Path
) -> None:
    place = tmp_path / "share" / "v1"
    dry = run_pixmo(pixmo, "publish", "v1", place, "--dry-run", cwd=workspace)
    assert dry.returncode == 0, dry.stderr
    *lines, total = dry.stdout.splitlines()
    named = {line.split(maxsplit=1)[1]: int(line.split()[0].replace(",", "")) for line in lines}
    sizes = {path: len(data) for path, data in contents(workspace / "releases/v1").items()}
    del sizes["manifest.json"]
    assert named == sizes
    assert total == f"would send {len(sizes)} files, {sum(sizes.values()):,} bytes"
    assert not place.exists()
    sent = run_pixmo(pixmo, "publish", "v1", place, cwd=workspace)
    assert sent.returncode == 0, sent.stderr
    assert f"published v1 at {place}" in sent.stdout
    once_more = run_pixmo(pixmo, "publish", "v1", place, cwd=workspace)
    assert "already holds this release, v1; nothing to send" in once_more.stdout
    again = run_pixmo(pixmo, "publish", "v1", place, "--json", cwd=workspace)
    assert json.loads(again.stdout)["is_published"] is True
    checked = run_pixmo(pixmo, "verify", place, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "as released" in checked.stdout
    fetched = run_pixmo(pixmo, "fetch", place, "copy", cwd=tmp_path)
    assert (fetched.returncode, fetched.stdout) == (0, "release v1 is in copy\n")
    valid = run_pixmo(pixmo, "validate", place, cwd=workspace)
    assert valid.returncode == 0, valid.stdout + valid.stderr
    assert "every check passed" in valid.stdout


@pytest.mark.parametrize("is_linked", [False, True])
def test_what_was_withdrawn_is_not_published_from_elsewhere_either(
    tmp_path: Path, pixmo: Path, is_linked: bool
) -> None:
    planter = Planter(Workspace.init(tmp_path / "data"))
    planter.image("a.png", picture(1))
    for uid in ("one", "two"):
        planter.points(uid, "a.png", [(1.0, 1.0)], label=uid, annotator=uid)
    workspace = planter.write()
    build_release(workspace, "v1")
    withdraw(workspace, Request("annotator", "two"), "they asked")
    if is_linked:
        (tmp_path / "disk").mkdir()
        workspace.releases.rename(tmp_path / "disk/releases")
        workspace.releases.symlink_to(tmp_path / "disk/releases")
    calls = [
        ("v1", workspace.root),
        ("./releases/v1", workspace.root),
        ("data/releases/v1", tmp_path),
    ]
    for named, folder in calls:
        refused = run_pixmo(pixmo, "publish", named, tmp_path / "share", "--dry-run", cwd=folder)
        assert refused.returncode == 1, named
        assert "v1 holds 1 row of what was withdrawn since" in refused.stderr
    (tmp_path / "other").mkdir()  # nothing was withdrawn from this one
    shutil.copytree(workspace.releases / "v1", tmp_path / "other/releases/v1")
    words = ("publish", "v1", tmp_path / "share", "-w", tmp_path / "other")
    done = run_pixmo(pixmo, *words, cwd=workspace.releases)
    assert done.returncode == 0, done.stderr


def test_datasets_loads_a_published_folder(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    publish(packed(workspace / "releases/v1"), Folder(tmp_path / "share"))
    files = {"train": str(tmp_path / "share/pixmo-cap/train-*.parquet")}
    rows = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows.num_rows == 12


def test_a_release_that_is_not_there_is_one_line(workspace: Path, pixmo: Path) -> None:
    result = run_pixmo(pixmo, "publish", "v9", "somewhere", cwd=workspace)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"pixmo: there is no release at {workspace}/releases/v9")
