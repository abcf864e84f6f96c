"""Backbones with someone's weights, through transformers, behind the interfaces of our own.

A vision backbone gives the outputs of two of its layers; what lies after them is never loaded. A
language backbone keeps its own tokens, after the special ones of `tokenizer.SPECIAL`: token n of
ours is its token n - 7. Source: arXiv 2409.17146, section 2.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixmo.errors import TrainingError
from pixmo.molmo.attention import attend
from pixmo.molmo.data import PADDING_SEGMENT
from pixmo.molmo.language import Cache, Drop, mask_of
from pixmo.molmo.sizes import Normalisation, Size
from pixmo.molmo.tokenizer import BOS, EOS, SPECIAL

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Means and deviations of red, green and blue, of values from 0 to 1.
NORMALISATIONS: dict[Normalisation, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
MARGIN_SHARE = 6  # a margin is a sixth of a crop's side: 4 patches of 24, as in Molmo, and of 27

ATTENTION = "pixmo"  # its name among transformers' implementations


@dataclass(frozen=True)
class VisionKind:
    """What must be known of a family of vision backbones."""

    model: str  # its class in transformers
    feature_layers: tuple[int, int]
    class_tokens: int  # before the patches
    normalisation: Normalisation


# Layers: CLIP's as in Molmo, SigLIP's as in Molmo2, whose vision backbone it is.
VISION_KINDS = {
    "clip_vision_model": VisionKind("CLIPVisionModel", (-3, -10), 1, "clip"),
    "siglip_vision_model": VisionKind("SiglipVisionModel", (-3, -9), 0, "half"),
}
# Which modules of a layer end its two branches: what they give joins the residual stream.
BRANCHES = {
    "olmo": ("self_attn", "mlp"),
    "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "olmoe": ("self_attn", "mlp"),
    "qwen2": ("self_attn", "mlp"),
    "qwen3": ("self_attn", "mlp"),
}


class PretrainedVision(nn.Module):
    """Crops → patch features, by a vision transformer of the Hugging Face hub or a folder."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: Size, pretrained: bool) -> None:
        super().__init__()
        config = vision_config(size.vision_backbone)
        check_fits(size, vision_shape(config), size.vision_backbone)
        kind = VISION_KINDS[config.model_type]
        # State 0 is what goes into the first layer.
        self.states = [config.num_hidden_layers + 1 + layer for layer in size.feature_layers]
        self.class_tokens = kind.class_tokens
        config.num_hidden_layers = max(self.states)
        config.vision_use_head = False
        model = getattr(load_transformers(), kind.model)
        self.transformer = load(model, config, size.vision_backbone, pretrained)
        # It would follow the last layer, whose normalised output nobody reads.
        getattr(self.transformer, "vision_model", self.transformer).post_layernorm = nn.Identity()
        mean, deviation = NORMALISATIONS[size.image_normalisation]
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(mean).view(shape), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(shape), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(crops, side, side, 3) of 0 to 255 → (crops, patches, feature width)."""
        scaled = (pixels.permute(0, 3, 1, 2) / 255.0 - self.mean) / self.deviation
        states = self.transformer(pixel_values=scaled, output_hidden_states=True).hidden_states
        return torch.cat([states[number] for number in self.states], -1)[:, self.class_tokens :]


class PretrainedLanguage(nn.Module):
    """Token vectors → the vectors that predict the next tokens, by a decoder of the hub.

    Special tokens have rows of their own beside its embedding and, where that is another, its
    head; the ends of a text start as its own ends.
    """

    def __init__(self, size: Size, vocabulary_size: int, pretrained: bool) -> None:
        super().__init__()
        name = size.language_backbone
        config = language_config(name)
        check_fits(size, language_shape(config), name)
        if vocabulary_size > config.vocab_size + len(SPECIAL):
            raise TrainingError(
                f"the tokenizer knows {vocabulary_size} tokens, the backbone {name} only"
                f" {config.vocab_size}; use the backbone's own tokenizer"
            )
        model = load(load_transformers().AutoModelForCausalLM, config, name, pretrained)
        self.vocabulary_size = vocabulary_size
        self.base = model.base_model
        use_own_attention(self.base, name)
        self.special = nn.Parameter(special_rows(self.words.weight, config))
        self.head: nn.Linear | None = None
        if not config.tie_word_embeddings:
            self.head = model.get_output_embeddings()
            self.special_head = nn.Parameter(special_rows(self.head.weight, config))
        self.auxiliary_loss: Tensor | None = None
        self._drop: Drop | None = None
        for layer in self.base.layers:
            for branch in BRANCHES[config.model_type]:
                getattr(layer, branch).register_forward_hook(self._drop_branch)

    @property
    def words(self) -> nn.Embedding:
        """The backbone's own embedding."""
        found: nn.Embedding = self.base.get_input_embeddings()
        return found

    def embedding(self, tokens: Tensor) -> Tensor:
        """(…) → (…, width)."""
        special = F.embedding(tokens.clamp(max=len(SPECIAL) - 1), self.special)
        words = self.words((tokens - len(SPECIAL)).clamp(min=0))
        return torch.where((tokens < len(SPECIAL)).unsqueeze(-1), special, words)

    def forward(
        self,
        x: Tensor,
        segments: Tensor,
        positions: Tensor,
        cache: Cache | None = None,
        drop: Drop | None = None,
    ) -> Tensor:
        """x (batch, length, width); segments and positions (batch, length) → shape of `x`.

        With `cache`, the tokens come after those that it holds, and are held from now on.
        """
        if cache is not None and cache.backbone is None:
            cache.backbone = load_transformers().DynamicCache()
        balanced = self.training and bool(getattr(self.base.config, "num_experts", 0))
        self._drop = drop  # stays until the next pass: layers may be run again going backwards
        found = self.base(
            inputs_embeds=x,
            attention_mask=mask_of(segments, cache),
            position_ids=positions,
            past_key_values=None if cache is None else cache.backbone,
            use_cache=cache is not None,
            **({"output_router_logits": True} if balanced else {}),
        )
        self.auxiliary_loss = self._router_loss(found.router_logits, segments) if balanced else None
        out: Tensor = found.last_hidden_state
        return out

    def logits(self, x: Tensor) -> Tensor:
        """(…, width) → (…, vocabulary); rows of the head that no token has are left out."""
        head, special = self.words.weight, self.special
        if self.head is not None:
            head, special = self.head.weight, self.special_head
        words = F.linear(x, head[: self.vocabulary_size - len(SPECIAL)])
        return torch.cat([F.linear(x, special), words], -1)

    def _router_loss(self, logits: tuple[Tensor, ...], segments: Tensor) -> Tensor:
        """What uneven use of the experts costs. Source: arXiv 2101.03961, equations 4 to 6."""
        from transformers.models.olmoe.modeling_olmoe import load_balancing_loss_func

        config = self.base.config
        real = (segments != PADDING_SEGMENT).to(torch.int64)
        loss: Tensor = load_balancing_loss_func(
            logits, config.num_experts, config.num_experts_per_tok, real
        )
        return loss * float(config.router_aux_loss_coef)

    def _drop_branch(self, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        """A branch's result after dropout; some give a tuple, of which it is the first."""
        if self._drop is None:
            return None
        if isinstance(output, tuple):
            return (self._drop(output[0]), *output[1:])
        return self._drop(output)


def use_own_attention(base: Any, name: str) -> None:
    """A decoder of transformers computes attention as `attend_for_transformers`.

    Raises:
        TrainingError: this version of its family keeps to attention of its own.
    """
    load_transformers().AttentionInterface.register(ATTENTION, attend_for_transformers)
    base.set_attn_implementation(ATTENTION)
    if base.config._attn_implementation != ATTENTION:
        raise TrainingError(
            f"the backbone {name} is of a family whose attention this transformers does not let"
            " be chosen; install a newer one: pip install -U transformers"
        )


def attend_for_transformers(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **_: object
) -> tuple[Tensor, None]:
    """Attention in the form that transformers calls: our own, under either kind of mask.

    Each (batch, heads, length, head width) → (batch, length, heads, head width). In bfloat16 the
    rotations of queries and keys give float32 back; blocks need one type. What else is passed is
    the same in every known family (the scale) or not used in training (attention dropout).
    """
    found = attend(query.to(value.dtype), key.to(value.dtype), value, mask)
    return found.transpose(1, 2).contiguous(), None


def special_rows(weight: Tensor, config: "PretrainedConfig") -> Tensor:
    """Rows for the special tokens: those of the text's ends, else as spread as `weight`."""
    rows = torch.randn(len(SPECIAL), weight.shape[1]) * weight.detach().std()
    end = config.eos_token_id
    end = end[0] if isinstance(end, list) else end
    if end is not None:
        rows[EOS] = weight[end].detach()
        rows[BOS] = weight[end if config.bos_token_id is None else config.bos_token_id].detach()
    return rows


def with_backbones(size: Size, vision: str = "", language: str = "") -> Size:
    """The size with its halves replaced by the named ones, as their configs describe them.

    Raises:
        TrainingError: there is no such backbone, or it is of a family that is not known.
    """
    if vision:
        config = vision_config(vision)
        kind = VISION_KINDS[config.model_type]
        if config.num_hidden_layers < -min(kind.feature_layers):
            raise TrainingError(
                f"the vision backbone {vision} has {config.num_hidden_layers} layers; features are"
                f" taken from layers {kind.feature_layers}"
            )
        size = replace(size, **vision_shape(config), vision_backbone=vision)
        size = replace(
            size,
            feature_layers=kind.feature_layers,
            margin_patches=size.patches_per_side // MARGIN_SHARE,
            pooled_width=size.vision_width,
            image_normalisation=kind.normalisation,
        )
    if language:
        shape = language_shape(language_config(language))
        size = replace(size, **shape, language_backbone=language)
        size = replace(size, connector_inner=size.inner * max(1, size.experts_per_token))
    return size


def vision_shape(config: "PretrainedConfig") -> dict[str, Any]:
    """The dimensions of a size that a vision backbone fixes."""
    return {
        "crop_pixels": config.image_size // config.patch_size * config.patch_size,
        "patch_pixels": config.patch_size,
        "vision_width": config.hidden_size,
        "vision_layers": config.num_hidden_layers,
        "vision_heads": config.num_attention_heads,
        "vision_inner": config.intermediate_size,
    }


def language_shape(config: "PretrainedConfig") -> dict[str, Any]:
    """The dimensions of a size that a language backbone fixes."""
    return {
        "width": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "inner": config.intermediate_size,
        "vocabulary_size": config.vocab_size + len(SPECIAL),
        "queries_per_key": config.num_attention_heads // config.num_key_value_heads,
        "experts": getattr(config, "num_experts", 0),
        "experts_per_token": getattr(config, "num_experts_per_tok", 0),
        "tied": config.tie_word_embeddings,
    }


def check_fits(size: Size, shape: dict[str, Any], name: str) -> None:
    """The backbone has the dimensions that the size says.

    Raises:
        TrainingError: it has not.
    """
    for field, found in shape.items():
        expected = getattr(size, field)
        if found != expected:
            raise TrainingError(
                f"the backbone {name} has {field} {found}, the size {size.name} says {expected};"
                " name the backbone itself, so that the size follows it"
            )


def vision_config(name: str) -> "PretrainedConfig":
    """The config of a vision backbone; of the vision half where a model has two.

    Raises:
        TrainingError: there is none, or it is of a family that is not known.
    """
    config = read_config(name)
    return known(getattr(config, "vision_config", config), VISION_KINDS, name)


def language_config(name: str) -> "PretrainedConfig":
    """The config of a language backbone.

    Raises:
        TrainingError: there is none, or it is of a family that is not known.
    """
    return known(read_config(name), BRANCHES, name)


def known(config: "PretrainedConfig", kinds: dict[str, Any], name: str) -> "PretrainedConfig":
    """`config`, whose family is one of `kinds`."""
    if config.model_type in kinds:
        return config
    raise TrainingError(
        f"the backbone {name} is a {config.model_type}; known are {', '.join(sorted(kinds))}"
    )


def read_config(name: str) -> "PretrainedConfig":
    """The config in the folder, or of the model on the Hugging Face hub, called `name`."""
    try:
        return load_transformers().AutoConfig.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(name, error) from error


def load(model: Any, config: "PretrainedConfig", name: str, pretrained: bool) -> Any:
    """A model of that class and config, in float32, with its weights or with random ones.

    Raises:
        TrainingError: its weights cannot be read, or some are missing.
    """
    if not pretrained:
        return model.from_config(config) if hasattr(model, "from_config") else model(config)
    try:
        found, report = model.from_pretrained(
            name, config=config, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise cannot_load(name, error) from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise TrainingError(f"the backbone {name} has no weights for {missing}")
    return found


def cannot_load(name: str, error: Exception) -> TrainingError:
    """The error in one line, and what to do."""
    reason = str(error).strip().splitlines()[0]
    return TrainingError(
        f"the backbone {name} cannot be loaded: {reason}; give a name on the Hugging Face hub or"
        " a folder that holds the model"
    )


def keep_configs(size: Size, folder: Path) -> Size:
    """The backbones' configs are in `folder`, and the size names them there.

    A checkpoint has the weights; with these it can be loaded where the backbones are not.
    """
    if size.vision_backbone:
        read_config(size.vision_backbone).save_pretrained(folder / "vision_backbone")
        size = replace(size, vision_backbone=str(folder / "vision_backbone"))
    if size.language_backbone:
        read_config(size.language_backbone).save_pretrained(folder / "language_backbone")
        size = replace(size, language_backbone=str(folder / "language_backbone"))
    return size


def load_transformers() -> ModuleType:
    """The package.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise TrainingError(
            "pretrained backbones need transformers; install it: pip install 'pixmo[train]'"
        ) from error
    module: ModuleType = transformers
    return module
