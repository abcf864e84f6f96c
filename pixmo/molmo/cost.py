"""What a model costs: its weights, and the useful operations of a training step.

Counted is what matrices do for patches and tokens that are there, not for padding: twice the
weights that each goes through, and attention; once forwards and twice backwards.
Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1; Chowdhery et al. 2022, appendix B.
"""

from dataclasses import dataclass

from pixmo.molmo.crops import POOLED
from pixmo.molmo.data import PADDING_SEGMENT, PREFIX_SEGMENT, Batch
from pixmo.molmo.sizes import Size

PASSES = 3  # one forwards, two backwards: for what comes in, and for the weights


@dataclass(frozen=True)
class Parts:
    """A number for each component."""

    vision: int
    connector: int
    language: int

    @property
    def total(self) -> int:
        """Of all three."""
        return self.vision + self.connector + self.language


@dataclass(frozen=True)
class Work:
    """What one batch really holds."""

    crops: int
    image_tokens: int
    tokens: int  # of images and texts
    pairs: int  # of tokens, of which one looks at the other
    answers: int  # tokens of answers


def work_of(batch: Batch) -> Work:
    """The batch's real crops and tokens, padding left out."""
    pairs = 0
    for segments in batch.segments:
        lengths = [int((segments == n).sum()) for n in segments.unique() if n != PADDING_SEGMENT]
        prefix = int((segments == PREFIX_SEGMENT).sum())
        texts = lengths[1:] if prefix else lengths
        pairs += prefix * prefix + sum(n * prefix + n * (n + 1) // 2 for n in texts)
    return Work(
        crops=len(batch.pixels),
        image_tokens=len(batch.windows),
        tokens=int((batch.segments != PADDING_SEGMENT).sum()),
        pairs=pairs,
        answers=int((batch.weights > 0).sum()),
    )


def weights(size: Size) -> Parts:
    """Numbers in the matrices that are trained, embeddings included; biases and gains are not."""
    pooling = 3 * size.feature_width * size.pooled_width + size.pooled_width**2
    perceptron = 2 * size.pooled_width * size.connector_inner + size.connector_inner * size.width
    tables = (1 if size.tied else 2) * size.vocabulary_size * size.width
    return Parts(
        vision=_patch_weights(size) + vision_layers(size) * _vision_block(size),
        connector=pooling + perceptron,
        language=size.layers * _language_block(size, max(1, size.experts)) + tables,
    )


def operations(size: Size, work: Work) -> Parts:
    """Multiplications and additions of one training step over `work`."""
    patches = work.crops * size.patches_per_crop
    layers = vision_layers(size)
    vision = 2 * patches * (_patch_weights(size) + layers * _vision_block(size))
    vision += 4 * patches * size.patches_per_crop * size.vision_width * layers
    pooled, feature = size.pooled_width, size.feature_width
    keys = 2 * POOLED**2 * feature * pooled
    perceptron = 2 * pooled * size.connector_inner + size.connector_inner * size.width
    connector = 2 * work.image_tokens * (keys + feature * pooled + pooled**2 + perceptron)
    language = 2 * work.tokens * size.layers * _language_block(size, max(1, size.experts_per_token))
    language += 4 * work.pairs * size.width * size.layers
    language += 2 * work.answers * size.vocabulary_size * size.width
    return Parts(PASSES * vision, PASSES * connector, PASSES * language)


def vision_layers(size: Size) -> int:
    """Layers of the vision transformer that are run: of a backbone none after those read."""
    after = -1 - max(size.feature_layers) if size.vision_backbone else 0
    return size.vision_layers - after


def _patch_weights(size: Size) -> int:
    """Of the map from pixels to patches."""
    return 3 * size.patch_pixels**2 * size.vision_width


def _vision_block(size: Size) -> int:
    """Of one block of the vision transformer."""
    return 4 * size.vision_width**2 + 2 * size.vision_width * size.vision_inner


def _language_block(size: Size, experts: int) -> int:
    """Of one block of the language model with so many experts, their router left out."""
    attention = 2 * size.width**2 + 2 * size.width**2 // size.queries_per_key
    return attention + experts * 3 * size.width * size.inner
