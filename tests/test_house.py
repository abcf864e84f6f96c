"""What holds for the whole house: stems agree, contracts hold, help is light, docs say what is."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pixmo import __version__, schema

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "duckdb", "pyarrow", "datasets", "whisper", "pandas", "numpy", "PIL", "scipy"}


def stems_in(folder: str, suffix: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob(f"*{suffix}")}


def test_a_subset_has_the_same_stem_in_every_data_folder() -> None:
    stems = stems_in("schemas", ".toml")
    assert stems == {"ama", "cap", "points"}
    assert stems_in("pipelines", ".toml") == stems
    assert stems_in("annotation_ui", ".xml") == stems
    folders = {path.name for path in (ROOT / "pipelines").iterdir() if path.is_dir()}
    # Steps on the pictures of every subset, and what a language model is told.
    assert folders == stems | {"images", "prompts"}


def test_a_recipe_has_the_name_that_its_schema_publishes() -> None:
    for stem in schema.stems():
        recipe = tomllib.loads((ROOT / "pipelines" / f"{stem}.toml").read_text("utf-8"))
        assert recipe["name"] == schema.subset(stem).name


@pytest.mark.parametrize("folder", ["pipelines", "schemas", "annotation_ui"])
def test_no_python_hides_in_the_data_folders(folder: str) -> None:
    assert list((ROOT / folder).rglob("*"))
    assert not list((ROOT / folder).rglob("*.py"))


def test_published_columns_come_first_in_the_published_order() -> None:
    published = {  # the columns of the Hugging Face datasets allenai/pixmo-*
        "cap": ["image_url", "caption", "transcripts"],
        "ama": ["image_url", "image_sha256", "question", "answer"],
        "points": [
            "image_url",
            "image_sha256",
            "points",
            "count",
            "label",
            "collection_method",
        ],
    }
    for stem, names in published.items():
        promise = schema.subset(stem)
        assert promise.column_names[: len(names)] == names
        assert [column.name for column in promise.columns if column.published] == names
        assert not any(column.nullable for column in promise.columns[: len(names)])


def test_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint_imports], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_room_has_a_floor() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]["layers"]
    named = {name.strip() for layer in layers for name in layer.split("|")}
    rooms = {
        path.stem
        for path in (ROOT / "pixmo").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
    }
    assert named == rooms


@pytest.mark.parametrize("words", [["--help"], ["transcribe", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from pixmo.cli.app import main\n"
        f"sys.argv = ['pixmo', *{words!r}]\n"
        "try: main()\n"
        "finally: print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    shown, _, modules = result.stdout.partition("MODULES")
    assert "pixmo" in shown
    assert "typer" in modules.split()
    assert not HEAVY & set(modules.split())


def test_the_docs_are_what_the_code_says() -> None:
    from pixmo.cli import reference

    hint = "out of date: run `make docs`"
    assert (ROOT / "docs/cli.md").read_text("utf-8") == reference.cli_reference(), hint
    assert (ROOT / "docs/columns.md").read_text("utf-8") == reference.columns_reference(), hint


def test_every_command_has_an_example() -> None:
    from pixmo.cli import reference

    for name, text in reference.commands():
        if "Commands:" not in text:
            assert f"Example: {name}" in text


def test_every_column_says_what_it_holds() -> None:
    schemas = [schema.subset(stem) for stem in schema.stems()]
    schemas += [schema.table(name) for name in schema.table_names()]
    for promise in schemas:
        assert promise.description.endswith(".")
        for column in promise.columns:
            assert len(column.description.split()) >= 2, f"{promise.stem}.{column.name}"


def test_version_and_changelog_agree() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == __version__


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_architecture_names_every_room() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    for room in (ROOT / "pixmo").iterdir():
        if (room / "__init__.py").exists():
            assert f"{room.name}/" in page, room.name
            for module in room.glob("*.py"):
                if module.stem != "__init__":
                    assert re.search(rf"\b{module.stem}\b", page), f"{room.name}/{module.stem}"


def test_the_benchmark_page_is_what_was_measured() -> None:
    from tests.benchmarks.__main__ import page

    results = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))
    assert (ROOT / "docs/benchmarks.md").read_text("utf-8") == page(results)


def test_where_several_processes_test_each_file_has_one(request: pytest.FixtureRequest) -> None:
    """Else every process builds the fixtures of every file, and walks the demo."""
    if hasattr(request.config, "workerinput"):
        assert request.node.nodeid.endswith("@test_house.py")
