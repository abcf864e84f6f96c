"""The tokens in use, numbered densely, and the labels that the helping heads learn."""

from whisper.tokenizer import Tokenizer

from pixmo.demo.training.bank import Bank, Utterance

TIMESTAMPS = 1501  # 0.00 s to 30.00 s


class Codes:
    """Numbers of the learned tokens, then of the timestamps; the next is that of all others."""

    def __init__(self, bank: Bank, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        words = sorted({word for utterance in bank.utterances for word in utterance.text.split()})
        tokens = {word: tokenizer.encode(" " + word) for word in words}
        specials = (
            tokenizer.eot,
            tokenizer.sot,
            tokenizer.sot_prev,
            tokenizer.no_speech,
            tokenizer.no_timestamps,
        )
        used = {token for some in tokens.values() for token in some}
        self.token_ids = [*sorted(used), *specials]
        self.first_timestamp = len(self.token_ids)
        index = {token: i for i, token in enumerate(self.token_ids)}
        self.eot, self.sot, self.previous, self.no_speech, self.no_timestamps = (
            index[token] for token in specials
        )
        self.spelling = {word: [index[token] for token in some] for word, some in tokens.items()}
        self.word_labels = _labels({bare(word) for word in words})
        self.phoneme_labels = _labels(
            {
                name
                for utterance in bank.utterances
                for name, _ in utterance.phonemes
                if name and not name.startswith("_")  # a pause
            }
        )

    def timestamp(self, frame: int) -> int:
        """The code of a time in frames of 10 ms."""
        return self.first_timestamp + min(TIMESTAMPS - 1, max(0, frame) // 2)

    def text(self, utterance: Utterance) -> list[int]:
        return [code for word in utterance.text.split() for code in self.spelling[word]]


def bare(word: str) -> str:
    """A word as it sounds, wherever it stands."""
    return word.strip(".,").lower()


def _labels(names: set[str]) -> dict[str, int]:
    """Numbers from 1; 0 is silence."""
    return {name: number for number, name in enumerate(sorted(names), 1)}
