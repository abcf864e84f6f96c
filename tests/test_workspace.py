"""A workspace: settings read strictly, tables that only grow, views of what counts now."""

import dataclasses
import multiprocessing
import os
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pixmo import schema
from pixmo.errors import SchemaError, SettingsError, WorkspaceError
from pixmo.workspace import settings
from pixmo.workspace.tables import Table
from pixmo.workspace.workspace import SetAside, Workspace
from tests.workspaces import Planter, picture, prose

REASON = SetAside("images", "abc", "images/a.png", "damaged image", "cut short")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path)


def recording(number: int, **values: Any) -> dict[str, Any]:
    return {
        "recording_sha256": f"{number:064x}",
        "path": f"audio/{number}.wav",
        "image_sha256": f"{number:064x}",
        "annotator": "ann",
        "prompt": None,
        "recorded_at": None,
        "bytes": 10,
        "ordinal": number,
        **values,
    }


def test_a_new_workspace_has_every_setting_at_its_default(tmp_path: Path) -> None:
    made = Workspace.init(tmp_path / "new" / "one")
    assert made.settings == settings.Settings()
    assert (made.root / "pixmo.toml").read_text("utf-8") == settings.template()


def test_the_template_names_every_setting() -> None:
    named = {name: set(keys) for name, keys in tomllib.loads(settings.template()).items()}
    assert named == {
        section.name: {key.name for key in dataclasses.fields(section.default_factory)}
        for section in dataclasses.fields(settings.Settings)
        if isinstance(section.default_factory, type)
    }


def test_any_folder_is_a_workspace_and_its_settings_are_kept(tmp_path: Path) -> None:
    assert Workspace.open(tmp_path).settings == settings.Settings()
    (tmp_path / "pixmo.toml").write_text("[speech]\nlanguage = 'de'\n[probe]\nsteps = 5\n")
    opened = Workspace.init(tmp_path)
    assert (opened.settings.speech.language, opened.settings.probe.steps) == ("de", 5)
    assert opened.settings.speech.model == "turbo"


def test_a_folder_that_is_not_there_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"pixmo init .*nowhere"):
        Workspace.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[speach]\n", "section speach is unknown; did you mean speech?"),
        ("[speech]\nmodle = 'x'\n", r"\[speech\] key modle is unknown; did you mean model?"),
        ("[speech]\nzzz = 'x'\n", "zzz is unknown; known are model, language, device"),
        ("[probe]\nsteps = '5'\n", "steps = '5' is not of type int"),
        ("[probe]\nsteps = true\n", "steps = True is not of type int"),
        ('[record]\npublic_url = "example.org/speak"\n', "a URL begins with https://"),
        ('[label_studio]\nurl = "localhost:8080"\n', "a URL begins with https://"),
        ("[evaluate]\nlongest_side = 0\n", "longest_side = 0: at least 32"),
        ("[evaluate]\njudge_prompt = ''\n", 'judge_prompt is empty; the default is "judge"'),
        ("[evaluate]\njudge = 'x'\n", r"\[evaluate\] key judge is unknown"),
        ("speech = 1\n", r"speech is a section; write \[speech\]"),
        ("[speech\n", "is not TOML"),
        ("\xff", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pixmo.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=message):
        Workspace.open(tmp_path)


def test_paths_are_kept_relative_inside_and_absolute_outside(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    inside = workspace.root / "images" / ".." / "images" / "a.png"
    outside = tmp_path_factory.mktemp("elsewhere") / "b.png"
    assert workspace.relative(inside) == "images/a.png"
    assert workspace.path("images/a.png") == workspace.root / "images/a.png"
    assert workspace.relative(outside) == str(outside)
    assert workspace.path(str(outside)) == outside


def test_rows_come_back_in_the_order_they_were_appended(workspace: Workspace) -> None:
    assert workspace.read("recordings").num_rows == 0
    rows = [recording(n, prompt="Say." if n % 2 else None) for n in (3, 1, 2)]
    workspace.append("recordings", rows[:1])
    workspace.append("recordings", [])
    workspace.append("recordings", rows[1:])
    assert workspace.read("recordings").to_pylist() == rows
    parts = [part.name for part in workspace.table("recordings").parts()]
    assert parts == ["part-00000000.parquet", "part-00000001.parquet"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"annotator": None}, "column annotator holds a null"),
        ({"ordinal": "first"}, "recordings"),
        ({"mood": "good"}, "row 0 differs in columns: mood"),
    ],
)
def test_rows_that_break_the_schema_are_refused_whole(
    workspace: Workspace, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        workspace.append("recordings", [recording(1, **row), recording(2, **row)])
    assert workspace.table("recordings").parts() == []


def test_a_table_that_no_schema_knows_is_refused(workspace: Workspace) -> None:
    with pytest.raises(SchemaError, match="no table 'recording'"):
        workspace.append("recording", [recording(1)])


def test_a_flipped_bit_in_a_part_is_noticed(workspace: Workspace) -> None:
    workspace.append("recordings", [recording(n) for n in range(100)])
    (part,) = workspace.table("recordings").parts()
    data = bytearray(part.read_bytes())
    data[60] ^= 1
    part.write_bytes(data)
    with pytest.raises(WorkspaceError, match=r"part-00000000\.parquet is damaged"):
        workspace.read("recordings")


def test_a_part_of_another_table_is_noticed(workspace: Workspace) -> None:
    workspace.append("recordings", [recording(1)])
    (part,) = workspace.table("recordings").parts()
    pq.write_table(pq.read_table(part, partitioning=None).drop_columns(["prompt"]), part)
    with pytest.raises(SchemaError, match="columns are"):
        workspace.read("recordings")


def append_many(root: Path, first: int) -> None:
    for number in range(first, first + 15):
        Workspace.open(root).append("recordings", [recording(number)])


def test_two_writers_lose_no_row(workspace: Workspace) -> None:
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=append_many, args=(workspace.root, first)) for first in (0, 100)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = {row["ordinal"] for row in workspace.read("recordings").to_pylist()}
    assert found == {*range(15), *range(100, 115)}
    assert len(workspace.table("recordings").parts()) == 30


