"""One step of training against slow references: schedules, clipping, components, micro-batches."""

import math
from dataclasses import replace

import pytest
import torch

from pixmo.dataset.reader import Release
from pixmo.errors import TrainingError
from pixmo.molmo import data, tokenizer
from pixmo.molmo.data import Batch
from pixmo.molmo.model import Molmo, answered, build
from pixmo.molmo.optimisers import (
    COMPONENTS,
    ComponentOptimiser,
    Schedule,
    component_optimisers,
    stage_for,
)
from pixmo.molmo.sizes import MOLMO_1B, PROBE_XS
from pixmo.molmo.stages import (
    CAPTION,
    CAPTION_FROM_SCRATCH,
    FINETUNE,
    FINETUNE_FROM_SCRATCH,
    Component,
)
from pixmo.molmo.train import Objective, TrainingOptions, mean_loss, training_step
from tests.releases import write_release
from tests.train_together import TINY

STEPS = 10
RATES = {"vision": 1e-3, "connector": 4e-3, "language": 2e-3}


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> list[Batch]:
    """Six examples in batches of one."""
    root = write_release(tmp_path_factory.mktemp("release"), train=6, held_out=1)
    release = Release.open(root)
    examples = data.read_examples(release, ["train"], ["cap", "ama", "points"])
    # Of different lengths, so that it matters how a mean is taken.
    examples = [
        replace(one, annotations=one.annotations[: 1 + n % 4]) for n, one in enumerate(examples)
    ]
    texts = [one.prompt + one.answer for example in examples for one in example.annotations]
    made = tokenizer.train(texts, TINY.vocabulary_size)
    crops = [data.load_crops(release, example, TINY) for example in examples]
    return [
        data.collate([data.pack(image, example.annotations, made, TINY)], [image])
        for image, example in zip(crops, examples, strict=True)
    ]


def joined(batches: list[Batch]) -> Batch:
    """The batches of one as one batch."""
    length = max(one.tokens.shape[1] for one in batches)

    def rows(name: str, filling: int) -> torch.Tensor:
        values = [getattr(one, name) for one in batches]
        return torch.cat(
            [
                torch.nn.functional.pad(value, (0, length - value.shape[1]), value=filling)
                for value in values
            ]
        )

    windows, slots, patches = [], [], 0
    for number, one in enumerate(batches):
        windows.append(torch.where(one.windows < 0, one.windows, one.windows + patches))
        slots.append(one.slots + number * length)
        patches += one.real.numel()
    return Batch(
        tokens=rows("tokens", 0),
        segments=rows("segments", data.PADDING_SEGMENT),
        positions=rows("positions", 0),
        weights=rows("weights", 0),
        pixels=torch.cat([one.pixels for one in batches]),
        real=torch.cat([one.real for one in batches]),
        windows=torch.cat(windows),
        slots=torch.cat(slots),
    )


def ready() -> tuple[Objective, tuple[ComponentOptimiser, ...]]:
    """A model and its optimisers, whose rates need no warm-up."""
    model = build(TINY, 320, seed=2)
    stage = replace(
        stage_for(TINY, "caption"),
        residual_dropout=0.0,
        **{name: Component(rate, 1) for name, rate in RATES.items()},
    )
    model.train_as(stage)
    return Objective(model).train(), component_optimisers(model, stage, STEPS)


# Peak 2, 4 warm-up steps, 8 steps, final share .1: (step + 1) / 4 up to 1, times .1 + .9 times
# (1 + cos(pi x)) / 2, where x is how much of the cosine's steps is done.
@pytest.mark.parametrize(
    ("cosine_from", "step", "rate"),
    [
        (0, 0, 2 * 1 / 4 * 1.0),
        (0, 1, 2 * 2 / 4 * (0.1 + 0.9 * (1 + math.cos(math.pi / 8)) / 2)),
        (0, 3, 2 * (0.1 + 0.9 * (1 + math.cos(3 * math.pi / 8)) / 2)),
        (0, 4, 2 * 0.55),
        (0, 8, 2 * 0.1),
        (4, 0, 2 * 1 / 4),
        (4, 3, 2.0),
        (4, 4, 2.0),
        (4, 5, 2 * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)),
        (4, 6, 2 * 0.55),
        (4, 8, 2 * 0.1),
    ],
)
def test_the_schedule_is_a_warm_up_times_a_cosine(cosine_from: int, step: int, rate: float) -> None:
    assert Schedule(2.0, 4, 8, 0.1, cosine_from).at(step) == pytest.approx(rate, rel=1e-12)


def test_a_half_from_random_weights_keeps_its_own_rate() -> None:
    for name, published, random in (
        ("caption", CAPTION, CAPTION_FROM_SCRATCH),
        ("finetune", FINETUNE, FINETUNE_FROM_SCRATCH),
    ):
        sees, reads = (
            stage_for(replace(TINY, **{half: "someone/model"}), name)
            for half in ("vision_backbone", "language_backbone")
        )
        assert (sees.vision, sees.language) == (published.vision, random.language)
        assert (reads.vision, reads.language) == (random.vision, published.language)
        assert sees.steps == reads.steps == published.steps
        assert stage_for(MOLMO_1B, name) == published
        assert stage_for(TINY, name) == random
        assert random.vision.learning_rate > 10 * published.vision.learning_rate


