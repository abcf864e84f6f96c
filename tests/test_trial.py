"""Recipes are checked, steps tried and rows explained without a build, nothing computed twice."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pixmo import schema
from pixmo.curate import curate as curating
from pixmo.curate.cache import Cache
from pixmo.curate.curate import Curation, curate
from pixmo.curate.duplicates import Likeness, duplicates
from pixmo.curate.recipe import Recipe, load, load_step
from pixmo.curate.step_kinds import NearImagesStep
from pixmo.curate.trial import check, explain, parse_values, try_step
from pixmo.errors import RecipeError, WorkspaceError
from pixmo.images.held_out import hold_out
from pixmo.release.build import build_release, open_cache, opened
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import Planter

STEPS = """
[[step]]
sql = "cap/image_unknown.sql"

[[step]]
sql = "wordy.sql"
most = 91
then = "flag"

[[step]]
sql = "short.sql"
least = 60

[[step]]
sql = "named.sql"
beginning = "The"
"""
SQL = {
    "one.sql": "-- One.\nselect id, 'this one' as reason from cap where id = $which",
    "left.sql": "-- Left.\nselect id, 'is left' as reason from cap",
    "wordy.sql": "-- Long.\nselect id, words || ' words' as reason, words from cap"
    " where words > $most",
    "short.sql": "-- Short.\nselect id, 'only ' || words || ' words' as reason, words from cap"
    " where words < $least",
    "named.sql": "-- Begins so.\nselect id, 'begins so' as reason from cap"
    " where not starts_with(caption, $beginning)",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Planter]:
    workspace, planter = workspaces.make(tmp_path_factory.mktemp("planted"))
    write(workspace.recipes)
    return workspace, planter


@pytest.fixture
def connection(planted: tuple[Workspace, Planter]) -> Iterator[duckdb.DuckDBPyConnection]:
    with planted[0].connect() as connection:
        yield connection


def write(folder: Path, steps: str = STEPS, rows: str = 'rows = "cap/rows.sql"') -> Recipe:
    """The caption recipe in `folder` has these steps and no others."""
    folder.mkdir(exist_ok=True)
    text = load("cap").path.read_text("utf-8").replace('rows = "cap/rows.sql"', rows)
    (folder / "cap.toml").write_text(text[: text.index("[[step]]")] + steps, "utf-8")
    for name, sql in SQL.items():
        (folder / name).write_text(sql, "utf-8")
    return load("cap", folder)


def words(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How long each caption is whose image is known, counted without the recipe's SQL."""
    rows = connection.execute(
        "select left(sha256('cap/' || image_sha256), 16), caption from current_captions"
        " join images using (image_sha256)"
    ).fetchall()
    return {row_id: len(caption.split()) for row_id, caption in rows}


