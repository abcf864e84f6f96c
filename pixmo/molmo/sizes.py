"""One dial: the name of a size, from which every dimension of the model follows."""

from dataclasses import dataclass, replace
from typing import Literal

from pixmo.errors import TrainingError

# What a pixel of 0 to 255 becomes: -1 to 1 (ours, SigLIP), or CLIP's means and deviations.
Normalisation = Literal["half", "clip"]


@dataclass(frozen=True)
class Size:
    """Every dimension of a model."""

    name: str
    # Images
    crop_pixels: int  # side of a square crop, and of the resized whole image
    patch_pixels: int  # side of a square patch
    margin_patches: int  # of context on each side of a crop; dropped where crops overlap
    most_crops: int  # beside the resized whole image; 0 is the whole image alone
    # Vision transformer
    vision_width: int
    vision_layers: int
    vision_heads: int
    vision_inner: int  # width inside a block's perceptron
    feature_layers: tuple[int, ...]  # whose outputs are concatenated; -1 is the last
    # Connector
    pooled_width: int  # inside the attention over four patches
    connector_inner: int  # inside the gated perceptron after it
    # Language model
    width: int
    layers: int
    heads: int
    inner: int  # width inside a block's gated perceptron, or of one expert
    rope_base: float
    vocabulary_size: int  # at most; a small release fills less
    most_answer_tokens: int  # of one answer; a longer one is cut
    most_text_tokens: int  # of all annotations of one image together
    # What most models need not say
    sequence_length: int = 2304  # at most, image and text together
    queries_per_key: int = 1  # query heads of the language model that share a key head
    experts: int = 0  # of a mixture of experts; 0 is one perceptron
    experts_per_token: int = 0
    tied: bool = True  # whether the language model's embedding is its head, too
    image_normalisation: Normalisation = "half"
    # What a device of 80 GB holds
    micro_batch: int = 16  # examples computed at once, unless a run is told otherwise
    recompute: bool = False  # whether blocks run again going backwards rather than keep it all
    # Names on the Hugging Face hub, or folders; empty is our own model, from random weights
    vision_backbone: str = ""
    language_backbone: str = ""

    @property
    def is_pretrained(self) -> bool:
        """Whether a half of the model starts from someone's weights."""
        return bool(self.vision_backbone or self.language_backbone)

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a crop."""
        return self.crop_pixels // self.patch_pixels

    @property
    def patches_per_crop(self) -> int:
        """Patches of one crop."""
        return self.patches_per_side**2

    @property
    def feature_width(self) -> int:
        """Width of a patch's feature: the concatenated outputs of `feature_layers`."""
        return self.vision_width * len(self.feature_layers)


# For about a minute of one CPU core on 256x192 scenes, where text costs most of the time. In one
# run each, an image of 96 pixels reached the caption gap of 64 at 1.4 times the cost of a step.
# Other widths and depths were not tried.
PROBE_XS = Size(
    name="probe-xs",
    crop_pixels=64,
    patch_pixels=8,
    margin_patches=0,
    most_crops=0,
    vision_width=64,
    vision_layers=2,
    vision_heads=4,
    vision_inner=256,
    feature_layers=(-1, -2),
    pooled_width=128,
    connector_inner=128,
    width=64,
    layers=2,
    heads=4,
    inner=170,  # as many weights as a plain perceptron of four times the width
    rope_base=1000.0,
    vocabulary_size=1000,
    most_answer_tokens=64,
    most_text_tokens=100,
)

# For one GPU, from random weights or with backbones of someone's; not trained yet.
PROBE_S = Size(
    name="probe-s",
    crop_pixels=224,
    patch_pixels=16,
    margin_patches=2,
    most_crops=4,
    vision_width=384,
    vision_layers=8,
    vision_heads=6,
    vision_inner=1536,
    feature_layers=(-1, -3),
    pooled_width=384,
    connector_inner=1408,
    width=512,
    layers=8,
    heads=8,
    inner=1408,
    rope_base=10_000.0,
    vocabulary_size=8000,
    most_answer_tokens=384,
    most_text_tokens=768,
    sequence_length=1024,
)
PROBE_M = replace(
    PROBE_S,
    name="probe-m",
    crop_pixels=336,
    patch_pixels=14,
    margin_patches=4,
    most_crops=12,
    vision_width=512,
    vision_layers=12,
    vision_heads=8,
    vision_inner=2048,
    pooled_width=512,
    connector_inner=2816,
    width=1024,
    layers=12,
    heads=16,
    inner=2816,
    vocabulary_size=16_000,
    most_answer_tokens=768,
    most_text_tokens=2304,
    sequence_length=2304,
    queries_per_key=4,
)

