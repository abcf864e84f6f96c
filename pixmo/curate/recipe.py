"""Recipes: which rows a release holds and why, read from TOML and SQL files.

A recipe is `pipelines/<stem>.toml`. A workspace's own `pipelines/` folder stands before the one
that ships, file by file: a copied recipe may keep the SQL steps that ship, or replace some.
"""

import contextlib
import difflib
import math
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo import schema
from pixmo.curate import reads
from pixmo.curate.duplicates import Likeness
from pixmo.curate.near_texts import LEAST_JACCARD
from pixmo.curate.splits import Splits
from pixmo.curate.step_kinds import (
    HeldOutImagesStep,
    HeldOutTextsStep,
    MergeStep,
    NearEmbeddingsStep,
    NearImagesStep,
    NearTextsStep,
    Query,
    SqlStep,
    Step,
)
from pixmo.dataset.reader import SPLITS
from pixmo.errors import RecipeError, ResourceError
from pixmo.hashing import sha256_value
from pixmo.resources import shared
from pixmo.workspace.workspace import view_names

if TYPE_CHECKING:
    import duckdb

# SPDX identifiers, and what the Hugging Face hub calls them.
LICENSES = {
    "Apache-2.0": "apache-2.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC0-1.0": "cc0-1.0",
    "MIT": "mit",
    "ODC-BY-1.0": "odc-by",
    "ODbL-1.0": "odbl",
}
RECIPE_KEYS = ("name", "license", "rows", "splits", "step")
MECHANISMS = {
    "near_duplicates": ("image", "text", "embedding"),
    "decontaminate": ("image", "text"),
}
# What becomes of the rows that a step names: they leave the release; they leave the splits and
# stand whole in apart/; they stay, and their column `flags` names the step.
ACTIONS = ("drop", "set_apart", "flag")
ALIVE = "candidates"  # what shared steps call the rows alive, of whichever subset
LEAST_GRAM_WORDS, MOST_GRAM_WORDS = 1, 13
NUMBER = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")
STEP_NAME = re.compile(r"\w+")
AGREED_KEYS = ("agreed", "agreed_weight")
LIKENESS_KEYS = tuple(field.name for field in fields(Likeness))
HASH_KEYS = ("max_distance", "max_distance_256")
MOST_DISTANCE = {"max_distance": 16, "max_distance_256": 128}
# The mechanism's search makes C(d + 3, 3) passes: 969 at 16 bits, where any two pictures may meet.


@dataclass(frozen=True)
class Recipe:
    """A recipe, checked."""

    stem: str
    path: Path
    name: str
    license: str
    rows: Query
    splits: Splits
    steps: tuple[Step, ...]
    sha256: str = ""  # of the recipe's and its SQL files' text

    @property
    def queries(self) -> tuple[Query, ...]:
        """All its SQL."""
        steps = (step.query for step in self.steps if isinstance(step, SqlStep))
        return (self.rows, self.splits.agreed, *steps)

    def files_in(self, folder: Path) -> list[Path]:
        """Its file and those of its SQL, as far as they are in `folder`."""
        files = [self.path, *(query.path for query in self.queries)]
        return [file for file in dict.fromkeys(files) if file.is_relative_to(folder)]


