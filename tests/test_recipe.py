"""Recipes are read strictly: every mistake names its file, its line and the right word."""

import re
from pathlib import Path

import pytest

from pixmo import schema
from pixmo.curate.duplicates import Likeness
from pixmo.curate.recipe import LICENSES, leading_comment, load
from pixmo.curate.step_kinds import NearImagesStep, NearTextsStep, SqlStep
from pixmo.errors import RecipeError
from pixmo.resources import shared

RECIPE = """\
name = "pixmo-cap"
license = "CC-BY-4.0"
rows = "cap/rows.sql"

[splits]
train = 0.5
validation = 0.25
test = 0.25
max_distance = 4
max_distance_256 = 40

[[step]]
sql = "short.sql"
min_words = 10

[[step]]
near_duplicates = "image"
max_distance = 2
max_distance_256 = 20

[[step]]
near_duplicates = "text"
column = "caption"
min_jaccard = 0.9
"""
SHORT = """\
-- Too short
-- to be dense.
select id, 'short' as reason
from cap
where words < $min_words
"""


def write(folder: Path, recipe: str = RECIPE, short: str = SHORT) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cap.toml").write_text(recipe, "utf-8")
    (folder / "short.sql").write_text(short, "utf-8")
    return folder


@pytest.mark.parametrize("stem", schema.stems())
def test_recipes_that_ship_are_right_and_explain_themselves(stem: str) -> None:
    recipe = load(stem)
    assert recipe.name == schema.subset(stem).name
    assert recipe.license in LICENSES
    assert len(recipe.steps) > 3
    assert recipe.rows.explanation
    for step in recipe.steps:
        assert step.explanation.endswith(".")
    assert recipe.splits == load("cap").splits


def test_every_sql_file_that_ships_is_a_step() -> None:
    folders = {stem: shared("pipelines", stem) for stem in (*schema.stems(), "images")}
    used: set[Path] = set()
    for stem in schema.stems():
        recipe = load(stem)
        paths = {step.query.path for step in recipe.steps if isinstance(step, SqlStep)}
        assert {path.parent for path in paths} <= {folders[stem], folders["images"]}
        used |= paths | {recipe.rows.path}
        # An example that waits for what only a user's own model can say.
        waiting = re.findall(r'^# sql = "(.+)"', recipe.path.read_text("utf-8"), re.MULTILINE)
        assert waiting == ["images/score_above.sql"]
        used |= {shared("pipelines", file) for file in waiting}
    assert used == {path for folder in folders.values() for path in folder.glob("*.sql")}


def test_a_workspaces_own_recipe_comes_first(tmp_path: Path) -> None:
    recipe = load("cap", write(tmp_path))
    assert recipe.path == tmp_path / "cap.toml"
    assert recipe.rows.path == shared("pipelines", "cap/rows.sql")
    short, images, texts = recipe.steps
    assert isinstance(short, SqlStep)
    assert (short.name, short.explanation) == ("short", "Too short to be dense.")
    assert short.parameters == {"min_words": 10}
    assert images == NearImagesStep(Likeness(2, 20))
    assert texts == NearTextsStep("caption", 0.9)
    assert recipe.splits.likeness == Likeness(4, 40)
    assert recipe.splits.shares == {"train": 0.5, "validation": 0.25, "test": 0.25}
    assert load("ama", tmp_path).path == shared("pipelines", "ama.toml")


def test_a_recipes_hash_changes_with_its_text_and_its_sql(tmp_path: Path) -> None:
    first = load("cap", write(tmp_path)).sha256
    assert load("cap", write(tmp_path)).sha256 == first
    changed = load("cap", write(tmp_path, RECIPE.replace("min_words = 10", "min_words = 11")))
    assert changed.sha256 != first
    assert load("cap", write(tmp_path, RECIPE, SHORT.replace("short'", "s'"))).sha256 != first


