"""Precision and recall of the steps of cap on planted defects, at the defaults and beside them.

`cap_sound_trials` and `cap_text_trials` say how the defects are planted, and among what.
"""

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pyarrow as pa

from pixmo.curate.near_texts import near_texts
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import NearTextsStep
from tests.benchmarks import cap_sound_trials as sound
from tests.benchmarks import cap_text_trials as texts
from tests.benchmarks.cap_trials import Trial
from tests.planted_captions import candidates, step

IMAGES = 4000
TRIALS: tuple[Callable[[int], Trial], ...] = (
    *(sound.coughs, sound.stopped_early, sound.waiting, texts.hurried, texts.run_on),
    *(texts.credited, sound.over_silence, texts.looped),
    *(sound.lost_windows, sound.invented, sound.guessed),
    *(sound.spoken_languages, texts.written_languages, texts.pasted, texts.disfluent),
    lambda size: texts.rewritten(
        size // 4, texts.made_up, Trial("unheard", "max_share", (0.05, 0.2))
    ),
    lambda size: texts.rewritten(
        size // 4, texts.miscounted, Trial("unheard_number", "max_numbers", (1,))
    ),
    lambda size: texts.rewritten(
        size // 4, texts.forgetful, Trial("lost", "max_share", (0.2, 0.5))
    ),
    lambda size: texts.of_another_image(size, "common_share", (0.05, 0.2)),
    lambda size: texts.of_another_image(size, "min_words", (3, 6)),
    lambda size: texts.of_another_image(size, "first_characters", (600, 1500)),
    lambda size: texts.of_another_image(size, "sampled", (500, 16000)),
    lambda size: texts.of_another_image(size, "common_times", (10, 40), projects=80),
    lambda size: texts.of_another_image(size, "min_share", (0.05, 0.25)),
    lambda size: texts.said_of_all(size, "min_images", (3, 10)),
    lambda size: texts.said_of_all(size, "max_share", (0.15, 0.5)),
    *(sound.clipped, sound.faint, sound.noisy, sound.unlike, texts.other_counts),
    lambda size: texts.patterned(size, "min_images", (3, 10)),
    lambda size: texts.patterned(size, "min_share", (0.1, 0.5)),
    lambda size: sound.read_aloud(size, "max_pause_seconds", (0.8, 1.6)),
    lambda size: sound.read_aloud(size, "min_words_per_second", (2.0, 2.8)),
    lambda size: sound.read_aloud(size, "min_spoken_share", (0.7, 0.9)),
)


def named(trial: Trial) -> Iterator[tuple[Any, set[str]]]:
    """The images that the step names: at the recipe's value, then at those beside it."""
    default = step(trial.step).parameters.get(trial.parameter)
    found: dict[Any, set[str]] = {value: set() for value in (default, *trial.beside)}
    each = -(-len(trial.images) // trial.projects)
    for start in range(0, len(trial.images), each):
        with candidates(trial.images[start : start + each]) as planted:
            for value, names in found.items():
                changed = {trial.parameter: value} if trial.parameter else {}
                names |= set(planted.judged(trial.step, **changed))
    yield from found.items()


def repeated(trial: Trial) -> Iterator[tuple[Any, set[str]]]:
    """The images whose caption repeats an earlier one, at the recipe's value and beside it."""
    (found,) = (step for step in load("cap").steps if isinstance(step, NearTextsStep))
    names = [image.name for image in trial.images]
    captions = [image.said[0].text for image in trial.images]
    rows = pa.table({"id": names, "ordinal": range(len(names)), "caption": captions})
    with duckdb.connect() as connection:
        connection.register("captions", rows)
        for least in (found.min_jaccard, *trial.beside):
            near = near_texts(connection, "captions", found.column, least, found.gram_words)
            yield least, set(near.column("id").to_pylist())


def score(found: set[str], defects: set[str]) -> tuple[str, str]:
    """Precision and recall."""
    right = len(found & defects)
    return f"{right / len(found):.3f}" if found else "–", f"{right / len(defects):.3f}"


def run(size: int = IMAGES) -> dict[str, Any]:
    """Precision and recall of every step with a planted defect; one image in ten has it."""
    rows = {}
    for make in (*TRIALS, texts.used_again):
        trial = make(size)
        (value, found), *others = (repeated if make is texts.used_again else named)(trial)
        beside = [f"{v}: {' / '.join(score(f, trial.defects))}" for v, f in others]
        setting = f"{trial.parameter} = {value}" if trial.parameter else ""
        rows[f"{trial.step} {trial.parameter}".rstrip()] = [
            setting,
            len(trial.defects),
            len(trial.images) - len(trial.defects),
            *score(found, trial.defects),
            "; ".join(beside),
        ]
    return {
        "title": "Steps of cap on planted defects",
        "columns": ["default", "defects", "honest", "precision", "recall", "beside it"],
        "rows": rows,
        "notes": [
            "Planted by `cap_sound_trials` and `cap_text_trials` in `tests/benchmarks`, which say"
            " how; beside the default stand precision / recall at other values of the parameter.",
            f"The marks of pasted are {len(texts.ASSISTANT)} phrases, those of stock_phrase"
            f" {len(texts.CREDITS)}: a figure says how the step does on these.",
        ],
    }
