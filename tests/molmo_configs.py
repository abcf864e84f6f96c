"""Configs of backbones with a size's own dimensions: what the hub would give, without weights."""

from dataclasses import replace
from pathlib import Path

import transformers

from pixmo.molmo import weights
from pixmo.molmo.sizes import PROBE_XS, Size
from pixmo.molmo.tokenizer import SPECIAL

# Learns a picture by heart in seconds.
TINY = replace(
    PROBE_XS,
    vision_width=32,
    vision_heads=2,
    vision_inner=128,
    pooled_width=48,
    connector_inner=64,
    width=32,
    heads=2,
    inner=80,
    vocabulary_size=320,
    crop_pixels=48,
)


def with_configs(root: Path, size: Size) -> Size:
    """The size with backbones of its own dimensions in folders: configs, no weights."""
    transformers.CLIPVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=size.vision_inner,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        image_size=size.crop_pixels,
        patch_size=size.patch_pixels,
    ).save_pretrained(root / "vision")
    family = "qwen2" if "Qwen" in size.language_backbone else "olmo2"
    experts = {"num_experts": size.experts, "num_experts_per_tok": size.experts_per_token}
    config = transformers.AutoConfig.for_model(
        "olmoe" if size.experts else family,
        vocab_size=size.vocabulary_size - len(SPECIAL),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads // size.queries_per_key,
        tie_word_embeddings=size.tied,
        **(experts if size.experts else {}),
    )
    config.save_pretrained(root / "language")
    return weights.with_backbones(size, str(root / "vision"), str(root / "language"))