def test_a_short_run_warms_up_in_the_same_share_of_its_steps() -> None:
    stage = CAPTION  # a rate and a warm-up of their own for every component
    short, whole = (
        component_optimisers(build(TINY, 320, seed=0), stage, steps)
        for steps in (stage.steps // 10, 10**6)
    )
    for name, own, long in zip(COMPONENTS, short, whole, strict=True):
        component: Component = getattr(stage, name)
        assert own.name == name
        assert own.schedule.peak == component.learning_rate
        assert own.schedule.warmup_steps == round(component.warmup_steps / 10)
        assert own.schedule.at(own.schedule.warmup_steps) == component.learning_rate
        assert long.schedule.warmup_steps == component.warmup_steps


def test_every_component_is_clipped_alone_and_follows_adamw_at_its_own_rate(
    batches: list[Batch],
) -> None:
    objective, optimisers = ready()
    whole = joined(batches)
    gradients, before = {}, {}
    loss = objective.model.loss(whole)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in objective.model.named_parameters():
        assert parameter.grad is not None
        gradients[name] = parameter.grad.clone()
        before[name] = parameter.detach().clone()
    measured = training_step(objective, optimisers, [whole], 0)
    assert measured.loss == pytest.approx(loss.item(), abs=1e-6)
    for component, optimiser in zip(COMPONENTS, optimisers, strict=True):
        own = {name: g for name, g in gradients.items() if name.startswith(component)}
        assert own
        norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in own.values()))
        assert measured.gradient_norms[component] == pytest.approx(norm, rel=1e-4)
        assert norm > optimiser.gradient_norm or component != "language", (
            "this one is to be clipped"
        )
        share = min(1.0, optimiser.gradient_norm / norm)
        for name, gradient in own.items():
            # The first step of AdamW: mean and square root of the mean square are both the
            # gradient itself, so that it moves by its rate, but for what epsilon takes.
            clipped = share * gradient
            moved = RATES[component] * clipped / (clipped.abs() + 1e-6)
            found = before[name] - objective.model.get_parameter(name).detach()
            assert torch.allclose(found, moved, atol=2e-3 * RATES[component]), name


def test_the_probe_moves_as_one_with_muon() -> None:
    model = build(PROBE_XS, 320, seed=0)
    (optimiser,) = component_optimisers(model, stage_for(PROBE_XS, "caption"), 700)
    assert len(optimiser.parameters) == len(list(model.parameters()))
    assert {type(one).__name__ for one in optimiser.torch_optimisers} == {"Muon", "AdamW"}
    options = TrainingOptions(steps=700)  # how validation trains the probe
    assert optimiser.schedule == options.schedule == Schedule(3e-3, 50, 700, 0.1, cosine_from=0)


def test_micro_batches_add_up_to_the_whole_batch(batches: list[Batch]) -> None:
    cuts = ([joined(batches)], [joined(batches[:1]), joined(batches[1:])], batches)
    found: list[tuple[list[float], list[float], Molmo]] = []
    for cut in cuts:
        objective, optimisers = ready()
        steps = [training_step(objective, optimisers, cut, step) for step in range(4)]
        norms = [norm for step in steps for norm in step.gradient_norms.values()]
        found.append(([step.loss for step in steps], norms, objective.model))
    for losses, norms, model in found[1:]:
        assert losses == pytest.approx(found[0][0], abs=2e-5)
        assert norms == pytest.approx(found[0][1], rel=1e-3)
        for one, other in zip(model.parameters(), found[0][2].parameters(), strict=True):
            assert torch.allclose(one, other, atol=1e-3)


@torch.no_grad()
def test_the_held_out_loss_is_the_mean_over_all_tokens_and_teaches_nothing(
    batches: list[Batch],
) -> None:
    objective, _ = ready()
    total = weight = 0.0
    for batch in batches:
        losses, where = objective.model.answer_losses(batch)
        weights = batch.weights[:, 1:][where]
        total += float((losses * weights).sum())
        weight += float(weights.sum())
    assert mean_loss(objective, iter(batches)) == pytest.approx(total / weight, rel=1e-5)
    assert all(parameter.grad is None for parameter in objective.parameters())


@torch.no_grad()
def test_the_z_loss_is_trained_on_and_not_reported(batches: list[Batch]) -> None:
    objective, _ = ready()
    model = objective.model
    model.z_loss = 0.1
    batch = batches[0]
    where = answered(batch)
    logits = model.language.logits(model(batch)[:, :-1][where]).double()
    normaliser = logits.logsumexp(-1)
    nats = normaliser - logits.gather(-1, batch.tokens[:, 1:][where].unsqueeze(-1)).squeeze(-1)
    weights = batch.weights[:, 1:][where]
    trained = ((nats + 0.1 * normaliser**2) * weights).sum()
    assert objective(batch).item() == pytest.approx(trained.item(), rel=1e-5)
    assert objective.eval()(batch).item() == pytest.approx((nats * weights).sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("at", "says"),
    [("loss", "the loss is nan at step 0"), ("gradient", "gradient of the connector is (inf|nan)")],
)
def test_what_is_no_number_stops_the_run_before_anything_moves(
    batches: list[Batch], at: str, says: str
) -> None:
    objective, optimisers = ready()
    bias = objective.model.connector.down.bias
    if at == "loss":
        broken = objective.model.language.register_forward_hook(lambda *given: given[-1] * math.inf)
    else:
        broken = bias.register_hook(lambda gradient: gradient * math.inf)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    with pytest.raises(TrainingError, match=f"{says}.*lower learning rate"):
        training_step(objective, optimisers, batches[:1], 0)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    broken.remove()
    training_step(objective, optimisers, batches[:1], 0)
    assert not torch.equal(bias, before["model.connector.down.bias"])
