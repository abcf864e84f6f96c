"""Precision and recall of the steps of ama and points on planted defects, default by default.

What is planted is written here and not taken from the steps' own lists: refusals and trials are
worded as people and models word them, so that a list of phrases misses some. Hands, objects and
annotators are simulated; how, says each function. Percent are of an image's width and height.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import NearTextsStep
from pixmo.text import normalise
from tests.planted_rows import Row, answer, connect, image, judged, points, step

Clicks = list[tuple[float, float]]
HAND = 0.3  # percent: how far a click lands from where the hand aims, standard deviation
SEED = 0


@dataclass
class Trial:
    """Rows for one step, and those that it is to name."""

    stem: str
    file: str
    parameter: str = ""  # varied: its values below and above the default
    beside: tuple[Any, ...] = ()
    rows: list[Row] = field(default_factory=list)
    defects: set[str] = field(default_factory=set)
    images: list[Row] = field(default_factory=list)
    pointed: list[Row] = field(default_factory=list)

    def uid(self, is_defect: bool) -> str:
        """The next row's annotation; it is remembered whether it is to be named."""
        uid = f"{self.file}-{len(self.rows)}"
        if is_defect:
            self.defects.add(uid)
        return uid


@dataclass(frozen=True)
class Score:
    """How a step did at one value of its parameter."""

    value: Any
    right: int  # defects named
    wrong: int  # honest rows named
    defects: int
    honest: int

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.right / self.defects

    @property
    def both(self) -> str:
        return f"{self.precision:.3f} / {self.recall:.3f}"


def clamp(value: float) -> float:
    """A place in the image."""
    return min(max(value, 0.0), 100.0)


def hand(rng: Random, places: Iterable[tuple[float, float]], sigma: float = HAND) -> Clicks:
    """Clicks aimed at places, rounded as a screen of 1000 pixels gives them."""
    return [
        (round(clamp(rng.gauss(x, sigma)), 1), round(clamp(rng.gauss(y, sigma)), 1))
        for x, y in places
    ]


def scattered(rng: Random, count: int, apart: float = 4.0) -> Clicks:
    """Objects anywhere, `apart` percent from each other."""
    places: Clicks = []
    while len(places) < count:
        place = (rng.uniform(2, 98), rng.uniform(2, 98))
        if all((place[0] - x) ** 2 + (place[1] - y) ** 2 >= apart**2 for x, y in places):
            places.append(place)
    return places


def double_clicks(size: int) -> Trial:
    """Crowds as dense as 1.5 percent; in every other one a place is clicked twice within 0.15."""
    rng = Random(SEED)
    trial = Trial("points", "duplicate_points", "min_distance", (0.25, 1.0))
    for number in range(size):
        clicked = hand(rng, scattered(rng, rng.randint(2, 40), rng.uniform(1.5, 5)))
        is_defect = number % 2 == 0
        if is_defect:
            x, y = rng.choice(clicked)
            clicked.append((clamp(rng.gauss(x, 0.15)), clamp(rng.gauss(y, 0.15))))
        trial.rows.append(points(trial.uid(is_defect), clicked, image=str(number)))
    return trial


def clicks_outside(size: int) -> Trial:
    """Clicks on the very edge land outside by half a percent as a rule; others by ten."""
    rng = Random(SEED)
    trial = Trial("points", "outside_image", "tolerance", (1.0, 4.0))
    for number in range(size):
        is_defect = number % 2 == 0
        beyond = rng.expovariate(1 / 10.0) if is_defect else rng.expovariate(1 / 0.5)
        clicked = [*scattered(rng, 2), (100.0 + beyond, rng.uniform(0, 100))]
        trial.rows.append(points(trial.uid(is_defect), clicked, image=str(number)))
    return trial


