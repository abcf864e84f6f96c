"""pixmo.publish to a hub, by its protocol of large files, and the commands on it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixmo.dataset import manifest as manifests
from pixmo.hashing import sha256_file
from pixmo.publish.place import READ_ATTEMPTS
from pixmo.release.build import build_release
from tests import workspaces
from tests.hub_server import CUT, SECRET, TOKEN, Dataset, HubServer, running
from tests.published import LARGE, contents, plain_release
from tests.test_verify import flip

NAME = "some/data"
ATTRIBUTES = ".gitattributes"
Run = Callable[..., "subprocess.CompletedProcess[str]"]
SIZES = {"README.md": 700, LARGE: 9_000, "images/1.png": 5_000, "dropped/cap.parquet": 0}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running() as server:
        yield server


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return plain_release(tmp_path / "v1", sizes=SIZES)


@pytest.fixture
def environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    """How a process finds the hub."""
    return os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",  # the server knows the protocol of large files only
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(tmp_path / "huggingface"),
        "MINISIGN_PASSWORD": "",
    }


@pytest.fixture
def run(environment: dict[str, str], pixmo: Path, tmp_path: Path) -> Run:
    """Runs `pixmo WORDS` against the hub."""

    def command(*words: object, **others: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [pixmo, *map(str, words)],
            cwd=tmp_path,
            env=environment | others,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def published(hub: HubServer, revision: str = "main") -> dict[str, bytes]:
    """The files of the dataset, without the hub's own."""
    files = hub.datasets[NAME].at(revision)
    assert files is not None
    return {path: data for path, data in files.items() if path != ATTRIBUTES}


def test_a_release_is_one_commit_and_its_version_a_tag(
    run: Run, hub: HubServer, release: Path
) -> None:
    sent = run("publish", release, f"hf://{NAME}")
    assert sent.returncode == 0, sent.stderr
    assert f"published v1 at hf://{NAME}" in sent.stdout
    dataset = hub.datasets[NAME]
    assert dataset.messages == ["initial commit", "Release v1"]
    assert dataset.private
    assert published(hub) == contents(release)
    assert dataset.refs["v1"] == dataset.refs["main"]
    large = [sha256_file(release / path) for path in (LARGE, "images/1.png")]
    assert sorted(hub.uploads) == sorted(large)  # the others are part of the commit
    again = run("publish", release, f"hf://{NAME}")
    assert again.returncode == 0, again.stderr
    assert "already holds this release" in again.stdout
    assert len(dataset.messages) == 2
    checked = run("verify", f"hf://{NAME}")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "4 files, 14,700 bytes: as released" in checked.stdout


def test_a_newer_release_follows_and_the_older_stays_at_its_tag(
    run: Run, hub: HubServer, release: Path, tmp_path: Path
) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    newer = plain_release(
        tmp_path / "v2", "v2", sizes={"README.md": 700, "new.txt": 50, LARGE: 9_000}
    )
    (newer / "extra").mkdir()
    dry = run("publish", newer, f"hf://{NAME}", "--dry-run", "--json")
    planned = json.loads(dry.stdout)
    assert [file["path"] for file in planned["there"]] == ["README.md"]
    gone = ["dropped/cap.parquet", "images/1.png"]
    assert planned["deletes"] == gone
    said = run("publish", newer, f"hf://{NAME}", "--dry-run").stdout.splitlines()
    assert [line.split()[1] for line in said if line.split()[0] == "deleted"] == gone
    assert said[-1] == "would delete 2 files of the release before"
    sent = run("publish", newer, f"hf://{NAME}")
    assert sent.returncode == 0, sent.stderr
    assert "deleted 2 files of the release before" in sent.stdout
    assert published(hub) == contents(newer)
    assert published(hub, "v1") == contents(release)
    assert run("verify", f"hf://{NAME}@v1").returncode == 0
    assert run("verify", f"hf://datasets/{NAME}").returncode == 0
    back = run("publish", release, f"hf://{NAME}")
    assert "already holds this release, v1" in back.stdout
    assert published(hub) == contents(newer)
    fetched = run("fetch", f"hf://{NAME}@v1", "copy")
    assert fetched.returncode == 0, fetched.stderr
    assert contents(tmp_path / "copy") == contents(release)