def test_every_recipe_that_ships_is_checked_without_looking_at_a_row(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for stem in schema.stems():
        check(connection, load(stem))
        assert connection.execute(f"select count(*) from {stem}_candidates").fetchall() == [(0,)]


def test_a_check_finds_a_column_that_is_not_there(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    recipe = write(tmp_path)
    (tmp_path / "named.sql").write_text("select id, title as reason from cap where $beginning = 1")
    with pytest.raises(RecipeError, match=r"named.sql:1.*title"):
        check(connection, load("cap", tmp_path))
    check(connection, recipe)


def test_a_step_is_tried_with_other_values(
    planted: tuple[Workspace, Planter], connection: duckdb.DuckDBPyConnection
) -> None:
    own = planted[0].recipes
    lengths = words(connection)
    tried = load_step("cap", "short.sql", {"least": 92}, own)
    trial = try_step(connection, load("cap", own), tried, sample=3)
    short = {row_id for row_id, length in lengths.items() if length < 92}
    assert (trial.step, trial.then) == ("short", "drop")
    assert trial.rows == len(lengths)  # those that the steps before it leave
    assert trial.named == sum(trial.reasons.values()) == len(short)
    assert trial.now == sum(length < 60 for length in lengths.values())
    assert trial.now < trial.named < trial.rows
    assert len(trial.sample) == 3
    for row in trial.sample:
        assert row.id in short
        assert row.reason == f"only {lengths[row.id]} words"
        assert json.loads(row.evidence) == {"words": lengths[row.id]}
        assert row.excerpt


def test_a_step_that_the_recipe_has_not_comes_last(
    planted: tuple[Workspace, Planter], connection: duckdb.DuckDBPyConnection
) -> None:
    own = planted[0].recipes
    (own / "new.sql").write_text("select id, 'all' as reason from cap where words > $more", "utf-8")
    tried = load_step("cap", "new.sql", {"more": 0}, own)
    trial = try_step(connection, load("cap", own), tried, sample=0)
    kept = curate(connection, load("cap", own)).kept.num_rows
    assert (trial.rows, trial.named, trial.now, trial.sample) == (kept, kept, None, ())


MISTAKES: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such step": ("shorty", {}, "has no step shorty; did you mean short?"),
    "no such file": ("shorty.sql", {}, "there is no shorty.sql"),
    "no such value": ("short.sql", {"lest": 3}, r"does not use \$lest; did you mean least?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_tried_is_named(mistake: str, planted: tuple[Workspace, Planter]) -> None:
    name, values, message = MISTAKES[mistake]
    with pytest.raises(RecipeError, match=message):
        load_step("cap", name, values, planted[0].recipes)


def test_values_are_read_as_toml_reads_them() -> None:
    read = parse_values(["a=1", "b = 0.5", "c=true", 'd="x y"', "e=pasted text", "f=a=b"])
    assert read == {"a": 1, "b": 0.5, "c": True, "d": "x y", "e": "pasted text", "f": "a=b"}
    assert [type(value) for value in read.values()] == [int, float, bool, str, str, str]
    with pytest.raises(RecipeError, match="'min_words' is not name=value"):
        parse_values(["min_words"])


def test_every_step_speaks_of_a_row_after_it_was_taken(
    planted: tuple[Workspace, Planter], connection: duckdb.DuckDBPyConnection
) -> None:
    own = planted[0].recipes
    lengths = words(connection)
    recipe = load("cap", own)
    curated = curate(connection, recipe)
    dropped = {row["id"]: row for row in curated.dropped.to_pylist()}
    short = next(row_id for row_id in dropped if lengths.get(row_id, 99) < 60)
    found = explain(connection, [recipe], short[:12])
    assert (found.id, found.subset, found.taken_by) == (short, "pixmo-cap", "short")
    names = [step.name for step in recipe.steps]
    assert [said.step for said in found.said] == ["withdrawn", "image_file", *names]
    by_step = {said.step: said for said in found.said}
    assert by_step["short"].reason == dropped[short]["reason"]
    assert by_step["short"].evidence == dropped[short]["evidence"]
    # It was gone when the last step ran; that one would have taken it, too.
    caption = connection.execute("select caption from cap_candidates where id = ?", [short])
    begins = caption.fetchall()[0][0].startswith("The")
    assert by_step["named"].reason == ("" if begins else "begins so")
    rows = sorted(curated.kept.to_pylist(), key=lambda row: row["flags"])
    assert (rows[0]["flags"], rows[-1]["flags"]) == ([], ["wordy"])
    for row in (rows[0], rows[-1]):
        kept = explain(connection, [recipe], row["id"])
        assert (kept.taken_by, kept.split, kept.cluster) == ("", row["split"], row["cluster"])
        flagged = [said.step for said in kept.said if said.reason]
        assert flagged == row["flags"]
        for split in ("test", "validation"):
            released = {row["image_sha256"]: split}
            assert explain(connection, [recipe], row["id"], released=released).split == split


def test_what_holds_for_one_row_alone_is_not_kept(tmp_path: Path) -> None:
    workspace, _ = workspaces.make(tmp_path / "world")
    recipe = write(tmp_path / "own")
    with opened(workspace) as (connection, cache):
        dropped = curate(connection, recipe, cache=cache).dropped.to_pylist()
        kept = set((workspace.cache / "curate").iterdir())
        for row in dropped:
            assert explain(connection, [recipe], row["id"], cache=cache).taken_by == row["step"]
    assert set((workspace.cache / "curate").iterdir()) == kept


def test_a_row_that_two_steps_would_take_is_told_of_both(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    steps = STEPS.replace("least = 60", "least = 1000").replace('"The"', '"Zebra"')
    recipe = write(tmp_path, steps)
    some = next(iter(words(connection)))
    found = explain(connection, [recipe], some)
    assert [said.step for said in found.said if said.reason and said.then == "drop"] == [
        "short",
        "named",
    ]
    assert found.taken_by == "short"


def test_an_id_that_no_row_has_is_named(
    planted: tuple[Workspace, Planter], connection: duckdb.DuckDBPyConnection
) -> None:
    recipe = load("cap", planted[0].recipes)
    with pytest.raises(RecipeError, match="no candidate has the id nowhere"):
        explain(connection, [recipe], "nowhere")
    with pytest.raises(RecipeError, match="several rows"):
        explain(connection, [recipe], "")


def computed(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, recipe: Recipe
) -> tuple[list[str], dict[str, Any]]:
    """The steps that were judged anew, and what came of it."""
    judged = []
    judge = curating.judge

    def counting(connection: Any, stem: str, step: Any, pictures: Any, target: str) -> None:
        judged.append(step.name)
        judge(connection, stem, step, pictures, target)

    monkeypatch.setattr(curating, "judge", counting)
    with workspace.connect() as connection:
        result = curate(connection, recipe, cache=open_cache(workspace))
        found = {
            "kept": result.kept.to_pylist(),
            "dropped": result.dropped.to_pylist(),
            "funnel": result.funnel,
        }
    monkeypatch.setattr(curating, "judge", judge)
    return judged, found


def test_only_what_comes_after_a_change_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, planter = workspaces.make(tmp_path / "world")
    recipe = write(tmp_path / "own")
    every = [step.name for step in recipe.steps]
    judged, first = computed(monkeypatch, workspace, recipe)
    assert judged == every
    with workspace.connect() as connection:
        fresh = curate(connection, recipe)
        assert first["kept"] == fresh.kept.to_pylist()
        assert first["dropped"] == fresh.dropped.to_pylist()
        assert first["funnel"] == fresh.funnel
    assert computed(monkeypatch, workspace, recipe) == ([], first)
    # Another threshold: its step, and those after it, for other rows come to them.
    changed = write(tmp_path / "own", STEPS.replace("least = 60", "least = 92"))
    judged, second = computed(monkeypatch, workspace, changed)
    assert judged == ["short", "named"]
    assert len(second["kept"]) < len(first["kept"])
    with workspace.connect() as connection:
        assert second["kept"] == curate(connection, changed).kept.to_pylist()
    # A threshold that changes nothing of who is alive: its step only.
    changed = write(tmp_path / "own", STEPS.replace("least = 60", "least = 61"))
    judged, third = computed(monkeypatch, workspace, changed)
    assert judged == ["short"]
    assert third["kept"] == first["kept"]
    # A flag takes nobody.
    changed = write(tmp_path / "own", STEPS.replace("most = 91", "most = 90"))
    judged, fourth = computed(monkeypatch, workspace, changed)
    assert judged == ["wordy"]
    assert [row["id"] for row in fourth["kept"]] == [row["id"] for row in first["kept"]]
    # As many rows gone, but others: what comes after.
    ids = sorted(row["id"] for row in first["kept"])
    which = STEPS.replace("least = 60", "least = 0") + '\n[[step]]\nsql = "one.sql"\nwhich = ""\n'
    which += '\n[[step]]\nsql = "left.sql"\n'
    for row_id in ids[:2]:
        changed = write(tmp_path / "own", which.replace('which = ""', f'which = "{row_id}"'))
        judged, found = computed(monkeypatch, workspace, changed)
        assert judged[-2:] == ["one", "left"]
        with workspace.connect() as connection:
            assert found["dropped"] == curate(connection, changed).dropped.to_pylist()
    # Other candidates: everything.
    own = tmp_path / "own" / "rows.sql"
    own.write_text(f"{load('cap').rows.sql}\nwhere captioned.image_sha256 > '8'\n", "utf-8")
    changed = write(tmp_path / "own", rows='rows = "rows.sql"')
    judged, found = computed(monkeypatch, workspace, changed)
    assert judged == every
    assert {row["image_sha256"] > "8" for row in found["kept"]} == {True}
    # Other clusters: no step, but every row.
    changed = write(tmp_path / "own")
    near = replace(changed.splits, likeness=Likeness(64, 256))
    judged, found = computed(monkeypatch, workspace, replace(changed, splits=near))
    assert len({row["cluster"] for row in found["kept"]}) == 1
    assert len({row["cluster"] for row in first["kept"]}) > 1
    # New rows: everything.
    planter.rows.clear()
    planter.caption(workspaces.name(1), workspaces.prose(77, 99))
    planter.write()
    recipe = write(tmp_path / "own")
    judged, _ = computed(monkeypatch, workspace, recipe)
    assert judged == every


def keep(connection: duckdb.DuckDBPyConnection, cache: Cache, name: str, query: str) -> list[Any]:
    """What the query gives, by way of the cache."""
    key = cache.key(name)
    cache.view(connection, "shown", key, lambda to: connection.execute(f"create {to} as {query}"))
    return connection.execute("select x from shown").fetchall()


def test_what_was_computed_by_other_code_or_under_other_promises_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.init(tmp_path / "world")
    folder = shutil.copytree(Path(curating.__file__).parent, tmp_path / "code")
    monkeypatch.setattr(curating, "__file__", str(folder / "curate.py"))
    found = [open_cache(workspace)]
    with (folder / "near_texts.py").open("a") as file:
        file.write("# another line\n")
    found.append(open_cache(workspace))
    promise = replace(schema.subset("cap"), description="Another promise.")
    monkeypatch.setattr(schema, "subset", dict.fromkeys(schema.stems(), promise).get)
    found.append(open_cache(workspace))
    assert len({cache.key("x") for cache in found}) == 3
    assert open_cache(workspace) == found[-1]


def test_the_results_used_last_are_kept_and_no_more_than_asked(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept")
    with duckdb.connect() as connection:
        for name in ("a", "b", "c", "a"):
            assert keep(connection, cache, name, f"select '{name}' as x") == [(name,)]
    one = (tmp_path / "kept" / f"{cache.key('a')}.duckdb").stat().st_size
    cache.prune(2 * one)
    left = {path.stem for path in (tmp_path / "kept").iterdir()}
    assert left == {cache.key("a"), cache.key("c")}  # b was used longest ago
    cache.prune(0)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_result_whose_making_fails_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.Error):
            keep(connection, cache, "x", "nothing")
        assert list(tmp_path.iterdir()) == []
        assert keep(connection, cache, "x", "select 1 as x") == [(1,)]
        assert keep(connection, cache, "x", "select 2 as x") == [(1,)]  # kept, not made


def test_a_file_where_results_should_be_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with duckdb.connect() as connection, pytest.raises(NotADirectoryError) as raised:
        keep(connection, Cache(tmp_path / "kept"), "x", "select 1 as x")
    assert raised.value.filename == str(tmp_path / "kept")


@pytest.mark.parametrize("damage", [b"", b"no database", None])
def test_a_damaged_result_is_made_again(damage: bytes | None, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = tmp_path / f"{cache.key('x')}.duckdb"
    with duckdb.connect() as connection:
        keep(connection, cache, "x", "select range as x from range(100000)")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with duckdb.connect() as connection:
        assert keep(connection, cache, "x", "select 7 as x") == [(7,)]


def test_damage_inside_a_result_is_said_and_how_to_mend_it(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path)
    rows = "select range * 7919 % 1000003 as x from range(1000000)"
    with opened(workspace) as (connection, cache):
        keep(connection, cache, "x", rows)
    (path,) = (workspace.cache / "curate").glob("*.duckdb")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    path.write_bytes(data)
    with (
        pytest.raises(WorkspaceError, match=r"curate is damaged; delete it, what it holds"),
        opened(workspace) as (connection, cache),
    ):
        keep(connection, cache, "x", rows)


def test_what_comes_in_while_a_build_begins_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, planter = workspaces.make(tmp_path)
    build_release(workspace, "v1")
    (tmp_path / "held-out.txt").write_text("\n".join(planter.sha256.values()), "utf-8")
    connect = Workspace.connect

    def held_out_meanwhile(self: Workspace) -> duckdb.DuckDBPyConnection:
        monkeypatch.setattr(Workspace, "connect", connect)
        connection = connect(self)
        hold_out(self, str(tmp_path / "held-out.txt"))
        return connection

    monkeypatch.setattr(Workspace, "connect", held_out_meanwhile)
    with opened(workspace) as (connection, cache):
        result = curate(connection, load("cap"), cache=cache)
        assert {row["step"] for row in result.dropped.to_pylist()} >= {"held_out_image"}
    assert result.kept.num_rows == 0


def test_the_beginning_of_an_id_is_looked_for_in_every_subset(
    connection: duckdb.DuckDBPyConnection, planted: tuple[Workspace, Planter]
) -> None:
    recipes = [load(stem, planted[0].recipes) for stem in schema.stems()]
    ids: list[str] = []
    for recipe in recipes:
        result = curate(connection, recipe)
        ids += [row["id"] for row in (*result.kept.to_pylist(), *result.dropped.to_pylist())]
    begin = next(row[:n] for n in range(1, 16) for row in ids if alone(row[:n], ids))
    assert explain(connection, recipes, begin).id.startswith(begin)
    shared = next(row[0] for row in ids if not alone(row[0], ids))
    with pytest.raises(RecipeError, match="several rows"):
        explain(connection, recipes, shared)
    for row in ids[:: len(ids) // 5]:
        assert explain(connection, recipes, row).id == row


def alone(begin: str, ids: list[str]) -> bool:
    return sum(row.startswith(begin) for row in ids) == 1


def test_leftovers_of_killed_runs_go(tmp_path: Path) -> None:
    for leftover in (".a.duckdb.4194305.tmp", ".a.duckdb.4194305.tmp.wal"):  # no such process
        (tmp_path / leftover).write_bytes(b"half")
    living = tmp_path / f".b.duckdb.{os.getpid()}.tmp"
    living.write_bytes(b"being written")
    Cache(tmp_path).prune(0)
    assert list(tmp_path.iterdir()) == [living]


def test_a_leftover_with_this_process_number_is_no_obstacle(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (tmp_path / f".{cache.key('x')}.duckdb.{os.getpid()}.tmp").write_bytes(b"half")
    with duckdb.connect() as connection:
        assert keep(connection, cache, "x", "select 1 as x") == [(1,)]


def test_nothing_need_be_kept(tmp_path: Path) -> None:
    workspace, _ = workspaces.make(tmp_path)
    (workspace.root / "pixmo.toml").write_text("[curate]\ncache_gb = 0\n", "utf-8")
    workspace = Workspace.open(workspace.root)
    build_release(workspace, "v1")
    assert list((workspace.cache / "curate").iterdir()) == []


def test_rows_of_images_without_a_file_do_not_come_to_a_step(
    planted: tuple[Workspace, Planter], connection: duckdb.DuckDBPyConnection
) -> None:
    own = planted[0].recipes
    some = planted[1].sha256[workspaces.name(3)]
    tried = load_step("cap", "short.sql", {}, own)
    every = try_step(connection, load("cap", own), tried, 0)
    fewer = try_step(connection, load("cap", own), tried, 0, {some: "image file is gone"})
    assert fewer.rows == every.rows - 1


def test_a_build_keeps_what_it_computed_and_gives_the_same_bytes_again(tmp_path: Path) -> None:
    workspace, _ = workspaces.make(tmp_path)
    first = build_release(workspace, "v1")
    kept = sorted(path.name for path in (workspace.cache / "curate").iterdir())
    assert kept
    second = build_release(workspace, "v2")
    assert sorted(path.name for path in (workspace.cache / "curate").iterdir()) == kept
    for path in sorted(first.rglob("*.parquet")):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_near_duplicates_are_looked_for_in_clusters_alone_and_found_all_the_same(
    planted: tuple[Workspace, Planter], connection: duckdb.DuckDBPyConnection
) -> None:
    work = Curation(connection, load("cap"))
    work.begin()
    step = next(s for s in work.recipe.steps if isinstance(s, NearImagesStep))
    alone = work.pictures_for(step)
    assert 0 < len(alone) < len(work.pictures)
    wider = replace(step.likeness, max_distance=step.likeness.max_distance + 1)
    assert work.pictures_for(replace(step, likeness=wider)) is work.pictures
    every = duplicates(work.pictures, step.likeness)
    assert every
    assert duplicates(alone, step.likeness) == every
