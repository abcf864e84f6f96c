"""Text as tokens: a byte-pair encoding learnt from the release's own training texts, or someone's.

In one of our own digits are tokens of their own, so that a coordinate is read and written digit by
digit. One of a pretrained language model stays as it is; our special tokens come before its own.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from pixmo.errors import TrainingError

TOKENIZER = "tokenizer.json"
SPECIAL = ("<pad>", "<bos>", "<eos>", "<image>", "</image>", "<patch>", "<row>")
PAD, BOS, EOS, IMAGE_START, IMAGE_END, PATCH, ROW_END = range(len(SPECIAL))


class Tokenizer:
    """Encodes texts; made by `train`, `load` or `of_backbone`."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        # A text that happens to say "<patch>" is that text, never an image token.
        self.encoder.encode_special_tokens = True
        self.encoder.no_truncation()
        self.encoder.no_padding()
        first = tuple(encoder.id_to_token(number) for number in range(len(SPECIAL)))
        # Where the special tokens are not the encoder's own first ones, they come before all of it.
        self.shift = 0 if first == SPECIAL else len(SPECIAL)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[Encoder]]:
        """How another process makes it: the encoder alone forgets what `__init__` sets."""
        return Tokenizer, (self.encoder,)

    @property
    def vocabulary_size(self) -> int:
        """Numbers that a token may have, special ones included."""
        return self.shift + 1 + max(self.encoder.get_vocab().values())

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`; any text can be encoded."""
        return self.encode_with_ends(text)[0]

    def encode_with_ends(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of `text`, and for each the number of characters up to its end."""
        encoding = self.encoder.encode(text, add_special_tokens=False)
        return [self.shift + n for n in encoding.ids], [end for _, end in encoding.offsets]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`; special ones are left out."""
        own = [token - self.shift for token in tokens if token >= self.shift]
        return str(self.encoder.decode(own, skip_special_tokens=True))

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
    """The tokenizer saved at `path`.

    Raises:
        TrainingError: it is none.
    """
    try:
        return Tokenizer(Encoder.from_file(str(path)))
    except Exception as error:  # the package has no class of its own
        raise TrainingError(
            f"{path} is no tokenizer that can be loaded: {error}; put a whole copy of it there"
        ) from error


def of_backbone(name: str) -> Tokenizer:
    """The tokenizer of a language model in the folder, or on the Hugging Face hub, called `name`.

    Raises:
        TrainingError: there is none.
    """
    from huggingface_hub import hf_hub_download

    if Path(name).is_dir():
        path = Path(name) / TOKENIZER
        if not path.is_file():
            raise TrainingError(f"the backbone {name} has no {TOKENIZER}; save its tokenizer there")
        return load(path)
    try:
        return load(Path(hf_hub_download(name, TOKENIZER)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"the tokenizer of {name} cannot be loaded: {reason}; give a folder that holds it"
        ) from error