def two_annotators(size: int) -> Trial:
    """Two people point at objects 2 to 40 percent wide, each somewhere in their middle half.

    In every other pair one of them goes wrong: leaves one out, adds one, or takes other objects.
    From 20 on, honest people miscount by one now and then.
    """
    rng = Random(SEED)
    trial = Trial("points", "disagreement", "max_distance", (7.0, 28.0))
    for number in range(size // 2):
        width = rng.uniform(2, 40)
        objects = scattered(rng, min(rng.randint(1, 30), int(60 / width)), width)
        is_defect = number % 2 == 0
        seen = wrongly_seen(rng, objects) if is_defect else list(objects)
        if not is_defect and len(objects) >= 20 and rng.random() < 0.5:
            seen.pop()
        for annotator, aimed in (("1", objects), ("2", seen)):
            clicked = hand(rng, aimed, width / 8)
            uid = trial.uid(is_defect)
            trial.rows.append(points(uid, clicked, image=str(number), annotator=annotator))
    return trial


def wrongly_seen(rng: Random, objects: Clicks) -> Clicks:
    """What a careless annotator takes for the objects."""
    fault = rng.randrange(3)
    if fault == 0:
        return objects[1:]
    if fault == 1:
        return [*objects, *scattered(rng, 1)]
    return scattered(rng, len(objects))


def even_rows(size: int) -> Trial:
    """Lines and grids by script or keyboard, against rows of real things clicked by hand.

    Real are windows, spaced exactly; teeth and books, whose spacing varies by an eighth; fences
    that recede; and things anywhere. Scripted are lines and grids of 5 to 40 places, off by at
    most a pixel in 1000.
    """
    rng = Random(SEED)
    trial = Trial("points", "evenly_spaced", "max_bend", (0.1, 0.4))
    for number in range(size):
        is_defect = number % 2 == 0
        clicked = scripted(rng) if is_defect else hand(rng, real_row(rng))
        trial.rows.append(points(trial.uid(is_defect), clicked, image=str(number)))
    return trial


def scripted(rng: Random) -> Clicks:
    """A line or a grid, row by row or back and forth, to a tenth of a percent."""
    columns, rows = rng.choice([(rng.randint(5, 20), 1), (rng.randint(3, 8), rng.randint(2, 5))])
    across, down = rng.uniform(2, 90 / columns), rng.uniform(2, 90 / rows)
    left, top = rng.uniform(1, 5), rng.uniform(1, 5)
    there_and_back = rng.random() < 0.5
    places = []
    for row in range(rows):
        order = range(columns)
        for column in reversed(order) if there_and_back and row % 2 else order:
            x, y = left + across * column, top + down * row
            places.append((round(x, 1), round(y, 1)))
    return places


def real_row(rng: Random) -> Clicks:
    """Windows, teeth, a fence, or things anywhere."""
    kind, count = rng.randrange(4), rng.randint(5, 30)
    if kind == 3:
        return scattered(rng, count)
    step_length, x, y = 90 / count, 3.0, rng.uniform(10, 90)
    slope, shrinking = rng.uniform(-0.3, 0.3), rng.uniform(0.85, 0.98) if kind == 2 else 1.0
    places = []
    for _ in range(count):
        places.append((x, y))
        move = step_length * (rng.gauss(1, 0.125) if kind == 1 else 1)
        x, y, step_length = x + move, clamp(y + slope * move), step_length * shrinking
    return places


def same_places(size: int) -> Trial:
    """Careless annotators give the points of an earlier image again; others point at what is there.

    What people point at sits near the middle: 20 percent around it.
    """
    rng = Random(SEED)
    trial = Trial("points", "same_points", "min_repeated", (1, 8))
    for annotator in range(4):
        favourites = [hand(rng, scattered(rng, n)) for n in (1, 1, 2, 3, 5, 8)]
        for number in range(size):
            is_defect = annotator == 0 and rng.random() < 0.3
            middle = [
                (clamp(rng.gauss(50, 20)), clamp(rng.gauss(50, 20)))
                for _ in range(min(1 + int(rng.expovariate(1 / 3)), 20))
            ]
            clicked = rng.choice(favourites) if is_defect else hand(rng, middle)
            uid = trial.uid(is_defect)
            trial.rows.append(
                points(uid, clicked, image=f"{annotator} {number}", annotator=str(annotator))
            )
    return trial


def lazy_annotators(size: int) -> Trial:
    """Of 40 annotators, four say none of a third to two thirds of what they would have to click.

    What is asked of them is absent in a tenth to a quarter of the cases, more for some than others.
    """
    rng = Random(SEED)
    trial = Trial("points", "none_share", "max_odds_ratio", (2.0, 5.0))
    for annotator in range(40):
        absent, lazy = rng.uniform(0.1, 0.25), rng.uniform(0.33, 0.67) if annotator < 4 else 0.0
        for number in range(max(size // 40, 60)):
            is_none = rng.random() < absent or rng.random() < lazy
            uid = trial.uid(is_none and annotator < 4)
            clicked = [] if is_none else hand(rng, scattered(rng, 1))
            trial.rows.append(
                points(uid, clicked, image=f"{annotator} {number}", annotator=str(annotator))
            )
    return trial


COUNTED = ("red cars", "people in the boat", "dogs", "wine glasses on the table", "men with hats")
NOT_COUNTED = (
    *("two piece suit", "three point line", "2 liter bottle", "4 wheel drive cars", "seven eleven"),
    *("one way sign", "two tone shoes", "five star hotel", "3 musketeers bar", "ten gallon hat"),
)


def numbers_in_labels(size: int) -> Trial:
    """`three red cars` with three points or with another number, and numbers that do not count."""
    rng = Random(SEED)
    trial = Trial("points", "number_in_label")
    words = ("two", "three", "four", "five", "2", "3", "six")
    numbers = (2, 3, 4, 5, 2, 3, 6)
    for number in range(size):
        kind = number % 4
        word, said = rng.choice(list(zip(words, numbers, strict=True)))
        label = rng.choice(NOT_COUNTED) if kind == 3 else f"{word} {rng.choice(COUNTED)}"
        count = said + rng.choice((-1, 1)) if kind == 0 else said
        clicked = hand(rng, scattered(rng, count if kind != 3 else rng.randint(1, 6)))
        trial.rows.append(points(trial.uid(kind == 0), clicked, label, image=str(number)))
    return trial


# One thing in both, then different things; `man` and `men` are one thing that spelling hides.
SAME_THING = (
    *(("red hat", "red hats"), ("dog", "dogs"), ("window on the left", "windows on the left")),
    *(("the person in blue", "persons in blue"), ("man", "men"), ("box", "boxes")),
    *(("a car", "cars"), ("bird", "birds"), ("shoe", "shoes"), ("candle", "candles")),
)
OTHER_THING = (
    *(("glass", "glasses"), ("dress", "dressers"), ("red hat", "blue hats"), ("bus", "us flag")),
    *(("new", "news"), ("grass", "grapes"), ("lens", "lamp"), ("cat", "cattle")),
)


def absent_and_present(size: int) -> Trial:
    """One row says none, the other points, on things that are the same in number only or differ."""
    rng = Random(SEED)
    trial = Trial("points", "none_against_present")
    for number in range(size // 2):
        is_defect = number % 2 == 0
        pair = list(rng.choice(SAME_THING if is_defect else OTHER_THING))
        rng.shuffle(pair)
        for label, clicked in zip(pair, ([], hand(rng, scattered(rng, 2))), strict=True):
            trial.rows.append(points(trial.uid(is_defect), clicked, label, image=str(number)))
    return trial


def small_images(size: int) -> Trial:
    """Icons, pixels that count visitors and avatars, against photos and drawings of all shapes."""
    rng = Random(SEED)
    trial = Trial("points", "too_small", "min_side", (32, 128))
    for number in range(size):
        is_defect = number % 2 == 0
        if is_defect:
            width = height = rng.choice((1, 1, 16, 24, 32, 32, 48, 48, 60, 64, 80))
        else:
            width = round(min(4000, max(110, rng.lognormvariate(6.5, 0.6))))
            height = max(100, round(width / rng.uniform(0.5, 3)))
        trial.images.append(image(str(number), width, height))
        trial.rows.append(points(trial.uid(is_defect), [(1, 1)], image=str(number)))
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
)


def questions(size: int) -> Trial:
    """Worded by hand, thirty of each kind; `size` has no say."""
    del size
    trial = Trial("ama", "not_a_question", "max_mashed_share", (0.25, 1.0))
    for asked in (*NO_QUESTIONS, *QUESTIONS):
        uid = trial.uid(asked in NO_QUESTIONS)
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


def refusals(size: int) -> Trial:
    """Worded by hand, some thirty of each kind; `size` has no say."""
    del size
    trial = Trial("ama", "refused")
    for told in (*REFUSALS, *ANSWERS):
        uid = trial.uid(told in REFUSALS)
        trial.rows.append(answer(uid, "What is this?", told, image=uid))
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


def languages(size: int) -> Trial:
    """Sentences in 17 languages against English with names, lists and quotations in it."""
    del size
    trial = Trial("ama", "language", "min_share", (0.05, 0.3))
    for told in (*FOREIGN, *ENGLISH):
        uid = trial.uid(told in FOREIGN)
        trial.rows.append(answer(uid, "What is this?", told, image=uid))
    return trial


def long_answers(size: int) -> Trial:
    """Answers of 40 words as a rule, some being stories; pasted pages; models without end."""
    rng = Random(SEED)
    trial = Trial("ama", "too_long", "max_answer_words", (250, 1000))
    for number in range(size):
        is_defect = number % 20 == 0
        words = rng.lognormvariate(6.9, 0.5) if is_defect else rng.lognormvariate(3.7, 0.8)
        uid = trial.uid(is_defect)
        trial.rows.append(answer(uid, "What is this?", "word " * round(words), image=uid))
    return trial


def templates(size: int) -> Trial:
    """Annotators who fall back on one question, against people with a few favourites each.

    Favourites are drawn as words are: the second half as often as the first, and so on.
    """
    rng = Random(SEED)
    trial = Trial("ama", "asked_often", "max_share", (0.05, 0.2))
    common = [f"What is common thing {n}?" for n in range(200)]
    weights = [1 / (n + 2) for n in range(200)]
    for annotator in range(20):
        own = rng.sample(common, len(common))
        for number in range(max(size // 20, 200)):
            is_defect = annotator < 4 and rng.random() < 0.15 + 0.1 * annotator
            asked = rng.choices(own, weights)[0]
            if rng.random() < 0.3:
                asked = f"What about detail {annotator} {number}?"
            uid = trial.uid(is_defect)
            asked = "What do you see?" if is_defect else asked
            trial.rows.append(answer(uid, asked, f"{uid}", uid, str(annotator)))
    return trial


def stock_answers(size: int) -> Trial:
    """Stock phrases of 5 to 14 words to many questions, against answers that meet by chance.

    Those are short, or always the answer to one question.
    """
    rng = Random(SEED)
    trial = Trial("ama", "stock_answer", "min_words", (4, 12))
    stock = [" ".join(f"stock{n}" for n in range(length)) for length in range(5, 15)]
    things = [f"thing {n}" for n in range(60)]
    for number in range(size):
        kind = number % 4
        thing = rng.choice(things)
        asked, told = {
            0: (f"Is {thing} new?", rng.choice(stock)),
            1: (f"Where is {thing}?", "It is on the left."),
            2: ("Is there any text?", "No, there is no text to be seen in the picture."),
            3: (f"What is {number}?", f"It is {thing} near {number} and the other things."),
        }[kind]
        uid = trial.uid(kind == 0)
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
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def counts(size: int) -> Trial:
    """Questions and answers in seven wordings each; every other answer is off by one or two."""
    rng = Random(SEED)
    trial = Trial("ama", "count_against_points")
    labels = ("Red cars", "dogs", "the people in the boat", "wine glasses", "candles")
    for number in range(size):
        is_defect = number % 2 == 0
        right = rng.randint(0, 10)
        said = (
            right if not is_defect else rng.choice([n for n in range(11) if 0 < abs(n - right) < 3])
        )
        label = rng.choice(labels)
        asked = rng.choice(HOW_MANY).format(label.lower().removeprefix("the "))
        told = rng.choice(TOLD).format(rng.choice((WORDS[said], str(said))))
        uid = trial.uid(is_defect)
        trial.rows.append(answer(uid, asked, told, image=uid))
        clicked = hand(rng, scattered(rng, right))
        trial.pointed.append(points(f"pointed {uid}", clicked, label, image=uid))
    return trial


COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "orange")
THINGS = ("car", "dog", "bag", "hat", "chair", "boat", "bird", "kite", "cup", "door")
SIDES = ("on the left", "on the right", "in the middle", "in the background", "near the window")
FEW = ("two", "three", "four")
VERBS = ("It stands", "It lies", "One can see it", "It looks like it belongs")
RELATIONS = ("next to", "behind", "below", "in front of")


@dataclass(frozen=True)
class Pair:
    """A question and an answer, and what its answer says besides."""

    question: str
    answer: str
    details: str = ""

    @property
    def text(self) -> str:
        return f"{self.question} {self.answer} {self.details}"


def pair(rng: Random) -> Pair:
    """Colour, place, number or presence of a thing, and up to four sentences more."""
    thing, colour, side = rng.choice(THINGS), rng.choice(COLOURS), rng.choice(SIDES)
    question, told = rng.choice(
        (
            (f"What color is the {thing} {side}?", f"The {thing} {side} is {colour}."),
            (f"Where is the {colour} {thing}?", f"The {colour} {thing} is {side}."),
            (f"How many {thing}s are {side}?", f"There are {rng.choice(FEW)} {thing}s {side}."),
            (f"Is there a {colour} {thing} {side}?", f"Yes, there is a {colour} {thing} {side}."),
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
    """The same question and answer in slightly other words."""
    return rng.choice(
        (
            Pair(of.question.replace("?", " in the picture?"), of.answer, of.details),
            Pair(f"Can you tell me: {of.question.lower()}", of.answer, of.details),
            Pair(of.question, of.answer, f"{of.details} I hope this helps."),
            Pair(of.question, of.answer.replace("The ", "That ").replace("Yes,", "Yes, indeed"))
            if not of.details
            else Pair(of.question, of.answer, of.details.replace(" a ", " the ")),
        )
    )


def contrasted(rng: Random, of: Pair) -> Pair:
    """The same wording about another thing, side, colour or number, with details of its own."""
    said = f"{of.question} {of.answer}"
    options = [
        (word, rng.choice([other for other in kind if other != word]))
        for kind in (COLOURS, THINGS, SIDES, FEW)
        for word in kind
        if word in said
    ]
    word, other = rng.choice(options)
    return Pair(of.question.replace(word, other), of.answer.replace(word, other), details(rng))


def grams(text: str, length: int) -> set[str]:
    """The runs of `length` words in a text."""
    found = normalise(text).split()
    return {" ".join(found[i : i + length]) for i in range(max(1, len(found) - length + 1))}


def near_pairs(size: int) -> Iterator[Score]:
    """Scores of rewordings of a pair against pairs of the same wording on other things."""
    rng = Random(SEED)
    (chosen,) = (s for s in load("ama").steps if isinstance(s, NearTextsStep))
    alike: dict[bool, list[float]] = {True: [], False: []}
    for number in range(size):
        first, is_defect = pair(rng), number % 2 == 0
        second = reworded(rng, first) if is_defect else contrasted(rng, first)
        one, other = grams(first.text, chosen.gram_words), grams(second.text, chosen.gram_words)
        alike[is_defect].append(len(one & other) / len(one | other))

    for least in (chosen.min_jaccard, 0.5, 0.6, 0.8):
        right, wrong = (sum(value >= least for value in alike[kind]) for kind in (True, False))
        yield Score(least, right, wrong, len(alike[True]), len(alike[False]))


TRIALS: tuple[Callable[[int], Trial], ...] = (
    *(small_images, clicks_outside, double_clicks, two_annotators, absent_and_present),
    *(numbers_in_labels, even_rows, same_places, lazy_annotators),
    *(questions, refusals, long_answers, languages, counts, templates, stock_answers),
)


def table_row(parameter: str, first: Score, *beside: Score) -> list[Any]:
    """A row of the table, from the scores at the default and beside it."""
    setting = f"{parameter} = {first.value}" if parameter else ""
    figures = [f"{first.precision:.3f}", f"{first.recall:.3f}"]
    figures.append(f"{first.wrong / first.honest:.2%}")
    others = "; ".join(f"{score.value}: {score.both}" for score in beside)
    return [setting, first.defects, first.honest, *figures, others]


def scores(trial: Trial) -> Iterator[Score]:
    """At the recipe's value, then at those beside it."""
    connection = connect(trial.stem, trial.rows, trial.images, trial.pointed)
    default = step(trial.stem, trial.file).parameters.get(trial.parameter)
    for value in (default, *trial.beside):
        changed = {trial.parameter: value} if trial.parameter else {}
        named = set(judged(connection, trial.stem, trial.file, **changed))
        right, defects = len(named & trial.defects), len(trial.defects)
        honest = len(trial.rows) - defects
        yield Score(value, right, len(named) - right, defects, honest)
    connection.close()


def run(size: int = 8000) -> dict[str, Any]:
    """Precision and recall of every step with a planted defect."""
    rows = {}
    for make in TRIALS:
        trial = make(size)
        rows[f"{trial.stem}: {trial.file}"] = table_row(trial.parameter, *scores(trial))
    rows["ama: near_duplicate_text"] = table_row("min_jaccard", *near_pairs(size))
    return {
        "title": "Steps of ama and points on planted defects",
        "columns": [
            *("default", "defects", "honest", "precision", "recall"),
            *("honest rows named", "beside it: precision / recall"),
        ],
        "rows": rows,
        "notes": [
            "Planted by `tests/benchmarks/ama_points_thresholds.py`, which says how. Where defects"
            " are rarer than here precision is lower; the share of honest rows named stays.",
        ],
    }
