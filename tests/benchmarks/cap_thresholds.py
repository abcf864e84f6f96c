"""Precision and recall of the steps of cap on planted defects, at the defaults and beside them.

Texts are of real words, and what can be measured of them is measured by the project's own
functions: faithfulness, repetition, stock phrases. What needs a recording (pace, silence, levels,
probabilities) is drawn from distributions; which, says each function. Stock phrases, assistants'
phrases and foreign texts are written here and not taken from the steps' lists.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, repeat
from random import Random
from typing import Any

import duckdb
import pyarrow as pa

from pixmo.curate.near_texts import near_texts
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import NearTextsStep
from pixmo.speech.captioning.caption_writer import Cleaner
from pixmo.speech.captioning.faithful import faithfulness
from pixmo.speech.cleaning.word_classes import TEENS_IN_ORDER, TENS_IN_ORDER, UNITS_IN_ORDER
from pixmo.speech.guards import stock_phrases
from pixmo.speech.recogniser import Segment
from tests.planted_captions import (
    LOOKS,
    NUMBERS,
    TOPICS,
    WHERE,
    Described,
    Picture,
    Said,
    candidates,
    step,
    tell,
)

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


def coughs(size: int) -> Trial:
    """Recordings of nobody, in which noises pass for 0.6 seconds of speech on average.

    Against recordings of which one in ten holds a sentence alone, 1 to 8 seconds: it is short, and
    it is speech.
    """
    trial = Trial("no_speech", "min_speech_seconds", (0.5, 2.0))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect or rng.random() < 0.1:
            speech = rng.expovariate(1 / 0.6) if is_defect else rng.uniform(1, 8)
            text = "Thank you." if is_defect else cut(said, 0).text
            said = replace(said, text=text, values=said.values | {"speech_seconds": speech})
        trial.add(is_defect, said)
    return trial


def stopped_early(size: int) -> Trial:
    """Recordings that ended after 5 to 60 seconds, against people of whom most stop soon after 60.

    A clock that shows 60 leaves up to half a second less when the file is decoded.
    """
    trial = Trial("recording_too_short", "min_seconds", (50.0, 60.0))
    for is_defect, rng, picture in kinds(size):
        seconds = 60 + rng.expovariate(1 / 8) - rng.uniform(0, 0.5)
        seconds = rng.uniform(5, 60) if is_defect else seconds
        trial.add(is_defect, heard(rng, picture, duration_seconds=seconds))
    return trial


def hurried(size: int) -> Trial:
    """Speakers who say 5 to 80 words and are done, against people of whom some think aloud.

    These are one in ten and say, as in `waiting`, half of what others do (deviation 8 percent).
    """
    trial = Trial("too_short", "min_words", (40, 80))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect:
            said = of_words(said, rng.randint(5, 80))
        elif rng.random() < 0.1:
            said = cut(said, max(0.05, rng.gauss(0.5, 0.08)))
        trial.add(is_defect, said)
    return trial


def run_on(size: int) -> Trial:
    """Captions of 600 to 6000 words, log-uniform: pages pasted, transcripts of several images.

    Against one to three people, who in one case of ten speak two minutes without a pause.
    """
    trial = Trial("too_long", "max_words", (800, 2000))
    for is_defect, rng, picture in kinds(size):
        said = [heard(rng, picture) for _ in range(rng.randint(1, 3))]
        if is_defect:
            said = [of_words(said[0], round(600 * 10 ** rng.random()))]
        elif rng.random() < 0.1:
            said = [of_words(one, round(120 * rng.lognormvariate(1.065, 0.2))) for one in said]
        trial.add(is_defect, *said)
    return trial


def of_words(said: Said, count: int) -> Said:
    """The transcript in so many words: cut, or said again."""
    words = said.text.split()
    return replace(said, text=" ".join((words * (count // len(words) + 1))[:count]))


def waiting(size: int) -> Trial:
    """Speakers who say little and wait: 5 to 40 percent of the recording is speech.

    Against people of whom one in ten thinks aloud: 50 percent (deviation 8).
    """
    trial = Trial("mostly_silent", "min_spoken_share", (0.3, 0.4))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect or rng.random() < 0.1:
            share = rng.uniform(0.05, 0.4) if is_defect else max(0.05, rng.gauss(0.5, 0.08))
            speech = share * said.values["duration_seconds"]
            said = replace(cut(said, share), values=said.values | {"speech_seconds": speech})
        trial.add(is_defect, said)
    return trial


def lost_windows(size: int) -> Trial:
    """Recognisers that skipped parts: 20 to 65 percent of the text is there."""
    trial = Trial("pace", "min_words_per_second", (1.2, 1.8))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        trial.add(is_defect, cut(said, rng.uniform(0.2, 0.65)) if is_defect else said)
    return trial


def invented(size: int) -> Trial:
    """Recognisers that went on inventing: two to four times as much text as was spoken."""
    trial = Trial("pace", "max_words_per_second", (4.5, 6.5))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect:
            more = [tell(Picture.of(rng), rng, 170) for _ in range(rng.randint(1, 3))]
            said = replace(said, text=" ".join([said.text, *more]))
        trial.add(is_defect, said)
    return trial


def over_silence(size: int) -> Trial:
    """A twentieth to all of the words over silence, against times that are off.

    A recording has 12 to 20 segments. In one honest one of ten a segment's times are wrong, and
    after each that is, another's in three cases of ten.
    """
    trial = Trial("over_silence", "max_share", (0.15, 0.3))
    for is_defect, rng, picture in kinds(size):
        share = rng.uniform(0.05, 1)
        if not is_defect:
            wrong = int(rng.random() < 0.1)
            while wrong and rng.random() < 0.3:
                wrong += 1
            share = wrong / rng.randint(12, 20)
        trial.add(is_defect, heard(rng, picture, words_over_silence_share=share))
    return trial


CREDITS = (
    *("Thanks for watching!", "Thank you for watching.", "Please subscribe to my channel."),
    *("Subtitles by the Amara.org community", "Don't forget to subscribe!", "Please subscribe."),
    *("I hope you enjoyed this video.", "Vielen Dank fürs Zuschauen!", "Merci d'avoir regardé."),
)
FAREWELLS = ("Thank you.", "That is all.", "Bye.", "Thanks.", "And he is watching the birds.")


def credited(size: int) -> Trial:
    """Texts that end with what Whisper writes over silence, against speakers who say goodbye."""
    trial = Trial("stock_phrase")
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        text = f"{said.text} {rng.choice(CREDITS if is_defect else FAREWELLS)}"
        found = stock_phrases([Segment(0.0, 60.0, text, -0.3, 1.5, 0.0, 0.0)])
        values = said.values | {"stock_phrases": list(found)}
        trial.add(is_defect, replace(said, text=text, values=values))
    return trial


def looped(size: int) -> Trial:
    """A run of 1 to 25 words said 4 to 40 times, against people who repeat a sentence or two."""
    trial = Trial("looped", "max_repeated", (0.1, 0.4))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        parts, sentences = said.text.split(), said.text.split(". ")
        if is_defect:
            run = parts[: rng.randint(1, 25)]
            parts += run * rng.randint(4, 40)
            said = replace(said, text=" ".join(parts))
        else:
            again = rng.choices(sentences, k=rng.randint(0, 2))
            said = replace(said, text=". ".join([*sentences[:-1], *again, sentences[-1]]))
        trial.add(is_defect, said)
    return trial


def guessed(size: int) -> Trial:
    """Mean log-probabilities of -1.3 (deviation 0.4), against -0.28 (0.08) and accents at -0.5."""
    trial = Trial("guessed", "min_avg_logprob", (-1.2, -0.8))
    for is_defect, rng, picture in kinds(size):
        mean = rng.gauss(-1.3, 0.4) if is_defect else rng.gauss(-0.28, 0.08)
        if not is_defect and rng.random() < 0.2:
            mean = rng.gauss(-0.5, 0.12)
        trial.add(is_defect, heard(rng, picture, avg_logprob=mean))
    return trial


def spoken_languages(size: int) -> Trial:
    """Other languages, of which a recogniser is 0 to 70 percent sure that they are English."""
    trial = Trial("language", "min_probability", (0.3, 0.8))
    for is_defect, rng, picture in kinds(size):
        sure = {"language_prob": rng.uniform(0, 0.7)} if is_defect else {}
        if not is_defect and rng.random() < 0.05:  # an accent
            sure = {"language_prob": rng.uniform(0.4, 1.0)}
        trial.add(is_defect, heard(rng, picture, **sure))
    return trial


FOREIGN = (
    "En la imagen se ve una playa con muchas sombrillas de colores y la gente sentada en la arena."
    " Al fondo hay un barco blanco y a la derecha dos niños juegan con una pelota roja.",
    "Auf dem Bild ist ein alter Hafen mit vielen Booten zu sehen. Im Hintergrund stehen Häuser, und"
    " an der linken Seite sitzt ein Mann auf einer Bank und liest in einer Zeitung.",
    "Sur la photo on voit une rue étroite avec des maisons en pierre. À gauche, il y a une femme"
    " qui porte un panier, et au fond un chat dort sur le rebord d'une fenêtre.",
    "Na imagem há um mercado com bancas de frutas. Uma senhora de chapéu escolhe laranjas, e no"
    " fundo um menino segura a mão do pai perto de uma bicicleta azul.",
    "Op de foto is een fietser te zien die in de regen over een brug rijdt. Links van hem staat een"
    " rode auto en in de verte zijn twee torens te herkennen.",
    "На фотографии изображена кухня с большим окном. На столе стоит чайник и две чашки, а у стены"
    " сидит серая кошка и смотрит на дверь.",
    "照片里有一条安静的街道，左边是一家书店，右边停着三辆自行车。天空很蓝，远处有几座山。",
)


def written_languages(size: int) -> Trial:
    """Texts of seven languages, against English of all lengths from 40 words on."""
    trial = Trial("language", "min_common_words", (2, 7))
    for is_defect, rng, picture in kinds(size):
        text = rng.choice(FOREIGN) if is_defect else tell(picture, rng, rng.randint(40, 180))
        trial.add(is_defect, Said(text, "writer", is_spoken=False))
    return trial


ASSISTANT = (
    "Certainly! Here is a detailed description of the image.",
    "Sure, here's a caption for you.",
    "As an AI, I cannot see who this is.",
    "**Overview:** the scene has much going on.",
    "Here is the dense caption:",
    "See https://example.org/photo for more.",
    "## Description",
    "- A first point.\n- A second point.",
    "The composition invites the viewer to linger and reflect.",
    "I hope this description helps! Let me know if you would like more details.",
)
HARMLESS = (
    *("Here is a dog.", "Certainly the oldest house here.", "The sign says www dot shop dot com."),
    *("There is a caption below the photo.", "Sure enough, here there is a cat."),
)


def pasted(size: int) -> Trial:
    """Phrases and marks of chat assistants, against harmless sentences that resemble them."""
    trial = Trial("pasted")
    for is_defect, rng, picture in kinds(size):
        text = tell(picture, rng, rng.randint(80, 180), 0)
        mark = rng.choice(ASSISTANT if is_defect else HARMLESS)
        before, behind = (mark, text) if rng.random() < 0.5 else (text, mark)
        trial.add(is_defect, Said(f"{before}\n{behind}", "writer", is_spoken=False))
    return trial


def disfluent(size: int) -> Trial:
    """Captions that are the transcript itself, by speakers who hesitate in a tenth to half of it.

    Against captions of the deterministic writer.
    """
    trial = Trial("disfluent", "max_per_100_words", (0.5, 1.5))
    for is_defect, rng, picture in kinds(size):
        text = tell(picture, rng, rng.randint(120, 220), rng.uniform(0.1, 0.5))
        caption = text if is_defect else Cleaner().write([text])
        trial.add(is_defect, Said(text), caption=caption)
    return trial


def rewritten(size: int, spoil: Callable[[list[str], Random], list[str]], trial: Trial) -> Trial:
    """Captions as a language model writes them, some spoiled, judged by `faithfulness`.

    A model leaves one sentence in twenty out, and adds a word of its own to one in seven.
    """
    for is_defect, rng, picture in kinds(size):
        said = [heard(rng, picture) for _ in range(rng.randint(1, 2))]
        texts = [one.text for one in said]
        sentences = [one for one in Cleaner().write(texts).split(". ") if rng.random() > 0.05]
        sentences = [reworded(one, rng) if rng.random() < 0.15 else one for one in sentences]
        if is_defect:
            sentences = spoil(sentences, rng)
        caption = ". ".join(sentences)
        found = faithfulness(caption, texts)
        values = {
            "unsupported": list(found.unsupported),
            "lost": list(found.lost),
            "unsupported_share": found.unsupported_share,
            "lost_share": found.lost_share,
        }
        trial.add(is_defect, *said, caption=caption, values=values)
    return trial


def reworded(sentence: str, rng: Random) -> str:
    """The sentence with one word more, which nobody said."""
    parts = sentence.split()
    parts.insert(rng.randrange(len(parts)), rng.choice(("gleaming", "situated", "prominent")))
    return " ".join(parts)


def made_up(sentences: list[str], rng: Random) -> list[str]:
    """With as much again as a fifth to two thirds of it, of another image."""
    more = tell(Picture.of(rng), rng, round(200 * rng.uniform(0.2, 0.7)), 0)
    return [*sentences, more]


def miscounted(sentences: list[str], rng: Random) -> list[str]:
    """With one thing more, and its number up to 199, most of them small; now and then a dozen."""
    number = round(min(199, 1 + rng.expovariate(1 / 20)))
    words = "a dozen" if rng.random() < 0.05 else rng.choice((str(number), spelled(number)))
    return [*sentences[:-1], f"There are {words} zebras on the left", sentences[-1]]


def spelled(number: int) -> str:
    """The number below 200 in words."""
    if number >= 100:
        return f"a hundred and {spelled(number % 100)}" if number > 100 else "a hundred"
    if number < 20:
        return (*UNITS_IN_ORDER, *TEENS_IN_ORDER)[number - 1]
    tens, unit = TENS_IN_ORDER[number // 10 - 2], number % 10
    return f"{tens}-{UNITS_IN_ORDER[unit - 1]}" if unit else tens


def forgetful(sentences: list[str], rng: Random) -> list[str]:
    """Without three tenths to nine tenths of it."""
    return sentences[: max(1, round(len(sentences) * rng.uniform(0.1, 0.7)))]


def of_another_image(
    size: int, parameter: str, beside: tuple[float, ...], projects: int = 1
) -> Trial:
    """Two speakers of whom one saw another image, in a quarter of the cases of the same topic.

    The most frequent of 16 topics is that of one image in seven. Against two who saw the same; of
    one in ten each tells the half that the other hardly mentions.
    """
    trial = Trial("disagreeing", parameter, beside, projects)
    for is_defect, rng, _ in kinds(size):
        topic = rng.choices(TOPICS, [rank**-0.5 for rank in range(1, len(TOPICS) + 1)])
        one = other = Picture.of(rng, topic)
        if is_defect:
            other = Picture.of(rng, topic if rng.random() < 0.25 else TOPICS)
        elif rng.random() < 0.1:
            one, other = Picture(one.things[:8]), Picture(one.things[5:])
        trial.add(is_defect, heard(rng, one), heard(rng, other))
    return trial


def speakers(kind: str, fewest: int, most: int) -> Iterator[str]:
    """Yield who describes each next image: every one of them so many, then another."""
    rng = Random(kind)
    for number in count():
        yield from repeat(f"{kind} {number}", rng.randint(fewest, most))


def said_of_all(size: int, parameter: str, beside: tuple[float, ...]) -> Trial:
    """Speakers of 3 to 60 images with 4 to 12 fixed sentences in a text of 15.

    Against speakers of 20 to 200 with two favourite sentences, who tell one in ten of their images
    as the last one of a series of two to four, of which half the sentences are the same.
    """
    trial = Trial("boilerplate", parameter, beside)
    lazy, good = speakers("lazy", 3, 60), speakers("good", 20, 200)
    for is_defect, rng, picture in kinds(size):
        annotator = next(lazy if is_defect else good)
        own = Random(annotator)
        target = own.randint(40, 160) if is_defect else 25
        fixed = tell(Picture.of(own), own, target, 0)
        said = heard(rng, picture)
        text = f"{cut(said, 0.6).text}. {fixed}" if is_defect else f"{said.text} {fixed}"
        trial.add(is_defect, replace(said, text=text, annotator=annotator))
        if not is_defect and rng.random() < 0.05:
            for _ in range(rng.randint(1, 3)):
                again = heard(rng, picture)
                text = f"{cut(said, 0.5).text}. {cut(again, 0.5).text}. {fixed}"
                trial.add(False, replace(again, text=text, annotator=annotator))
    return trial


BEGIN = ("In this image", "The main", "On the", "Behind it", "The colours", "It was", "All of")
ORDINARY = (
    *(
        "There is",
        "On the",
        "In the",
        "I can see",
        "The",
        "Behind",
        "Next to",
        "It looks",
        "To the",
    ),
    *("At the", "We can see", "A few"),
)


def patterned(size: int, parameter: str, beside: tuple[float, ...]) -> Trial:
    """Speakers of 3 to 40 images whose sentences begin alike and in order, but in two of ten.

    In a third of the others one of the first six begins in another way. Against speakers of 3 to
    400 who begin seven of ten texts with "In this image", and what follows with one of twelve
    ordinary openings: each has a habit of 32 to 64 percent, and others the less often.
    """
    trial = Trial("template", parameter, beside)
    careless, good = speakers("patterned", 3, 40), speakers("good", 3, 400)
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        sentences = said.text.split(". ")
        annotator = next(careless if is_defect else good)
        own = Random(annotator)
        habits, decay = own.sample(ORDINARY, len(ORDINARY)), own.uniform(1, 2)
        shares = [rank**-decay for rank in range(1, len(ORDINARY) + 1)]
        begin = [rng.choices(habits, shares)[0] for _ in sentences]
        if rng.random() < 0.7:
            begin[0] = "In this image"
        if is_defect and rng.random() < 0.8:
            free = rng.randrange(18)
            begin = [begin[i] if i == free else words for i, words in enumerate(BEGIN)]
        told = [f"{words} {text}" for words, text in zip(begin, sentences, strict=False)]
        trial.add(is_defect, replace(said, text=". ".join(told), annotator=annotator))
    return trial


def read_aloud(size: int, parameter: str, beside: tuple[float, ...]) -> Trial:
    """Texts read aloud: no pause over 1.3 seconds, no stammer, 78 to 97 percent speech.

    Of three in ten who talk freely the recogniser writes no stammer either, as Whisper does.
    Pauses over a second are typical of free speech and rare in reading: Campione and Véronis 2002,
    A large-scale multilingual study of silent pause duration.
    """
    trial = Trial("reading", parameter, beside)
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if rng.random() < 0.3:
            said = replace(said, text=tell(picture, rng, len(said.text.split()), 0))
        if is_defect:
            speech = rng.uniform(0.78, 0.97) * said.values["duration_seconds"]
            text = tell(picture, rng, round(speech * rng.lognormvariate(1.1, 0.12)), 0)
            sound = {"speech_seconds": speech, "longest_silence_seconds": rng.uniform(0.4, 1.3)}
            said = replace(said, text=text, values=said.values | sound)
        trial.add(is_defect, said)
    return trial


def other_counts(size: int) -> Trial:
    """Two speakers of whom the second counts something else, or does not.

    Half of both with a colour, and then half of the honest count things of another colour.
    """
    trial = Trial("counts_disagree", "min_difference", (2,))
    for is_defect, rng, picture in kinds(size):
        number, other = rng.sample(range(2, 8), 2)
        words = dict(enumerate(NUMBERS, 2))
        colours = rng.choice((("", ""), ("", ""), ("red ", "red "), ("red ", "blue ")))
        same = colours[0] == colours[1]
        if is_defect and not same:
            colours = ("red ", "red ")
        second = other if is_defect or not same else number
        counted = rng.choice((words[second], str(second))) if is_defect else words[second]
        one, two = heard(rng, picture), heard(rng, picture)
        one = replace(one, text=f"{one.text} There are {words[number]} {colours[0]}zebras.")
        two = replace(two, text=f"{two.text} I count {counted} {colours[1]}zebras in the picture.")
        trial.add(is_defect, one, two)
    return trial


def clipped(size: int) -> Trial:
    """Half a percent to a tenth of the samples clipped, against a third of a percent at most."""
    trial = Trial("poor_sound", "max_clipped_share", (0.002, 0.01))
    for is_defect, rng, picture in kinds(size):
        share = {"clipped_share": rng.uniform(0.005, 0.1)} if is_defect else {}
        trial.add(is_defect, heard(rng, picture, **share))
    return trial


def faint(size: int) -> Trial:
    """Speech at -70 to -45 dB of full scale."""
    trial = Trial("poor_sound", "min_rms_dbfs", (-55.0, -35.0))
    for is_defect, rng, picture in kinds(size):
        level = rng.uniform(-70, -45)
        sound = {"rms_dbfs": level, "noise_dbfs": level - 30} if is_defect else {}
        trial.add(is_defect, heard(rng, picture, **sound))
    return trial


def noisy(size: int) -> Trial:
    """Speech 0 to 12 dB over the noise."""
    trial = Trial("poor_sound", "min_signal_to_noise_db", (5.0, 15.0))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        noise = said.values["rms_dbfs"] - rng.uniform(0, 12)
        sound = said.values | ({"noise_dbfs": noise} if is_defect else {})
        trial.add(is_defect, replace(said, values=sound))
    return trial


def unlike(size: int) -> Trial:
    """Overlaps heard half unlike or more, against a half-normal of deviation 0.15."""
    trial = Trial("heard_unlike", "max_disagreement", (0.3, 0.7))
    for is_defect, rng, picture in kinds(size):
        share = {"overlap_disagreement": rng.uniform(0.5, 1)} if is_defect else {}
        trial.add(is_defect, heard(rng, picture, **share))
    return trial


TRIALS: tuple[Callable[[int], Trial], ...] = (
    *(coughs, stopped_early, waiting, hurried, run_on),
    *(credited, over_silence, looped, lost_windows, invented, guessed),
    *(spoken_languages, written_languages, pasted, disfluent),
    lambda size: rewritten(size // 4, made_up, Trial("unheard", "max_share", (0.05, 0.2))),
    lambda size: rewritten(size // 4, miscounted, Trial("unheard_number", "max_numbers", (1,))),
    lambda size: rewritten(size // 4, forgetful, Trial("lost", "max_share", (0.2, 0.5))),
    lambda size: of_another_image(size, "common_share", (0.05, 0.2)),
    lambda size: of_another_image(size, "min_words", (3, 6)),
    lambda size: of_another_image(size, "first_characters", (600, 1500)),
    lambda size: of_another_image(size, "sampled", (500, 16000)),
    lambda size: of_another_image(size, "common_times", (10, 40), projects=80),
    lambda size: of_another_image(size, "min_share", (0.05, 0.25)),
    lambda size: said_of_all(size, "min_images", (3, 10)),
    lambda size: said_of_all(size, "max_share", (0.15, 0.5)),
    *(clipped, faint, noisy, unlike, other_counts),
    lambda size: patterned(size, "min_images", (3, 10)),
    lambda size: patterned(size, "min_share", (0.1, 0.5)),
    lambda size: read_aloud(size, "max_pause_seconds", (0.8, 1.6)),
    lambda size: read_aloud(size, "min_words_per_second", (2.0, 2.8)),
    lambda size: read_aloud(size, "min_spoken_share", (0.7, 0.9)),
)


def named(trial: Trial) -> Iterator[tuple[Any, set[str]]]:
    """The images that the step names: at the recipe's value, then at those beside it."""
    default = step(trial.step).parameters.get(trial.parameter)
    found: dict[Any, set[str]] = {value: set() for value in (default, *trial.beside)}
    each = -(-len(trial.images) // trial.projects)
    for start in range(0, len(trial.images), each):
        with candidates(trial.images[start : start + each]) as planted:
            for value, names in found.items():
                changed = {trial.parameter: value} if trial.parameter else {}
                names |= set(planted.judged(trial.step, **changed))
    yield from found.items()


def used_again(size: int) -> Trial:
    """Captions that are an earlier one with some words changed, four of about 180 as a rule.

    Against one in twenty that tells another frame of an earlier image, in the same order and with
    the same turns of phrase: three tenths to all of its things look otherwise, or are elsewhere.
    """
    trial = Trial("near_duplicate_text", "min_jaccard", (0.6, 0.8))
    told = []
    for is_defect, rng, picture in kinds(size):
        way = rng.random()
        text = tell(picture, Random(way), 180, 0)
        if is_defect and told:
            words = rng.choice(told)[2].split()
            for place in rng.sample(range(len(words)), min(40, round(rng.expovariate(1 / 4)))):
                words[place] = rng.choice(LOOKS)
            text = " ".join(words)
        elif told and rng.random() < 0.05:
            earlier, way, _ = rng.choice(told)
            text = tell(another_frame(earlier, rng), Random(way), 180, 0)
        else:
            told.append((picture, way, text))
        trial.add(is_defect, Said(text, "writer", is_spoken=False))
    return trial


def another_frame(picture: Picture, rng: Random) -> Picture:
    """The picture with some of its things changed."""
    share = rng.uniform(0.3, 1)
    fresh = [(rng.choice(LOOKS), rng.choice(WHERE), rng.choice(NUMBERS)) for _ in picture.things]
    return Picture(
        tuple(
            (thing[0], *new) if rng.random() < share else thing
            for thing, new in zip(picture.things, fresh, strict=True)
        )
    )


def repeated(trial: Trial) -> Iterator[tuple[Any, set[str]]]:
    """The images whose caption repeats an earlier one, at the recipe's value and beside it."""
    (found,) = (step for step in load("cap").steps if isinstance(step, NearTextsStep))
    names = [image.name for image in trial.images]
    captions = [image.said[0].text for image in trial.images]
    rows = pa.table({"id": names, "ordinal": range(len(names)), "caption": captions})
    with duckdb.connect() as connection:
        connection.register("captions", rows)
        for least in (found.min_jaccard, *trial.beside):
            near = near_texts(connection, "captions", found.column, least, found.gram_words)
            yield least, set(near.column("id").to_pylist())


def score(found: set[str], defects: set[str]) -> tuple[str, str]:
    """Precision and recall."""
    right = len(found & defects)
    return f"{right / len(found):.3f}" if found else "–", f"{right / len(defects):.3f}"


def run(size: int = 4000) -> dict[str, Any]:
    """Precision and recall of every step with a planted defect; one image in ten has it."""
    rows = {}
    for make in (*TRIALS, used_again):
        trial = make(size)
        (value, found), *others = (repeated if make is used_again else named)(trial)
        beside = [f"{v}: {' / '.join(score(f, trial.defects))}" for v, f in others]
        setting = f"{trial.parameter} = {value}" if trial.parameter else ""
        rows[f"{trial.step} {trial.parameter}".rstrip()] = [
            setting,
            len(trial.defects),
            len(trial.images) - len(trial.defects),
            *score(found, trial.defects),
            "; ".join(beside),
        ]
    return {
        "title": "Steps of cap on planted defects",
        "columns": ["default", "defects", "honest", "precision", "recall", "beside it"],
        "rows": rows,
        "notes": [
            "Planted by `tests/benchmarks/cap_thresholds.py`, which says how; beside the default"
            " stand precision / recall at other values of the same parameter."
        ],
    }