def test_temporary_files_of_dead_writers_are_no_parts_and_are_swept(workspace: Workspace) -> None:
    workspace.append("recordings", [recording(1)])
    folder = workspace.table("recordings").folder
    leftover = folder / ".part-00000001.parquet.999999999.tmp"
    leftover.write_bytes(b"half")
    assert workspace.read("recordings").num_rows == 1
    with workspace.lock("work"):
        assert not leftover.exists()


def test_a_lock_keeps_others_out_and_frees_itself(workspace: Workspace) -> None:
    with workspace.lock("release"):
        with (
            pytest.raises(WorkspaceError, match="busy with release"),
            Workspace.open(workspace.root).lock("release"),
        ):
            pass
        with workspace.lock("transcribe"):
            pass
    with workspace.lock("release"):
        pass


def test_a_lock_is_waited_for_as_long_as_said(workspace: Workspace) -> None:
    busy = pytest.raises(WorkspaceError, match="busy with work")
    with workspace.lock("work"), busy, workspace.lock("work", patience=0.2):
        pass
    begun = threading.Event()

    def hold() -> None:
        with workspace.lock("work"):
            begun.set()
            time.sleep(0.3)

    holder = threading.Thread(target=hold)
    holder.start()
    assert begun.wait(30)
    with workspace.lock("work", patience=30):
        pass
    holder.join()


def test_the_same_thing_is_set_aside_once(workspace: Workspace) -> None:
    other = SetAside("images", "abc", "images/b.png", "damaged image")
    assert workspace.set_aside([REASON, REASON]) == 1
    assert workspace.set_aside([REASON, other]) == 1
    assert workspace.set_aside([]) == 0
    assert workspace.still_set_aside() == {REASON, other}
    workspace.mend("images", workspace.images, [other])
    workspace.mend("images", workspace.audio, [])  # nothing of it was looked at
    workspace.mend("transcribe", workspace.images, [])
    assert workspace.still_set_aside() == {other}
    assert workspace.set_aside([REASON]) == 1  # broken again
    assert workspace.still_set_aside() == {REASON, other}
    assert workspace.read("set_aside").num_rows == 4


def test_every_table_is_a_view_even_when_empty(workspace: Workspace) -> None:
    with workspace.connect() as connection:
        for name in schema.table_names():
            table = connection.sql(f"select * from {name}").to_arrow_table()
            assert table.num_rows == 0
            assert table.column_names == schema.table(name).column_names


def test_a_view_shows_what_the_table_holds(workspace: Workspace) -> None:
    rows = [recording(1), recording(2, prompt="It's 5 o'clock.")]
    workspace.append("recordings", rows)
    with workspace.connect() as connection:
        shown = connection.sql("from recordings order by ordinal").to_arrow_table()
    assert shown.to_pylist() == rows


def test_a_folder_with_odd_signs_in_its_name_works(tmp_path: Path) -> None:
    made = Workspace.init(tmp_path / "it's a [set] *of* photos")
    made.append("recordings", [recording(1)])
    with made.connect() as connection:
        assert connection.execute("select count(*) from recordings").fetchall() == [(1,)]