MISTAKES = {
    "not TOML": ('name = "pixmo-cap"', "name = ", "cap.toml is not TOML"),
    "a key misspelt": (
        "license =",
        "licence =",
        "cap.toml:2: key licence is unknown; did you mean license?",
    ),
    "a key missing": ('rows = "cap/rows.sql"\n', "", "cap.toml: the recipe needs rows"),
    "another name": ('"pixmo-cap"', '"pixmo-cats"', "cap.toml:1: name is 'pixmo-cats', but"),
    "a licence unknown": ("CC-BY-4.0", "CC-BYE", "cap.toml:2: license 'CC-BYE' is unknown"),
    "shares over 1": ("train = 0.5", "train = 0.6", "do not add up to 1"),
    "a share as text": (
        "train = 0.5",
        'train = "half"',
        "cap.toml:6: [splits] train = 'half' is not of type",
    ),
    "a split unknown": (
        "test =",
        "tests =",
        "cap.toml:8: [splits] key tests is unknown; did you mean test?",
    ),
    "a distance too far": (
        "max_distance = 4",
        "max_distance = 40",
        "max_distance = 40 is not in 0 to 16",
    ),
    "a distance broken": (
        "max_distance = 4",
        "max_distance = 4.5",
        "max_distance = 4.5 is not of type int",
    ),
    "a file missing": ('"short.sql"', '"shirt.sql"', "cap.toml:13: there is no shirt.sql"),
    "a parameter missing": (
        "min_words = 10\n",
        "",
        "cap.toml:13: short.sql uses $min_words; set min_words",
    ),
    "a parameter misspelt": (
        "min_words = 10",
        "min_word = 10\nmin_words = 1",
        "cap.toml:14: short.sql does not use $min_word; did you mean min_words?",
    ),
    "a parameter no value": (
        "min_words = 10",
        "min_words = [1]",
        "cap.toml:14: min_words = [1] is not a number",
    ),
    "a number in quotes": (
        "min_words = 10",
        'min_words = "10"',
        'cap.toml:14: min_words = "10" is text; take the quotes away',
    ),
    "no mechanism": (
        'near_duplicates = "text"',
        'near_duplicate = "text"',
        "has neither sql nor near_duplicates",
    ),
    "mechanism unknown": (
        '= "text"',
        '= "sound"',
        "near_duplicates = 'sound'; known are image, text",
    ),
    "mechanism key": (
        "max_distance = 2\n",
        "max_distance = 2\ncolumn = 1\n",
        "near_duplicates key column is unknown",
    ),
    "an action unknown": (
        'sql = "short.sql"',
        'sql = "short.sql"\nthen = "drob"',
        "cap.toml:14: then = 'drob'; known are drop, set_apart, flag",
    ),
    "runs too long": (
        "min_jaccard = 0.9",
        "min_jaccard = 0.9\ngram_words = 40",
        "gram_words = 40 is not in 1 to 13",
    ),
    "similarity too low": (
        "min_jaccard = 0.9",
        "min_jaccard = 0.2",
        "min_jaccard = 0.2 is not in 0.5 to 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_recipe_is_named(mistake: str, tmp_path: Path) -> None:
    right, wrong, message = MISTAKES[mistake]
    assert RECIPE.count(right) >= 1
    with pytest.raises(RecipeError) as raised:
        load("cap", write(tmp_path, RECIPE.replace(right, wrong, 1)))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


SQL_MISTAKES = {
    "a file": ("from cap", "from cap semi join read_csv('no.csv') using (id)", "uses read_csv("),
    "a file's name": ("from cap", "from 'no.parquet'", "uses from 'no.parquet'"),
    "the time": ("words < $min_words", "words < $min_words or now() > '2026-01-01'", "uses now("),
    "chance": ("words < $min_words", "words < $min_words or random() < 0.5", "uses random("),
    "no SQL": ("from cap", "fro m cap", "short.sql:4: Parser Error"),
    "a semicolon": ("$min_words\n", "$min_words;\n", "short.sql ends with a semicolon"),
    "two statements": ("$min_words\n", "$min_words; select 1", "exactly one SELECT"),
    "no SELECT": (
        "select id, 'short' as reason\nfrom cap\nwhere words < $min_words",
        "drop table cap",
        "exactly one SELECT",
    ),
    "nothing": (SHORT, "-- Only a comment.", "exactly one SELECT"),
}


@pytest.mark.parametrize("mistake", SQL_MISTAKES)
def test_a_mistake_in_a_step_is_named(mistake: str, tmp_path: Path) -> None:
    right, wrong, message = SQL_MISTAKES[mistake]
    with pytest.raises(RecipeError) as raised:
        load("cap", write(tmp_path, RECIPE, SHORT.replace(right, wrong)))
    assert message in str(raised.value)


def test_a_recipe_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe count\.toml"):
        load("count")


def test_a_comment_further_down_explains_nothing() -> None:
    assert leading_comment("-- Why\n-- so.\nselect 1 -- not\n-- this") == "Why so."
    assert leading_comment("select 1\n-- late") == ""
