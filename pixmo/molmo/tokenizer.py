"""Text as tokens: a byte-pair encoding learnt from the release's own training texts.

Digits are tokens of their own, so that a coordinate is read and written digit by digit.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

SPECIAL = ("<pad>", "<bos>", "<eos>", "<image>", "</image>", "<patch>", "<row>")
PAD, BOS, EOS, IMAGE_START, IMAGE_END, PATCH, ROW_END = range(len(SPECIAL))


class Tokenizer:
    """Encodes texts; made by `train` or `load`."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        # A text that happens to say "<patch>" is that text, never an image token.
        self.encoder.encode_special_tokens = True

    @property
    def vocabulary_size(self) -> int:
        """Tokens it knows, special ones included."""
        return int(self.encoder.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`; any text can be encoded."""
        return list(self.encoder.encode(text).ids)

    def encode_with_ends(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of `text`, and for each the number of characters up to its end."""
        encoding = self.encoder.encode(text)
        return list(encoding.ids), [end for _, end in encoding.offsets]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`; special ones are left out."""
        return str(self.encoder.decode(list(tokens), skip_special_tokens=True))

    def save(self, path: Path) -> None:
        """`path` holds the tokenizer, in the Hugging Face tokenizers' JSON."""
        self.encoder.save(str(path))


def train(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A tokenizer of at most `vocabulary_size` tokens; the same for the same texts in order."""
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    encoder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    encoder.train_from_iterator(texts, trainer)
    return Tokenizer(encoder)


def load(path: Path) -> Tokenizer:
    """The tokenizer saved at `path`."""
    return Tokenizer(Encoder.from_file(str(path)))
