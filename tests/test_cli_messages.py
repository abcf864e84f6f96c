"""What the command line says: each fault on its line, counts that agree, paths as a shell's."""

import contextlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from pixmo.cli.look import demo
from pixmo.cli.validate import validate
from pixmo.curate.recipe import load
from pixmo.dataset.reader import Release
from pixmo.demo.demo import Summary
from pixmo.errors import ReleaseError, TrainingError
from pixmo.resources import shared
from pixmo.text import counted, misspelt
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.conftest import run_pixmo
from tests.label_studio_exports import points_data, task, three_tasks, write_export
from tests.workspaces import Planter


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "data")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, pixmo: Path) -> tuple[Workspace, str, str]:
    """A workspace whose own recipe keeps no answer, and what building its first release said."""
    workspace, _ = workspaces.make(tmp_path_factory.mktemp("released") / "data")
    (workspace.recipes / "ama").mkdir(parents=True)
    everything = "-- All of them.\nselect id, 'not wanted' as reason from ama"
    (workspace.recipes / "ama/rejected.sql").write_text(everything, "utf-8")
    copied = shared("pipelines", "cap.toml").read_text("utf-8")
    (workspace.recipes / "cap.toml").write_text(copied, "utf-8")
    built = run_pixmo(pixmo, "build-release", "v1", cwd=workspace.root)
    assert built.returncode == 0, built.stderr
    again = run_pixmo(pixmo, "build-release", "v2", cwd=workspace.root)
    assert again.returncode == 0, again.stderr
    workspace.audio.mkdir(exist_ok=True)
    shutil.copytree(workspace.releases / "v1", workspace.root.parent / "taken")
    return workspace, built.stdout, built.stderr


def test_every_malformed_export_has_its_line_and_the_rest_its_counts(
    empty: Workspace, pixmo: Path
) -> None:
    for name in ("a", "c"):
        write_export(empty.exports / f"{name}.json", {})
    write_export(empty.exports / "b.json", [*three_tasks(), task(9, points_data())])
    result = run_pixmo(pixmo, "label", "ingest", "exports/", cwd=empty.root)
    assert result.returncode == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("pixmo: exports/a.json ")
    assert second.startswith("pixmo: exports/c.json ")
    counts = dict(line.rsplit(maxsplit=1) for line in result.stdout.splitlines())
    assert counts["added"] == "3"
    assert counts["tasks without annotation"] == "1"


def test_json_of_an_ingest_with_a_malformed_export_is_json(empty: Workspace, pixmo: Path) -> None:
    bad = write_export(empty.exports / "a.json", {})
    result = run_pixmo(pixmo, "label", "ingest", bad, "--json", cwd=empty.root)
    assert (result.returncode, json.loads(result.stdout)["exports"]) == (1, 0)


def test_a_release_says_whose_recipe_decided(released: tuple[Workspace, str, str]) -> None:
    workspace, said, _ = released
    lines = said.splitlines()
    cap = next(n for n, line in enumerate(lines) if line.startswith("pixmo-cap: "))
    assert lines[cap + 1] == "  by the workspace's own pipelines/cap.toml"
    ama = next(n for n, line in enumerate(lines) if line.startswith("pixmo-ask-model-anything: "))
    assert lines[ama + 1] == "  by the workspace's own pipelines/ama/rejected.sql"
    assert said.count("the workspace's own") == 2
    assert load("points", workspace.recipes).files_in(workspace.recipes) == []


def test_a_subset_that_keeps_nothing_is_warned_of(released: tuple[Workspace, str, str]) -> None:
    workspace, said, warned = released
    with workspace.connect() as connection:
        [(answers,)] = connection.execute("select count(*) from answers").fetchall()
    rows = counted(answers, "row")
    keeps_none = f"pixmo: warning: pixmo-ask-model-anything keeps none of its {rows}"
    assert keeps_none in warned.splitlines()
    assert f"pixmo-ask-model-anything: 0 of {rows} kept" in said.splitlines()


