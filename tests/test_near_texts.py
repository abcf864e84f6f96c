"""Texts that repeat an earlier one are found with their true similarity, and no others."""

from collections.abc import Sequence
from random import Random

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.curate import near_texts as module
from pixmo.curate.near_texts import (
    GRAM_WORDS,
    LEAST_JACCARD,
    LEAST_RECALL,
    expected_recall,
    grams_of,
    jaccard,
    near_texts,
    normalised,
    slots_per_band,
)
from pixmo.text import normalise

Row = tuple[str, str | None]
Match = tuple[str, str, float]


def word_grams(text: str, gram_words: int = GRAM_WORDS) -> frozenset[str]:
    """The runs of words of a text; the whole of a shorter one."""
    words = normalise(text).split()
    starts = range(max(1, len(words) - gram_words + 1))
    return frozenset(" ".join(words[i : i + gram_words]) for i in starts)


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def brute_force(
    rows: Sequence[tuple[str, str]], least: float, gram_words: int = GRAM_WORDS
) -> list[Match]:
    """What comparing every row with every kept one finds."""
    kept: list[tuple[str, frozenset[str]]] = []
    found = []
    for row_id, text in rows:
        grams = word_grams(text, gram_words)
        near = [(similarity(grams, other), -i) for i, (_, other) in enumerate(kept)]
        best, place = max(near, default=(0.0, 0))
        if best >= least:
            found.append((row_id, kept[-place][0], best))
        else:
            kept.append((row_id, grams))
    return found


def search(
    rows: Sequence[Row], least: float, gram_words: int = GRAM_WORDS, threads: int = 2
) -> list[Match]:
    """What near_texts finds among rows that arrived in this order."""
    table = {"id": [row[0] for row in rows], "text": [row[1] for row in rows]}
    columns = pa.table({**table, "ordinal": range(len(rows))}).cast(
        pa.schema([("id", pa.string()), ("text", pa.string()), ("ordinal", pa.int64())])
    )
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.register("some_rows", columns)
        found = near_texts(connection, "some_rows", "text", least, gram_words)
    return [(row["id"], row["kept_id"], row["jaccard"]) for row in found.to_pylist()]


def made_up(rng: Random, words: int) -> list[str]:
    return [f"{rng.choice('bcdfg')}{rng.randrange(10_000)}" for _ in range(words)]


def changed(words: list[str], places: Sequence[int]) -> str:
    """The text with other words at some places; each breaks the runs that hold it."""
    return " ".join(f"other{i}" if i in places else word for i, word in enumerate(words))


