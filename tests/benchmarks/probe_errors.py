"""How often the train probe is wrong: many true and spoiled releases, each judged as a user would.

Every release is a new world of pictures. What is measured of one is a line of
`docs/validation.jsonl`; what is there is not measured again, so the study goes on where it was:

    python -m tests.benchmarks.probe_errors [MINUTES]

With 0 minutes only the table of `docs/validation.md` is made again from what there is. The shuffled
control is trained for two of the worlds; its numbers, all but zero, serve in turn.
"""

import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, astuple, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import binomtest

from pixmo import schema
from pixmo.dataset.manifest import File, Manifest, Subset, file_entry
from pixmo.dataset.reader import Release
from pixmo.demo import describe
from pixmo.demo.drawing import png
from pixmo.demo.scenes import scene
from pixmo.files import write_text
from pixmo.hashing import sha256_bytes, short_id
from pixmo.validate import probe
from pixmo.validate.placement import evidence
from pixmo.validate.probe_run import ProbeOptions, ProbeRun, RunResult, run, stored_result
from pixmo.validate.skills import majority
from pixmo.validate.verdict import HELD_OUT_FACTOR, Measured, judge_subset

DOCS = Path(__file__).parents[2] / "docs"
RESULTS, PAGE = DOCS / "validation.jsonl", DOCS / "validation.md"
START, END = "<!-- error rates -->", "<!-- end of error rates -->"
TRAIN_IMAGES, HELD_OUT_IMAGES = 2160, 240  # as in the sample that ships
CONTROLS = 2
SECOND_WORLDS = 10_000  # where the numbers of the worlds start that are only ever right
FEWEST_FITTED, LEAST_SHARE = 3, 1e-6
SEEDS = 5  # that the same world is trained with
CLEAN = ("none", 0.0)
SPOILED = (
    *(("cap", 0.1), ("ama", 0.1), ("points", 0.1), ("moved", 0.1)),
    *(("cap", 0.3), ("ama", 0.3), ("points", 0.3), ("moved", 0.3)),
)
Rows = dict[str, list[dict[str, Any]]]
# What a subset says of an image, which goes with it to a wrong one.
SAID = {
    "cap": ("caption", "transcripts"),
    "ama": ("question", "answer"),
    "points": ("label", "points", "count", "collection_method"),
}


@dataclass(frozen=True)
class Case:
    """A release to make and to judge."""

    world: int  # seed of its pictures and its rows
    seed: int  # of its training
    spoiled: str  # none, a subset whose rows are shuffled between images, or moved
    share: float  # of the subset's rows

    @property
    def name(self) -> str:
        """As a folder."""
        return "-".join(str(value) for value in astuple(self))


def cases() -> Iterator[Case]:
    """Yield all cases: of every kind before the next world, one world under several seeds."""
    for world in range(SECOND_WORLDS):
        yield Case(world, world, *CLEAN)
        yield Case(SECOND_WORLDS + world, world, *CLEAN)
        for spoiled, share in SPOILED:
            if share == 0.1 or world % 3 == 0:
                yield Case(world, world, spoiled, share)
        if 0 < world < SEEDS:
            yield Case(0, world, *CLEAN)


def write_world(root: Path, case: Case) -> tuple[Release, set[str]]:
    """A release of the case's pictures in the folder `root`, and the ids of its spoiled rows."""
    splits = {
        "train": TRAIN_IMAGES,
        "validation": HELD_OUT_IMAGES // 2,
        "test": HELD_OUT_IMAGES // 2,
    }
    files: list[File] = []
    counts: dict[str, dict[str, int]] = {stem: {} for stem in SAID}
    number, wrong = 0, set[str]()
    for split, images in splits.items():
        rows: Rows = {stem: [] for stem in SAID}
        for _ in range(images):
            add_rows(root, case.world, number, rows)
            number += 1
        wrong |= spoil(rows, case, Random(f"spoil {case.name} {split}"))
        for stem, found in rows.items():
            promise = schema.subset(stem)
            path = root / promise.name / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(as_table(promise, found), path)
            counts[stem][split] = len(found)
            files.append(file_entry(root, path, len(found)))
    subsets = tuple(
        Subset(stem, schema.subset(stem).name, sum(of.values()), of, 0, (), "0" * 64, "0" * 64)
        for stem, of in counts.items()
    )
    Manifest("v1", "0", "ODC-BY-1.0", subsets, tuple(sorted(files, key=lambda f: f.path))).write(
        root
    )
    return Release.open(root), wrong


