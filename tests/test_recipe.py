"""Recipes are read strictly: every mistake names its file, its line and the right word."""

import re
from pathlib import Path

import pytest

from pixmo import schema
from pixmo.curate.duplicates import Likeness
from pixmo.curate.recipe import LICENSES, leading_comment, load, load_step
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
max_difference = 0.3
agreed = "images/agreed.sql"
agreed_weight = 2

[[step]]
sql = "short.sql"
min_words = 10

[[step]]
near_duplicates = "image"
max_distance = 2
max_distance_256 = 20
max_difference = 0.2

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
        paths = {query.path for query in recipe.queries}
        assert {path.parent for path in paths} <= {folders[stem], folders["images"]}
        used |= paths
        # Examples that wait for what only a model can say.
        waiting = re.findall(r'^# sql = "(.+)"', recipe.path.read_text("utf-8"), re.MULTILINE)
        assert waiting == ["images/score_above.sql", "images/contradicts.sql"]
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
    assert images == NearImagesStep(Likeness(2, 20, 0.2))
    assert texts == NearTextsStep("caption", 0.9)
    assert recipe.splits.likeness == Likeness(4, 40, 0.3)
    assert recipe.splits.agreed.path == shared("pipelines", "images/agreed.sql")
    assert recipe.splits.agreed_weight == 2
    assert recipe.splits.shares == {"train": 0.5, "validation": 0.25, "test": 0.25}
    assert load("ama", tmp_path).path == shared("pipelines", "ama.toml")


def test_two_steps_of_one_file_have_names_of_their_own(tmp_path: Path) -> None:
    again = '[[step]]\nsql = "short.sql"\nmin_words = 90\nas = "not_long"\nthen = "flag"\n'
    own = write(tmp_path, RECIPE + again)
    assert [step.name for step in load("cap", own).steps][0::3] == ["short", "not_long"]
    found = load_step("cap", "not_long", {"min_words": 80}, own)
    assert (found.name, found.then, found.values) == ("not_long", "flag", {"min_words": 80})
    with pytest.raises(RecipeError, match=r"several steps short\.sql: name short, not_long"):
        load_step("cap", "short.sql", {}, own)


def test_a_step_to_try_that_is_not_there_is_named_and_no_line_of_the_recipe() -> None:
    with pytest.raises(RecipeError) as raised:
        load_step("cap", "cap/tooshort.sql", {})
    assert str(raised.value) == "there is no cap/tooshort.sql; did you mean cap/too_short.sql?"


