"""Planted defects of texts: of real words, and measured by the project's own functions.

Stock phrases, assistants' phrases and foreign texts are written here and not taken from the
steps' lists.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, repeat
from random import Random

from pixmo.speech.captioning.caption_writer import Cleaner
from pixmo.speech.captioning.faithful import faithfulness
from pixmo.speech.cleaning.word_classes import TEENS_IN_ORDER, TENS_IN_ORDER, UNITS_IN_ORDER
from pixmo.speech.guards import stock_phrases
from pixmo.speech.recogniser import Segment
from tests.benchmarks.cap_trials import Trial, cut, heard, kinds, of_words
from tests.planted_captions import LOOKS, NUMBERS, TOPICS, WHERE, Picture, Said, tell


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