@st.composite
def clumped_texts(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Texts of 200 words and copies with up to 3 words changed (0.85 alike) or 60 (under 0.5)."""
    rng = Random(draw(st.integers(0, 2**32)))
    seeds = [made_up(rng, 200) for _ in range(draw(st.integers(1, 4)))]
    texts = [" ".join(words) for words in seeds]
    for words in seeds:
        for changes in draw(st.lists(st.sampled_from((0, 1, 2, 3, 60)), max_size=4)):
            few = rng.sample(range(200), changes) if changes < 60 else range(0, 180, 3)
            text = changed(words, few)
            texts.append(draw(st.sampled_from((text, text.upper(), text.replace(" ", ", ")))))
    return [(f"{i:02d}", text) for i, text in enumerate(draw(st.permutations(texts)))]


@settings(max_examples=30, deadline=None)
@given(clumped_texts())
def test_what_is_found_is_what_brute_force_finds(rows: list[tuple[str, str]]) -> None:
    # Copies of one text are 0.73 alike at least, the others under 0.5: at 0.6 none is missed.
    assert search(rows, 0.6) == brute_force(rows, 0.6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=8))
def test_texts_are_normalised_as_everywhere(texts: list[str]) -> None:
    done = normalised(pa.array(texts, pa.string())).to_pylist()
    assert [" ".join(text.split()) for text in done] == [normalise(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("aA b-'.", max_size=12), min_size=1, max_size=8))
def test_marks_between_letters_stay_and_others_part_words(texts: list[str]) -> None:
    done = normalised(pa.array(["é", *texts], pa.string()).slice(1)).to_pylist()
    assert [" ".join(text.split()) for text in done] == [normalise(text) for text in texts]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("ab ö’", max_size=20), min_size=2, max_size=6),
    st.integers(1, 5),
)
def test_runs_of_words_are_those_of_the_text(texts: list[str], gram_words: int) -> None:
    grams = grams_of(pa.array(texts, pa.string()), gram_words)
    first, *others = (grams.of(i) for i in range(len(texts)))
    expected, *rest = (word_grams(text, gram_words) for text in texts)
    assert len(first) == len(expected)
    assert [jaccard(first, other) for other in others] == [similarity(expected, o) for o in rest]


def planted(rng: Random, pairs: int) -> list[tuple[str, str]]:
    """Texts, and after them a copy of each that is 0.7 to 0.8 alike."""
    originals, copies = [], []
    while len(copies) < pairs:
        words = made_up(rng, 200)
        copy = changed(words, rng.sample(range(200), rng.randint(4, 9)))
        if 0.7 <= similarity(word_grams(" ".join(words)), word_grams(copy)) <= 0.8:
            originals.append((f"row-{len(copies)}", " ".join(words)))
            copies.append((f"copy-{len(copies)}", copy))
    return originals + copies


def test_of_planted_copies_hardly_one_is_missed() -> None:
    rows = planted(Random(1), 500)
    found = search(rows, 0.7)
    text_of = dict(rows)
    assert all(kept_id == row_id.replace("copy", "row") for row_id, kept_id, _ in found)
    for row_id, kept_id, score in found:
        assert score == similarity(word_grams(text_of[row_id]), word_grams(text_of[kept_id])) >= 0.7
    assert len(found) >= 0.985 * 500


@pytest.mark.parametrize("least", [LEAST_JACCARD, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_bands_suit_the_similarity_asked_for(least: float) -> None:
    slots = slots_per_band(least)
    assert expected_recall(least, slots) >= LEAST_RECALL
    assert slots == 8 or expected_recall(least, slots + 1) < LEAST_RECALL


def test_a_band_is_shared_as_often_as_its_formula_says() -> None:
    # 25 bands of 5 slots, a pair that is 0.7 alike: 1 - (1 - 0.16807)^25.
    assert expected_recall(0.7, 5) == pytest.approx(1 - 0.83193**25)


def test_a_signature_s_equal_slots_estimate_the_similarity() -> None:
    rows = planted(Random(2), 200)
    grams = grams_of(pa.array([text for _, text in rows]), GRAM_WORDS)
    signatures = module.signatures_of(grams)
    equal = (signatures[:200] == signatures[200:]).mean(axis=1)
    true = [jaccard(grams.of(i), grams.of(200 + i)) for i in range(200)]
    assert np.mean(equal - true) == pytest.approx(0, abs=0.01)
    assert (signatures[:199] == signatures[1:200]).mean() == pytest.approx(1 / 256, rel=0.2)


def test_rows_stay_by_ordinal_then_id_and_those_without_come_last() -> None:
    text = " ".join(made_up(Random(3), 30))
    columns = {"id": ["a", "c", "b", "d"], "ordinal": [None, 7, 7, None], "text": [text] * 4}
    with duckdb.connect() as connection:
        connection.register("some_rows", pa.table(columns))
        found = near_texts(connection, "some_rows", "text", 0.9)
    assert found.to_pylist() == [
        {"id": row_id, "kept_id": "b", "jaccard": 1.0} for row_id in ("c", "a", "d")
    ]


def test_the_most_similar_kept_row_is_named() -> None:
    words = made_up(Random(4), 200)
    rows = [("far", changed(words, range(0, 40))), ("near", changed(words, [190]))]
    assert search([*rows, ("it", " ".join(words))], 0.64) == [
        ("it", "near", similarity(word_grams(rows[1][1]), word_grams(" ".join(words))))
    ]


def test_a_row_that_resembles_only_a_dropped_one_stays() -> None:
    words = made_up(Random(5), 200)
    chain = [changed(words, range(end)) for end in (0, 20, 40)]
    found = search([(str(i), text) for i, text in enumerate(chain)], 0.8)
    assert [(row_id, kept_id) for row_id, kept_id, _ in found] == [("1", "0")]


def test_only_rows_that_share_a_value_are_compared() -> None:
    text = " ".join(made_up(Random(6), 30))
    columns = {
        "id": ["a", "b", "c", "d", "e", "f"],
        "ordinal": range(6),
        "what was said": [text] * 6,
        "image": ["x", "y", "x", "y", None, None],
    }
    with duckdb.connect() as connection:
        connection.register("some_rows", pa.table(columns))
        found = near_texts(connection, "some_rows", "what was said", 0.9, within="image")
    assert [(row["id"], row["kept_id"]) for row in found.to_pylist()] == [("c", "a"), ("d", "b")]


@pytest.mark.parametrize("text", ["", "...", "two words", "Zwei, Wörter!"])
def test_short_texts_are_compared_whole(text: str) -> None:
    rows = [("a", text), ("b", text.upper()), ("c", text + " more"), ("d", None)]
    assert search(rows, 0.9) == [("b", "a", 1.0)]


def test_shorter_runs_of_words_are_kinder_to_short_texts() -> None:
    rows = [
        ("a", "what is the man in the red hat doing"),
        ("b", "what is the man in the hat doing"),
    ]
    assert search(rows, 0.5, gram_words=5) == []
    assert search(rows, 0.5, gram_words=2) == brute_force(rows, 0.5, 2) != []


def test_other_scripts_are_compared_by_their_words() -> None:
    words = ["человек", "стоит", "у", "моря", "и", "смотрит", "вдаль", "на", "большой", "корабль"]
    plain = "a man’s café - seen from the street on a fine morning in may"
    rows = [("a", " ".join(words)), ("b", plain), ("c", " ".join(words).upper() + "!")]
    rows.append(("d", plain.replace("é", "e\u0301").replace(" - ", " — ")))
    assert search(rows, 0.9) == [("c", "a", 1.0), ("d", "b", 1.0)]


def test_no_rows_are_no_duplicates() -> None:
    assert search([], 0.7) == []
    assert search([("a", None)], 0.7) == []


def test_threads_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(Random(7), 150)
    Random(8).shuffle(rows)
    found = search(rows, 0.7)
    assert len(found) > 140
    assert search(rows, 0.7, threads=1) == search(rows, 0.7, threads=4) == found
    monkeypatch.setattr(module, "BATCH", 7)
    assert search(rows, 0.7) == found


def test_many_copies_of_one_text_are_each_compared_once() -> None:
    text = " ".join(made_up(Random(9), 20))
    found = search([(f"{i:05d}", text) for i in range(10_000)], 0.7)
    assert found == [(f"{i:05d}", "00000", 1.0) for i in range(1, 10_000)]


def test_crowds_of_rows_half_alike_are_bounded_and_lose_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 8)
    monkeypatch.setattr(module, "MOST_VERIFIED", 4)
    rng = Random(10)
    words = made_up(rng, 100)
    texts = [changed(words, rng.sample(range(100), rng.randint(1, 7))) for _ in range(400)]
    rows = [(f"{i:03d}", text) for i, text in enumerate(texts)]
    dropped = {row_id for row_id, _, _ in search(rows, 0.7)}
    kept = [word_grams(text) for row_id, text in rows if row_id not in dropped]
    missed = sum(any(similarity(g, o) >= 0.7 for o in kept[:i]) for i, g in enumerate(kept))
    assert len(kept) > 10 * 8
    assert missed <= 0.03 * len(rows)