def test_a_mechanism_may_have_a_name_which_decides_nothing(tmp_path: Path) -> None:
    plain = load("cap", write(tmp_path)).steps[2]
    named = load("cap", write(tmp_path, RECIPE + 'as = "same_words"\n')).steps[2]
    assert (plain.name, named.name) == ("near_duplicate_text", "same_words")
    assert named.identity == plain.identity


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
    "a difference below nothing": (
        "max_difference = 0.3",
        "max_difference = -1",
        "cap.toml:11: max_difference = -1.0 is not 0 or more",
    ),
    "a distance broken": (
        "max_distance = 4",
        "max_distance = 4.5",
        "max_distance = 4.5 is not of type int",
    ),
    "a file missing": ('"short.sql"', '"shirt.sql"', "cap.toml:16: there is no shirt.sql"),
    "a parameter missing": (
        "min_words = 10\n",
        "",
        "cap.toml:16: short.sql uses $min_words; set min_words",
    ),
    "a parameter misspelt": (
        "min_words = 10",
        "min_word = 10\nmin_words = 1",
        "cap.toml:17: short.sql does not use $min_word; did you mean min_words?",
    ),
    "a parameter no value": (
        "min_words = 10",
        "min_words = [1]",
        "cap.toml:17: min_words = [1] is not a number",
    ),
    "a number that is none": (
        "min_words = 10",
        "min_words = nan",
        "cap.toml:17: min_words = nan is no number",
    ),
    "the rows' file missing": (
        "cap/rows.sql",
        "cap/row.sql",
        "cap.toml:3: there is no cap/row.sql",
    ),
    "the agreement's file missing": (
        "images/agreed.sql",
        "images/agred.sql",
        "cap.toml:12: there is no images/agred.sql",
    ),
    "a number in quotes": (
        "min_words = 10",
        'min_words = "10"',
        'cap.toml:17: min_words = "10" is text; take the quotes away',
    ),
    "no mechanism": (
        'near_duplicates = "text"',
        'near_duplicate = "text"',
        "has neither sql nor merge nor near_duplicates",
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
    "a merge set apart": (
        'near_duplicates = "image"',
        'merge = "short.sql"\nmin_words = 1\nthen = "flag"\n[[step]]\nnear_duplicates = "image"',
        "rows that are merged leave the release; take then away",
    ),
    "an action unknown": (
        'sql = "short.sql"',
        'sql = "short.sql"\nthen = "drob"',
        "cap.toml:17: then = 'drob'; known are drop, set_apart, flag",
    ),
    "a preference against agreement": (
        "agreed_weight = 2",
        "agreed_weight = 0.5",
        "cap.toml:13: agreed_weight = 0.5 is not 1 or more",
    ),
    "two steps of one name": (
        'near_duplicates = "image"',
        'sql = "short.sql"\nmin_words = 90\n[[step]]\nnear_duplicates = "image"',
        'two steps are called short; give one another name: as = "…"',
    ),
    "a preference without bound": (
        "agreed_weight = 2",
        "agreed_weight = inf",
        "cap.toml:13: [splits] agreed_weight = inf is no number",
    ),
    "a difference that is none": (
        "max_difference = 0.3",
        "max_difference = nan",
        "cap.toml:11: [splits] max_difference = nan is no number",
    ),
    "a step's name is no name": (
        "min_words = 10",
        'min_words = 10\nas = "quite short"',
        'cap.toml:18: as = "quite short" is no name',
    ),
    "runs too long": (
        "min_jaccard = 0.9",
        "min_jaccard = 0.9\ngram_words = 40",
        "gram_words = 40 is not in 1 to 13",
    ),
    "similarity too low": (
        "min_jaccard = 0.9",
        "min_jaccard = 0.2",
        "min_jaccard = 0.2 is not in 0.6 to 1",
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
    "a file": ("from cap", "from cap semi join read_csv('no.csv') using (id)", "uses read_csv()"),
    "another file": ("from cap", "from cap, parquet_scan('no.parquet')", "uses parquet_scan()"),
    "a file's name": ("from cap", "from 'no.parquet'", "reads no.parquet, which is no table"),
    "a file in quotes": ("from cap", 'from "no.parquet"', "reads no.parquet, which is no table"),
    "a file behind": ("from cap", "from cap, 'no.parquet'", "reads no.parquet, which is no"),
    "the time": ("words < $min_words", "words < $min_words or now() > '2026-01-01'", "uses now()"),
    "the hour": ("words <", "localtimestamp > '2026-01-01' or words <", "uses localtimestamp"),
    "chance": ("words < $min_words", "words < $min_words or random() < 0.5", "uses random()"),
    "last week": ("words <", "now_is < ago(interval 7 days) or words <", "uses ago()"),
    "today": ("words <", "age(timestamp '2026-01-01') > interval 1 day or words <", "uses age()"),
    "a pivot inside": (
        "from cap",
        "from (pivot cap on words using count(*) group by id) as p(id, words)",
        "exactly one SELECT",
    ),
    "a sample": ("from cap", "from cap tablesample reservoir(10)", "uses a sample"),
    "a setting": ("words <", "current_setting('threads')::int <", "uses current_setting()"),
    "another subset": (
        "from cap",
        "from cap semi join ama using (image_sha256)",
        "reads ama, which is no table or view of a workspace; a step judges the rows of its own",
    ),
    "another subset by its name": (
        SHORT,
        "with ama as (from ama) select id, 'short' as reason from cap semi join ama using (id)"
        " where words < $min_words",
        "defines ama: a part of a query has a name of its own",
    ),
    "a file by its name": (
        SHORT,
        "with \"no.parquet\" as (from 'no.parquet') select id, 'short' as reason"
        " from cap where words < $min_words",
        "defines no.parquet: a part of a query",
    ),
    "a table by its name": (
        SHORT,
        "with images as (select 1) select id, '' as reason from cap where words < $min_words",
        "defines images: a part of a query",
    ),
    "what there is": ("from cap", "from cap, (show tables)", "uses SHOW, DESCRIBE or SUMMARIZE"),
    "the start": ("words <", "pg_postmaster_start_time() > now_is or words <", "start_time()"),
    "flags": ("from cap", "from cap semi join cap_flagged using (id)", "reads cap_flagged,"),
    "its own verdicts": ("from cap", "from temp.verdicts", "reads temp.verdicts, which is no"),
    "a table misspelt": ("from cap", "from image", "did you mean images?"),
    "a pivot": (SHORT, "pivot cap on words using count(*)", "exactly one SELECT"),
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


def test_a_query_may_name_what_it_defines_and_make_rows_of_values(tmp_path: Path) -> None:
    sql = """
        with recursive Ours as (select id, words from Cap), steps as (
            select 1 as n union all select n + 1 from steps where n < 3
        )
        select id, 'short' as reason from ours, steps, unnest([1, 2]) as u(x), range(3) as r(y)
        where words < $min_words and id in (select id from candidates semi join images
            using (image_sha256))
    """
    assert load("cap", write(tmp_path, RECIPE, sql.strip())).steps[0].name == "short"


def test_rows_are_made_of_tables_alone(tmp_path: Path) -> None:
    own = write(tmp_path, RECIPE.replace("cap/rows.sql", "rows.sql"))
    (own / "rows.sql").write_text("select * from candidates", "utf-8")
    with pytest.raises(RecipeError, match=r"rows\.sql reads candidates, which is no table"):
        load("cap", own)


def test_a_recipe_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe count\.toml"):
        load("count")


def test_a_comment_further_down_explains_nothing() -> None:
    assert leading_comment("-- Why\n-- so.\nselect 1 -- not\n-- this") == "Why so."
    assert leading_comment("select 1\n-- late") == ""
