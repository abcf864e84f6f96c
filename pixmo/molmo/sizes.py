"""One dial: the name of a size, from which every dimension of the model follows."""

from dataclasses import dataclass
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
    most_answer_tokens=48,
    most_text_tokens=112,
)

SIZES = {size.name: size for size in (PROBE_XS,)}


def named(name: str) -> Size:
    """The size called `name`.

    Raises:
        TrainingError: no such size.
    """
    if name not in SIZES:
        raise TrainingError(f"there is no model size {name!r}; there are {', '.join(SIZES)}")
    return SIZES[name]