def test_a_version_that_was_published_is_never_another(
    run: Run, hub: HubServer, release: Path, tmp_path: Path
) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    before = published(hub)
    other = plain_release(tmp_path / "other", "v1", seed=1, sizes=SIZES)
    refused = run("publish", other, f"hf://{NAME}")
    assert refused.returncode == 1
    assert "holds another release, v1; a published release never changes" in refused.stderr
    assert published(hub) == before


def test_a_dataset_of_something_else_is_refused(run: Run, hub: HubServer, release: Path) -> None:
    run("publish", release, f"hf://{NAME}")
    hub.datasets[NAME].refs.clear()
    hub.datasets[NAME].commit({ATTRIBUTES: b"", "README.md": b"", "data.csv": b"1"}, "mine")
    refused = run("publish", release, f"hf://{NAME}")
    assert refused.returncode == 1
    assert "holds 1 file of something else, such as data.csv" in refused.stderr
    hub.datasets[NAME].commit({ATTRIBUTES: b"", "README.md": b""}, "only a card")
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    assert published(hub) == contents(release)


def test_what_somebody_else_put_beside_a_release_is_never_deleted(
    run: Run, hub: HubServer, release: Path, tmp_path: Path
) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    theirs = {**published(hub), ATTRIBUTES: b"", "LICENSE.txt": b"theirs"}
    hub.datasets[NAME].commit(theirs, "a licence")
    newer = plain_release(tmp_path / "v2", "v2", sizes=SIZES)
    for words in (("--dry-run",), ()):
        refused = run("publish", newer, f"hf://{NAME}", *words)
        assert refused.returncode == 1
        assert "holds 1 file of something else, such as LICENSE.txt; give" in refused.stderr
    assert hub.datasets[NAME].at("main") == theirs
    del theirs["LICENSE.txt"]
    hub.datasets[NAME].commit(theirs, "no licence")
    assert run("publish", newer, f"hf://{NAME}").returncode == 0
    assert hub.datasets[NAME].at("main") == {**contents(newer), ATTRIBUTES: b""}


def test_what_somebody_else_puts_there_after_the_plan_is_seen(
    run: Run, hub: HubServer, release: Path, tmp_path: Path
) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    dataset = hub.datasets[NAME]

    def interfere() -> None:
        dataset.commit({**published(hub), "b.txt": b"x"}, "theirs")

    hub.before_create = interfere
    newer = plain_release(tmp_path / "v2", "v2", sizes=SIZES)
    refused = run("publish", newer, f"hf://{NAME}")
    assert refused.returncode == 1
    assert "holds 1 file of something else, such as b.txt" in refused.stderr
    assert dataset.messages[-1] == "theirs"


@pytest.mark.parametrize("faults", [[CUT], [503, 429], [CUT, 503, CUT]])
def test_what_a_break_cut_off_is_read_on(
    run: Run, hub: HubServer, tmp_path: Path, faults: list[int]
) -> None:
    size = 4_000_000  # some of the pieces that are taken on
    release = plain_release(tmp_path / "v1", sizes={"README.md": 9, LARGE: size})
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    hub.fail_reads, hub.ranges = list(faults), []
    fetched = run("fetch", f"hf://{NAME}", "copy")
    assert fetched.returncode == 0, fetched.stderr
    assert contents(tmp_path / "copy") == contents(release)
    assert len(hub.ranges) == len(faults) + 1
    half = [asked for asked in hub.ranges if asked]
    assert all(asked.startswith("bytes=") for asked in half)
    assert len(half) == (len(faults) if faults[0] == CUT else 0)  # what came is not asked again


def test_a_hub_that_stays_busy_is_said(run: Run, hub: HubServer, release: Path) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    hub.fail_reads = [503] * READ_ATTEMPTS * 2  # of both large files
    failed = run("verify", f"hf://{NAME}")
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.endswith("the hub answers 503; run the same command again later")


def test_a_commit_of_somebody_else_meanwhile_is_a_conflict(
    run: Run, hub: HubServer, release: Path
) -> None:
    def interfere() -> None:
        hub.before_commit = lambda: None
        dataset = hub.datasets[NAME]
        dataset.commit({"README.md": b"theirs"}, "theirs")

    hub.before_commit = interfere
    refused = run("publish", release, f"hf://{NAME}")
    assert refused.returncode == 1
    assert "was changed by somebody else meanwhile; nothing was published" in refused.stderr
    assert published(hub) == {"README.md": b"theirs"}
    assert "v1" not in hub.datasets[NAME].refs