# Going backwards, a block of CLIP ViT-L/14 in bfloat16 keeps 49 KB a patch, of OLMo 2 1B 170 KB a
# token, of Qwen2.5 0.5B 72 KB (counted in transformers' own). The largest example, 13 crops of 577
# patches in 22 blocks and 2304 tokens, so takes 8.1 GB and 6.3 GB of molmo-1b, 8.1 GB and 4.0 GB of
# molmo-0.5b; weights, gradients and AdamW's two means take 29 GB and 13 GB. Several GPUs gather
# all weights of the larger ones for every micro-batch: there larger ones pay for computing twice.

# The real family: CLIP ViT-L/14 at 336 pixels, its third- and tenth-to-last layer, before language
# models as their configs describe them. Source: arXiv 2409.17146, which has a preview of OLMo 2 in
# 7B-O; molmo-1b and molmo-0.5b are smaller than any there.
MOLMO_1B = Size(
    name="molmo-1b",
    crop_pixels=336,
    patch_pixels=14,
    margin_patches=4,
    most_crops=12,
    vision_width=1024,
    vision_layers=24,
    vision_heads=16,
    vision_inner=4096,
    feature_layers=(-3, -10),
    pooled_width=1024,
    connector_inner=8192,
    width=2048,
    layers=16,
    heads=16,
    inner=8192,
    rope_base=500_000.0,
    vocabulary_size=100_359,
    most_answer_tokens=1024,
    most_text_tokens=2304,
    sequence_length=2304,
    tied=False,
    image_normalisation="clip",
    vision_backbone="openai/clip-vit-large-patch14-336",
    language_backbone="allenai/OLMo-2-0425-1B",
    micro_batch=2,
)
MOLMO_HALF_B = replace(
    MOLMO_1B,
    name="molmo-0.5b",
    connector_inner=4864,
    width=896,
    layers=24,
    heads=14,
    inner=4864,
    rope_base=1_000_000.0,
    vocabulary_size=151_943,
    queries_per_key=7,
    tied=True,
    language_backbone="Qwen/Qwen2.5-0.5B",
    micro_batch=4,
)
MOLMO_E_1B = replace(
    MOLMO_1B,
    name="molmo-e-1b",
    inner=1024,
    rope_base=10_000.0,
    vocabulary_size=50_311,
    experts=64,
    experts_per_token=8,
    language_backbone="allenai/OLMoE-1B-7B-0924",
    micro_batch=8,
    recompute=True,
)
MOLMO_7B_O = replace(
    MOLMO_1B,
    name="molmo-7b-o",
    connector_inner=11_008,
    width=4096,
    layers=32,
    heads=32,
    inner=11_008,
    language_backbone="allenai/OLMo-2-1124-7B",
    micro_batch=8,
    recompute=True,
)
MOLMO_7B_D = replace(
    MOLMO_1B,
    name="molmo-7b-d",
    connector_inner=18_944,
    width=3584,
    layers=28,
    heads=28,
    inner=18_944,
    rope_base=1_000_000.0,
    vocabulary_size=152_071,
    queries_per_key=7,
    language_backbone="Qwen/Qwen2-7B",
    micro_batch=8,
    recompute=True,
)
MOLMO_72B = replace(
    MOLMO_7B_D,
    name="molmo-72b",
    connector_inner=29_568,
    width=8192,
    layers=80,
    heads=64,
    inner=29_568,
    queries_per_key=8,
    language_backbone="Qwen/Qwen2-72B",
    micro_batch=4,
)

SIZES = {
    size.name: size
    for size in (
        PROBE_XS,
        PROBE_S,
        PROBE_M,
        MOLMO_HALF_B,
        MOLMO_1B,
        MOLMO_E_1B,
        MOLMO_7B_O,
        MOLMO_7B_D,
        MOLMO_72B,
    )
}


def named(name: str) -> Size:
    """The size called `name`.

    Raises:
        TrainingError: no such size.
    """
    if name not in SIZES:
        raise TrainingError(f"there is no model size {name!r}; there are {', '.join(SIZES)}")
    return SIZES[name]
