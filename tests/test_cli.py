"""The command line: what goes wrong is one clear line and exit status 1, and the rest is done."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pixmo.workspace.workspace import Workspace
from tests.conftest import run_pixmo
from tests.label_studio_exports import three_tasks, write_export


def fails(result: "subprocess.CompletedProcess[str]", *says: str) -> None:
    """The command said what is wrong, in one line without a traceback, with exit status 1."""
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("pixmo: ")
    for words in says:
        assert words in lines[0]


@pytest.fixture
def workspace(tmp_path: Path, pixmo: Path) -> Path:
    result = run_pixmo(pixmo, "init", "data", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "data/images/teal.png")
    return tmp_path / "data"


def test_init_writes_settings_that_say_the_defaults(workspace: Path) -> None:
    from pixmo.workspace.settings import Settings, load

    assert (workspace / "pixmo.toml").read_text("utf-8").startswith("#")
    assert load(workspace) == Settings()


def test_init_keeps_what_is_there(workspace: Path, pixmo: Path) -> None:
    (workspace / "pixmo.toml").write_text("# mine\n", "utf-8")
    assert run_pixmo(pixmo, "init", ".", cwd=workspace).returncode == 0
    assert (workspace / "pixmo.toml").read_text("utf-8") == "# mine\n"


@pytest.mark.parametrize(
    "words",
    [
        ("images", "add", "nowhere/"),
        ("label", "ingest", "nowhere.json"),
        ("transcripts", "add", "nowhere.jsonl"),
        ("validate", "nowhere"),
        ("status", "-w", "nowhere"),
    ],
)
def test_a_wrong_path(workspace: Path, pixmo: Path, words: tuple[str, ...]) -> None:
    fails(run_pixmo(pixmo, *words, cwd=workspace), "nowhere")


@pytest.mark.parametrize("words", [("images", "add"), ("label", "ingest")])
def test_an_empty_folder(workspace: Path, pixmo: Path, words: tuple[str, ...]) -> None:
    (workspace / "empty").mkdir()
    fails(run_pixmo(pixmo, *words, "empty/", cwd=workspace), "empty")


def test_transcribe_without_recordings(workspace: Path, pixmo: Path) -> None:
    from tests.tiny_whisper import make_tiny_whisper

    make_tiny_whisper(workspace / "tiny.pt")  # one that loads: the folder alone is wrong
    for folder, says in (("nowhere", "is not a folder"), ("audio", "holds no recording")):
        result = run_pixmo(pixmo, "transcribe", folder, "--model", "tiny.pt", cwd=workspace)
        fails(result, folder, says)


def test_an_unknown_setting_names_the_nearest(workspace: Path, pixmo: Path) -> None:
    (workspace / "pixmo.toml").write_text('[speech]\nmodle = "turbo"\n', "utf-8")
    fails(run_pixmo(pixmo, "status", cwd=workspace), "modle", "did you mean model")


def test_a_missing_model_says_how_to_name_a_file(workspace: Path, pixmo: Path) -> None:
    (workspace / "audio/teal.wav").write_bytes(b"RIFF")
    result = run_pixmo(pixmo, "transcribe", "audio/", "--model", "no/such.pt", cwd=workspace)
    fails(result, "no/such.pt", "--model")


def test_a_malformed_export_leaves_the_others_done(workspace: Path, pixmo: Path) -> None:
    (workspace / "exports/a.json").write_text("{not json", "utf-8")
    write_export(workspace / "exports/b.json", three_tasks())
    fails(run_pixmo(pixmo, "label", "ingest", "exports/", cwd=workspace), "a.json")
    opened = Workspace.open(workspace)
    for table in ("point_annotations", "answers", "caption_reviews"):
        assert opened.read(table).num_rows == 1, table
    assert opened.read("exports")["path"].to_pylist() == ["exports/b.json"]


def test_nothing_to_release_says_what_to_run(workspace: Path, pixmo: Path) -> None:
    fails(run_pixmo(pixmo, "build-release", "v1", cwd=workspace), "pixmo ")
    fails(run_pixmo(pixmo, "validate", cwd=workspace), "pixmo build-release")


@pytest.mark.parametrize("name", ["", "../v1", "a b", ".hidden", "v/1"])
def test_a_release_name_that_is_no_name(workspace: Path, pixmo: Path, name: str) -> None:
    fails(run_pixmo(pixmo, "build-release", name, cwd=workspace))
    assert not list(workspace.parent.glob("v1*"))


def test_images_add_and_status(workspace: Path, pixmo: Path) -> None:
    before = json.loads(run_pixmo(pixmo, "status", "--json", cwd=workspace).stdout)
    assert [(item["what"], item["count"]) for item in before["waiting"]] == [("images", 1)]
    added = run_pixmo(pixmo, "images", "add", "images/", "--json", cwd=workspace)
    assert json.loads(added.stdout)["added"] == 1
    after = json.loads(run_pixmo(pixmo, "status", "--json", cwd=workspace).stdout)
    assert after["rows"]["images"] == 1
    assert after["waiting"] == []
    shown = run_pixmo(pixmo, "status", cwd=workspace).stdout
    assert "images" in shown
    assert "nothing is waiting" in shown


def test_sql(workspace: Path, pixmo: Path) -> None:
    assert run_pixmo(pixmo, "images", "add", "images/", cwd=workspace).returncode == 0
    query = "select path, width, height from images"
    shown = run_pixmo(pixmo, "sql", query, cwd=workspace)
    assert shown.stdout.splitlines()[-1].split() == ["images/teal.png", "64", "48"]
    found = json.loads(run_pixmo(pixmo, "sql", query, "--json", cwd=workspace).stdout)
    assert found == [{"path": "images/teal.png", "width": 64, "height": 48}]
    fails(run_pixmo(pixmo, "sql", "select nothing from nowhere", cwd=workspace), "nowhere")


def test_a_workspace_may_be_named_from_elsewhere(workspace: Path, pixmo: Path) -> None:
    folder = workspace / "images"
    words = ("images", "add", folder, "-w", workspace)
    assert run_pixmo(pixmo, *words, cwd=workspace.parent).returncode == 0
    assert Workspace.open(workspace).read("images").num_rows == 1


def test_a_damaged_table_is_one_line(workspace: Path, pixmo: Path) -> None:
    assert run_pixmo(pixmo, "images", "add", "images/", cwd=workspace).returncode == 0
    (part,) = (workspace / "tables/images").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    fails(run_pixmo(pixmo, "images", "add", "images/", cwd=workspace), part.name)


def test_two_at_once_do_not_mix(workspace: Path, pixmo: Path) -> None:
    with Workspace.open(workspace).lock("images"):
        fails(run_pixmo(pixmo, "images", "add", "images/", cwd=workspace), "another pixmo")
    assert run_pixmo(pixmo, "images", "add", "images/", cwd=workspace).returncode == 0


def test_a_bug_is_one_line_too_and_debug_shows_where(workspace: Path) -> None:
    code = (
        "import sys\n"
        "from pixmo.cli import app, look\n"
        "look.shorten = None\n"  # planted: calling it is a TypeError
        "sys.argv = ['pixmo', *sys.argv[1:]]\n"
        "app.main()"
    )
    command = [sys.executable, "-c", code]
    words = ["sql", "select 1", "-w", str(workspace)]
    plain = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    fails(plain, "bug in pixmo", "--debug")
    shown = subprocess.run(
        [*command, "--debug", *words], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr


def test_two_statements_or_none_are_refused(workspace: Path, pixmo: Path) -> None:
    for query in ("", "select 1; select 2"):
        fails(run_pixmo(pixmo, "sql", query, cwd=workspace), "one SQL statement")


def test_show_tables_lists_no_internals(workspace: Path, pixmo: Path) -> None:
    shown = json.loads(run_pixmo(pixmo, "sql", "show tables", "--json", cwd=workspace).stdout)
    names = {row["name"] for row in shown}
    assert {"images", "set_aside", "current_captions"} <= names
    assert not [name for name in names if "parts" in name or "nothing" in name]


def test_an_empty_workspace_says_what_to_put_where(tmp_path: Path, pixmo: Path) -> None:
    shown = run_pixmo(pixmo, "status", cwd=tmp_path)
    assert shown.returncode == 0
    assert "put images in images/" in shown.stdout


def test_a_setting_out_of_range(workspace: Path, pixmo: Path) -> None:
    (workspace / "pixmo.toml").write_text("[probe]\nsteps = -1\n", "utf-8")
    fails(run_pixmo(pixmo, "status", cwd=workspace), "steps = -1", "at least 1")


def test_a_linked_workspace_is_the_same_workspace(workspace: Path, pixmo: Path) -> None:
    link = workspace.parent / "link"
    link.symlink_to(workspace)
    words = ("images", "add", link / "images", "-w", link, "--json")
    assert json.loads(run_pixmo(pixmo, *words, cwd=workspace.parent).stdout)["added"] == 1
    again = run_pixmo(pixmo, "images", "add", "images/", "--json", cwd=workspace)
    assert json.loads(again.stdout) == {"added": 0, "known": 1, "set_aside": 0, "updated": 0}
    assert Workspace.open(workspace).read("images")["path"].to_pylist() == ["images/teal.png"]


def test_a_release_without_its_manifest_is_named_as_such(workspace: Path, pixmo: Path) -> None:
    (workspace / "releases/v1").mkdir(parents=True)
    result = run_pixmo(pixmo, "build-release", "v1", cwd=workspace)
    fails(result, "manifest.json is gone", "delete the folder")


def test_what_was_mended_is_no_longer_set_aside(workspace: Path, pixmo: Path) -> None:
    (workspace / "images/late.png").write_bytes(b"not yet an image")
    added = run_pixmo(pixmo, "images", "add", "images/", cwd=workspace)
    assert added.returncode == 0
    assert "set aside by now\n       1  not an image\n" in added.stdout
    broken = json.loads(run_pixmo(pixmo, "status", "--json", cwd=workspace).stdout)
    assert sum(broken["set_aside"].values()) == 1
    Image.new("RGB", (64, 48), "plum").save(workspace / "images/late.png")
    assert run_pixmo(pixmo, "images", "add", "images/", cwd=workspace).returncode == 0
    mended = json.loads(run_pixmo(pixmo, "status", "--json", cwd=workspace).stdout)
    assert mended["set_aside"] == {}
    assert mended["rows"]["set_aside"] == 0


def test_a_recipe_of_no_subset_is_named(workspace: Path, pixmo: Path) -> None:
    (workspace / "pipelines").mkdir()
    (workspace / "pipelines/capp.toml").write_text("", "utf-8")
    fails(run_pixmo(pixmo, "build-release", "v1", cwd=workspace), "capp.toml", "cap")
