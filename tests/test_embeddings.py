"""Images whose embeddings point the same way are found exactly, whatever the blocks are."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.curate import embeddings as module
from pixmo.curate.curate import Curated, curate
from pixmo.curate.duplicates import Pictures
from pixmo.curate.embeddings import TOLERANCE, Compared, keep_best, near, sketch, slack, unit
from pixmo.curate.recipe import Recipe, load
from pixmo.curate.step_kinds import NearEmbeddingsStep
from pixmo.curate.trial import check
from pixmo.errors import RecipeError
from pixmo.workspace.workspace import Workspace
from tests.conftest import run_pixmo
from tests.workspaces import Planter, name, picture

Found = list[tuple[str, str, float]]


def brute_force(vectors: Sequence[Sequence[int]], least: float) -> list[int]:
    """The kept vector that each is near to, comparing every one with every kept one."""
    kept: list[int] = []
    kept_of = []
    for place, vector in enumerate(np.array(vectors, np.float64)):
        scores = [
            (vector @ other) / np.sqrt((vector @ vector) * (other @ other))
            for other in np.array(vectors, np.float64)[kept]
        ]
        near_to = [other for other, score in zip(kept, scores, strict=True) if score >= least]
        kept_of.append(near_to[0] if near_to else place)
        if not near_to:
            kept.append(place)
    return kept_of


# Cosines of small whole numbers are roots of fractions: none lies just under a bound by chance.
small = st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any)


@settings(max_examples=200, deadline=None)
@given(st.lists(small, max_size=40), st.sampled_from((0.5, 0.8, 0.95, 1.0)), st.integers(1, 7))
def test_what_is_found_is_what_brute_force_finds(
    vectors: list[list[int]], least: float, at_a_time: int
) -> None:
    scaled = unit(np.array(vectors, np.float64).reshape(-1, 3))
    with pytest.MonkeyPatch.context() as patch:
        for size in ("BEST", "OTHERS", "VERIFIED", "SAMPLE"):
            patch.setattr(module, size, at_a_time)
        patch.setattr(module, "SKETCH", 1)  # of three numbers
        found = keep_best(scaled, least).tolist()
    assert found == brute_force(vectors, least - TOLERANCE)
    assert keep_best(scaled, least).tolist() == found


def test_many_vectors_in_clumps_are_judged_as_brute_force_does() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 64))
    noise = rng.normal(size=(1500, 64)) * rng.uniform(0, 0.6, (1500, 1))
    vectors = unit(centres[rng.integers(0, 40, 1500)] + noise)
    products = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    assert np.abs(products - 0.9).min() > 2 * TOLERANCE  # no pair hangs on the last digit
    kept_of = keep_best(vectors, 0.9)
    expected = brute_force(vectors.tolist(), 0.9)
    assert kept_of.tolist() == expected
    kept = np.flatnonzero(kept_of == np.arange(1500))
    assert 40 < len(kept) < 1400


def test_a_bound_is_exact_where_single_precision_cannot_tell() -> None:
    # A product of 2048 numbers in single precision is off by more than these cosines differ.
    rng = np.random.default_rng(2)
    first = rng.normal(size=2048)
    across = rng.normal(size=2048)
    across -= first * (first @ across) / (first @ first)
    across *= np.linalg.norm(first) / np.linalg.norm(across)
    angles = np.arccos(0.95 - TOLERANCE + np.linspace(-1, 1, 41) * 5e-7)
    vectors = unit(np.array([first, *(np.cos(a) * first + np.sin(a) * across for a in angles)]))
    others = np.arange(1, len(vectors))
    found = near(Compared(vectors, sketch(vectors)), others, np.array([0]), 0.95).ravel()
    wide = vectors.astype(np.float64)
    scale = np.linalg.norm(wide, axis=1)
    expected = wide[1:] @ wide[0] / scale[1:] / scale[0] >= 0.95 - TOLERANCE
    assert found.tolist() == expected.tolist()
    assert 15 <= found.sum() <= 26


@pytest.mark.parametrize("numbers", [2, 64, 65, 300])
def test_a_product_of_sketches_is_never_below_that_of_the_vectors(numbers: int) -> None:
    rng = np.random.default_rng(4)
    spread = np.exp(-np.arange(numbers) / 20)  # most lies in few directions, as in embeddings
    vectors = unit((rng.normal(size=(400, numbers)) + 0.5) * spread)
    sketches = sketch(vectors)
    assert sketches.shape == (400, min(numbers, 64) + 1)
    bounds, products = sketches @ sketches.T, vectors @ vectors.T
    assert (bounds >= products - slack(vectors)).all()
    assert np.mean(bounds - products) < 0.05  # and says nearly as much


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_only_the_direction_of_a_vector_counts(scale: float) -> None:
    vectors = unit(np.array([[1.0, 2.0], [scale, 2 * scale], [-scale, -2 * scale]], np.float32))
    assert keep_best(vectors, 1.0).tolist() == [0, 0, 2]


def test_no_vectors_are_no_duplicates() -> None:
    assert keep_best(np.empty((0, 0), np.float32), 0.95).tolist() == []


def at(cosine: float) -> list[float]:
    """A vector at this cosine to that of `at(1.0)`."""
    return [cosine, float(np.sqrt(1 - cosine**2)), 0.0]


def planted(
    rows: Sequence[tuple[str, int, Sequence[float] | None]], model: str = "clip"
) -> tuple[duckdb.DuckDBPyConnection, Pictures]:
    """Pictures with these pixels, in order of arrival, of which some have an embedding."""
    connection = duckdb.connect()
    connection.execute(
        "create table image_embeddings (image_sha256 text, model text, embedding float[])"
    )
    connection.execute("create view current_image_embeddings as from image_embeddings")
    given = [(name, model, list(vector)) for name, _, vector in rows if vector is not None]
    connection.executemany("insert into image_embeddings values (?, ?, ?)", given)
    # Of another model all pictures are one: nobody asks it.
    alike = [(name, "other", [1.0]) for name, _, _ in rows]
    connection.executemany("insert into image_embeddings values (?, ?, ?)", alike)
    pixels = np.array([pixels for _, pixels, _ in rows], np.int64)
    hashes = np.zeros((len(rows), 5), np.uint64)
    return connection, Pictures([name for name, _, _ in rows], pixels, hashes)


def search(rows: Sequence[tuple[str, int, Sequence[float] | None]], least: float = 0.95) -> Found:
    connection, pictures = planted(rows)
    found = module.embedded_duplicates(connection, pictures, "clip", least).to_pylist()
    return [(row["sha256"], row["kept_sha256"], round(row["cosine"], 4)) for row in found]


def test_pairs_on_either_side_of_the_bound() -> None:
    rows = [("a", 9, at(1.0)), ("b", 8, at(0.951)), ("c", 7, [0.0, 0.0, 1.0])]
    assert search(rows) == [("b", "a", 0.951)]
    assert search(rows, 0.952) == []


def test_the_largest_stays_then_the_first_to_arrive() -> None:
    copies = [("first", 5, at(1.0)), ("large", 9, at(1.0)), ("second", 5, at(1.0))]
    assert search(copies) == [("first", "large", 1.0), ("second", "large", 1.0)]
    assert search([row for row in copies if row[0] != "large"]) == [("second", "first", 1.0)]


def test_a_chain_loses_only_what_resembles_a_kept_one() -> None:
    turned = [[float(np.cos(a)), float(np.sin(a))] for a in (0.0, 0.3, 0.6, 0.9)]  # cos .3 = .955
    rows = [(str(i), 9 - i, vector) for i, vector in enumerate(turned)]
    assert search(rows) == [("1", "0", 0.9553), ("3", "2", 0.9553)]


def test_of_several_kept_ones_the_best_is_named() -> None:
    rows = [("large", 9, at(0.96)), ("near", 8, [0.96, -0.28, 0.0]), ("it", 7, at(1.0))]
    assert search(rows) == [("it", "large", 0.96)]


def test_images_without_an_embedding_are_left_alone() -> None:
    rows = [("a", 9, at(1.0)), ("none", 8, None), ("b", 7, at(1.0)), ("none too", 9, None)]
    assert search(rows) == [("b", "a", 1.0)]


def test_a_model_that_gave_no_embedding_is_named() -> None:
    connection, pictures = planted([("a", 9, at(1.0))], "clap")
    with pytest.raises(RecipeError, match="by clip; there are those of clap, other; take them in"):
        module.embedded_duplicates(connection, pictures, "clip", 0.95)
    connection.execute("delete from image_embeddings")
    with pytest.raises(RecipeError, match="by clip; there are none at all"):
        module.embedded_duplicates(connection, pictures, "clip", 0.95)


def test_pictures_of_which_none_has_an_embedding() -> None:
    connection, pictures = planted([("a", 9, at(1.0)), ("none", 8, None)])
    found = module.embedded_duplicates(connection, pictures.only(np.array([1])), "clip", 0.95)
    assert found.num_rows == 0


def test_batches_of_the_table_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(300, 3))
    rows = [(f"{i:03d}", int(rng.integers(1, 9)), list(v)) for i, v in enumerate(vectors)]
    found = search(rows)
    assert len(found) > 100
    monkeypatch.setattr(module, "BATCH", 7)
    assert search(rows) == found


STEP = """
[[step]]
near_duplicates = "embedding"
model = "clip"
min_cosine = 0.95
"""


def recipe(folder: Path, step: str = STEP) -> Recipe:
    """The points recipe in `folder` has this step and no other."""
    folder.mkdir(exist_ok=True)
    text = load("points").path.read_text("utf-8")
    (folder / "points.toml").write_text(text[: text.index("[[step]]")] + step, "utf-8")
    return load("points", folder)


@pytest.fixture
def planter(tmp_path: Path) -> Planter:
    """Four pictures, two rows of points each; to clip the last three are alike, one is larger."""
    planter = Planter(Workspace.init(tmp_path / "data"))
    for number in range(4):
        size = (256, 192) if number == 2 else (128, 96)
        planter.image(name(number), picture(number, size))
        for uid in ("a", "b"):
            planter.points(f"{uid}{number}", name(number), [(1.0, 2.0)])
    for number, vector in enumerate((at(0.5), at(1.0), at(1.0), at(0.98))):
        sha256 = planter.sha256[name(number)]
        planter.row("image_embeddings", image_sha256=sha256, model="clip", embedding=vector)
    planter.write()
    return planter


def curated(planter: Planter) -> tuple[Curated, dict[str, tuple[str, str]]]:
    """What the step makes of the rows: reason and evidence by annotation."""
    with planter.workspace.connect() as connection:
        result = curate(connection, recipe(planter.workspace.recipes))
        uids = dict(
            connection.execute("select id, annotation_uid from points_candidates").fetchall()
        )
        dropped = result.dropped.to_pylist()
    return result, {uids[row["id"]]: (row["reason"], row["evidence"]) for row in dropped}


def test_every_row_of_an_image_goes_with_its_evidence(planter: Planter) -> None:
    result, dropped = curated(planter)
    large = planter.sha256[name(2)]
    reason = f"embedded like image {large[:12]}"
    assert dropped == {
        f"{uid}{number}": (reason, f'{{"kept_image_sha256":"{large}","cosine":{cosine}}}')
        for uid in ("a", "b")
        for number, cosine in ((1, 1.0), (3, 0.98))
    }
    [line] = result.funnel
    assert (line.step, line.rows, line.kept) == ("near_duplicate_embedding", 4, 4)
    assert line.explanation.endswith("of at least 0.95 by clip. Images without an embedding stay.")


def test_an_image_whose_rows_are_gone_takes_none_along(planter: Planter) -> None:
    gone = planter.sha256[name(2)]
    sql = f"select id, 'gone' as reason from candidates where image_sha256 = '{gone}'"
    planter.workspace.recipes.mkdir()
    (planter.workspace.recipes / "gone.sql").write_text(sql, "utf-8")
    found = recipe(planter.workspace.recipes, f'[[step]]\nsql = "gone.sql"\n{STEP}')
    with planter.workspace.connect() as connection:
        dropped = curate(connection, found).dropped.to_pylist()
    images = {row["image_sha256"] for row in dropped if row["step"] == "near_duplicate_embedding"}
    assert images == {planter.sha256[name(3)]}


def test_the_newest_embedding_decides(planter: Planter) -> None:
    sha256 = planter.sha256[name(2)]
    planter.row("image_embeddings", image_sha256=sha256, model="clip", embedding=[0.0, 0.0, 1.0])
    planter.write()
    _, dropped = curated(planter)
    assert dropped.keys() == {"a3", "b3"}


def test_a_recipe_is_checked_without_looking_at_a_row(planter: Planter) -> None:
    with planter.workspace.connect() as connection:
        check(connection, recipe(planter.workspace.recipes))
        wrong = recipe(planter.workspace.recipes, STEP.replace("clip", "clap"))
        with pytest.raises(RecipeError, match="no image has an embedding by clap"):
            check(connection, wrong)


def test_the_step_as_a_recipe_has_it(tmp_path: Path) -> None:
    [step] = recipe(tmp_path, STEP + 'then = "flag"\n').steps
    assert step == NearEmbeddingsStep("clip", 0.95, then="flag")
    assert step.values == {"model": "clip", "min_cosine": 0.95}
    changed = [STEP.replace("0.95", "0.96"), STEP.replace("clip", "clap")]
    identities = [recipe(tmp_path, other).steps[0].identity for other in (STEP, *changed)]
    assert len({str(identity) for identity in identities}) == 3


MISTAKES = {
    "no model": ('model = "clip"\n', "", "near_duplicates needs model"),
    "a cosine too high": ("0.95", "1.1", "min_cosine = 1.1 is not above 0 and at most 1"),
    "a cosine too low": ("0.95", "0.0", "min_cosine = 0.0 is not above 0 and at most 1"),
    "a key unknown": ("min_cosine", "min_cosin", "key min_cosin is unknown; did you mean min_cos"),
    "no such mechanism": (
        '"embedding"',
        '"embeddings"',
        "near_duplicates = 'embeddings'; known are image, text, embedding",
    ),
    "no decontamination": (
        "near_duplicates",
        "decontaminate",
        "decontaminate = 'embedding'; known are image, text",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_step_is_named(mistake: str, tmp_path: Path) -> None:
    right, wrong, message = MISTAKES[mistake]
    with pytest.raises(RecipeError) as raised:
        recipe(tmp_path, STEP.replace(right, wrong))
    assert message in str(raised.value)
    assert "points.toml" in str(raised.value)


def test_a_step_is_tried_from_the_command_line(planter: Planter, pixmo: Path) -> None:
    recipe(planter.workspace.recipes)
    shown = run_pixmo(
        pixmo,
        *("recipe", "try", "points/near_duplicate_embedding", "min_cosine=0.99"),
        cwd=planter.workspace.root,
    )
    assert shown.returncode == 0, shown.stderr
    assert "model=clip min_cosine=0.99: 2 of 8 rows would go; with the" in shown.stdout
