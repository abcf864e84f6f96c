"""Images for one step of cap, some of them with a defect that it is to find.

What needs a recording (pace, silence, levels, probabilities) is drawn from distributions; which,
says each function.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.planted_captions import Described, Picture, Said, tell

SEED = 0
PEOPLE = 40
DEFECTIVE = 10  # one image in so many


@dataclass
class Trial:
    """Images for one step, and the names of those that it is to find."""

    step: str
    parameter: str = ""  # varied: its values below and above the default
    beside: tuple[float, ...] = ()
    projects: int = 1  # so many that follow one another; each is judged by itself
    images: list[Described] = field(default_factory=list)
    defects: set[str] = field(default_factory=set)

    def add(self, is_defect: bool, *said: Said, **caption: Any) -> None:
        """One more image."""
        name = f"{self.step} {len(self.images)}"
        self.images.append(Described(name, said, **caption))
        if is_defect:
            self.defects.add(name)


def kinds(size: int) -> Iterator[tuple[bool, Random, Picture]]:
    """Whether an image is to have the defect, its random numbers, and what it shows."""
    for number in range(size):
        rng = Random(f"{SEED} {number}")
        yield number % DEFECTIVE == 0, rng, Picture.of(rng)


def heard(rng: Random, picture: Picture, **values: Any) -> Said:
    """A good recording of somebody.

    Seconds: 60 to 90, of which 80 percent (deviation 8) are speech. Words a second of speech:
    2.9, log-normal (0.2); the demo's voices speak 3.0 to 3.8. The longest silence of free speech:
    2.4 seconds, log-normal (0.5). Level -24 dB (5), 32 dB (7) over the noise.
    """
    seconds = rng.uniform(60, 90)
    speech = seconds * min(0.98, max(0.5, rng.gauss(0.8, 0.08)))
    level = rng.gauss(-24, 5)
    text = tell(picture, rng, round(speech * rng.lognormvariate(1.065, 0.2)))
    sound = {
        "duration_seconds": seconds,
        "speech_seconds": speech,
        "longest_silence_seconds": rng.lognormvariate(0.875, 0.5),
        "avg_logprob": rng.gauss(-0.28, 0.08),
        "language_prob": 1 - rng.expovariate(40),
        "words_over_silence_share": rng.uniform(0, 0.1) if rng.random() < 0.1 else 0.0,
        "overlap_disagreement": min(1.0, abs(rng.gauss(0, 0.15))),
        "clipped_share": rng.uniform(0, 0.003) if rng.random() < 0.1 else 0.0,
        "rms_dbfs": level,
        "noise_dbfs": level - max(5.0, rng.gauss(32, 7)),
    }
    return Said(text, f"speaker {rng.randrange(PEOPLE)}", sound | values)


def cut(said: Said, share: float) -> Said:
    """The transcript with only a share of its sentences."""
    sentences = said.text.split(". ")
    return replace(said, text=". ".join(sentences[: max(1, round(share * len(sentences)))]))


def of_words(said: Said, count: int) -> Said:
    """The transcript in so many words: cut, or said again."""
    words = said.text.split()
    return replace(said, text=" ".join((words * (count // len(words) + 1))[:count]))
