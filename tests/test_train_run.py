"""A training run in its folder: killed and resumed to the bit, its files, its errors."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError, TrainingError
from pixmo.molmo import checkpoint, device, metrics, training_run
from pixmo.molmo.ask import ask
from pixmo.molmo.data import collate, load_crops, pack
from pixmo.molmo.device import memory_told
from pixmo.molmo.distributed import ALONE
from pixmo.molmo.optimisers import stage_for
from pixmo.molmo.run_folder import claimed
from pixmo.molmo.sizes import PROBE_XS
from pixmo.molmo.stopping import stop_asked
from pixmo.molmo.stream import open_examples
from pixmo.molmo.train import Objective, mean_loss
from pixmo.molmo.training_run import train_release
from pixmo.molmo.weights import with_backbones
from tests.conftest import hear_ctrl_c, run_pixmo
from tests.releases import write_release
from tests.test_molmo_weights import VISION, language_config, make_encoder
from tests.train_together import TINY, options

# Goes on from a tiny model of no probe's name: AdamW moves each component, with dropout.
KILLED_WORDS = (
    *("train", "v1", "--init", "first", "--steps", "24", "--batch", "4", "--every", "5"),
    *("--workers", "1"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release."""
    return write_release(tmp_path_factory.mktemp("release") / "v1", 12, 4)


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("run") / "train-v1"
    train_release(options(root), folder)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a release."""
    folder = tmp_path_factory.mktemp("workspace")
    root = write_release(folder / "releases/v1", 12, 2)
    train_release(replace(options(root), steps=1), folder / "first")
    return folder


def losses(run: Path) -> list[tuple[float, float]]:
    """Step and loss of every line."""
    return [(row["step"], row["loss"]) for row in metrics.read(run)]


def interrupted(
    pixmo: Path, workspace: Path, name: str, steps: int, number: signal.Signals
) -> "tuple[int, str]":
    """The status and the errors of a run that got a signal once it had done so many steps.

    All its processes got it, as from a terminal or a scheduler, and none is left.
    """
    process = subprocess.Popen(
        [pixmo, *KILLED_WORDS, "--out", name],
        cwd=workspace,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
        start_new_session=True,
    )
    path = workspace / name / metrics.FILE_NAME
    while not path.exists() or path.read_text("utf-8").count("\n") < steps:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    if number == signal.SIGTERM:  # `timeout` sends it twice: to the process, then to its group
        process.send_signal(number)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=120)
    deadline = time.monotonic() + 30
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)
            assert time.monotonic() < deadline, "a process is left"
            time.sleep(0.02)
    return process.returncode, said


def test_killed_and_resumed_a_run_gives_the_losses_of_one_that_was_not(
    workspace: Path, pixmo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = run_pixmo(pixmo, *KILLED_WORDS, "--out", "whole", "--json", cwd=workspace)
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["steps"] == 24
    told = json.loads((workspace / "whole/run.json").read_text("utf-8"))
    assert (told["size"]["name"], told["stage"]["residual_dropout"]) == ("tiny", 0.1)

    at = 0
    for number, steps in ((signal.SIGINT, 3), (signal.SIGTERM, 8)):
        status, said = interrupted(pixmo, workspace, "my run", steps, number)
        assert status == 130, said
        assert said.strip().splitlines() == [
            *([f"pixmo: going on at step {at + 1} of 24"] if at else []),
            "pixmo: stopped; what was finished is kept, run the same command to go on",
        ]
        last = checkpoint.newest(workspace / "my run")
        assert last is not None
        at = checkpoint.step_of(last)
        assert at == len(losses(workspace / "my run"))

    status, _ = interrupted(pixmo, workspace, "my run", 13, signal.SIGKILL)
    assert status == -signal.SIGKILL
    last = checkpoint.newest(workspace / "my run")
    assert last is not None
    assert checkpoint.step_of(last) < 24, "it was to be killed before its end"

    resumed = run_pixmo(pixmo, *KILLED_WORDS, "--out", "my run", cwd=workspace)
    assert resumed.returncode == 0, resumed.stderr
    assert "pixmo ask IMAGE \"question\" --model 'my run'" in resumed.stdout
    assert [step for step, _ in losses(workspace / "my run")] == list(range(1, 25))
    assert losses(workspace / "my run") == losses(workspace / "whole")
    for name in ("model.safetensors", "optimisers.safetensors"):
        one, other = (
            (workspace / run / "checkpoints/step-000024" / name).read_bytes()
            for run in ("my run", "whole")
        )
        assert one == other, name


def test_sigterm_asks_however_often_and_a_second_ctrl_c_interrupts() -> None:
    with stop_asked() as is_asked:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            assert is_asked()
    with stop_asked() as is_asked:
        signal.raise_signal(signal.SIGINT)
        assert is_asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_finished_run_is_not_run_again(root: Path, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.*")}
    told: list[str] = []
    again = train_release(options(root), run, note=told.append)
    assert again is not None
    assert again.steps == 4
    assert told == ["already finished: all 4 steps are done"]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.*")} == before | {
        run / ".lock": (run / ".lock").stat().st_mtime_ns
    }


def test_what_is_in_the_folder(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        *("run.json", ".lock", "checkpoints", "metrics.jsonl", "tensorboard"),
        *("samples", "samples.jsonl", "samples.html"),
    }
    rows = metrics.read(run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for component in ("vision", "connector", "language"):
        assert all(row[f"learning_rate/{component}"] > 0 for row in rows)
        assert all(row[f"gradient_norm/{component}"] > 0 for row in rows)
    for row in rows:
        assert row["images_per_second"] > 0
        assert row["tokens_per_second"] > 10 * row["images_per_second"]
        assert 0 <= row["waiting_share"] <= 1
        assert row["peak_memory_gb"] > 0.1
        assert ("held_out_loss" in row) == (row["step"] in (2, 4))
    assert list((run / "tensorboard").glob("events.*"))


def test_tensorboard_reads_the_losses(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard")).Reload()
    found = {one.step: one.value for one in board.Scalars("loss")}
    assert found == pytest.approx(dict(losses(run)))
    assert "sample 0" in board.Tags()["images"]


def test_a_checkpoint_loads_in_a_few_lines_and_is_what_was_measured(root: Path, run: Path) -> None:
    model, tokenizer = checkpoint.load(str(run))
    release = Release.open(root)
    found = open_examples(
        release, "validation", ["ama", "points", "cap"], "finetune", run.parent / "rows"
    )
    examples = [found.read(number, options(root).seed) for number in range(len(found))]
    crops = [load_crops(release, one, TINY) for one in examples]
    packed = [
        pack(image, one.annotations, tokenizer, TINY, options(root).stage.weighting)
        for image, one in zip(crops, examples, strict=True)
    ]
    measured = mean_loss(Objective(model), [collate(packed, crops)])
    assert measured == pytest.approx(metrics.read(run)[-1]["held_out_loss"], abs=1e-5)


def test_of_checkpoints_the_last_two_are_kept_and_half_a_one_counts_for_nothing(
    root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_release(replace(options(root), steps=3, every=1), run)
    assert [path.name for path in checkpoint.complete(run)] == ["step-000002", "step-000003"]
    (run / "checkpoints/step-000003/config.json").unlink()
    assert checkpoint.find(run).name == "step-000002"


def test_the_samples_are_drawn_and_told(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text("utf-8").splitlines()]
    assert {line["step"] for line in lines} == {2, 4}
    assert "There is a" in next(line["truth"] for line in lines if "caption" in line["question"])
    page = (run / "samples.html").read_text("utf-8")
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) == len(lines) // 2
    for source in sources:
        with Image.open(run / source) as image:
            assert image.size == (80, 60)
    assert "http" not in page
    HTMLParser().feed(page)


def test_a_run_starts_from_another_ones_weights(root: Path, run: Path, tmp_path: Path) -> None:
    still = replace(options(root), init=str(run), steps=1)
    quiet = {
        name: replace(getattr(still.stage, name), learning_rate=0.0)
        for name in ("vision", "connector", "language")
    }
    train_release(replace(still, stage=replace(still.stage, **quiet)), tmp_path / "next")
    before, after = (
        load_file(checkpoint.find(one) / "model.safetensors") for one in (run, tmp_path / "next")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert losses(tmp_path / "next")[0][1] < losses(run)[0][1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: replace(one, seed=1), r"by its seed \(0, not 1\)"),
        (lambda one: replace(one, steps=9), r"by its steps \(4, not 9\)"),
        (
            lambda one: replace(one, stage=replace(one.stage, z_loss=0.0)),
            "by its stage;",
        ),
    ],
)
def test_a_folder_of_another_run_is_refused(
    root: Path, run: Path, change: Callable[[object], object], says: str
) -> None:
    with pytest.raises(TrainingError, match=says):
        train_release(change(options(root)), run)  # type: ignore[arg-type]


def test_a_run_that_came_to_no_checkpoint_has_no_claim(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    copy = Path(shutil.copytree(root, tmp_path / "release"))
    for image in copy.glob("images/*/*"):
        image.write_bytes(b"no image")
    with pytest.raises(ReleaseError, match="cannot be read"):
        train_release(options(copy), run)
    assert (run / "run.json").exists()
    train_release(replace(options(root), steps=1), run)
    assert len(losses(run)) == 1


@pytest.mark.parametrize("change", [{"precision": "half"}, {"device": "tpu"}])
def test_what_is_refused_leaves_no_folder(
    root: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(TrainingError, match=f"there is no {next(iter(change))} "):
        train_release(replace(options(root), **change), tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_what_train_cannot_begin_with_is_named(workspace: Path, pixmo: Path) -> None:
    (workspace / "releases/file").write_text("no release", "utf-8")
    image = next((workspace / "releases/v1/images").glob("*/*")).relative_to(workspace)
    half = ("--precision", "half")
    shutil.copytree(workspace / "first", workspace / "cut")
    (weights,) = (workspace / "cut").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-9])
    for words, says in (
        (("file",), "releases/file is a file and no release"),
        ((image,), f"{image} is a file and no release"),
        (("--init", "runs/gone"), "/runs/gone nor .*/runs/runs/gone is a folder"),
        (("--init", "cut"), "step-000001 holds no checkpoint that can be loaded: model"),
        (("--stage", "finetune", *half), "warning: --stage finetune without --init .*half"),
        (("--stage", "finetune", "--init", "first", *half), "^pixmo: there is no precision"),
    ):
        refused = run_pixmo(pixmo, "train", *words, cwd=workspace)
        assert refused.returncode == 1
        assert re.search(says, refused.stderr, re.DOTALL), refused.stderr
    assert not (workspace / "runs").exists()


def test_a_folder_of_someones_files_gets_none_of_a_run(root: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    with pytest.raises(TrainingError, match=r"holds photo\.png and no run\.json.* --out"):
        train_release(options(root), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
    with pytest.raises(TrainingError, match=r"photo\.png is a file; name a folder"):
        train_release(options(root), tmp_path / "photo.png")


@pytest.mark.parametrize("name", ["model.safetensors", "optimisers.safetensors", "config.json"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_goes_on(
    root: Path, run: Path, tmp_path: Path, name: str
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    last = copy / "checkpoints/step-000004"
    (last / name).write_bytes((last / name).read_bytes()[:-9])
    held = {path.name: path.read_bytes() for path in last.iterdir()}
    told: list[str] = []
    train_release(options(root), copy, note=told.append)
    aside = copy / "checkpoints/damaged-step-000004-1"
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == held
    assert f"{last} holds no checkpoint that can be loaded" in told[0]
    assert "kept as damaged-step-000004-1" in told[0]
    assert told[1:] == ["going on at step 3 of 4"]
    assert losses(copy) == losses(run)


def test_where_every_checkpoint_is_damaged_nothing_is_changed(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    for path in copy.glob("checkpoints/*/tokenizer.json"):
        path.write_text("garbage", "utf-8")
    before = sorted(copy.rglob("*"))
    identity = json.loads((copy / "run.json").read_text("utf-8"))
    taken = claimed(copy, identity, ALONE, print)
    with pytest.raises(TrainingError, match=r"step-000002.*put a whole copy back"), taken:
        pass
    assert sorted(copy.rglob("*")) == before


@pytest.mark.parametrize("holds", ["garbage", "[]"])
def test_a_run_whose_options_are_lost_is_not_lost(
    root: Path, run: Path, tmp_path: Path, holds: str
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "my run"))
    (copy / "run.json").write_text(holds, "utf-8")
    with pytest.raises(TrainingError, match=r"run\.json cannot be read.* --init '.*my run'"):
        train_release(options(root), copy)


def test_a_batch_of_more_images_than_there_are_is_told(root: Path, tmp_path: Path) -> None:
    told: list[str] = []
    train_release(replace(options(root), steps=1, batch_examples=14), tmp_path, note=told.append)
    assert "a batch of 14 images is more than the 12 there are" in " ".join(told)


def test_two_processes_may_not_train_in_one_folder(root: Path, tmp_path: Path) -> None:
    taken = claimed(tmp_path, options(root).identity(), ALONE, print)
    with taken, pytest.raises(TrainingError, match="another process trains"):
        train_release(options(root), tmp_path)


def test_what_was_written_after_the_checkpoint_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste', "utf-8")
    metrics.keep_steps(path, 2)
    assert metrics.read(tmp_path) == [{"step": 1}, {"step": 2}]


def test_memory_that_runs_out_says_what_to_lower() -> None:
    told = memory_told(torch.device("cpu"), 2)
    with pytest.raises(TrainingError, match="lower --micro-batch"), told:
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), memory_told(torch.device("cpu"), 2):
        torch.ones(2, 3) @ torch.ones(2, 3)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own tracing
@pytest.mark.parametrize("recompute", [False, True])
def test_compiled_blocks_give_the_same_losses_and_answer_uncompiled(
    root: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recompute: bool
) -> None:
    # Traced as for a real compiler, whose code would take a minute to make.
    compiled = partialmethod(torch.nn.Module.compile, backend="eager")
    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    again: list[torch.nn.Module] = []
    monkeypatch.setattr(training_run, "recompute", lambda one: again.append(one) or redo(one))
    redo = device.recompute
    torch.compiler.reset()
    counters.clear()
    size = replace(TINY, recompute=recompute)
    train_release(replace(options(root), size=size, compile=True), tmp_path / "run")
    assert losses(tmp_path / "run") == pytest.approx(losses(run), abs=1e-5)
    held_out = metrics.read(tmp_path / "run")[-1]["held_out_loss"]
    assert held_out == pytest.approx(metrics.read(run)[-1]["held_out_loss"], abs=1e-5)
    assert len(again) == (4 if recompute else 0)
    # Of either kind of block at most one for the first lengths, one for any, and the same two
    # without gradients. Answers, whose text grows, would pass the eight that torch allows.
    assert 2 <= counters["stats"]["unique_graphs"] <= 8


def test_a_release_without_images_is_nothing_to_train_on(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1", 2, 1)
    for image in root.glob("images/*/*"):
        image.unlink()
    with pytest.raises(TrainingError, match="nothing to train on"):
        train_release(options(root), tmp_path / "run")


def test_pretrained_halves_train_and_their_checkpoint_needs_nothing_else(
    root: Path, tmp_path: Path
) -> None:
    backbones = tmp_path / "backbones"
    transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(**{**VISION, "image_size": 48})
    ).save_pretrained(backbones / "clip")
    config = language_config("qwen2")
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(backbones / "qwen2")
    make_encoder().save(str(backbones / "qwen2" / "tokenizer.json"))
    small = replace(PROBE_XS, most_text_tokens=160)
    size = with_backbones(small, str(backbones / "clip"), str(backbones / "qwen2"))
    made = replace(options(root), size=size, stage=stage_for(size, "caption"), steps=2)
    train_release(made, tmp_path / "run")
    first = metrics.read(tmp_path / "run")[0]
    assert first["learning_rate/connector"] > 5 * first["learning_rate/language"]
    shutil.rmtree(backbones)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    model, tokenizer = checkpoint.load(tmp_path / "elsewhere")
    kept = load_file(checkpoint.find(tmp_path / "elsewhere") / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert model.stage == "caption"
    image = Image.new("RGB", (60, 40), "red")
    assert isinstance(ask(model, tokenizer, image, "What is it?").text, str)
    # It is where a run of the next stage starts.
    assert checkpoint.read_size(tmp_path / "elsewhere").is_pretrained
