"""Exactly the planted rows are dropped, each by its step, with a reason and evidence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pixmo import schema
from pixmo.curate.cache import Cache
from pixmo.curate.curate import DROPPED, Curated, curate
from pixmo.curate.recipe import load
from pixmo.errors import RecipeError
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import Planter


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Planter]:
    return workspaces.make(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def curated(planted: tuple[Workspace, Planter]) -> Iterator[dict[str, Curated]]:
    with planted[0].connect() as connection:
        yield {stem: curate(connection, load(stem)) for stem in schema.stems()}


@pytest.fixture
def connection(planted: tuple[Workspace, Planter]) -> Iterator[duckdb.DuckDBPyConnection]:
    with planted[0].connect() as connection:
        yield connection


def dropped(curated: Curated) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = curated.dropped.to_pylist()
    return rows


def test_exactly_the_planted_captions_are_dropped(
    curated: dict[str, Curated], planted: tuple[Workspace, Planter]
) -> None:
    names = {sha256: name for name, sha256 in planted[1].sha256.items()}
    rows = dropped(curated["cap"])
    steps = {names.get(row["image_sha256"], "nowhere.png"): row["step"] for row in rows}
    assert steps == workspaces.CAP_DROPPED
    assert len(rows) == len(steps)
    assert curated["cap"].kept.num_rows == curated["cap"].candidates - len(rows)


@pytest.mark.parametrize(
    ("stem", "planted_rows"),
    [("points", workspaces.POINTS_DROPPED), ("ama", workspaces.AMA_DROPPED)],
)
def test_exactly_the_planted_annotations_are_dropped(
    stem: str, planted_rows: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    result = curate(connection, load(stem))
    uids = dict(connection.execute(f"select id, annotation_uid from {stem}_candidates").fetchall())
    assert {uids[row["id"]]: row["step"] for row in dropped(result)} == planted_rows
    kept = {row["annotation_uid"] for row in result.kept.to_pylist()}
    assert kept == set(uids.values()) - planted_rows.keys()


def test_a_reason_comes_with_its_evidence(
    curated: dict[str, Curated], planted: tuple[Workspace, Planter]
) -> None:
    sha256 = planted[1].sha256
    found = {(stem, row["step"]): row for stem in curated for row in dropped(curated[stem])}
    by_step = {step: (row["reason"], json.loads(row["evidence"])) for step, row in found.items()}
    assert by_step["cap", "too_short"] == ("only 40 words", {"words": 40})
    assert by_step["cap", "no_speech"] == (
        "no speech in the recording",
        {"speech_seconds": 0.3, "duration_seconds": 66.0},
    )
    assert by_step["points", "outside_image"] == (
        "point outside the image, at 131.0, 20.0 percent",
        {"x": 131.0, "y": 20.0},
    )
    assert by_step["points", "duplicate_points"][0] == "points 1 and 3 are one spot"
    reason, evidence = by_step["points", "near_duplicate_image"]
    assert evidence["kept_image_sha256"] == sha256[workspaces.name(1)]
    assert evidence["distance"] <= 8
    assert reason.endswith(evidence["kept_image_sha256"][:12])
    reason, evidence = by_step["cap", "near_duplicate_text"]
    kept = {row["id"]: row["image_sha256"] for row in curated["cap"].kept.to_pylist()}
    assert kept[evidence["kept_id"]] == sha256[workspaces.name(4)]
    assert evidence["jaccard"] > 0.9


def test_the_funnel_adds_up(curated: dict[str, Curated]) -> None:
    for result in curated.values():
        alive = result.candidates
        for step, of_recipe in zip(result.funnel, result.recipe.steps, strict=True):
            assert step.step == of_recipe.name
            assert step.explanation
            assert step.kept == alive - step.gone
            assert sum(step.reasons.values()) == step.rows
            alive = step.kept
        assert alive == result.kept.num_rows
    reasons = {s.step: s.reasons for s in curated["cap"].funnel}
    assert reasons["too_short"] == {"only # words": 1}
    assert reasons["near_duplicate_image"] == {"near-duplicate of image #": 2}


def test_points_near_the_edge_are_moved_to_it_and_kept_raw(curated: dict[str, Curated]) -> None:
    rows = {row["annotation_uid"]: row for row in curated["points"].kept.to_pylist()}
    edge = rows["edge"]
    assert [(p["x"], p["y"]) for p in edge["points"]] == [(0, 50), (40, 100), (7, 7)]
    assert [(p["x"], p["y"]) for p in edge["raw_points"]] == [(-1.5, 50), (40, 101), (7, 7)]
    good = rows["good-2"]
    assert [(p["x"], p["y"]) for p in good["points"]] == [(10, 20.5), (60.25, 70)]
    assert good["raw_points"] == []
    assert all(row["count"] == len(row["points"]) for row in rows.values())


def test_a_reviewers_caption_replaces_the_written_one(
    curated: dict[str, Curated], planted: tuple[Workspace, Planter]
) -> None:
    rows = {row["image_sha256"]: row for row in curated["cap"].kept.to_pylist()}
    mended = rows[planted[1].sha256[workspaces.name(3)]]
    assert mended["caption"] == workspaces.prose(33)
    assert mended["writer"] == f"{workspaces.WRITER}, edited by a reviewer"
    assert mended["transcripts"] == [workspaces.prose(3)]
    other = rows[planted[1].sha256[workspaces.name(5)]]
    assert (other["caption"], other["writer"]) == (workspaces.prose(5), workspaces.WRITER)


def test_rows_are_sorted_by_image_and_split_by_cluster(
    curated: dict[str, Curated], planted: tuple[Workspace, Planter]
) -> None:
    images = planted[0].read("images").to_pylist()
    ordinal = {row["image_sha256"]: row["ordinal"] for row in images}
    splits: dict[str, set[str]] = {}
    for result in curated.values():
        rows = result.kept.to_pylist()
        assert rows == sorted(rows, key=lambda row: (ordinal[row["image_sha256"]], row["id"]))
        for row in rows:
            splits.setdefault(row["cluster"], set()).add(row["split"])
    assert all(len(of_cluster) == 1 for of_cluster in splits.values())


def test_copies_share_the_cluster_of_the_first(
    curated: dict[str, Curated], planted: tuple[Workspace, Planter]
) -> None:
    sha256 = planted[1].sha256
    rows = {row["image_sha256"]: row for row in curated["cap"].kept.to_pylist()}
    assert rows[sha256["copy-large.png"]]["cluster"] == sha256[workspaces.name(2)]


def test_rows_of_unusable_images_go_first(
    connection: duckdb.DuckDBPyConnection, planted: tuple[Workspace, Planter]
) -> None:
    gone = planted[1].sha256["copy-large.png"]
    result = curate(connection, load("cap"), {gone: "image file is gone"})
    first = result.funnel[0]
    assert (first.step, first.rows, first.reasons) == (
        "image_file",
        1,
        {"image file is gone": 1},
    )
    # The picture that it would have replaced stays.
    kept = {row["image_sha256"] for row in result.kept.to_pylist()}
    assert planted[1].sha256[workspaces.name(2)] in kept


def test_nothing_in_gives_empty_tables_and_no_nulls(tmp_path: Path) -> None:
    with Workspace.init(tmp_path).connect() as connection:
        for stem in schema.stems():
            result = curate(connection, load(stem))
            assert (result.candidates, result.kept.num_rows) == (0, 0)
            assert result.dropped.schema == DROPPED
            assert result.dropped.num_rows == 0
            assert all(step.rows == 0 and step.reasons == {} for step in result.funnel)


STEP_MISTAKES = {
    "unknown column": ("select id, 'x' as reason\nfrom cap\nwhere wordz < 3", "step.sql:3: Binder"),
    "no reason column": ("select id from cap", "step.sql selects no column reason"),
    "no reason": ("select id, null as reason from cap", "step.sql gives no reason for row"),
    "strange id": (
        "select 'me' as id, 'x' as reason",
        "step.sql selects id me, which is not a row",
    ),
    "bad cast": ("select id, 'x' as reason\nfrom cap where caption::int = 1", "step.sql"),
}


@pytest.mark.parametrize("mistake", STEP_MISTAKES)
def test_a_step_that_cannot_run_is_named(
    mistake: str, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    sql, message = STEP_MISTAKES[mistake]
    (tmp_path / "step.sql").write_text(sql, "utf-8")
    write_recipe(tmp_path, '[[step]]\nsql = "step.sql"\n')
    with pytest.raises(RecipeError) as raised:
        curate(connection, load("cap", tmp_path))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


MERGE_MISTAKES = {
    "no kept_id": ("select id, 'x' as reason from cap", "selects no column kept_id; it needs id,"),
    "no reason": ("select id, id as kept_id, null as reason from cap", "without a reason"),
    "twice": (
        "select id, id as kept_id, unnest(['a', 'b']) as reason from cap",
        "twice; a row is merged once",
    ),
    "not alive": ("select 'me' as id, 'me' as kept_id, 'x' as reason", "id me, which is not a row"),
    "into nothing": (
        "select id, min(id) over () as kept_id, 'x' as reason from cap"
        " qualify id != min(id) over ()",
        "whose kept_id is no row that names itself",
    ),
}


@pytest.mark.parametrize("mistake", MERGE_MISTAKES)
def test_a_merge_that_cannot_be_is_named(
    mistake: str, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    sql, message = MERGE_MISTAKES[mistake]
    (tmp_path / "step.sql").write_text(sql, "utf-8")
    write_recipe(tmp_path, '[[step]]\nmerge = "step.sql"\n')
    with pytest.raises(RecipeError, match=message) as raised:
        curate(connection, load("cap", tmp_path))
    assert "step.sql" in str(raised.value)


def test_steps_after_a_merge_see_its_values(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    (tmp_path / "seen.sql").write_text("select id, caption as reason from cap", "utf-8")
    write_recipe(
        tmp_path,
        '[[step]]\nsql = "cap/image_unknown.sql"\n'
        '[[step]]\nmerge = "merge.sql"\n[[step]]\nsql = "seen.sql"\nthen = "flag"\n',
    )
    for said in ("One.", "Another."):  # the same rows go, and what is kept must not be the first
        merge = f"select id, min(id) over () as kept_id, 'one' as reason, '{said}' as caption"
        (tmp_path / "merge.sql").write_text(f"{merge} from cap", "utf-8")
        result = curate(connection, load("cap", tmp_path), cache=Cache(tmp_path / "kept"))
        (row,) = result.kept.to_pylist()
        assert (row["caption"], row["flags"]) == (said, ["seen"])
        assert result.funnel[-1].reasons == {said: 1}
        assert result.funnel[1].rows == result.funnel[0].kept - 1


def test_a_column_that_rows_do_not_have_is_named(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    step = '[[step]]\nnear_duplicates = "text"\nmin_jaccard = 0.8\n'
    for columns in ('column = "captions"', 'column = "caption"\nwithin = "captions"'):
        write_recipe(tmp_path, f"{step}{columns}\n")
        with pytest.raises(RecipeError, match=r"near_duplicates of cap: .* no column captions"):
            curate(connection, load("cap", tmp_path))


ROW_MISTAKES = {
    "a column missing": ("select 1 as id, 'a' as image_sha256", "selects no column image_url"),
    "an id twice": (
        "select * replace ('same' as id) from ({rows})",
        "gives id same to more than one",
    ),
    "an id null": (
        "select * replace (if(words > 60, null, id) as id) from ({rows}) where words > 60 limit 1",
        "null id or image_sha256",
    ),
    "another type": (
        "select * replace ([3] as caption) from ({rows})",
        "does not keep schemas/cap",
    ),
    "a column of the build's own": (
        "select *, 1 as row_order from ({rows})",
        "selects a column row_order, which is the build's own",
    ),
    "another one": ("select *, 'x' as ordinal from ({rows})", 'Ambiguous .* "ordinal"'),
    "a null": ("select * replace (null as writer) from ({rows})", "does not keep schemas/cap"),
}


@pytest.mark.parametrize("mistake", ROW_MISTAKES)
def test_rows_that_break_the_schema_are_refused(
    mistake: str, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    sql, message = ROW_MISTAKES[mistake]
    ships = load("cap").rows.sql
    (tmp_path / "cap").mkdir()
    (tmp_path / "cap" / "rows.sql").write_text(sql.format(rows=f"\n{ships}\n"), "utf-8")
    write_recipe(tmp_path, '[[step]]\nsql = "cap/image_unknown.sql"\n')
    with pytest.raises(RecipeError, match=message):
        curate(connection, load("cap", tmp_path)).kept.to_pylist()


def test_a_recipe_that_keeps_unknown_images_is_refused(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    write_recipe(tmp_path, "")
    with pytest.raises(RecipeError, match="image_unknown"):
        curate(connection, load("cap", tmp_path))


def test_a_row_named_twice_by_a_step_is_dropped_once(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    sql = "select id, unnest(['b', 'a']) as reason from cap"
    (tmp_path / "step.sql").write_text(sql, "utf-8")
    write_recipe(tmp_path, '[[step]]\nsql = "step.sql"\n')
    result = curate(connection, load("cap", tmp_path))
    assert result.kept.num_rows == 0
    assert result.funnel[0].reasons == {"a": result.candidates}


def test_rows_set_apart_stand_whole_and_flagged_rows_stay(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    for name in ("signal", "odd", "end"):
        which = {"signal": "words > 60", "odd": "words > 100", "end": "words < 60"}[name]
        sql = f"select id, words || ' words' as reason, words from candidates where {which}"
        (tmp_path / f"{name}.sql").write_text(sql, "utf-8")
    write_recipe(
        tmp_path,
        '[[step]]\nsql = "cap/image_unknown.sql"\n'
        '[[step]]\nsql = "signal.sql"\nthen = "flag"\n'
        '[[step]]\nsql = "odd.sql"\nthen = "set_apart"\n'
        '[[step]]\nsql = "end.sql"\n',
    )
    result = curate(connection, load("cap", tmp_path))
    words = dict(connection.execute("select id, words from cap_candidates").fetchall())
    unknown = {row["id"] for row in dropped(result) if row["step"] == "image_unknown"}
    known = {row_id: count for row_id, count in words.items() if row_id not in unknown}
    assert max(known.values()) > 100 > 60 > min(known.values())  # all three have rows to find
    assert {row["id"]: row["flags"] for row in result.kept.to_pylist()} == {
        row_id: ["signal"] if count > 60 else []
        for row_id, count in known.items()
        if 60 <= count <= 100
    }
    apart = {row["id"]: row for row in result.apart.to_pylist()}
    assert apart.keys() == {row_id for row_id, count in known.items() if count > 100}
    for row_id, row in apart.items():
        assert (row["step"], row["reason"]) == ("odd", f"{words[row_id]} words")
        assert json.loads(row["evidence"]) == {"words": words[row_id]}
        assert row["flags"] == ["signal"]
        assert row["caption"]
        assert row["split"] in ("train", "validation", "test")
    _, signal, odd, end = result.funnel
    assert (signal.then, odd.then, end.then) == ("flag", "set_apart", "drop")
    assert (signal.gone, odd.gone) == (0, len(apart))
    assert signal.rows == sum(count > 60 for count in known.values())
    assert end.kept == result.kept.num_rows == odd.kept - end.rows


def write_recipe(folder: Path, steps: str) -> None:
    """The caption recipe of this workspace has these steps and no others."""
    text = load("cap").path.read_text("utf-8")
    (folder / "cap.toml").write_text(text[: text.index("[[step]]")] + steps, "utf-8")
