"""Precision and recall of the steps of ama on planted defects, at the defaults and beside them.

What is planted is written here and not taken from the steps' own lists: refusals and trials are
worded as people and models word them, so that a list of phrases misses some. Of texts worded by
hand, some thirty of each kind, every row draws one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pixmo.curate.near_texts import near_texts
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import NearTextsStep
from tests.benchmarks.planted_trials import (
    SEED,
    Beside,
    Score,
    Trial,
    kinds,
    result,
    table,
    table_row,
)
from tests.planted_rows import answer, connect, points

ROWS = 8000  # in which defects are planted, or so


def worded(trial: Trial, size: int, defects: Sequence[str], honest: Sequence[str]) -> Trial:
    """Answers drawn from two lists."""
    for _, is_defect, rng in kinds(size):
        uid = trial.uid(is_defect)
        told = rng.choice(defects if is_defect else honest)
        trial.rows.append(answer(uid, "What is this?", told, image=uid))
    return trial


NO_QUESTIONS = (
    *(
        "hi",
        "Hello there!",
        "test",
        "testing testing",
        "test 123",
        "asdf",
        "asdfgh asdf",
        "???",
        ".",
    ),
    *(
        "jkljkljkl",
        "sdfsdfsdf",
        "qwerty",
        "aaaaaa",
        "dog",
        "nothing",
        "no idea what to ask",
        "12345",
    ),
    *(
        "How much do I get paid for this?",
        "How do I submit this task?",
        "Are you an AI?",
        "hey you",
    ),
    *(
        "what am i supposed to do",
        "is this the last annotation?",
        "ok next",
        "Good evening",
        "hjkl",
    ),
    *("what should I ask", "lol", "fghfgh", "xcvbxcvb", "How are you today?", "Who created you?"),
    *("asdf asdf dog", "ggggg hhhhh ok", "the asdf qwer sdfg", "aaaa bbb aaaa"),
)
QUESTIONS = (
    *(
        "What is the capital of France?",
        "Why?",
        "What color is the car?",
        "how many dogs are there",
    ),
    *("Describe the image", "Read the sign", "translate the text", "Is this a test tube?", "Who?"),
    *("What does AAA stand for on the battery?", "Tell me about the rhythms in this painting"),
    *(
        "What does the hello kitty figure hold?",
        "Which key is left of the Q on this qwerty keyboard?",
    ),
    *(
        "What is the name of the catchphrase?",
        "List the ingredients",
        "write a poem about this photo",
    ),
    *("What does the robot in the picture do?", "is she paid for this job", "Explain this meme"),
    *("Is the man saying hi?", "count the apples", "What is Knightsbridge station famous for?"),
    *("Wie viele Hunde sind da?", "何が見えますか？", "What is 12 x 12 on the board?", "OCR this"),
    *("How would you finish this task shown on the worksheet?", "What brand?", "1 + 1 = ?"),
    *("who is the author of the book in the photo", "Can you tell me the time on the clock?"),
    *("Qwerty keyboard?", "AAAA batteries?", "What does qwerty mean?", "Is aaaargh a word?"),
    *("What should I ask the waiter for?", "Who says grrrr and aaaah here?"),
)


def questions(size: int) -> Trial:
    """No questions, mashed keys among them, against questions that resemble them."""
    trial = Trial("ama", "not_a_question", {"max_mashed_share": (0.3, 0.75), "min_words": (1, 3)})
    for _, is_defect, rng in kinds(size):
        uid = trial.uid(is_defect)
        asked = rng.choice(NO_QUESTIONS if is_defect else QUESTIONS)
        trial.rows.append(answer(uid, asked, "It is red.", image=uid))
    return trial


REFUSALS = (
    *(
        "I'm sorry, but I can't assist with that.",
        "As an AI, I don't have eyes.",
        "N/A",
        "no answer",
    ),
    *(
        "I can’t see the image, so I don’t know.",
        "Sorry, I cannot answer this question.",
        "unknown",
    ),
    *("I'm unable to view images. Please describe it.", "I do not have access to the image."),
    *("The description does not mention a dog.", "Based on the caption, it is a cat.", "idk"),
    *("According to the description provided, two people stand there.", "I am a language model."),
    *("There is no mention of a car in the text.", "The OCR reads 'STOP'.", "Not sure."),
    *("I apologize, but identifying people is against my guidelines.", "I won't answer that."),
    *("It is impossible to say without more context.", "No image was provided.", "Error"),
    *(
        "The caption doesn't say what colour it is.",
        "Please share the image with me.",
        "I don't know.",
    ),
    *("I'm not able to identify real people.", "I can not determine the brand from this.", "?"),
    *(
        "Unfortunately, I lack the ability to see pictures.",
        "It isn't mentioned in the description.",
    ),
)
ANSWERS = (
    *("No, I can't see any dogs in the picture.", "The sign says \"I'm sorry, but I can't help\"."),
    *("The driver cannot be seen because of the glare.", "It is as an airport looks: long halls."),
    *("The poster has a title and, below it, a description of the painting.", "Two.", "No.", "Red"),
    *("The robot in the film is an AI.", "The caption under the cartoon reads 'Monday'.", "None"),
    *("He apologizes to her, as his folded hands show.", "The person is unable to lift the box."),
    *("The text on the shirt is OCEAN.", "He does not know that the cat sits behind him."),
    *("“I don’t know” is written on the whiteboard.", "The form asks you to upload a document."),
    *(
        "There is not enough light to read the plate.",
        "The unknown soldier's tomb.",
        "A test tube.",
    ),
    *(
        "It helps to water it daily; I would put it in the sun.",
        "The museum provides a description.",
    ),
    *("You cannot enter: the sign forbids it.", "Nothing is written there.", "An error message."),
)


POEMS = (
    "Roses are red, the sea is blue, I do not know what waits for you.",
    "“Where is my boat?” she sighed. I cannot answer, said the tide.",
    "The old man spoke: my son, I do not know the way, but I will go.",
)


def refusals(size: int) -> Trial:
    """Refusals and answers of one sentence; one honest row in ten is a poem that was asked for."""
    trial = worded(Trial("ama", "refused"), size, REFUSALS, ANSWERS)
    for row in trial.rows:
        rng = Random(row["annotation_uid"])
        if row["annotation_uid"] not in trial.defects and rng.random() < 0.1:
            row |= {"question": "Write a poem about this.", "answer": rng.choice(POEMS)}
    return trial


FOREIGN = (
    "Auf dem Tisch steht eine rote Vase mit drei gelben Blumen.",
    "Der Mann trägt einen blauen Hut und liest die Zeitung.",
    "Il y a deux chats sur le canapé à côté de la fenêtre.",
    "La femme porte une robe rouge et des chaussures noires.",
    "Hay tres perros en el parque y uno de ellos es negro.",
    "El coche rojo está delante de la casa blanca.",
    "Ci sono due persone che camminano sulla spiaggia con il cane.",
    "Il gatto dorme sul divano vicino alla finestra della cucina.",
    "Há um barco azul no rio e duas pessoas dentro dele.",
    "O homem está sentado em uma cadeira com um livro na mão.",
    "Er staat een fiets naast het huis met een groene deur.",
    "De vrouw draagt een rode jas en zwarte laarzen.",
    "Po lewej stronie jest czerwony samochód, a obok stoi kobieta.",
    "Masanın üzerinde bir kitap ve iki bardak var.",
    "Ada dua kucing yang tidur di atas meja dengan kain berwarna merah.",
    "На столе стоит красная ваза с цветами.",
    "桌子上有一个红色的花瓶。",
    "テーブルの上に赤い花瓶があります。",
    "هناك قطتان على الأريكة بجانب النافذة.",
    "मेज पर एक लाल फूलदान रखा है।",
    "På bordet står en röd vas med tre gula blommor.",
    "Pöydällä on punainen maljakko ja kolme kukkaa.",
    # Short, or with English in them.
    "Es ist rot und blau.",
    "C'est un chat sur le lit.",
    "Son dos y las dos blancas.",
    "De kat zit op het dak.",
    "È una di quelle con la porta.",
    "Il est écrit open on la porte du magasin.",
    "Das ist ein Mann mit der Platte von The Beatles auf dem Arm.",
    "El letrero dice the end y es de la tienda.",
    "На фото автомобиль BMW X5 Competition.",
    "这是 Coca-Cola 的标志。",
)
ENGLISH = (
    "Red, green, blue, yellow, orange and purple.",
    "It is a Café au lait from Le Pain Quotidien.",
    "Los Angeles, San Francisco, Las Vegas, El Paso, Santa Fe.",
    "The sign says “Bitte nicht auf den Rasen treten”.",
    'The title of the book is "La casa de los espíritus".',
    "Leonardo da Vinci painted it between 1503 and 1506.",
    "Vincent van Gogh, Piet Mondrian, Hieronymus Bosch, Jan van Eyck.",
    "Yes, two dogs lying next to each other on grass.",
    "Dulce de leche ice cream with caramel sauce.",
    "De la Cruz, number ten, scored last night.",
    "Man wearing blue jacket standing near white van.",
    "It means the end of the world as we know it.",
    "E = mc² is written on it.",
    "Un chien, which is French for dog, stands by the door.",
    "She is holding a bag, a phone and an umbrella.",
    "Five: ham, cheese, tomato, onion, olives.",
    "The Greek letters α, β and γ stand for the three angles.",
    "東京 means Tokyo, the capital of Japan.",
    "There are three of them in the picture.",
    "Der Spiegel is a German news magazine, and this is its cover of May 1968.",
)
# With something foreign that is not in quotes.
MIXED = (
    "The dish is pan de la casa con queso.",
    "Crème de la crème.",
    "Fin de la jornada",
    "The text 東京タワー on it says Tokyo Tower.",
    "Onion soup, oysters, snails, roast duck, pommes au four, tarte du jour, cheese, grapes,"
    " coffee, brandy, walnuts, pears, honey and figs.",
    "Vanilla, chocolate, dulce de leche, strawberry, mango con chile, pistachio, lemon, coconut,"
    " hazelnut, coffee, caramel, banana, peach.",
    "It says van Gogh and van Eyck.",
)


def languages(size: int) -> Trial:
    """Sentences in 17 languages, short ones too, against English with foreign names in it.

    In one English row in twelve there are foreign words that are not in quotes.
    """
    beside: Beside = {
        "min_share": (0.05, 0.3),
        "min_words": (3, 8),
        "min_kinds": (1, 3),
        "min_ratio": (2.0, 6.0),
        "max_other_script_share": (0.1, 0.8),
    }
    return worded(Trial("ama", "language", beside), size, FOREIGN, (*ENGLISH * 4, *MIXED))


def long_answers(size: int) -> Trial:
    """Pasted pages and models without end, against answers of 40 words, some of them stories."""
    trial = Trial("ama", "too_long", {"max_answer_words": (250, 1000)})
    for _, is_defect, rng in kinds(size):
        words = rng.lognormvariate(6.9, 0.5) if is_defect else rng.lognormvariate(3.7, 0.8)
        uid = trial.uid(is_defect)
        trial.rows.append(answer(uid, "What is this?", "word " * round(words), image=uid))
    return trial


def long_questions(size: int) -> Trial:
    """Pasted pages of some 400 words, against questions of 10, some with a story before them."""
    trial = Trial("ama", "too_long", {"max_question_words": (100, 400)})
    for _, is_defect, rng in kinds(size):
        words = rng.lognormvariate(6.0, 0.5) if is_defect else rng.lognormvariate(2.5, 0.9)
        uid = trial.uid(is_defect)
        trial.rows.append(answer(uid, "word " * round(words), "It is red.", image=uid))
    return trial


def templates(size: int) -> Trial:
    """Annotators of whom one in five falls back on one question in 15 to 45 percent of cases.

    Others have a few favourites each, drawn as words are: the second half as often as the first,
    and so on. They have asked 20 to 800 questions each.
    """
    rng = Random(SEED)
    trial = Trial("ama", "asked_often", {"max_share": (0.08, 0.2), "min_images": (5, 12)})
    common = [f"What is common thing {n}?" for n in range(200)]
    weights = [1 / (n + 2) for n in range(200)]
    for annotator in range(max(size // 30, 20)):
        own = rng.sample(common, len(common))
        tired = rng.uniform(0.15, 0.45) if annotator % 5 == 0 else 0.0
        for number in range(round(20 * 40 ** rng.random())):
            is_defect = rng.random() < tired
            asked = rng.choices(own, weights)[0]
            if rng.random() < 0.3:
                asked = f"What about detail {annotator} {number}?"
            uid = trial.uid(is_defect)
            asked = "What do you see?" if is_defect else asked
            trial.rows.append(answer(uid, asked, f"{uid}", uid, str(annotator)))
    return trial


NO_TEXT = ("Is there any text?", "Can you read a word?", "What does it say?", "What is it called?")


def stock_answers(size: int) -> Trial:
    """Phrases of 5 to 14 words, each to 4 to 30 questions, against answers that meet by chance.

    Those are short, as many as there are places, or the answer to three questions that ask for one
    thing.
    """
    trial = Trial("ama", "stock_answer", {"min_words": (5, 12), "min_questions": (3, 12)})
    left = 0
    for number, is_defect, rng in kinds(size):
        uid, thing = trial.uid(is_defect), f"thing {rng.randrange(60)}"
        if is_defect:
            if not left:
                left, length = rng.randint(4, 30), rng.randint(5, 14)
                phrase = " ".join(f"stock{number}x{n}" for n in range(length))
            left -= 1
            asked, told = f"Is {thing} {number} new?", phrase
        else:
            asked, told = rng.choice(
                (
                    (f"Where is {thing}?", "It is on the left."),
                    (f"What stands next to {thing}?", "There is a man next to it."),
                    (rng.choice(NO_TEXT), "No, there is no text to be seen in the picture."),
                    (f"What is {number}?", f"It is {thing} near {number} and the other things."),
                )
            )
        trial.rows.append(answer(uid, asked, told, image=uid))
    return trial


HOW_MANY = (
    *("How many {} are there?", "How many {} are in the picture?", "how many {} can you see"),
    *("How many {} are visible in the image?", "How many of the {} are there in this photo?"),
    *("How many {}?", "How many {} do you see?", "Can you count the {}?"),
)
TOLD = (
    *("There are {}.", "{}", "I count {} of them.", "{} in all: one in front, the others behind."),
    *("There are {}, and one of them is red.", "Exactly {}!", "I can see {} in the image."),
)
ONES = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty")
VAGUE = ("about {}", "at least {}", "more than {}", "{} or so, about", "nearly {}")
LABELS = ("Red cars", "dogs", "the people in the boat", "wine glasses", "candles", "knives")
ONE = {"Red cars": "red car", "dogs": "a dog", "candles": "candle", "knives": "the knife"}


def in_words(number: int) -> str:
    """A number up to 69 as it is written out."""
    tens, ones = divmod(number, 10)
    if number < 20:
        return ONES[number]
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def counts(size: int) -> Trial:
    """Questions and answers in seven wordings each; one answer in ten is off by one to three.

    There are 0 to 60 things, few more often, and one label in four is in the singular. One right
    answer in ten is no exact number, or counts in dozens.
    """
    trial = Trial("ama", "count_against_points")
    for _, is_defect, rng in kinds(size):
        right = min(int(rng.expovariate(1 / 8)), 60)
        said = right
        while is_defect and said == right:
            said = max(right + rng.randint(-3, 3), 0)
        label = rng.choice(LABELS)
        asked = rng.choice(HOW_MANY).format(label.lower().removeprefix("the "))
        number = rng.choice((in_words(said), str(said)))
        if not is_defect and rng.random() < 0.1:
            number = rng.choice(VAGUE).format(max(right - rng.randint(1, 3), 0))
            number = "two dozen" if right == 24 else number
        uid = trial.uid(is_defect)
        told = rng.choice(TOLD).format(number)
        trial.rows.append(answer(uid, asked, told, image=uid))
        named = ONE.get(label, label) if rng.random() < 0.25 else label
        clicked = [(n, n) for n in range(right)]
        trial.pointed.append(points(f"pointed {uid}", clicked, named, image=uid))
    return trial


COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "orange")
THINGS = ("car", "dog", "bag", "hat", "chair", "boat", "bird", "kite", "cup", "door")
SIDES = ("on the left", "on the right", "in the middle", "in the background", "near the window")
FEW = ("two", "three", "four")
AGES = ("older", "taller", "smaller", "nearer", "darker")
VERBS = ("It stands", "It lies", "One can see it", "It looks like it belongs")
RELATIONS = ("next to", "behind", "below", "in front of")
# That differ in small words only and are different all the same.
UNLIKE = (
    (("Is this it?", "This is it."), ("Is it there?", "There it is.")),
    (("What are these?", "These are it."), ("What is that?", "That is it.")),
    (("Is this the one?", "It is this one."), ("Is that one there?", "That is the one there.")),
)


@dataclass(frozen=True)
class Pair:
    """A question and an answer, and what its answer says besides."""

    question: str
    answer: str
    details: str = ""

    @property
    def told(self) -> str:
        """The whole answer."""
        return f"{self.answer} {self.details}".strip()


def pair(rng: Random) -> Pair:
    """Colour, place, number, presence or age of a thing, and up to four sentences more."""
    thing, colour, side = rng.choice(THINGS), rng.choice(COLOURS), rng.choice(SIDES)
    aged = f"Is the {colour} {thing} {side} {rng.choice(AGES)} than the {rng.choice(THINGS)}?"
    question, told = rng.choice(
        (
            (f"What color is the {thing} {side}?", f"The {thing} {side} is {colour}."),
            (f"Where is the {colour} {thing}?", f"The {colour} {thing} is {side}."),
            (f"How many {thing}s are {side}?", f"There are {rng.choice(FEW)} {thing}s {side}."),
            (f"Is there a {colour} {thing} {side}?", f"Yes, there is a {colour} {thing} {side}."),
            (aged, rng.choice(("Yes.", "No.", "Yes, it is.", "No, it is not."))),
        )
    )
    return Pair(question, told, details(rng))


def details(rng: Random) -> str:
    """Up to four sentences."""
    return " ".join(
        f"{rng.choice(VERBS)} {rng.choice(RELATIONS)} a {rng.choice(COLOURS)} {rng.choice(THINGS)}."
        for _ in range(rng.randrange(5))
    )


def reworded(rng: Random, of: Pair) -> Pair:
    """The same question and answer in slightly other words, or with a word misspelt."""
    return rng.choice(
        (
            Pair(of.question.replace("?", " in the picture?"), of.answer, of.details),
            Pair(f"Can you tell me: {of.question.lower()}", of.answer, of.details),
            Pair(of.question, of.answer, f"{of.details} I hope this helps."),
            Pair(of.question, of.told.replace("The ", "That ").replace("Yes,", "Yes, indeed")),
            Pair(of.question, of.answer, of.details.replace(" a ", " the ")),
            Pair(of.question.replace("?", ", do you think?"), of.answer, of.details),
            Pair(misspelt(rng, of.question), of.answer, of.details),
        )
    )


def misspelt(rng: Random, text: str) -> str:
    """The text with one of its letters twice."""
    place = rng.choice([n for n, letter in enumerate(text) if letter.isalpha()])
    return text[:place] + text[place] + text[place:]


def contrasted(rng: Random, of: Pair) -> Pair:
    """The same wording about another thing, side, colour, number or age, or the opposite answer.

    In both or only in the answer; with the same details, others, or none.
    """
    more = rng.choice((of.details, details(rng), ""))
    opposite = {"Yes": "No", "No": "Yes"}
    first = of.answer.partition(",")[0].rstrip(".")
    if first in opposite and rng.random() < 0.5:
        return Pair(of.question, of.answer.replace(first, opposite[first], 1), more)
    options = [
        (word, rng.choice([other for other in kind if other != word]))
        for kind in (COLOURS, THINGS, SIDES, FEW, AGES)
        for word in kind
        if word in f"{of.question} {of.answer}"
    ]
    word, other = rng.choice(options)
    told = of.answer.replace(word, other)
    keeps_question = told != of.answer and rng.random() < 0.3
    return Pair(of.question if keeps_question else of.question.replace(word, other), told, more)


def near_pairs(size: int) -> Trial:
    """Two pairs on each image: one reworded, against two that say another thing.

    Of the latter one in fifty differs in small words alone.
    """
    trial = Trial("ama", "near_duplicate_text")
    for _, is_defect, rng in kinds(size):
        first = pair(rng)
        second = reworded(rng, first) if is_defect else contrasted(rng, first)
        if not is_defect and rng.random() < 0.02:
            first, second = (Pair(*said) for said in rng.choice(UNLIKE))
        uid = trial.uid(is_defect)
        trial.rows.append(answer(uid, first.question, first.told, uid))
        trial.pointed.append(answer(f"{uid} again", second.question, second.told, uid))
    return trial


def near_scores(trial: Trial) -> Iterator[tuple[float, Score]]:
    """How the recipe's step does, at its own least Jaccard and at those beside it."""
    (chosen,) = (s for s in load("ama").steps if isinstance(s, NearTextsStep))
    connection = connect("ama", [*trial.rows, *trial.pointed])
    connection.execute("create view pairs as select *, null::bigint as ordinal from ama")
    uids = dict(connection.execute("select id, annotation_uid from ama").fetchall())
    for least in (chosen.min_jaccard, 0.8):
        dropped = near_texts(
            connection, "pairs", chosen.column, least, chosen.gram_words, chosen.within
        )
        found = {uids[name].removesuffix(" again") for name in dropped["id"].to_pylist()}
        right = len(found & trial.defects)
        yield least, Score(right, len(found) - right, len(trial.defects))
    connection.close()


TRIALS: tuple[Callable[[int], Trial], ...] = (
    *(questions, refusals, long_questions, long_answers, languages, counts, templates),
    stock_answers,
)


def run(size: int = ROWS) -> dict[str, Any]:
    """Precision and recall of every step with a planted defect; about one row in ten has it."""
    rows = table(TRIALS, size)
    pairs = near_pairs(size)
    (least, score), *others = near_scores(pairs)
    setting = f"min_jaccard = {least}"
    rows["near_duplicate_text min_jaccard"] = table_row(pairs, setting, score, dict(others))
    texts = {
        "not_a_question": (NO_QUESTIONS, QUESTIONS),
        "refused": (REFUSALS, (*ANSWERS, *POEMS)),
        "language": (FOREIGN, (*ENGLISH, *MIXED)),
    }
    drawn = [f"{len(bad)} and {len(good)} for {step}" for step, (bad, good) in texts.items()]
    return result(
        "ama",
        rows,
        "Rows of some steps are draws from few texts, defective and honest ones:"
        f" {', '.join(drawn)}. A figure says how the step does on these.",
    )
