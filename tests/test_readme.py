"""What the README says to do is done, to the letter, and what it promises happens."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from pixmo.dataset.reader import Release
from pixmo.hashing import sha256_file
from pixmo.workspace.workspace import Workspace
from tests.conftest import ROOT, Demo
from tests.label_studio_exports import write_export

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text("utf-8")
TAKES = 7  # as many recordings of the sample as it has kinds of sound files
PROBE = "pixmo validate --train-probe"
TABLES = ("point_annotations", "answers", "set_aside")


def blocks(language: str, text: str = README) -> list[str]:
    """The code in that language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(block: str) -> list[str]:
    """The lines of a block in bash, without their comments."""
    return [line for line in block.splitlines() if line.partition("#")[0].strip()]


def shell(demo: Demo, script: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The script, run in bash where the demo's environment is active, offline."""
    path = f"{demo.pixmo.parent}{os.pathsep}{os.environ['PATH']}"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / ".huggingface"), "PATH": path}
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=cwd,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_runs_on_the_sample(demo: Demo, tmp_path: Path) -> None:
    lines = [line for block in blocks("bash") for line in commands(block)]
    lines = [line for line in lines if line.startswith("pixmo ")]
    assert len(lines) >= 8
    # The verdict of the same release is known: the probe need not train twice.
    folder = tmp_path / "copy"
    shutil.copytree(demo.folder, folder, ignore=shutil.ignore_patterns("releases"))
    for line in lines:
        result = shell(demo, line, folder)
        assert result.returncode == 0, f"{line}: {result.stderr}"


def test_your_own_data_becomes_a_release(demo: Demo, tmp_path: Path) -> None:
    section = README.partition("## Your own data")[2].partition("\n## ")[0]
    begin, *others = blocks("bash", section)
    install, *begin_lines = commands(begin)
    assert install == "pip install ."  # the demo's environment has it
    begun = shell(demo, "\n".join([*begin_lines, "pwd"]), tmp_path)
    assert begun.returncode == 0, begun.stderr
    folder = Path(begun.stdout.splitlines()[-1])
    (example,) = blocks("json", section)
    put_own_data(demo, folder, json.loads(example))
    said = {}
    for line in [line for block in others for line in commands(block)]:
        result = shell(demo, line, folder)
        said[line] = result.stdout
        # So few images give no verdict, as the README says.
        assert result.returncode == (2 if line == PROBE else 0), f"{line}: {result.stderr}"
    assert "Train probe of v1: INVALID" in said[PROBE]
    assert shell(demo, "pixmo validate", folder).returncode == 0
    check_tables(folder, json.loads(example))
    (load,) = blocks("python")
    loaded = shell(demo, f"python - <<'end'\n{load}\nprint(captions.num_rows)\nend", folder)
    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout) >= 1


def put_own_data(demo: Demo, folder: Path, example: dict[str, str]) -> None:
    """Some of the sample lies where the README says, linked in both of the ways it gives."""
    audio, images = folder / "audio", folder / "images"
    lines = (demo.folder / "audio/metadata.jsonl").read_text("utf-8").splitlines()
    first, *others = map(json.loads, lines[:TAKES])
    assert Path(first["file_name"]).suffix == Path(example["file_name"]).suffix
    shutil.copy(demo.folder / "audio" / first["file_name"], audio / example["file_name"])
    Image.open(demo.folder / "images" / first["image"]).save(images / example["image"])
    (audio / "metadata.jsonl").write_text(json.dumps(example) + "\n", "utf-8")
    shas = set()
    for number, take in enumerate(others, 2):
        suffix = Path(take["file_name"]).suffix
        shutil.copy(demo.folder / "audio" / take["file_name"], audio / f"{number:04d}{suffix}")
        image = shutil.copy(demo.folder / "images" / take["image"], images / f"{number:04d}.png")
        shas.add(sha256_file(image))
    for name in ("points.json", "ama.json"):
        tasks = json.loads((demo.folder / "exports" / name).read_text("utf-8"))
        seen = [task for task in tasks if task["data"]["image_sha256"] in shas]
        write_export(folder / "exports" / name, seen)
    (model,) = (demo.folder / "models").iterdir()
    settings = (folder / "pixmo.toml").read_text("utf-8")
    assert settings.count('"turbo"') == 1  # offline, the recogniser that ships stands for it
    (folder / "pixmo.toml").write_text(settings.replace('"turbo"', f'"{model}"'), "utf-8")


def check_tables(folder: Path, example: dict[str, str]) -> None:
    """Every recording, image and annotation put in became what the README says."""
    with Workspace.open(folder).connect() as connection:
        links = connection.execute(
            "select recordings.path, images.path, count(caption), min(length(caption))"
            " from recordings join images using (image_sha256)"
            " join current_captions using (image_sha256) group by all order by all"
        ).fetchall()
        said = connection.execute(
            "select annotator, prompt, recorded_at from recordings where path = ?",
            [f"audio/{example['file_name']}"],
        ).fetchall()
    stems = [f"{number:04d}" for number in range(2, TAKES + 1)]
    assert [Path(image).stem for _, image, _, _ in links] == [*stems, Path(example["image"]).stem]
    assert [Path(recording).stem for recording, *_ in links[:-1]] == stems
    assert all(count == 1 and length > 300 for *_, count, length in links)
    assert said == [(example["annotator"], example["prompt"], example["recorded_at"])]
    released = Release.open(folder / "releases/v1").manifest.subset("cap").rows
    assert sum(released.values()) == TAKES
    rows = {name: Workspace.open(folder).read(name).num_rows for name in TABLES}
    assert rows["point_annotations"] >= TAKES - 1
    assert rows["answers"] >= TAKES - 1
    assert rows["set_aside"] == 0