def test_the_lost_reply_to_a_commit_is_no_conflict(run: Run, hub: HubServer, release: Path) -> None:
    hub.lose_reply = True
    sent = run("publish", release, f"hf://{NAME}")
    assert sent.returncode == 0, sent.stderr
    assert hub.datasets[NAME].messages == ["initial commit", "Release v1"]
    assert published(hub) == contents(release)


def test_an_upload_that_fails_is_tried_again_and_what_is_there_is_not_sent_twice(
    run: Run, hub: HubServer, release: Path
) -> None:
    def stop() -> None:
        hub.token = "another"  # the token expires after the uploads

    hub.fail_uploads = 1
    hub.before_commit = stop
    failed = run("publish", release, f"hf://{NAME}")
    assert failed.returncode == 1
    hub.token, hub.before_commit = TOKEN, lambda: None
    hub.datasets[NAME].refs["main"] = next(iter(hub.datasets[NAME].commits))  # never committed
    assert len(hub.uploads) == 2
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    assert len(hub.uploads) == 2
    assert published(hub) == contents(release)


def test_what_signs_the_url_of_an_upload_is_not_printed(
    run: Run, hub: HubServer, release: Path
) -> None:
    hub.refuse_uploads = True
    failed = run("publish", release, f"hf://{NAME}")
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert "the hub answers 409" in line
    assert f"{hub.url}/large/" in line  # which upload it was
    assert SECRET not in line
    assert "X-Amz" not in line


