"""`pixmo recipe` on a workspace, as the page on curating says."""

import json
import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.conftest import ROOT, run_pixmo
from tests.workspaces import Planter

PAGE = (ROOT / "docs/curating.md").read_text("utf-8")
AN_ID = "4b5fa4b0c7e1d2a9"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Planter]:
    return workspaces.make(tmp_path_factory.mktemp("planted"))


def run(
    planted: tuple[Workspace, Planter], pixmo: Path, *words: str
) -> "subprocess.CompletedProcess[str]":
    return run_pixmo(pixmo, *words, cwd=planted[0].root)


def test_every_command_on_the_page_runs(planted: tuple[Workspace, Planter], pixmo: Path) -> None:
    sha256s = list(planted[1].sha256.values())
    measures = {"image_sha256": sha256s, "model": ["mine"] * len(sha256s)}
    scores = pa.table(measures | {"name": ["nsfw"] * len(sha256s), "score": [0.1] * len(sha256s)})
    pq.write_table(scores, planted[0].root / "nsfw.parquet")
    vectors = [[1.0, float(number)] for number in range(len(sha256s))]
    pq.write_table(pa.table(measures | {"embedding": vectors}), planted[0].root / "clip.parquet")
    tried = run(planted, pixmo, "recipe", "try", "cap/too_short.sql", "min_words=80", "--json")
    some_id = json.loads(tried.stdout)["sample"][0]["id"]
    blocks = "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    lines = re.findall(r"^pixmo (.*)$", blocks, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        words = line.partition("#")[0].replace(AN_ID, some_id).split()
        result = run(planted, pixmo, *words)
        assert result.returncode == 0, f"{line}: {result.stderr}"
        assert result.stdout


def test_a_copied_recipe_decides_once_it_is_changed(tmp_path: Path, pixmo: Path) -> None:
    workspace, _ = workspaces.make(tmp_path / "world")
    copied = run_pixmo(pixmo, "recipe", "copy", "cap", cwd=workspace.root)
    assert "copied  pipelines/cap.toml" in copied.stdout
    recipe = workspace.recipes / "cap.toml"
    text = recipe.read_text("utf-8")
    assert re.findall(r'^sql = "(.*?)"', text, re.MULTILINE)
    for file in re.findall(r'^sql = "(.*?)"', text, re.MULTILINE):
        assert (workspace.recipes / file).is_file()
    recipe.write_text(re.sub(r"(?m)^min_words = \d+", "min_words = 95", text), "utf-8")
    again = run_pixmo(pixmo, "recipe", "copy", "cap", cwd=workspace.root)
    assert "kept    pipelines/cap.toml" in again.stdout
    assert "copied" not in again.stdout
    tried = run_pixmo(pixmo, "recipe", "try", "cap/too_short", "--json", cwd=workspace.root)
    trial = json.loads(tried.stdout)
    assert trial["named"] == trial["now"] > 10  # the copied recipe's value, not the one that ships


def test_the_steps_are_shown_in_order(planted: tuple[Workspace, Planter], pixmo: Path) -> None:
    from pixmo.curate.recipe import load

    shown = run(planted, pixmo, "recipe", "show", "points")
    names = re.findall(r"^ +\d+  (\w+)", shown.stdout, re.MULTILINE)
    assert names == [step.name for step in load("points").steps]
    assert "max_points=60  → set apart" in shown.stdout
    as_json = json.loads(run(planted, pixmo, "recipe", "show", "points", "--json").stdout)
    assert [step["step"] for step in as_json] == names
    assert all(step["why"] for step in as_json)


MISTAKES = {
    ("show", "dogs"): "'dogs' is no subset; the subsets are ama, cap, points",
    ("try", "images/too_small.sql"): "of which subset? --subset ama, cap, points",
    (
        "try",
        "cap/too_long",
        "--subset",
        "dogs",
    ): "there is no subset dogs; --subset ama, cap, points",
    ("try", "cap/too_long", "max_word=3"): "did you mean max_words?",
    ("try", "cap/too_long", "many"): "'many' is not name=value",
    ("copy", "cap/nothing.sql"): "have no cap/nothing.sql",
    ("explain", "zzz"): "no candidate has the id zzz",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], planted: tuple[Workspace, Planter], pixmo: Path
) -> None:
    result = run(planted, pixmo, "recipe", *words)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert MISTAKES[words] in line


def test_a_shared_step_is_tried_for_a_subset(
    planted: tuple[Workspace, Planter], pixmo: Path
) -> None:
    words = ("recipe", "try", "images/too_small.sql", "min_side=100", "--subset", "points")
    result = run(planted, pixmo, *words, "--json")
    trial = json.loads(result.stdout)
    assert 0 < trial["named"] == trial["rows"]  # all pictures are 128 by 96
    assert trial["now"] == 0


def test_a_row_whose_image_file_is_gone_is_explained(tmp_path: Path, pixmo: Path) -> None:
    workspace, _ = workspaces.make(tmp_path / "world")
    tried = run_pixmo(
        pixmo, "recipe", "try", "cap/too_short", "min_words=95", "--json", cwd=workspace.root
    )
    some_id = json.loads(tried.stdout)["sample"][0]["id"]
    explained = run_pixmo(pixmo, "recipe", "explain", some_id, "--json", cwd=workspace.root)
    path = workspace.local_images()[json.loads(explained.stdout)["image_sha256"]]
    path.unlink()
    again = run_pixmo(pixmo, "recipe", "explain", some_id, cwd=workspace.root)
    assert "image_file                dropped: image file is gone" in again.stdout
    assert "not in the splits: image_file was the first to take it" in again.stdout
