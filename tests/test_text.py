"""Words are found in every script, and the same ones by Python and by the recipes' SQL."""

import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.curate.recipe import load
from pixmo.text import cell, listed, words

# Letters, marks and digits of several scripts, and what stands between words.
SIGNS = "aéZß9٣हिन्दीไทยพื้日本語カe\u0301n\u0303'’-_ .,·\u200d"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Don't stop at the well-known café!",
            ["Don't", "stop", "at", "the", "well-known", "café"],
        ),
        ("यह एक हिन्दी वाक्य है।", ["यह", "एक", "हिन्दी", "वाक्य", "है"]),
        ("cafe\u0301 under_score -dash- 3.5", ["cafe\u0301", "under", "score", "dash", "3", "5"]),
        ("", []),
    ],
)
def test_words_keep_their_marks(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from(SIGNS), max_size=20), min_size=1, max_size=20))
def test_the_recipe_counts_the_same_words(
    connection: duckdb.DuckDBPyConnection, texts: list[str]
) -> None:
    (pattern,) = re.findall(
        r"regexp_extract_all\(\s*captioned\.caption, '(.+)'", load("cap").rows.sql
    )
    counted = connection.execute(
        "select regexp_extract_all(text, ?) from (select unnest(?::varchar[]) as text)",
        [pattern.replace("''", "'"), texts],
    ).fetchall()
    assert [found for (found,) in counted] == [words(text) for text in texts]


def test_words_are_listed_as_a_sentence_does() -> None:
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        *("a", "a and b", "a, b and c")
    ]


def test_a_cell_of_a_table_is_one_line_without_bars() -> None:
    assert cell("a | b\nc") == "a \\| b c"