def test_a_tag_of_something_else_is_seen_before_anything_is_sent(
    run: Run, hub: HubServer, release: Path
) -> None:
    hub.datasets[NAME] = dataset = Dataset()
    dataset.refs["v1"] = dataset.commit({ATTRIBUTES: b""}, "mine")
    for words in (("--dry-run",), ()):
        refused = run("publish", release, f"hf://{NAME}", *words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "has a tag v1 that is not this release, and a tag is never moved" in refused.stderr
    assert (hub.uploads, dataset.messages) == ([], ["mine"])


def test_a_tag_that_somebody_else_sets_meanwhile_is_said(
    run: Run, hub: HubServer, release: Path
) -> None:
    def interfere() -> None:
        hub.datasets[NAME].refs["v1"] = hub.datasets[NAME].refs["main"]

    hub.before_commit = interfere
    refused = run("publish", release, f"hf://{NAME}")
    assert refused.returncode == 1
    assert "has a tag v1 that is not this release" in refused.stderr
    assert published(hub, "v1") == {}


@pytest.mark.parametrize("words", [("publish", "./v1"), ("verify",)])
def test_a_token_that_does_not_count_is_said(
    run: Run, hub: HubServer, release: Path, words: tuple[str, ...]
) -> None:
    if words == ("verify",):
        run("publish", release, f"hf://{NAME}")
    refused = run(*words, f"hf://{NAME}", HF_TOKEN="hf_wrong")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "HF_TOKEN" in line


def test_a_hub_that_is_away_is_said(run: Run, hub: HubServer, release: Path) -> None:
    nobody = "http://127.0.0.1:9"
    refused = run("publish", release, f"hf://{NAME}", HF_ENDPOINT=nobody)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "the hub does not answer" in line


def test_every_fault_on_the_hub_is_found(
    run: Run, hub: HubServer, release: Path, tmp_path: Path
) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    files = published(hub)
    changed = tmp_path / "changed"
    changed.write_bytes(files[LARGE])
    flip(changed, 8_000)
    del files["images/1.png"]
    hub.datasets[NAME].commit({**files, LARGE: changed.read_bytes(), "b.txt": b"x"}, "spoilt")
    found = run("verify", f"hf://{NAME}", "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)["faults"] == [
        "images/1.png is missing",
        f"{LARGE} is not the file that was released: its sha256 differs",
        "b.txt is not in the manifest",
    ]
    assert run("verify", f"hf://{NAME}@v1").returncode == 0


def test_a_signature_that_comes_later_is_a_commit_of_its_own(
    run: Run, hub: HubServer, release: Path
) -> None:
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    signed = run("sign", release, "--new-key", "me.key", "--key", "me.key")
    assert signed.returncode == 0, signed.stderr
    followed = run("publish", release, f"hf://{NAME}")
    assert "already holds this release" in followed.stdout
    assert "sent its signature" in followed.stdout
    assert hub.datasets[NAME].messages == ["initial commit", "Release v1", "Sign release v1"]
    assert published(hub) == contents(release)
    checked = run("verify", f"hf://{NAME}", "--public-key", "me.key.pub")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "signature holds" in checked.stdout
    again = run("publish", release, f"hf://{NAME}")
    assert "signature" not in again.stdout
    assert len(hub.datasets[NAME].messages) == 3


def test_a_signature_that_comes_too_late_is_refused(
    run: Run, hub: HubServer, release: Path, tmp_path: Path
) -> None:
    """The tag is never moved, and `main` has another release."""
    assert run("publish", release, f"hf://{NAME}").returncode == 0
    newer = plain_release(tmp_path / "v2", "v2", sizes=SIZES)
    assert run("publish", newer, f"hf://{NAME}").returncode == 0
    assert run("sign", release, "--new-key", "me.key", "--key", "me.key").returncode == 0
    for words in (("--dry-run",), ()):
        refused = run("publish", release, f"hf://{NAME}", *words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "has another release in main by now, so v1 can no longer be signed" in refused.stderr
    assert hub.datasets[NAME].messages == ["initial commit", "Release v1", "Release v2"]
    assert run("sign", newer, "--key", "me.key").returncode == 0
    assert "sent its signature" in run("publish", newer, f"hf://{NAME}").stdout
    assert published(hub) == contents(newer)
    at_tag = run("verify", f"hf://{NAME}@v2", "--public-key", "me.key.pub")
    assert "is missing: the release is not signed" in at_tag.stdout  # as the guide says


@pytest.mark.parametrize("address", ["hf://data", "hf://a/b/c", "hf://"])
def test_an_address_of_no_dataset_is_refused(run: Run, release: Path, address: str) -> None:
    refused = run("publish", release, address)
    assert refused.returncode == 1
    assert "names no dataset; write hf://org/name" in refused.stderr


def test_nothing_is_published_to_a_revision(run: Run, hub: HubServer, release: Path) -> None:
    refused = run("publish", release, f"hf://{NAME}@v1")
    assert refused.returncode == 1
    assert f"publish to hf://{NAME}; the version v1 becomes a tag" in refused.stderr
    assert NAME not in hub.datasets


LOAD = """
import sys
import datasets
for name in sys.argv[2:]:
    for split, rows in datasets.load_dataset(sys.argv[1], name, revision="v1").items():
        print(name, split, rows.num_rows)
"""


def test_datasets_loads_and_validate_checks_what_is_on_the_hub(
    run: Run, hub: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    workspace, _ = workspaces.make(tmp_path / "world")
    release = build_release(workspace, "v1")
    sent = run("publish", release, f"hf://{NAME}")
    assert sent.returncode == 0, sent.stderr
    assert published(hub) == contents(release)
    valid = run("validate", f"hf://{NAME}", "--workspace", workspace.root)
    assert valid.returncode == 0, valid.stdout + valid.stderr
    assert "Release v1: every check passed" in valid.stdout
    whole = hub.datasets[NAME].at("main") or {}
    hub.datasets[NAME].commit({**whole, "report.html": b""}, "spoilt")  # its copy here is not
    spoilt = run("validate", f"hf://{NAME}", "--workspace", workspace.root)
    assert (spoilt.returncode, spoilt.stdout) == (1, "")
    assert "release v1, but report.html has another size there; pixmo verify" in spoilt.stderr
    hub.datasets[NAME].commit(whole, "mended")
    (copy,) = (workspace.cache / "published").glob("*/v1/report.html")
    flip(copy, 5)
    damaged = run("validate", f"hf://{NAME}", "--workspace", workspace.root)
    assert (damaged.returncode, damaged.stdout) == (1, "")
    assert "is not what its manifest says: report.html is not the file" in damaged.stderr
    stems = manifests.read(release).subsets
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, NAME, *(subset.name for subset in stems)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    rows = [
        f"{subset.name} {split} {count}" for subset in stems for split, count in subset.rows.items()
    ]
    assert sorted(loaded.stdout.splitlines()) == sorted(rows)
