"""Backbones with someone's weights: features and logits against transformers' own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch.autograd.graph import saved_tensors_hooks

from pixmo.errors import TrainingError
from pixmo.molmo import checkpoint, data, language, prompts, tokenizer, weights
from pixmo.molmo.crops import preprocess
from pixmo.molmo.data import Batch
from pixmo.molmo.device import recompute
from pixmo.molmo.distributed import blocks
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.language import Cache
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.sizes import PROBE_XS, SIZES, Size, named
from pixmo.molmo.stages import FINETUNE
from pixmo.molmo.tokenizer import SPECIAL, Tokenizer

WORDS = 300  # rows of a language backbone's embedding, some of them no token's
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 11,
    "num_attention_heads": 2,
    "image_size": 50,  # no multiple of the patch: SigLIP's is none either
    "patch_size": 8,
}
LANGUAGE = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "eos_token_id": 0,
    "bos_token_id": None,
    "pad_token_id": None,
}
FAMILIES = ("olmo", "olmo2", "olmoe", "qwen2", "qwen3")
SMALL = replace(PROBE_XS, most_crops=2, most_text_tokens=160)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def language_config(family: str) -> transformers.PretrainedConfig:
    config = transformers.AutoConfig.for_model(family, **LANGUAGE)
    config.tie_word_embeddings = family.startswith("qwen")
    if family == "olmoe":
        config.num_experts, config.num_experts_per_tok = 4, 2
    return config


def make_encoder() -> Encoder:
    """A tokenizer as language models bring one: its own end of text, nothing of ours."""
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    encoder.train_from_iterator(["There is a red circle. How many?"] * 4, trainer)
    return encoder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a backbone, with random weights."""
    root = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(0)
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 10,
    }
    clip = transformers.CLIPConfig(
        text_config=text, vision_config={**VISION, "image_size": 48}, projection_dim=8
    )
    transformers.CLIPModel(clip).save_pretrained(root / "clip")
    siglip = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    transformers.SiglipModel(siglip).save_pretrained(root / "siglip")
    for family in FAMILIES:
        model = transformers.AutoModelForCausalLM.from_config(language_config(family))
        model.save_pretrained(root / family)
        make_encoder().save(str(root / family / "tokenizer.json"))
    return root


def sized(folders: Path, vision: str = "clip", language: str = "qwen2") -> Size:
    return weights.with_backbones(SMALL, str(folders / vision), str(folders / language))


def made(folders: Path, vision: str = "clip", language: str = "qwen2") -> tuple[Molmo, Tokenizer]:
    size = sized(folders, vision, language)
    read = tokenizer.of_backbone(size.language_backbone)
    return build(size, read.vocabulary_size, seed=0, pretrained=True), read


ANNOTATIONS = (
    prompts.question("1", "How many?", "There is a red circle."),
    prompts.question("2", "Is it red?", "a red circle is red"),
)