def test_the_newest_transcript_and_caption_count(workspace: Workspace) -> None:
    """Of a recording transcribed twice only the second counts; a written one stands for itself."""
    for model in ("tiny", "turbo"):
        planter = Planter(workspace)
        planter.caption("a.png", f"{model} heard this.", model=model, transcript_id=model)
        planter.write()
    planter = Planter(workspace)
    planter.caption(
        "a.png",
        "Written.",
        source="written",
        recording_sha256=None,
        transcript_id="written",
        model=None,
    )
    planter.write()
    with workspace.connect() as connection:
        transcripts = connection.execute(
            "select transcript_id from current_transcripts order by all"
        ).fetchall()
        captions = connection.execute("select caption from current_captions").fetchall()
    assert transcripts == [("turbo",), ("written",)]
    assert captions == [("Written.",)]


def test_the_newest_state_of_an_annotation_counts_once(workspace: Workspace) -> None:
    days = ("2026-01-02T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z")
    for day in reversed(days):  # the older state comes later, from an older export
        planter = Planter(workspace)
        planter.points("one", "a.png", [(1.0, 1.0)], updated_at=day)
        planter.answer("two", "a.png", "What?", day, updated_at=day)
        planter.write()
    with workspace.connect() as connection:
        points = connection.execute(
            "select annotation_uid, updated_at from current_point_annotations"
        ).fetchall()
        answers = connection.execute("select answer from current_answers").fetchall()
    assert points == [("one", days[1])]
    assert answers == [(days[1],)]


def test_a_newer_state_without_a_parsed_row_hides_the_older(workspace: Workspace) -> None:
    planter = Planter(workspace)
    planter.points("one", "a.png", [(1.0, 1.0)], updated_at="2026-01-02T00:00:00.000000Z")
    planter.annotation("points", "one", "2026-01-05T00:00:00.000000Z")  # skipped since
    planter.write()
    with workspace.connect() as connection:
        assert connection.execute("from current_point_annotations").fetchall() == []


def test_images_are_found_by_their_content(workspace: Workspace) -> None:
    planter = Planter(workspace)
    sha256 = planter.image("a.png", picture(1))
    planter.write()
    assert workspace.local_images() == {sha256: workspace.root / "images/a.png"}
    assert prose(1) != prose(2)


@pytest.mark.parametrize("name", ["set[1]", "annotator=bob", "source=web", "a*b?", "it's"])
def test_views_read_their_own_tables_wherever_the_workspace_stands(
    tmp_path: Path, name: str
) -> None:
    planters = []
    for folder in (name, "set1", "ab"):
        planters.append(Planter(Workspace.init(tmp_path / folder)))
        planters[-1].caption("a.png", prose(len(planters)), annotator=folder)
        planters[-1].write()
    with planters[0].workspace.connect() as connection:
        query = "select annotator, source from transcripts"
        assert connection.execute(query).fetchall() == [(name, "speech")]


def test_a_part_that_was_cut_short_is_named(workspace: Workspace) -> None:
    workspace.append("recordings", [recording(1)])
    (part,) = workspace.table("recordings").parts()
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(WorkspaceError, match=r"part-00000000\.parquet is damaged"):
        workspace.connect()


def test_parts_that_were_whole_are_read_again_only_when_they_change(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    planter = Planter(workspace)
    planter.image("a.png", picture(1))
    planter.write()
    read = Table.read_part
    parts: list[str] = []
    monkeypatch.setattr(
        Table, "read_part", lambda self, path: parts.append(self.folder.name) or read(self, path)
    )
    told: list[int] = []
    workspace.check_tables(told.append)
    assert sorted(parts) == ["image_thumbnails", "images"]
    workspace.check_tables(told.append)
    assert (len(parts), sum(told)) == (2, 4)
    (part,) = workspace.table("images").parts()
    whole, when = part.read_bytes(), part.stat().st_mtime_ns
    for damaged in (whole[:-9], whole[:60] + bytes(20) + whole[80:]):  # shorter, and as long
        part.write_bytes(damaged)
        os.utime(part, ns=(when, when + (len(damaged) == len(whole))))
        with pytest.raises(WorkspaceError, match="is damaged"):
            workspace.check_tables(told.append)
    for garbage in ("no json", "null", '{"images": 3}', "[[1], 2]"):
        (workspace.cache / "whole_parts.json").write_text(garbage)
        with pytest.raises(WorkspaceError, match="is damaged"):
            workspace.check_tables(told.append)


@pytest.mark.parametrize("name", schema.table_names())
def test_an_empty_table_has_the_types_of_a_filled_one(name: str, tmp_path: Path) -> None:
    with Workspace.open(tmp_path).connect() as connection:
        connection.register("filled", schema.table(name).arrow().empty_table())
        found, wanted = (
            connection.execute(f"select column_name, column_type from (describe {one})").fetchall()
            for one in (name, "filled")
        )
    assert found == wanted
