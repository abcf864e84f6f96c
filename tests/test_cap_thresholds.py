"""The steps of cap do on planted defects what their benchmark measured, and the recipe says so."""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt

import pytest

from pixmo import schema
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import SqlStep
from tests.benchmarks import cap_thresholds
from tests.benchmarks.cap_trials import Trial
from tests.planted_rows import measured

SHARE = 10  # the benchmark, run by hand, takes all
# What a recipe decides and no planted defect can tell.
DECIDED = {
    *("language language", "license accepted", "license accept_unknown"),
    "language common_words",  # with min_common_words
    "unheard_number numbers",  # with max_numbers
    "too_many_points max_points",  # how many points a model is trained to write
    "consensus within",  # what several people's points have in common: it judges no row
    "consensus share",
    "consensus max_count_difference",
}


def test_every_value_of_a_step_is_measured_or_a_decision() -> None:
    of_all = {name for stem in schema.stems() for name in measured(stem)}
    values = {
        f"{step.name} {name}"
        for stem in schema.stems()
        for step in load(stem).steps
        if isinstance(step, SqlStep)
        for name in step.parameters
    }
    assert values - of_all == DECIDED


@pytest.mark.parametrize("make", cap_thresholds.TRIALS)
def test_the_steps_do_what_was_measured(make: Callable[[int], Trial]) -> None:
    """On some of the images, so nearly as chance allows: within three standard errors."""
    trial = make(cap_thresholds.IMAGES // SHARE)
    trial = replace(trial, beside=(), projects=-(-trial.projects // SHARE))
    _, found = next(cap_thresholds.named(trial))
    *_, precision, recall, _ = measured("cap")[f"{trial.step} {trial.parameter}".rstrip()]
    right = len(found & trial.defects)
    for measure, count in ((float(precision), len(found)), (float(recall), len(trial.defects))):
        chance = 3 * sqrt(measure * (1 - measure) / count)
        assert right / count == pytest.approx(measure, abs=chance + 1 / count)


def test_the_recipes_comments_say_what_was_measured() -> None:
    """At every default and beside it: precision and recall as in `docs/benchmarks.json`."""
    rows = measured("cap")
    blocks = load("cap").path.read_text("utf-8").split("[[step]]")
    for name, (setting, _, _, precision, recall, beside) in rows.items():
        step, _, parameter = name.partition(" ")
        first = {"near_duplicate_text": 'near_duplicates = "text"'}.get(step, f"cap/{step}.sql")
        (block,) = (block for block in blocks if first in block)
        line = next(line for line in block.splitlines() if line.startswith(parameter or "sql"))
        assert line.startswith(setting), name
        at = [f"at {other}" for other in beside.split("; ") if other]
        assert "; ".join([f"# {precision} / {recall}", *at]) in line, name