def test_a_release_whose_card_names_nobody_to_ask_is_warned_of(
    released: tuple[Workspace, str, str], pixmo: Path
) -> None:
    workspace, _, warned = released
    assert warned.splitlines()[0] == (
        "pixmo: warning: the card of v1 can name nobody to ask, or to ask for a withdrawal:"
        " say who it is as [dataset] contact in pixmo.toml"
    )
    card = (workspace.releases / "v1/README.md").read_text("utf-8")
    assert "Questions go to whoever gave it to you (nobody is named in it to be asked)." in card


@pytest.mark.parametrize("key", ["contact", "homepage"])
def test_whom_to_ask_is_enough(key: str, tmp_path: Path, pixmo: Path) -> None:
    (tmp_path / "pixmo.toml").write_text(f'[dataset]\n{key} = "https://example.org"\n', "utf-8")
    planter = Planter(Workspace.open(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [(1.0, 1.0)])
    planter.write()
    built = run_pixmo(pixmo, "build-release", "v1", cwd=tmp_path)
    assert (built.returncode, built.stderr) == (0, "")


def test_the_sign_for_numbers_is_explained_above_it(released: tuple[Workspace, str, str]) -> None:
    _, said, _ = released
    assert "only # words" in said
    assert (
        said.splitlines()[0]
        == "rows kept, dropped, set apart and flagged; # stands for a number or an id"
    )


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("v1",), "."),  # the newest is v2
        (("releases/v1",), "."),
        (("data/releases/v1/", "-w", "data"), ".."),
        (("../releases/v1", "-w", ".."), "audio"),
        (("~/data/releases/v1",), "."),
        (("../taken",), "."),  # outside the workspace
        (("~/taken", "-w", ".."), "audio"),
        (("./taken", "-w", "data"), ".."),
    ],
)
def test_a_release_may_be_named_by_its_folder(
    released: tuple[Workspace, str, str],
    pixmo: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    place: str,
) -> None:
    workspace, _, _ = released
    monkeypatch.setenv("HOME", str(workspace.root.parent))
    result = run_pixmo(pixmo, "validate", *words, cwd=workspace.root / place)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Release v1: every check passed")


def test_the_newest_release_needs_no_name(
    released: tuple[Workspace, str, str], pixmo: Path
) -> None:
    result = run_pixmo(pixmo, "validate", cwd=released[0].root)
    assert result.stdout.startswith("Release v2: every check passed")


def test_a_folder_that_is_no_release_is_named(empty: Workspace, pixmo: Path) -> None:
    result = run_pixmo(pixmo, "validate", "releases/v9", cwd=empty.root)
    assert result.returncode == 1
    assert f"{empty.releases}/v9" in result.stderr


def test_an_empty_setting_is_named(empty: Workspace, pixmo: Path) -> None:
    (empty.root / "pixmo.toml").write_text('[speech]\nmodel = ""\n', "utf-8")
    result = run_pixmo(pixmo, "status", cwd=empty.root)
    assert result.returncode == 1
    assert 'pixmo.toml: [speech] model is empty; the default is "turbo"' in result.stderr


def test_a_number_that_is_none_is_null_in_json(empty: Workspace, pixmo: Path) -> None:
    query = "select 'nan'::double as a, ['inf'::double, 1.5] as b, date '2026-01-02' as c, true d"
    result = run_pixmo(pixmo, "sql", query, "--json", cwd=empty.root)
    assert json.loads(result.stdout) == [
        {"a": None, "b": [None, 1.5], "c": "2026-01-02", "d": True}
    ]
    assert "NaN" not in result.stdout
    assert "Infinity" not in result.stdout


def test_two_columns_of_one_name_are_an_error_in_json(empty: Workspace, pixmo: Path) -> None:
    query = "select 1 as n, 2 as n"
    result = run_pixmo(pixmo, "sql", query, "--json", cwd=empty.root)
    assert (result.returncode, result.stdout) == (1, "")
    assert "two columns are called n; rename one: n as …" in result.stderr
    assert run_pixmo(pixmo, "sql", query, cwd=empty.root).stdout.splitlines()[2] == "1  2"


