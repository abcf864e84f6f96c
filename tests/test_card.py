"""The card says what a release holds, in words that the hub knows."""

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, DatasetCardData

from pixmo import schema
from pixmo.curate.recipe import LICENSES, load
from pixmo.dataset.reader import Release
from pixmo.release.build import build_release
from pixmo.release.front_matter import LARGEST_SIZE, SIZES, TASKS
from pixmo.release.sizes import readable
from pixmo.release.withdraw import Request, withdraw
from pixmo.resources import shared
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import Planter

# Of https://huggingface.co/docs/hub/repositories-licenses, those for data and open software.
HUB_LICENSES = {
    *("apache-2.0", "mit", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0"),
    *("cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0"),
    *("cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0"),
    *("cdla-permissive-1.0", "cdla-permissive-2.0", "gfdl", "odc-by", "odbl", "pddl"),
    *("etalab-2.0", "unlicense", "other", "unknown"),
}
# Of https://huggingface.co/tasks; the list that `datasets` brings along is older.
HUB_TASKS = {
    *("image-to-text", "image-text-to-text", "visual-question-answering", "keypoint-detection"),
    *("object-detection", "zero-shot-object-detection", "image-classification"),
}
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace, _ = workspaces.make(tmp_path_factory.mktemp("world"))
    workspaces.share_out(workspace)
    return workspace


@pytest.fixture(scope="module")
def release(world: Workspace) -> Path:
    return build_release(world, "v1")


def text_of(release: Path) -> str:
    return (release / "README.md").read_text("utf-8")


def known_to_datasets(name: str) -> Any:
    """A list of the hub's words that `datasets` brings along."""
    return json.loads(resources.files("datasets.utils.resources").joinpath(name).read_text("utf-8"))


def rows_of(release: Path, stem: str) -> list[dict[str, object]]:
    opened = Release.open(release)
    return [row for split in opened.splits(stem) for row in opened.read(stem, split).to_pylist()]


def test_the_hub_knows_every_word_of_the_front_matter() -> None:
    assert set(LICENSES.values()) <= HUB_LICENSES
    assert {task for tasks in TASKS.values() for task in tasks} <= HUB_TASKS
    known = known_to_datasets("size_categories.json")
    sizes = [*(size for _, size in SIZES), LARGEST_SIZE]
    assert sizes == [size for size in known if size in sizes]  # in its order, too
    assert set(TASKS) == set(schema.stems())


def test_the_front_matter_is_what_huggingface_hub_reads_and_writes(release: Path) -> None:
    card = DatasetCard.load(release / "README.md")
    data = card.data.to_dict()
    assert DatasetCardData(**data).to_dict() == data
    assert text_of(release).startswith(f"---\n{card.data.to_yaml()}\n---\n\n# ")
    assert str(card) == text_of(release)
    creators = known_to_datasets("creators.json")
    assert set(data["annotations_creators"]) <= set(creators["annotations"])
    assert set(data["language_creators"]) <= set(creators["language"])
    assert set(data["multilinguality"]) <= set(known_to_datasets("multilingualities.json"))
    assert set(data["language"]) <= set(known_to_datasets("languages.json"))
    assert set(data["license"]) <= HUB_LICENSES
    assert set(data["task_categories"]) <= HUB_TASKS
    rows = sum(split["num_examples"] for one in data["dataset_info"] for split in one["splits"])
    assert rows < 1000
    assert data["size_categories"] == ["n<1K"]


def test_the_card_says_how_to_check_a_release_wherever_it_lies(release: Path) -> None:
    said = " ".join(text_of(release).split())
    for command in ("`pixmo verify PLACE`", "`pixmo verify PLACE --public-key KEY`"):
        assert command in said
    assert "`pixmo validate`" in said


def test_the_front_matter_gives_the_size_of_every_split(release: Path) -> None:
    data = DatasetCard.load(release / "README.md").data.to_dict()
    assert {one["config_name"] for one in data["configs"] if one.get("default")} == {"pixmo-cap"}
    assert data["annotations_creators"] == data["language_creators"] == ["crowdsourced"]
    assert data["tags"][0] == "pixmo"
    for info in data["dataset_info"]:
        folder = release / info["config_name"]
        assert [split["name"] for split in info["splits"]] == ["train", "validation", "test"]
        for split in info["splits"]:
            (path,) = folder.glob(f"{split['name']}-*.parquet")
            read = pq.read_metadata(path)
            assert split["num_examples"] == read.num_rows
            groups = range(read.num_row_groups)
            assert split["num_bytes"] == sum(read.row_group(n).total_byte_size for n in groups)
        assert info["download_size"] == sum(p.stat().st_size for p in folder.iterdir())
        assert info["dataset_size"] == sum(split["num_bytes"] for split in info["splits"])


def test_captions_by_a_language_model_are_said_to_be_made_by_a_machine(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.caption("a.png", workspaces.prose(1))
    planter.rows["captions"][0]["writer"] = "some-model"
    data = DatasetCard.load(build_release(planter.write(), "v1") / "README.md").data.to_dict()
    assert data["language_creators"] == ["crowdsourced", "machine-generated"]


def test_answers_that_a_model_proposed_are_said_to_be_made_by_a_machine(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.answer("one", "a.png", "What is it?", "A spotted thing.")
    planter.row(
        "answer_rounds",
        pixmo_id="one",
        image_sha256=planter.sha256["a.png"],
        question="What is it?",
        round=1,
        answer="A spotted thing.",
        model="some-model",
        prompt_sha256="0" * 64,
        request_json="{}",
        input_tokens=None,
        output_tokens=None,
    )
    data = DatasetCard.load(build_release(planter.write(), "v1") / "README.md").data.to_dict()
    assert data["language_creators"] == ["crowdsourced", "machine-generated"]


def test_the_figures_are_those_of_the_rows(release: Path) -> None:
    text = text_of(release)
    captions = [str(row["caption"]) for row in rows_of(release, "cap")]
    words = [word for caption in captions for word in WORD.findall(caption.lower())]
    assert (
        f"- Vocabulary of the captions: {len(set(words)):,} different words of {len(words):,}"
        in text
    )
    points = rows_of(release, "points")
    assert f"- Different expressions: {len({row['label'] for row in points})}\n" in text
    people = {
        name
        for stem, column in (("cap", "annotators"), ("ama", "annotator"), ("points", "annotator"))
        for row in rows_of(release, stem)
        for name in (row[column] if column == "annotators" else [row[column]])  # type: ignore[union-attr]
    }
    # One whose rows were merged into another's is among them.
    assert f"- Annotators with a row: {len(people)}\n" in text
    hours = sum(float(str(row["duration_seconds"])) for row in rows_of(release, "cap")) / 3600
    assert f"spoken ({hours:,.2f} hours of recordings)" in text


def test_sizes_are_told_in_a_unit_that_fits(release: Path) -> None:
    told = {
        **{0: "0 B", 999: "999 B", 1_000: "1.0 kB", 9_949: "9.9 kB", 9_950: "10 kB"},
        **{54_321: "54 kB", 999_499: "999 kB", 999_500: "1.0 MB", 2_300_000_000: "2.3 GB"},
        5_000_000_000_000_000: "5,000 TB",
    }
    assert {size: readable(size) for size in told} == told
    (path,) = (release / "pixmo-points").glob("test-*.parquet")
    rows, size = pq.read_metadata(path).num_rows, readable(path.stat().st_size)
    assert f"| pixmo-points | test | {rows} | {size} |" in text_of(release)


def test_agreement_is_that_of_expressions_that_several_people_pointed_at(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    for number, (first, second) in enumerate(
        [([(10.0, 10.0)], [(10.5, 10.0)]), ([(10.0, 10.0)], [(10.0, 10.5), (80.0, 80.0)])]
    ):
        name = f"{number}.png"
        planter.image(name, workspaces.picture(number))
        planter.points(f"{number} a", name, first, label="leaf", annotator="1")
        planter.points(f"{number} b", name, second, label="leaf", annotator="2")
        planter.points(f"{number} alone", name, [(5.0, 5.0)], label="tree", annotator="1")
    text = text_of(build_release(planter.write(), "v1"))
    # Alike, and one of two found: F1 of 1 and of 2 / 3.
    assert "Several people pointed at 2 expressions: they agree to a mean F1 of 0.83" in text


def test_what_was_withdrawn_is_said(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    for uid, annotator in (("one", "anna"), ("two", "ben")):
        planter.points(uid, "a.png", [(1.0, 1.0)], label=uid, annotator=annotator)
    workspace = planter.write()
    assert "No row was withdrawn from this version." in text_of(build_release(workspace, "v1"))
    withdraw(workspace, Request("annotator", "ben"), "he asked")
    text = text_of(build_release(workspace, "v2"))
    assert "- pixmo-points: 1 row taken out (withdrawn by the annotator: 1)." in text


def planted(root: Path, change: Callable[[Planter], None]) -> str:
    """The card of a release of one picture and what `change` plants of it."""
    planter = Planter(Workspace.init(root))
    planter.image("a.png", workspaces.picture(1))
    change(planter)
    return text_of(build_release(planter.write(), "v1"))


def write_of_it(planter: Planter) -> None:
    planter.caption("a.png", workspaces.prose(1), **workspaces.WRITTEN)


def speak_of_it(planter: Planter) -> None:
    planter.caption("a.png", workspaces.prose(1))


def point_at_it(planter: Planter) -> None:
    planter.points("one", "a.png", [(1.0, 1.0)])


def test_where_nobody_spoke_nothing_is_said_of_speech(tmp_path: Path) -> None:
    written, spoken = (planted(tmp_path / how.__name__, how) for how in (write_of_it, speak_of_it))
    parts = re.split(r"\n## ", written.partition("\n# ")[2])
    free = "".join(part for part in parts if not part.startswith(("What was dropped", "Columns")))
    for word in ("spoken", "aloud", "speech", "recording"):
        assert word not in free.replace("were never spoken", ""), word
    assert "spoken" not in written.partition("\n# ")[0]
    assert "people look at an image and describe it in writing; a caption" in written
    assert "Captions: 1 from written descriptions alone." in written
    assert "- Transcripts: 1 written\n" in written
    assert "what people said or wrote of an image" in written
    assert "describe it aloud for a minute or more; the recordings are transcribed" in spoken
    assert "mistakes of speech recognition" in spoken
    assert "in writing" not in spoken
    assert "\n- spoken-descriptions\n" in spoken
    assert "- Transcripts: 1 spoken (0.02 hours of recordings)\n" in spoken


def test_the_card_says_only_what_there_is(tmp_path: Path) -> None:
    text = planted(tmp_path, point_at_it)
    assert "Images with points on what was named, in the columns of" in text
    for untrue in (
        *("held_out_image` and", "Nothing of it was found", "Rows set apart stand"),
        *("Flagged rows", "set apart among them", "set apart are counted", "by counting"),
        *("Every dropped row", "Numbers in reasons"),
    ):
        assert untrue not in text


def test_it_is_said_which_subset_is_under_which_licence(tmp_path: Path) -> None:
    def ask_and_point(planter: Planter) -> None:
        point_at_it(planter)
        planter.answer("one", "a.png", "What is it?", "A spotted thing.")
        planter.caption("a.png", "Too short.")
        recipe = shared("pipelines", "points.toml").read_text("utf-8")
        planter.workspace.recipes.mkdir()
        other = recipe.replace('license = "ODC-BY-1.0"', 'license = "CC0-1.0"', 1)
        (planter.workspace.recipes / "points.toml").write_text(other, "utf-8")

    assert (
        "The annotations are under CC0-1.0 (pixmo-points) and ODC-BY-1.0"
        " (pixmo-ask-model-anything). That does not cover the pictures"
        in planted(tmp_path, ask_and_point)
    )


def test_what_was_found_of_evaluation_data_is_said(tmp_path: Path) -> None:
    asked = "Which of the four countries on the chart exported most coal in 1974?"

    def ask_what_a_benchmark_asks(planter: Planter) -> None:
        planter.answer("one", "a.png", asked, "The second one.")
        planter.answer("two", "a.png", "What is it?", "A chart.")
        planter.row("held_out_questions", source="charts", key="1", question=asked)

    def ask_else(planter: Planter) -> None:
        planter.answer("two", "a.png", "What is it?", "A chart.")
        planter.row("held_out_questions", source="charts", key="1", question=asked)

    text = planted(tmp_path / "found", ask_what_a_benchmark_asks)
    assert "| charts | 0 | 1 |\n\n- pixmo-ask-model-anything was compared with the" in text
    assert "stands in the tables above, as `held_out_text`, and row by row" in text
    text = planted(tmp_path / "not", ask_else)
    assert "the images and questions.\n\nNothing of it was found.\n" in text


def test_steps_that_found_nothing_fold_away(tmp_path: Path) -> None:
    def click_twice(planter: Planter) -> None:
        point_at_it(planter)
        planter.points("two", "a.png", [(5.0, 5.0), (5.0, 5.0)])

    text = planted(tmp_path, click_twice)
    seen, _, folded = text.partition("### pixmo-points")[2].partition("<details>\n<summary>")
    assert [line.split(" | ")[0] for line in seen.splitlines() if " drop | " in line] == [
        "| duplicate_points"
    ]
    assert "1 of 2 candidates kept." in seen
    idle = len(load("points").steps) - 1
    assert folded.startswith(f"{idle} steps found nothing</summary>\n\n| step |")


def test_whom_to_ask_is_named_where_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "pixmo.toml").write_text('[dataset]\ncontact = "data@example.org"\n')
    planter = Planter(Workspace.open(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [(1.0, 1.0)])
    text = text_of(build_release(planter.write(), "v1"))
    assert "ask\ndata@example.org. What was withdrawn" in text
    for heading in (
        *("Load it", "Why it was made", "What it holds", "How it was collected", "Splits"),
        *("What to use it for, and what not", "Columns", "Verify it", "Withdrawals"),
        "Distribution and maintenance",
    ):
        assert f"\n## {heading}\n" in text