@dataclass(frozen=True)
class Reader:
    """Reads one recipe; knows its file for messages."""

    stem: str
    path: Path
    text: str
    own: Path | None
    connection: "duckdb.DuckDBPyConnection"
    changing_functions: frozenset[str]

    def error(self, message: str, key: str = "") -> RecipeError:
        """An error that names the file and, where `key` stands in it, the line."""
        pattern = re.compile(rf"\s*(\[+\s*)?{re.escape(key)}\b")
        lines = enumerate(self.text.splitlines(), 1)
        line = next((n for n, text in lines if key and pattern.match(text)), None)
        return RecipeError(f"{self.path}{f':{line}' if line else ''}: {message}")

    def known(self, keys: Iterable[str], allowed: Iterable[str], where: str) -> None:
        """Nothing, if all keys are allowed."""
        names = list(allowed)
        for key in keys:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
                raise self.error(f"{where} {key} is unknown; {hint}", key)

    def value(self, data: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
        """The value of a key that must be there, of its type; a whole number is a number too."""
        if key not in data:
            raise self.error(f"{where} needs {key}")
        value = data[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.error(f"{where} {key} = {value!r} is not of type {kind.__name__}", key)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"{where} {key} = {value} is no number", key)
        return value

    def data(self) -> dict[str, Any]:
        """The recipe as TOML has it."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{self.path} is not TOML: {error}") from error

    def recipe(self) -> Recipe:
        """The whole recipe."""
        data = self.data()
        self.known(data, RECIPE_KEYS, "key")
        name = self.value(data, "name", str, "the recipe")
        promised = schema.subset(self.stem).name
        if name != promised:
            raise self.error(
                f"name is {name!r}, but schemas/{self.stem}.toml says {promised!r}", "name"
            )
        recipe = Recipe(
            self.stem,
            self.path,
            name,
            self.license(self.value(data, "license", str, "the recipe")),
            self.query(self.value(data, "rows", str, "the recipe"), {}, key="rows"),
            self.splits(self.value(data, "splits", dict, "the recipe")),
            self.steps(data),
        )
        sha256 = sha256_value([self.text, *(query.sql for query in recipe.queries)])
        return replace(recipe, sha256=sha256)

    def license(self, name: str) -> str:
        """A licence that is known."""
        if name not in LICENSES:
            raise self.error(
                f"license {name!r} is unknown; known are {', '.join(LICENSES)}", "license"
            )
        return name

    def splits(self, data: Mapping[str, Any]) -> Splits:
        """The section `[splits]`."""
        self.known(data, (*SPLITS, *LIKENESS_KEYS, *AGREED_KEYS), "[splits] key")
        shares = {split: self.value(data, split, float, "[splits]") for split in SPLITS}
        if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-9:
            raise self.error(f"the shares {shares} do not add up to 1", "splits")
        weight = self.value(data, "agreed_weight", float, "[splits]")
        if weight < 1:
            raise self.error(f"agreed_weight = {weight} is not 1 or more", "agreed_weight")
        agreed = self.query(self.value(data, "agreed", str, "[splits]"), {}, key="agreed")
        return Splits(shares, self.likeness(data, "[splits]"), agreed, weight)

    def likeness(self, data: Mapping[str, Any], where: str, of_hashes: bool = False) -> Likeness:
        """How alike pictures must be, or their hashes alone."""
        distances = {key: self.value(data, key, int, where) for key in HASH_KEYS}
        for key, distance in distances.items():
            if not 0 <= distance <= MOST_DISTANCE[key]:
                raise self.error(f"{key} = {distance} is not in 0 to {MOST_DISTANCE[key]}", key)
        if of_hashes:
            return Likeness(**distances)
        most = self.value(data, "max_difference", float, where)
        if most < 0:
            raise self.error(f"max_difference = {most} is not 0 or more", "max_difference")
        return Likeness(**distances, max_difference=most)

    def steps(self, data: Mapping[str, Any]) -> tuple[Step, ...]:
        """All `[[step]]`s; no two have one name."""
        steps = tuple(self.step(step) for step in data.get("step", []))
        names = [step.name for step in steps]
        for name in names:
            if names.count(name) > 1:
                raise self.error(f'two steps are called {name}; give one another name: as = "…"')
        return steps

    def step(self, data: Mapping[str, Any]) -> Step:
        """One `[[step]]`."""
        step = self.unnamed_step({key: value for key, value in data.items() if key != "as"})
        if "as" not in data:
            return step
        name = self.value(data, "as", str, "a [[step]]")
        if not STEP_NAME.fullmatch(name):
            raise self.error(f'as = "{name}" is no name; use letters, digits and _', "as")
        return replace(step, called=name)

    def unnamed_step(self, data: Mapping[str, Any]) -> Step:
        """One `[[step]]`, called by its kind."""
        parameters = dict(data)
        then = parameters.pop("then", "drop")
        if then not in ACTIONS:
            raise self.error(f"then = {then!r}; known are {', '.join(ACTIONS)}", "then")
        if "sql" in parameters:
            file = parameters.pop("sql")
            return SqlStep(self.query(file, parameters, (self.stem, ALIVE)), parameters, then)
        if "merge" in parameters:
            if then != "drop":
                raise self.error("rows that are merged leave the release; take then away", "then")
            file = parameters.pop("merge")
            return MergeStep(self.query(file, parameters, (self.stem, ALIVE), "merge"), parameters)
        where = next((key for key in MECHANISMS if key in parameters), "")
        if not where:
            raise self.error(
                f"a [[step]] with {', '.join(data)} has neither sql nor merge nor"
                " near_duplicates nor decontaminate"
            )
        mechanism = parameters.pop(where)
        if mechanism == "image":
            is_near = where == "near_duplicates"
            self.known(parameters, LIKENESS_KEYS if is_near else HASH_KEYS, f"{where} key")
            likeness = self.likeness(parameters, where, of_hashes=not is_near)
            kind = NearImagesStep if is_near else HeldOutImagesStep
            return kind(likeness, then=then)
        if mechanism == "text" and where == "near_duplicates":
            return self.near_texts(parameters, then)
        if mechanism == "text":
            return self.held_out_texts(parameters, then)
        if mechanism == "embedding" and where == "near_duplicates":
            return self.near_embeddings(parameters, then)
        known = ", ".join(MECHANISMS[where])
        raise self.error(f"{where} = {mechanism!r}; known are {known}", where)

    def near_texts(self, data: Mapping[str, Any], then: str) -> NearTextsStep:
        """A step that compares a column of text; which columns there are, rows.sql says."""
        where = "near_duplicates"
        self.known(data, ("column", "min_jaccard", "gram_words", "within"), f"{where} key")
        column = self.value(data, "column", str, where)
        least = self.value(data, "min_jaccard", float, where)
        if not LEAST_JACCARD <= least <= 1:
            raise self.error(f"min_jaccard = {least} is not in {LEAST_JACCARD} to 1", "min_jaccard")
        words = self.gram_words({"gram_words": 5, **data}, where)
        within = self.value(data, "within", str, where) if "within" in data else None
        return NearTextsStep(column, least, words, within, then=then)

    def near_embeddings(self, data: Mapping[str, Any], then: str) -> NearEmbeddingsStep:
        """A step that compares images by the embeddings of a model."""
        where = "near_duplicates"
        self.known(data, ("model", "min_cosine"), f"{where} key")
        model = self.value(data, "model", str, where)
        least = self.value(data, "min_cosine", float, where)
        if not 0 < least <= 1:
            raise self.error(f"min_cosine = {least} is not above 0 and at most 1", "min_cosine")
        return NearEmbeddingsStep(model, least, then=then)

    def held_out_texts(self, data: Mapping[str, Any], then: str) -> HeldOutTextsStep:
        """A step that looks for held-out questions in a column of text."""
        where = "decontaminate"
        self.known(data, ("column", "gram_words", "min_share", "min_words"), f"{where} key")
        column = self.value(data, "column", str, where)
        share = self.value(data, "min_share", float, where)
        if not 0 < share <= 1:
            raise self.error(f"min_share = {share} is not above 0 and up to 1", "min_share")
        least = self.value(data, "min_words", int, where)
        if least < 1:
            raise self.error(f"min_words = {least} is not 1 or more", "min_words")
        return HeldOutTextsStep(column, self.gram_words(data, where), share, least, then=then)

    def gram_words(self, data: Mapping[str, Any], where: str) -> int:
        """The number of words in a run."""
        words: int = self.value(data, "gram_words", int, where)
        if not LEAST_GRAM_WORDS <= words <= MOST_GRAM_WORDS:
            raise self.error(
                f"gram_words = {words} is not in {LEAST_GRAM_WORDS} to {MOST_GRAM_WORDS}",
                "gram_words",
            )
        return words

    def query(
        self,
        file: str,
        parameters: Mapping[str, Any],
        relations: Collection[str] = (),
        key: str = "sql",
    ) -> Query:
        """The one SELECT in a file, its parameters being exactly those given.

        It reads the workspace's tables, its views and these `relations`; `key` names it.
        """
        path = find(file, self.own, self.error(f"there is no {file}", key))
        sql = path.read_text("utf-8").strip()
        statement = self.select(path, sql)
        self.check_reads(path, sql, relations)
        wanted = set(statement.named_parameters)
        for name in sorted(wanted - parameters.keys()):
            raise self.error(f"{file} uses ${name}; set {name} in its [[step]]", "sql")
        for name in sorted(parameters.keys() - wanted):
            near = difflib.get_close_matches(name, sorted(wanted), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self.error(f"{file} does not use ${name}{hint}", name)
        for name, value in parameters.items():
            if not isinstance(value, int | float | str | bool):
                raise self.error(f"{name} = {value!r} is not a number, text, true or false", name)
            if isinstance(value, float) and not math.isfinite(value):
                raise self.error(f"{name} = {value} is no number", name)
            if isinstance(value, str) and NUMBER.fullmatch(value):
                raise self.error(f'{name} = "{value}" is text; take the quotes away', name)
        return Query(file, path, sql, leading_comment(sql))

    def check_reads(self, path: Path, sql: str, relations: Collection[str]) -> None:
        """Nothing, if the query depends on the workspace's tables and these relations alone."""
        parsed = reads.parse(self.connection, sql)
        if parsed is None:
            raise RecipeError(f"{path} is no plain SELECT; write it without PIVOT and its like")
        for outside in reads.changing(parsed, self.changing_functions):
            raise RecipeError(
                f"{path} uses {outside}: a step may depend on the tables and its values alone, or"
                " the same inputs would not give the same release"
            )
        known = (*relations, *schema.table_names(), *view_names())
        for name in reads.definitions(parsed):
            # Inside itself and beside the part that defines it, the name is the table's or file's.
            if name in (*known, *schema.stems()) or not name.isidentifier():
                raise RecipeError(
                    f"{path} defines {name}: a part of a query has a name of its own, which no"
                    " table, view, subset or file has"
                )
        for name in reads.relations(parsed):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                if name in schema.stems():
                    hint = "; a step judges the rows of its own subset, and may read the tables"
                raise RecipeError(
                    f"{path} reads {name}, which is no table or view of a workspace{hint}"
                )

    def select(self, path: Path, sql: str) -> Any:
        """DuckDB's parsed statement of a file that holds exactly one SELECT."""
        import duckdb

        try:
            statements = self.connection.extract_statements(sql)
        except duckdb.Error as error:
            raise sql_error(path, error) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise RecipeError(f"{path} must hold exactly one SELECT and nothing else")
        if sql.endswith(";"):
            raise RecipeError(f"{path} ends with a semicolon; take it away")
        return statements[0]


def load(stem: str, own: Path | None = None) -> Recipe:
    """The recipe of a subset: from the folder `own` where it has one, else the one that ships.

    Raises:
        RecipeError: the recipe or a file it names is missing or wrong.
    """
    with reader(stem, own) as opened:
        return opened.recipe()


def load_step(stem: str, name: str, values: Mapping[str, Any], own: Path | None = None) -> Step:
    """The step that a recipe has by this name or SQL file, but with some values of its own.

    A SQL file that no step of the recipe names is a step that might be added.

    Raises:
        RecipeError: there is no such step or file, or it does not know one of the values.
    """
    with reader(stem, own) as opened:
        given = opened.data().get("step", [])
        names = [step.name for step in opened.steps(opened.data())]
        found = [i for i, data in enumerate(given) if name in (file_of(data), names[i])]
        if len(found) > 1:
            known = ", ".join(names[i] for i in found)
            raise RecipeError(f"the recipe of {stem} has several steps {name}: name {known}")
        if found:
            return opened.step({**given[found[0]], **values})
        if name.endswith(".sql"):
            near = difflib.get_close_matches(name, [file_of(data) for data in given], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            find(name, own, RecipeError(f"there is no {name}{hint}"))
            return opened.step({"sql": name, **values})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}"
    raise RecipeError(f"the recipe of {stem} has no step {name}; {hint}")


def file_of(data: Mapping[str, Any]) -> str:
    """The SQL file that a `[[step]]` names; empty where it is a mechanism."""
    return str(data.get("sql") or data.get("merge") or "")


@contextlib.contextmanager
def reader(stem: str, own: Path | None) -> Iterator[Reader]:
    """What reads the recipe of a subset.

    Raises:
        RecipeError: there is no recipe, or it is not text.
    """
    import duckdb

    file = f"{stem}.toml"
    path = find(file, own, RecipeError(f"there is no recipe {file} in pipelines/"))
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text: {error}") from error
    with duckdb.connect() as connection:
        yield Reader(stem, path, text, own, connection, reads.changing_functions(connection))


def find(file: str, own: Path | None, missing: RecipeError) -> Path:
    """The file called `file` in the folder `own`, else in the pipelines that ship."""
    if own is not None and (own / file).is_file():
        return own / file
    try:
        return shared("pipelines", file)
    except ResourceError:
        raise missing from None


def leading_comment(sql: str) -> str:
    """The `--` lines that a SQL file starts with, as one line."""
    lines = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def sql_error(
    path: Path, error: Exception, lines_before: int = 0, parameters: Mapping[str, Any] | None = None
) -> RecipeError:
    """DuckDB's complaint in one line, with the file's own line number and the parameters given.

    `lines_before` is how many lines were put before the file's text.
    """
    complaint = str(error)
    line = re.search(r"^LINE (\d+):", complaint, re.MULTILINE)
    place = f"{path}:{int(line[1]) - lines_before}" if line else str(path)
    given = ", ".join(f"{name} = {value!r}" for name, value in (parameters or {}).items())
    return RecipeError(
        f"{place}: {complaint.splitlines()[0]}{f'; the recipe gives {given}' if given else ''}"
    )