def as_table(promise: schema.Schema, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The rows under the subset's schema, with nothing in what the probe does not read."""
    empty = {"string": "", "int64": 0, "double": 0.0, "bool": False}
    filled = []
    for row in rows:
        full = {}
        for field in promise.arrow():
            nothing = [] if pa.types.is_list(field.type) else empty.get(str(field.type))
            full[field.name] = row.get(field.name, nothing)
        filled.append(full)
    return promise.table(filled)


def add_rows(root: Path, world: int, number: int, rows: Rows) -> None:
    """A picture is drawn; its caption, two answers, and up to three expressions are rows."""
    drawn, rng = scene(world, number), Random(f"rows {world} {number}")
    content = png(drawn)
    place = f"images/{number:05d}.png"
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_bytes(content)
    sha256 = sha256_bytes(content)
    common = {"image_url": place, "image_sha256": sha256, "cluster": sha256[:16], "flags": []}
    text = describe.write_description(drawn, rng)
    rows["cap"].append(
        {**common, "id": short_id("cap", sha256), "caption": text, "transcripts": [text]}
    )
    pairs = describe.questions_and_answers(drawn, rng)
    for question, answer in rng.sample(pairs, min(2, len(pairs))):
        row_id = short_id("ama", sha256, question)
        rows["ama"].append({**common, "id": row_id, "question": question, "answer": answer})
    expressions = describe.expressions(drawn)
    shown = [one for one in expressions if one.points]
    absent = [one for one in expressions if not one.points]
    asked = rng.sample(shown, min(2, len(shown)))
    asked += [rng.choice(absent)] if absent and rng.random() < 0.5 else []
    for one in asked:
        places = [{"x": x, "y": y} for x, y in one.points]
        method = "counting" if rng.random() < 0.3 else "pointing"
        rows["points"].append(
            {**common, "id": short_id("points", sha256, one.label), "label": one.label}
            | {"points": places, "count": len(places), "collection_method": method}
        )


def spoil(rows: Rows, case: Case, rng: Random) -> set[str]:
    """The case's share of the subset's rows say what others say, or point anywhere; their ids."""
    if case.spoiled == "none":
        return set()
    found = rows["points" if case.spoiled == "moved" else case.spoiled]
    chosen = rng.sample(found, round(case.share * len(found)))
    if case.spoiled == "moved":
        for row in chosen:
            row["points"] = [
                {"x": rng.uniform(5, 95), "y": rng.uniform(5, 95)} for _ in row["points"]
            ]
        return {row["id"] for row in chosen if row["points"]}
    said = [{name: row[name] for name in SAID[case.spoiled]} for row in chosen]
    for row, other in zip(chosen, said[1:] + said[:1], strict=True):
        row.update(other)
    return {row["id"] for row in chosen}


def in_one_thread() -> None:
    """The process computes in one thread, as the probe's do."""
    import torch

    torch.set_num_threads(1)


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """What the probe says of the case, in one thread; the release is made, judged and deleted."""
    root = folder / case.name
    release, wrong = write_world(root, case)
    options = ProbeOptions(seed=case.seed)
    began = time.process_time()
    trained = run(ProbeRun(release, options, "release", root / "run", "study"), lambda _: None)
    seconds = time.process_time() - began
    control = control_of(case.world % CONTROLS, folder)
    learnt, _ = probe.read_probe_examples(release, options)
    guesses = majority(learnt, trained.answered)
    subsets = [
        judge_subset(
            stem, probe.measured(trained), beside(trained, control), probe.GATES[stem],
            probe.FEWEST_HELD_OUT_IMAGES, guesses if stem == "points" else {},
        )
        for stem in SAID
    ]  # fmt: skip
    result = {
        **asdict(case),
        "cpu_seconds": round(seconds),
        "subsets": {
            one.stem: {
                "loss": one.right,
                "gap": one.gap.value if one.gap else None,
                "z": one.gap.z if one.gap else None,
                "control_gap": one.control_gap.value if one.control_gap else None,
                "misplaced": one.misplaced.value if one.misplaced else None,
                "held_out_low": one.misplaced_held_out.low if one.misplaced_held_out else None,
                "told": one.skills[0].gained.value if one.skills else None,
            }
            for one in subsets
        },
    }
    if case.spoiled != "none":
        result["precision"] = precision(trained, wrong, case)
    shutil.rmtree(root)
    return result


def beside(trained: RunResult, control: RunResult) -> Measured:
    """Another world's control as if it had been asked these rows: it knows nothing of either."""
    scores: dict[str, list[float]] = {}
    for one in control.answered:
        scores.setdefault(one.skill, []).append(one.score)
    means = {skill: sum(values) / len(values) for skill, values in scores.items()}
    answered = [replace(one, score=means[one.skill]) for one in trained.answered]
    told = [
        replace(loss, own_nats=loss.other_nats[0], other_nats=loss.other_nats[1:])
        for loss in trained.held_out
    ]
    return Measured(told, answered)


def precision(trained: RunResult, wrong: set[str], case: Case) -> dict[str, float]:
    """The share of spoiled rows among the first of those trained on that contradict their image."""
    stem = "points" if case.spoiled == "moved" else case.spoiled
    losses = [loss for loss in trained.learnt if loss.kind == stem]
    own, _ = evidence(losses)
    order = own.mean(1).argsort()
    return {
        str(first): sum(losses[i].id in wrong for i in order[:first]) / first
        for first in (20, 50, 100)
    }


def control_of(world: int, folder: Path) -> RunResult:
    """The shuffled control of a world, trained once."""
    place = folder / f"control-{world}"
    found = stored_result(place, "study")
    if found is None:
        release, _ = write_world(place / "release", Case(world, world, *CLEAN))
        options = ProbeOptions(seed=world)
        found = run(ProbeRun(release, options, "control", place, "study"), lambda _: None)
    return found


def read_results() -> list[dict[str, Any]]:
    """Every case that was measured."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]


def fails(result: dict[str, Any], stem: str) -> bool:
    """Whether a subset of a measured release fails by the gates as they are now.

    Not learnt is failed, for the other subsets of these releases are learnt.
    """
    found, gate = result["subsets"][stem], probe.GATES[stem]
    is_learnt = found["gap"] - found["control_gap"] >= gate.gap and found["z"] >= gate.z
    is_placed = (
        found["misplaced"] <= gate.most_misplaced
        and found["held_out_low"] <= HELD_OUT_FACTOR * gate.most_misplaced
    )
    return not (is_learnt and found["told"] >= gate.told and is_placed)


def table(results: Sequence[dict[str, Any]]) -> str:
    """The error rates as a table in Markdown."""
    seeds = [one for one in results if one["world"] == 0 and one["spoiled"] == "none"]
    results = [one for one in results if one["seed"] == one["world"] % SECOND_WORLDS]
    lines = [
        "| wrong in the release | subset | fails | 95 % | expected | misplaced | at most"
        " | of the first 20, 50, 100 rows are wrong |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    clean = [one for one in results if one["spoiled"] == "none"]
    lines += [line_of("nothing", stem, clean) for stem in SAID]
    for stem in SAID:
        others = [one for one in results if stem_of(one["spoiled"]) not in ("none", stem)]
        lines.append(line_of("another subset", stem, others))
    for share in (0.1, 0.3):
        for spoiled, text in (
            ("cap", "captions shuffled"),
            ("ama", "questions and answers shuffled"),
            ("points", "expressions shuffled"),
            ("moved", "points moved"),
        ):
            found = [one for one in results if (one["spoiled"], one["share"]) == (spoiled, share)]
            if found:
                lines.append(line_of(f"{100 * share:g} % of {text}", stem_of(spoiled), found))
    alarms = sum(any(fails(one, stem) for stem in SAID) for one in clean)
    lines += ["", f"Of {len(clean)} releases with nothing wrong, {alarms} got FAIL."]
    if len(seeds) > 1:
        lines.append(
            f"Under {len(seeds)} seeds the held-out loss of one of them deviates by"
            f" {', '.join(f'{deviation(seeds, stem):.4f} ({stem})' for stem in SAID)}"
            " nats a character."
        )
    return "\n".join(lines)


def deviation(results: Sequence[dict[str, Any]], stem: str) -> float:
    """The standard deviation of a subset's held-out loss, nats a character."""
    return statistics.stdev(one["subsets"][stem]["loss"] for one in results)


def stem_of(spoiled: str) -> str:
    """The subset whose rows are spoiled."""
    return "points" if spoiled == "moved" else spoiled


def line_of(text: str, stem: str, results: Sequence[dict[str, Any]]) -> str:
    """One line of the table."""
    shares = [one["subsets"][stem]["misplaced"] for one in results]
    failed = sum(fails(one, stem) for one in results)
    rate = binomtest(failed, len(results)).proportion_ci()
    found = [
        one["precision"]
        for one in results
        if "precision" in one and stem_of(one["spoiled"]) == stem
    ]
    first = (
        ", ".join(f"{statistics.mean(one[k] for one in found):.2f}" for k in ("20", "50", "100"))
        if found
        else ""
    )
    return (
        f"| {text} | {stem} | {failed} of {len(results)}"
        f" | {100 * rate.low:.0f} to {100 * rate.high:.0f} %"
        f" | {expected(shares, probe.GATES[stem].most_misplaced)}"
        f" | {100 * min(shares):.2f} to {100 * max(shares):.2f} %"
        f" | {100 * probe.GATES[stem].most_misplaced:g} % | {first} |"
    )


def expected(shares: Sequence[float], most: float) -> str:
    """How often a share exceeds `most` if its logarithm is normal; empty for too few to say."""
    if len(shares) < FEWEST_FITTED:
        return ""
    logs = [math.log(max(share, LEAST_SHARE)) for share in shares]
    fitted = statistics.NormalDist(statistics.mean(logs), statistics.stdev(logs))
    return f"{100 * (1 - fitted.cdf(math.log(most))):.1f} %"


def write_table() -> None:
    """`docs/validation.md` holds the table between its marks."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    write_text(PAGE, f"{before}{START}\n{table(read_results())}\n{END}{after}")


def main(minutes: float) -> None:
    """Cases are measured, two at a time, until the time is up; each is a line of RESULTS."""
    until = time.monotonic() + 60 * minutes
    known = {Case(*(one[field.name] for field in fields(Case))) for one in read_results()}
    waiting = (case for case in cases() if case not in known)
    with (
        tempfile.TemporaryDirectory() as temporary,
        ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=in_one_thread) as pool,
    ):
        folder = Path(temporary)
        for done in pool.map(control_of, range(CONTROLS), [folder] * CONTROLS):
            print("control", len(done.losses), flush=True)
        running: set[Future[dict[str, Any]]] = set()
        while running or time.monotonic() < until:
            while len(running) < 2 and time.monotonic() < until:
                running.add(pool.submit(measure, next(waiting), folder))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for one in finished:
                line = json.dumps(one.result())
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
                print(line, flush=True)


if __name__ == "__main__":
    asked = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    if asked:
        main(asked)
    write_table()
