"""Plots of a release's report."""

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from pixmo.release.plots import MOST_BARS, edges, histogram


@given(st.lists(st.floats(0, 5000), min_size=1))
def test_every_value_has_a_bar(values: list[float]) -> None:
    found = edges(values)
    assert found[0] <= min(values)
    assert max(values) <= found[-1]
    assert 2 <= len(found) <= MOST_BARS + 1
    assert all(math.isclose(edge % 1, 0.5) for edge in found)


def test_the_same_values_give_the_same_bytes() -> None:
    assert histogram([139.5], "seconds") == histogram([139.5], "seconds")
    assert histogram([139.5], "seconds") != histogram([120.0], "seconds")


def test_one_whole_number_is_marked_as_such_and_no_other() -> None:
    marks = re.findall(r"<text[^>]*>([^<]+)</text>", histogram([90.0] * 3, "words"))
    assert marks[:-1] == ["90", "words", "0", "1", "2", "3"]
