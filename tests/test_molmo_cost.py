"""Weights and operations against the models themselves, and the page of sizes against both."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pixmo.dataset.reader import Release
from pixmo.molmo import cost, data, tokenizer
from pixmo.molmo.language import may_look
from pixmo.molmo.model import build
from pixmo.molmo.sizes import PROBE_XS, SIZES, Size, named
from pixmo.molmo.stages import CAPTION, FINETUNE
from tests.molmo_configs import with_configs
from tests.releases import write_release

DOCS = Path(__file__).parents[1] / "docs"


def matrices(module: torch.nn.Module) -> int:
    return sum(one.numel() for one in module.parameters() if one.ndim >= 2)


@pytest.mark.parametrize("name", ["probe-xs", "probe-m"])
def test_the_weights_are_those_of_a_model_from_scratch(name: str) -> None:
    size = named(name)
    with torch.device("meta"):
        model = build(size, size.vocabulary_size, seed=0)
    found = cost.weights(size)
    assert found.vision == matrices(model.vision)
    assert found.connector == matrices(model.connector)
    assert found.language == matrices(model.language)
    assert found.total == found.vision + found.connector + found.language


@pytest.mark.parametrize("name", ["molmo-0.5b", "molmo-e-1b"])
def test_the_weights_are_those_of_the_family(name: str, tmp_path: Path) -> None:
    size = with_configs(tmp_path, named(name))
    with torch.device("meta"):
        model = build(size, size.vocabulary_size, seed=0)
    found = cost.weights(named(name))
    # Positions and routers are left out.
    assert found.vision == pytest.approx(matrices(model.vision), rel=3e-3)
    assert found.connector == matrices(model.connector)
    assert found.language == pytest.approx(matrices(model.language), rel=3e-3)


@pytest.mark.parametrize("most_crops", [0, 2])
def test_operations_are_those_that_torch_counts(most_crops: int, tmp_path: Path) -> None:
    size = replace(PROBE_XS, most_crops=most_crops, vision_layers=3)
    release = Release.open(write_release(tmp_path / "v1", train=3, held_out=2))
    examples = data.read_examples(release, ["train"], ["cap", "ama", "points"])
    made = tokenizer.train([], 300)
    crops = [data.load_crops(release, example, size) for example in examples]
    packed = [data.pack(c, e.annotations, made, size) for c, e in zip(crops, examples, strict=True)]
    batch = data.collate(packed, crops)
    size = replace(size, vocabulary_size=made.vocabulary_size)
    model, work = build(size, size.vocabulary_size, seed=0), cost.work_of(batch)
    may, rows = may_look(batch.segments, batch.segments).tolist(), batch.segments.tolist()
    assert work.pairs == sum(
        may[row][q][k]
        for row, of in enumerate(rows)
        for q, k in itertools.product(range(len(of)), repeat=2)
        if of[q] >= 0 and of[k] >= 0
    )
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(batch)
    # Torch counts padding and every pair of tokens, and the little attention within windows.
    tokens = batch.tokens.numel()
    padded = replace(work, tokens=tokens, pairs=tokens * batch.tokens.shape[1])
    windows = 4 * work.image_tokens * 4 * size.pooled_width
    counted = counter.get_total_flops() - windows
    assert cost.operations(size, padded).total / 3 == pytest.approx(counted, rel=1e-3)
    assert cost.operations(size, work).total < cost.operations(size, padded).total


def test_the_page_shows_every_size_and_stage() -> None:
    page = (DOCS / "training.md").read_text("utf-8")
    for line in [size_row(size) for size in SIZES.values()] + stage_rows():
        assert line in page, line


def size_row(size: Size) -> str:
    """A line of the table of sizes."""
    found = cost.weights(size)
    crops = f"1 + {size.most_crops}" if size.most_crops else "1"
    backbones = " + ".join(filter(None, (size.vision_backbone, size.language_backbone)))
    cells = [
        f"`{size.name}`",
        f"{size.crop_pixels} / {size.patch_pixels}",
        crops,
        f"{size.vision_width} × {size.vision_layers}",
        f"{size.width} × {size.layers}",
        *(f"{count / 1e6:,.1f}" for count in (found.vision, found.connector, found.language)),
        backbones or "from scratch",
    ]
    return f"| {' | '.join(cells)} |"


def stage_rows() -> list[str]:
    """The lines of the table of stages."""
    stages = (CAPTION, FINETUNE)
    rows = {
        part: [
            f"{getattr(one, part).learning_rate:g}, {getattr(one, part).warmup_steps:,}"
            for one in stages
        ]
        for part in ("connector", "vision", "language")
    }
    rows |= {
        "examples a batch": [str(one.batch_examples) for one in stages],
        "steps": [f"{one.steps:,}" for one in stages],
        "gradient norm of a component": [f"{one.gradient_norm:g}" for one in stages],
        "residual dropout": [f"{one.residual_dropout:g}" for one in stages],
        "z-loss": [f"{one.z_loss:g}" for one in stages],
        "final share of the rate": [f"{one.final_share:g}" for one in stages],
    }
    return [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