@pytest.mark.parametrize("name", ["imgae", "Image", "images", "imag", "img"])
def test_a_slip_is_told_from_another_name(name: str) -> None:
    known = ("file_name", "image", "annotator", "recorded_at", "transcript_id", "text")
    assert misspelt((name,), known) == f"{name} is unknown; did you mean image?"
    assert misspelt((name, "image"), known) == ""
    others = ("age", "transcription", "annotation", "recorded_by", "image_id", "file", "gender")
    assert misspelt(others, known) == ""


def test_one_is_not_many() -> None:
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_a_release_in_a_folder_of_another_name_is_remarked(
    released: tuple[Workspace, str, str], pixmo: Path
) -> None:
    workspace, _, _ = released
    shutil.copytree(workspace.releases / "v1", workspace.releases / "v3")
    result = run_pixmo(pixmo, "validate", "v3", cwd=workspace.root)
    shutil.rmtree(workspace.releases / "v3")  # others ask for the newest
    said = "pixmo: warning: releases/v3 holds v1, as its manifest says: copied or renamed?\n"
    assert (result.returncode, result.stderr) == (0, said)
    assert run_pixmo(pixmo, "validate", "v1", cwd=workspace.root).stderr == ""


def test_the_checks_are_told_before_the_probe_begins(
    released: tuple[Workspace, str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []

    def stopped(*_: object) -> None:
        told.append(capsys.readouterr().out)
        raise TrainingError("stopped")

    monkeypatch.setattr("pixmo.validate.probe.train_probe", stopped)
    for json_wanted in (False, True):
        with pytest.raises(TrainingError, match="stopped"):
            validate("v1", train_probe=True, workspace=released[0].root, json=json_wanted)
    assert told[0].startswith("Release v1: every check passed\n  ok ")
    assert told[1] == ""


def test_a_path_in_a_command_to_type_is_quoted(tmp_path: Path) -> None:
    nothing: Any = SimpleNamespace(subsets=(), text=lambda: "")
    told = Summary(Path("my demo"), {}, nothing, 0, 0, 0.0, nothing, nothing).text()
    assert told.endswith("cd 'my demo' && pixmo status")
    with pytest.raises(ReleaseError, match=r"build it: pixmo build-release 'my release'$"):
        Release.open(tmp_path / "my release")


@pytest.mark.parametrize(
    ("holds", "outcome", "status"),
    [(True, "PASS", 0), (True, "FAIL", 1), (False, "PASS", 1), (True, "INVALID", 2)],
)
def test_the_demo_ends_as_validate_does(
    holds: bool, outcome: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = SimpleNamespace(
        checks=SimpleNamespace(passed=holds),
        verdict=SimpleNamespace(outcome=outcome, passed=outcome == "PASS"),
        text=lambda: "",
    )
    monkeypatch.setattr("pixmo.demo.demo.run_demo", lambda *_: summary)
    with pytest.raises(typer.Exit) if status else contextlib.nullcontext() as ended:
        demo(Path("somewhere"))
    assert (ended.value.exit_code if ended else 0) == status


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--against", "v2"), 1, "--against compares probes; give --train-probe, too"),
        (("--train-probe", "--against", "v9"), 1, "there is no release at"),
        (("--against", "v1", "--train-probe"), 1, "it is the release that is validated; name an"),
        (("--steps", "3"), 1, "--steps are the probe's; give --train-probe, too"),
        (("--train-probe",), 2, "belong to their images; a verdict needs 512 different images to"),
        (("--train-probe", "--steps", "3"), 2, "a verdict needs at least 16 steps, 3 are set"),
        (("--train-probe", "--against", "v2"), 2, "Train probe of v1: INVALID"),
    ],
)
def test_where_the_probe_cannot_tell_the_status_says_so(
    released: tuple[Workspace, str, str],
    pixmo: Path,
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    result = run_pixmo(pixmo, "validate", "v1", *words, cwd=released[0].root)
    assert result.returncode == status, result.stderr
    assert said in " ".join((result.stdout + result.stderr).split())
    assert "Traceback" not in result.stderr