def batch_of(size: Size, read: Tokenizer, *packs: tuple[prompts.Annotation, ...]) -> Batch:
    rng = np.random.default_rng(0)
    images = [
        preprocess(Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)), size)
        for _ in packs
    ]
    packed = [data.pack(images[0], pack, read, size) for pack in packs]
    return data.collate(packed, [images[0]] * len(packs))


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "layers", "first", "mean", "deviation"),
    [
        ("clip", (-3, -10), 1, *weights.NORMALISATIONS["clip"]),
        ("siglip", (-3, -9), 0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ],
)
def test_features_are_two_layers_of_transformers_own_model(
    folders: Path, kind: str, layers: tuple[int, int], first: int, mean: object, deviation: object
) -> None:
    model, _ = made(folders, kind)
    assert model.size.feature_layers == layers
    assert (model.size.crop_pixels, model.size.margin_patches) == (48, 1)
    whole = {"clip": transformers.CLIPVisionModel, "siglip": transformers.SiglipVisionModel}[kind]
    whole = whole.from_pretrained(folders / kind).eval()
    pixels = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    scaled = torch.empty(2, 3, 48, 48)
    for channel in range(3):
        scaled[:, channel] = (pixels[..., channel] / 255 - mean[channel]) / deviation[channel]
    states = whole(pixel_values=scaled, output_hidden_states=True).hidden_states
    expected = torch.cat([states[layers[0]], states[layers[1]]], -1)[:, first:]
    found = model.eval().vision(pixels)
    assert found.shape == (2, 36, 32)
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers_own_model(folders: Path, family: str) -> None:
    model, read = made(folders, language=family)
    language = model.eval().language
    tokens = torch.tensor([read.encode("There is a red circle.")])
    x = language.embedding(tokens)
    places = torch.arange(tokens.shape[1])[None]
    found = language.logits(language(x, torch.ones_like(tokens), places))
    own = transformers.AutoModelForCausalLM.from_pretrained(folders / family).eval()
    expected = own(input_ids=tokens - len(SPECIAL)).logits
    assert found.shape[-1] == read.vocabulary_size < WORDS
    assert torch.allclose(
        found[..., len(SPECIAL) :], expected[..., : found.shape[-1] - len(SPECIAL)], atol=1e-5
    )
    end = found[..., tokenizer.EOS]
    assert torch.allclose(end, expected[..., 0], atol=1e-5), "a text ends as the backbone ends it"


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_packing_changes_no_prediction(folders: Path, family: str) -> None:
    model, read = made(folders, language=family)
    model.eval()
    both, where = model.answer_losses(batch_of(model.size, read, ANNOTATIONS))
    alone = [model.answer_losses(batch_of(model.size, read, (one,)))[0] for one in ANNOTATIONS]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)
    padded, _ = model.answer_losses(batch_of(model.size, read, ANNOTATIONS[:1], ANNOTATIONS))
    assert torch.allclose(padded, torch.cat([alone[0], both]), atol=1e-5)
    assert where.sum() == len(both)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_a_mask_in_blocks(
    folders: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = made(folders, language=family)
    batch = batch_of(model.size, read, ANNOTATIONS, ANNOTATIONS[:1])
    expected = model.train()(batch)
    made_masks: list[object] = []

    def in_blocks(segments: torch.Tensor, _cache: Cache | None) -> object:
        made_masks.append(language.block_mask(segments))
        return made_masks[-1]

    monkeypatch.setattr(weights, "mask_of", in_blocks)
    real = batch.segments != data.PADDING_SEGMENT
    assert torch.allclose(model(batch)[real], expected[real], atol=1e-5)
    assert made_masks


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_attention_gets_one_type(
    folders: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = made(folders, language=family)
    types: list[set[torch.dtype]] = []

    def watched(*tensors: torch.Tensor) -> torch.Tensor:
        types.append({one.dtype for one in tensors[:3]})
        return attend(*tensors)

    attend = weights.attend
    monkeypatch.setattr(weights, "attend", watched)
    with torch.autocast("cpu", torch.bfloat16):
        model.loss(batch_of(model.size, read, ANNOTATIONS))
    assert types == [{torch.bfloat16}] * 2  # layers


def test_a_family_that_keeps_its_own_attention_is_refused(folders: Path) -> None:
    base = made(folders)[0].language.base
    base.config._attn_implementation = "sdpa"
    base.set_attn_implementation = lambda _name: None  # as transformers 4.57 does for OLMoE
    with pytest.raises(TrainingError, match="install a newer one"):
        weights.use_own_attention(base, "olmoe")


@torch.no_grad()
def test_the_image_is_seen_in_both_directions_and_by_every_answer(folders: Path) -> None:
    model, read = made(folders)
    batch = batch_of(model.eval().size, read, ANNOTATIONS)
    before = model(batch)
    changed = replace(batch, pixels=batch.pixels.clone())
    changed.pixels[-1] = 255 - changed.pixels[-1]  # the last crop: tokens late in the prefix
    moved = (model(changed) - before).abs().amax(-1)[0]
    assert moved.min() > 1e-6


@pytest.mark.parametrize(("vision", "language"), [("clip", "olmoe"), ("siglip", "olmo2")])
def test_every_parameter_of_every_component_learns(
    folders: Path, vision: str, language: str
) -> None:
    model, read = made(folders, vision, language)
    model.train_as(FINETUNE)
    model.train().loss(batch_of(model.size, read, ANNOTATIONS)).backward()
    for name in ("vision", "connector", "language"):
        parameters = list(getattr(model, name).parameters())
        assert all(one.grad is not None for one in parameters), name
        assert sum(float(one.grad.abs().sum()) for one in parameters) > 0, name
    everything = sum(1 for _ in model.parameters())
    parts = (model.vision, model.connector, model.language)
    assert everything == sum(1 for part in parts for _ in part.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_computed_again_gives_the_same_gradients_from_less_memory(
    folders: Path, family: str
) -> None:
    model, read = made(folders, language=family)
    batch = batch_of(model.size, read, ANNOTATIONS)
    model.train_as(replace(FINETUNE, residual_dropout=0.5))
    found, kept = [], []
    for is_again in (False, True):
        if is_again:
            for block in blocks(model):
                recompute(block)
        model.zero_grad()
        torch.manual_seed(0)
        with saved_tensors_hooks(lambda one: kept[-1].append(one) or one, lambda one: one):
            kept.append([])
            loss = model.train().loss(batch)
        loss.backward()
        found.append([loss, *(one.grad for one in model.parameters())])
    for one, again in zip(*found, strict=True):
        assert torch.allclose(one, again, atol=1e-6)
    before, after = (sum(one.numel() for one in tensors) for tensors in kept)
    assert after < before / 2


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_every_branch_is_changed_just_before_it_joins(folders: Path, family: str) -> None:
    language = made(folders, language=family)[0].eval().language
    x = torch.randn(1, 5, 32)
    segments, places = torch.ones(1, 5, dtype=torch.int64), torch.arange(5)[None]
    found = language(x, segments, places, drop=lambda branch: torch.full_like(branch, 3.0))
    assert torch.allclose(found, language.base.norm(x + 2 * 2 * 3.0), atol=1e-5)
    assert not torch.allclose(language(x, segments, places), found, atol=1e-3)


def test_uneven_use_of_the_experts_costs(folders: Path) -> None:
    model, read = made(folders, language="olmoe")
    batch = batch_of(model.size, read, ANNOTATIONS, ANNOTATIONS[:1])
    plain = model.eval().loss(batch).item()
    logits: list[torch.Tensor] = []
    for layer in model.language.base.layers:
        layer.mlp.gate.register_forward_hook(lambda _m, _i, out: logits.append(out[0].detach()))
    loss = model.train().loss(batch).item()
    real = (batch.segments != data.PADDING_SEGMENT).flatten()
    assert not bool(real.all())
    shares, probabilities, rows = [0.0] * 4, [0.0] * 4, 0
    for of_layer in logits:
        for row in of_layer.view(-1, 4)[real]:
            rows += 1
            values = row.softmax(-1).tolist()
            for expert in sorted(range(4), key=lambda e: -values[e])[:2]:
                shares[expert] += 1
            probabilities = [p + v for p, v in zip(probabilities, values, strict=True)]
    cost = 4 * sum(s / rows * p / rows for s, p in zip(shares, probabilities, strict=True))
    assert loss - plain == pytest.approx(0.01 * cost, abs=1e-5)
    assert cost > 1.5


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "olmo2"])
def test_what_is_read_token_by_token_is_what_is_read_at_once(folders: Path, family: str) -> None:
    model, read = made(folders, language=family)
    batch = batch_of(model.eval().size, read, ANNOTATIONS[:1])
    length, cache = batch.tokens.shape[1] - 3, Cache()
    vectors = model(replace_text(batch, length), cache)
    assert torch.allclose(vectors, model(batch)[:, :length], atol=1e-5)
    for at in range(length, length + 3):
        one = slice(at, at + 1)
        x = model.language.embedding(batch.tokens[:, one])
        found = model.language(x, batch.segments[:, one], batch.positions[:, one], cache)
        assert torch.allclose(found, model(batch)[:, one], atol=1e-5)


def replace_text(batch: Batch, length: int) -> Batch:
    cut = {name: getattr(batch, name)[:, :length] for name in ("tokens", "segments", "positions")}
    return replace(batch, **cut, weights=batch.weights[:, :length])


def test_a_model_with_backbones_answers(folders: Path) -> None:
    model, read = made(folders)
    image = preprocess(Image.new("RGB", (60, 60), "red"), model.size)
    (answer,) = generate(model, read, [Request(image, prompts.user_turn("How many?"))], 5)
    assert isinstance(answer, str)


def test_a_backbones_tokenizer_stands_behind_the_special_tokens(
    folders: Path, tmp_path: Path
) -> None:
    read, own = tokenizer.of_backbone(str(folders / "qwen2")), make_encoder()
    for text in ("There is a red circle.", "Ünïcode 猫 <patch> <|endoftext|>\n"):
        tokens, ends = read.encode_with_ends(text)
        own.encode_special_tokens = True
        assert tokens == [7 + token for token in own.encode(text).ids]
        assert ends[-1] == len(text)
        assert read.decode([tokenizer.BOS, *tokens, tokenizer.EOS]) == text
    assert read.vocabulary_size == 7 + own.get_vocab_size()
    read.save(tmp_path / "tokenizer.json")
    again = tokenizer.load(tmp_path / "tokenizer.json")
    assert again.encode("red") == read.encode("red")


def test_a_checkpoint_brings_weights_and_configs_back(folders: Path, tmp_path: Path) -> None:
    model, read = made(folders, "siglip", "olmo2")
    with torch.no_grad():
        model.language.special += 1.0
    model.size = weights.keep_configs(model.size, tmp_path / "run")
    checkpoint.save(tmp_path / "run", model, read)
    again, tokens = checkpoint.load(tmp_path / "run")
    assert again.size.vision_backbone.startswith(str(tmp_path))
    batch = batch_of(model.size, tokens, ANNOTATIONS)
    with torch.no_grad():
        assert again.eval().loss(batch).item() == model.eval().loss(batch).item()


def test_a_size_takes_its_dimensions_from_the_backbones(folders: Path) -> None:
    size = sized(folders, "clip", "olmoe")
    assert (size.vision_width, size.vision_layers, size.pooled_width) == (16, 11, 16)
    assert (size.width, size.layers, size.inner, size.experts) == (32, 2, 48, 4)
    assert size.connector_inner == 96  # two experts a token
    assert size.image_normalisation == "clip"
    assert not size.tied
    assert size.is_pretrained
    assert weights.with_backbones(SMALL) == SMALL


# Configs with the published dimensions of the backbones that the sizes name.
QWEN = {"num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
PUBLISHED: dict[str, dict[str, int | bool]] = {
    "molmo-7b-d": {
        **QWEN,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "molmo-0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_family_has_the_dimensions_of_its_backbones(name: str, tmp_path: Path) -> None:
    vision = transformers.CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    vision.save_pretrained(tmp_path / "vision")
    transformers.Qwen2Config(**PUBLISHED[name]).save_pretrained(tmp_path / "language")
    size = named(name)
    found = weights.with_backbones(size, str(tmp_path / "vision"), str(tmp_path / "language"))
    named_alike = replace(
        found, vision_backbone=size.vision_backbone, language_backbone=size.language_backbone
    )
    assert named_alike == size


def test_what_cannot_be_loaded_is_said_in_one_line(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match=r"cannot be loaded: .*; give a name") as error:
        weights.with_backbones(SMALL, vision=str(tmp_path / "empty"))
    assert "\n" not in str(error.value)
    with pytest.raises(TrainingError, match="is a qwen2; known are clip_vision_model"):
        weights.with_backbones(SMALL, vision=str(folders / "qwen2"))
    shallow = transformers.CLIPVisionConfig(**{**VISION, "num_hidden_layers": 4})
    shallow.save_pretrained(tmp_path / "shallow")
    with pytest.raises(TrainingError, match="has 4 layers"):
        weights.with_backbones(SMALL, vision=str(tmp_path / "shallow"))
    size = sized(folders)
    with pytest.raises(TrainingError, match=r"has width 32, the size probe-xs says 64"):
        build(replace(size, width=64), 300, seed=0)
    with pytest.raises(TrainingError, match="knows 308 tokens"):
        build(size, WORDS + 8, seed=0)
    with pytest.raises(TrainingError, match=r"has no tokenizer\.json"):
        tokenizer.of_backbone(str(folders / "clip"))
    config = transformers.AutoConfig.from_pretrained(folders / "qwen2")
    (tmp_path / "bare").mkdir()
    config.save_pretrained(tmp_path / "bare")
    with pytest.raises(TrainingError, match="cannot be loaded"):
        build(replace(size, language_backbone=str(tmp_path / "bare")), 300, 0, pretrained=True)


def test_missing_weights_are_an_error(folders: Path, tmp_path: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(folders / "olmo2")
    config.num_hidden_layers = 3
    transformers.AutoModelForCausalLM.from_pretrained(folders / "olmo2").save_pretrained(
        tmp_path / "more"
    )
    config.save_pretrained(tmp_path / "more")
    size = weights.with_backbones(SMALL, language=str(tmp_path / "more"))
    with pytest.raises(TrainingError, match="has no weights for"):
        build(size, 300, seed=0, pretrained=True)


def test_every_size_can_be_built_and_holds_a_wide_image() -> None:
    for size in SIZES.values():
        assert size.crop_pixels % size.patch_pixels == 0
        assert size.width % size.heads == size.vision_width % size.vision_heads == 0
        assert size.heads % size.queries_per_key == 0
        assert size.pooled_width % size.vision_heads == 0
        assert max(map(abs, size.feature_layers)) <= size.vision_layers
        image = Image.new("RGB", (1920, 1080))
        prefix = 1 + len(data.image_tokens(preprocess(image, size)))
        assert prefix < size.sequence_length, size.name
