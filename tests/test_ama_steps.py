"""Every step of the ama recipe: what it names and why, and what lies just beside it."""

from collections.abc import Callable

import pytest

from tests.benchmarks import ama_thresholds
from tests.benchmarks.ama_thresholds import near_pairs, near_scores
from tests.benchmarks.planted_trials import Trial
from tests.planted_rows import (
    Row,
    Verdict,
    answer,
    candidates,
    connect,
    image,
    judged,
    measured,
    not_in_comments,
    outcome,
    points,
)

ASKED, TOLD = "What is this?", "It is a red car."


def named(
    rows: list[Row], file: str, pointed: list[Row] | None = None, **changed: object
) -> dict[str, Verdict]:
    """The verdicts of one step over rows."""
    return judged(connect("ama", rows, (), pointed or []), "ama", file, **changed)


def asked(question: str) -> dict[str, Verdict]:
    """What is said of a question."""
    return named([answer("a", question, TOLD)], "not_a_question")


def told(text: str, file: str, question: str = ASKED) -> dict[str, Verdict]:
    """What a step says of an answer."""
    return named([answer("a", question, text)], file)


def test_words_are_what_is_compared() -> None:
    rows = candidates(connect("ama", [answer("a", " What's  THIS? ", "Its “E=mc²”.")]), "ama")
    assert rows["a"]["question"] == "What's  THIS?"
    assert rows["a"]["pair_words"] == "what s this its e mc²"
    assert "mc" not in rows["a"]["unquoted_answer"]


def test_rejected_and_empty_rows_go() -> None:
    rows = [answer("no", ASKED, TOLD) | {"verdict": "reject"}, answer("yes", ASKED, TOLD)]
    assert named(rows, "rejected") == {"no": Verdict("answer was rejected", {})}
    rows = [answer("a", " ", TOLD), answer("b", ASKED, "\t"), answer("c", "Why?", "2")]
    reasons = {uid: verdict.reason for uid, verdict in named(rows, "empty").items()}
    assert reasons == {"a": "question is empty", "b": "answer is empty"}


NO_QUESTIONS = {
    "???": "no word in the question",
    "123": "no word in the question",
    "1 + 1 = ?": None,
    "Hi!": "a trial or a greeting",
    "  test ": "a trial or a greeting",
    "test tube": None,
    "What does hello kitty hold?": None,
    "How do I submit this task?": "about the work and not about the image",
    "Are you an AI?": "about the work and not about the image",
    "Are you an air balloon?": None,
    "asdf": "keys hit at random",
    "asdf dog": None,
    "asdf asdf dog": "keys hit at random",
    "Qwerty keyboard?": None,
    "AAAA batteries?": None,
    "What should I ask the waiter for?": None,
    "what should I ask": "a trial or a greeting",
    "asdf red dog": None,
    "bcdfghj zxcvb": "keys hit at random",
    "Which street leads to Knightsbridge?": None,
    "Knightsbridge station": None,
    "aaaaaa": "keys hit at random",
    "dog": "a single word, and no question mark",
    "Dog?": None,
    "狗？": None,
    "この写真には何匹の犬がいますか。": None,
    "图中有几只狗": None,
    "นี่คืออะไร": None,
    "ما هذا؟": None,
    "كلب؟": None,
    "собака": "a single word, and no question mark",
    "Describe it": None,
    "What is the capital of France?": None,
}


@pytest.mark.parametrize("question", NO_QUESTIONS)
def test_what_is_no_question_is_named_with_the_reason(question: str) -> None:
    found, reason = asked(question), NO_QUESTIONS[question]
    expected = {"a": Verdict(reason, {})} if reason else {}
    assert found == expected


REFUSALS = {
    "I'm sorry, but I can't help.": 'refuses: "i am sorry but i"',
    "I’m unable to tell.": 'refuses: "i am unable to"',
    "As an AI, I see nothing.": 'refuses: "as an ai"',
    "As an air balloon it flies.": None,
    "No, I can't see any dogs.": None,
    "I can not see the image.": 'shows that no image was seen: "i cannot see the image"',
    "The driver, I cannot see.": None,
    "The caption doesn't say.": 'is written from a text: "the caption does not"',
    "The caption says Monday.": None,
    'It says "I don\'t know".': None,
    "“As an AI” is the title.": None,
    "I do not know.": 'refuses: "i do not know"',
    "He does not know it.": None,
    "N/A": 'is none: "n a"',
    "unknown": 'is none: "unknown"',
    "The unknown soldier.": None,
    "None": None,
    "No.": None,
}


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_named_with_their_phrase(text: str) -> None:
    reason = REFUSALS[text]
    expected = {"a": Verdict(f"answer {reason}", {})} if reason else {}
    assert told(text, "refused") == expected


def test_in_a_poem_somebody_may_not_know() -> None:
    poem = "Roses are red, and I do not know why."
    assert not told(poem, "refused", "Write a poem about the roses.")
    assert told(poem, "refused", "Why are the roses red?")
    assert told("I do not know any poem.", "refused", "Write a poem about the roses.")
    assert told("A poem? As the ocr says: red.", "refused", "Write a poem about the roses.")


def test_too_long_on_either_side() -> None:
    rows = [answer("asked 200", "word " * 200, TOLD), answer("asked 201", "word " * 201, TOLD)]
    rows += [answer("told 500", ASKED, "word " * 500), answer("told 501", ASKED, "word " * 501)]
    assert named(rows, "too_long") == {
        "asked 201": Verdict("question of 201 words", {"question_length": 201, "answer_length": 5}),
        "told 501": Verdict("answer of 501 words", {"question_length": 3, "answer_length": 501}),
    }


LANGUAGES = {
    "Der Hund liegt auf dem Sofa.": "in de, not in en",
    "Il y a un chat sur le canapé.": "in fr, not in en",
    "На столе стоит красная ваза.": "in another script",
    "桌子上有一个花瓶。": "in another script",
    "α and β": None,
    "東京 is Tokyo": None,
    "The dog lies on the sofa.": None,
    "Red, green, blue, yellow and orange.": None,
    "Los Angeles, San Francisco, Las Vegas, El Paso.": None,
    "Jan van Eyck, Vincent van Gogh, Rogier van der Weyden.": None,
    "Der Hund auf dem": None,  # four words
    'The sign says "Der Hund liegt auf dem Sofa".': None,
    "See the menu of la casa: pan con queso y vino.": None,
    "42": None,
    "Perro de casa que corre.": "in es or pt, not in en",
    "The dish is pan de la casa con queso.": None,
    "På bordet står en röd vas.": None,  # a language that is not listed
}


@pytest.mark.parametrize("text", LANGUAGES)
def test_answers_in_another_language_are_named(text: str) -> None:
    reasons = [verdict.reason for verdict in told(text, "language").values()]
    assert reasons == ([f"answer is {LANGUAGES[text]}"] if LANGUAGES[text] else [])


def test_a_question_about_a_language_may_have_an_answer_in_it() -> None:
    text = "Der Hund liegt auf dem Sofa."
    assert not told(text, "language", "What is that in German?")
    assert not told(text, "language", "Translate the sign")
    assert told(text, "language", "What is the Germanium for?")


def test_the_language_wanted_is_a_parameter() -> None:
    rows = [
        answer("de", ASKED, "Der Hund liegt auf dem Sofa."),
        answer("en", ASKED, "A dog is on the sofa."),
    ]
    assert named(rows, "language", language="de").keys() == {"en"}
    # At the least ratio there may be, the language wanted is none other.
    assert named(rows, "language", min_ratio=1.0).keys() == {"de"}
    # Of one that is not listed the script is not known.
    rows = [answer("ru", ASKED, "На столе стоит красная ваза."), *rows]
    assert named(rows, "language", language="ru").keys() == {"de", "en"}


def test_a_language_is_named_with_what_was_counted() -> None:
    found = told("Der Hund liegt auf dem Sofa.", "language")
    evidence = {"other_script_share": 0.0, "its_words": 2, "own_words": 0, "answer_length": 6}
    assert found["a"].evidence == evidence


def test_a_pair_is_repeated_case_and_signs_aside() -> None:
    rows = [
        answer("second", "what is THIS", "It is a red car", updated_at="2026-02-01"),
        answer("first", ASKED, TOLD, updated_at="2026-01-01"),
        answer("another answer", ASKED, "It is a blue car."),
        answer("another image", ASKED, TOLD, image="b"),
        answer("sign", "1+1?", "+", updated_at="2026-01-01"),
        answer("other sign", "1+1?", "-", updated_at="2026-01-01"),
    ]
    connection = connect("ama", rows)
    first = candidates(connection, "ama")["first"]["id"]
    found = judged(connection, "ama", "repeated")
    assert found == {"second": Verdict(f"repeats row {first}", {"kept_id": first})}


def test_marks_of_vowels_tell_answers_apart() -> None:
    rows = [answer("a", ASKED, "काल"), answer("b", ASKED, "किल")]
    assert not named(rows, "repeated")
    assert named([answer("a", ASKED, "काल"), answer("b", ASKED, "काल।")], "repeated")


def test_of_repeated_pairs_the_oldest_stays() -> None:
    rows = [
        answer(f"{image} {month}", ASKED, TOLD, str(image), updated_at=f"2026-{month:02d}-01")
        for image in range(8)
        for month in (3, 1, 2)
    ]
    kept = {row["annotation_uid"] for row in rows} - named(rows, "repeated").keys()
    assert kept == {f"{image} 1" for image in range(8)}


COUNTS = {
    ("How many red cars are there?", "There are two red cars."): True,
    ("How many red cars are there?", "There are three red cars."): False,
    ("How many red cars are there?", "3"): False,
    ("How many red cars are there?", "2"): True,
    ("How many red cars are there?", "Three: two in front, one behind."): False,
    ("How many red cars are there?", "None."): True,
    ("How many red cars are there?", "A few."): False,
    ("how many red cars can you see in the picture", "Four."): True,
    ("How many of the red cars are visible?", "Four."): True,
    ("How many red cars?", "Four."): True,
    ("How many red cars are parked?", "Two."): False,
    ("How many blue cars are there?", "Two."): False,
    ("How many dogs are there?", "No, none."): False,
    ("How many dogs are there?", "One."): True,
    ("Are there two red cars?", "Two."): False,
    ("How many trucks are there?", "Two."): False,
    ("How many geese are there?", "Two."): True,
    ("How many geese are there?", "Three."): False,
    ("How many yellow leaves are there?", "Two."): True,
    # No exact number, or one in several words.
    ("How many red cars are there?", "Twenty-five."): False,
    ("How many red cars are there?", "Two dozen."): False,
    ("How many red cars are there?", "Thirty, one of them is new."): False,
    ("How many red cars are there?", "One hundred."): False,
    ("How many red cars are there?", "1,200"): False,
    ("How many red cars are there?", "At least two."): False,
    ("How many red cars are there?", "Two pairs."): False,
    # No count at all.
    ("How many red cars are there?", "There is no way to tell."): False,
    ("How many red cars are there?", "I have no idea."): False,
    ("How many red cars are there?", "It is hard to say from this one."): False,
    ("How many red cars are there?", "I cannot see any one of them."): False,
    ("How many red cars are there?", "There are no red cars."): True,
    ("How many red cars are there?", "20"): True,
    ("How many red cars are there?", "Nineteen."): True,
}


@pytest.mark.parametrize("pair", COUNTS)
def test_counts_are_held_against_points(pair: tuple[str, str]) -> None:
    pointed = [points("p", [(1, 1), (5, 5), (9, 9)], "The Red cars"), points("q", [], "dog")]
    pointed.append(points("geese", [(1, 1), (5, 5), (9, 9)], "a goose"))
    pointed.append(points("leaves", [(1, 1), (5, 5), (9, 9)], "yellow leaf"))
    pointed.append(points("other image", [(1, 1)], "blue cars", image="b"))
    pointed.append(points("unfinished", [], "trucks", presence="present"))
    found = named([answer("a", *pair)], "count_against_points", pointed)
    assert found.keys() == ({"a"} if COUNTS[pair] else set())


def test_a_count_that_one_of_several_annotators_found_is_fine() -> None:
    pointed = [points("1", [(1, 1)]), points("2", [(1, 1), (9, 9)], annotator="2")]
    rows = [answer("2", "How many red cars are there?", "Two.")]
    rows.append(answer("3", "How many red cars are there?", "Three or four."))
    found = named(rows, "count_against_points", pointed)
    reason = "answer says 3 and 4, but 1 or 2 were pointed at"
    evidence = {"expression": "red cars", "numbers": [3, 4], "counts": [1, 2]}
    assert found == {"3": Verdict(reason, evidence)}


def questions_of(annotator: str, same: int, rows: int) -> list[Row]:
    """So many of an annotator's questions are one."""
    return [
        answer(
            f"{annotator} {n}",
            ("What do you see?", "what do YOU see")[n % 2] if n < same else f"What is {n}?",
            TOLD,
            f"{annotator} {n}",
            annotator,
        )
        for n in range(rows)
    ]


def test_a_question_asked_of_image_after_image() -> None:
    rows = [*questions_of("often", 13, 100), *questions_of("at times", 12, 100)]
    rows += questions_of("new", 7, 7)
    found = named(rows, "asked_often")
    assert found.keys() == {f"often {n}" for n in range(13)}
    reason = "its annotator asks this of 13 images"
    assert found["often 0"] == Verdict(reason, {"images": 13, "share": 0.13})


def test_a_question_asked_often_of_few_images_is_no_template() -> None:
    rows = [
        row | {"image_sha256": f"{n % 7:064}"} for n, row in enumerate(questions_of("a", 40, 60))
    ]
    assert not named(rows, "asked_often")


def answers_to(questions: int, text: str, images: int) -> list[Row]:
    """One answer to so many questions on so many images."""
    return [
        answer(f"{n}", f"What is {n % questions}?", text, image=str(n % images))
        for n in range(max(questions, images))
    ]


LONG = "It is one of the most beautiful things"  # eight words


def test_a_stock_answer_fits_many_questions() -> None:
    found = named(answers_to(5, LONG, 5), "stock_answer")
    assert found.keys() == set("01234")
    reason = "the same answer as to 4 other questions"
    assert found["0"] == Verdict(reason, {"questions": 5, "images": 5})
    assert not named(answers_to(4, LONG, 9), "stock_answer")
    assert not named(answers_to(9, LONG, 4), "stock_answer")
    assert not named(answers_to(9, LONG.removeprefix("It "), 9), "stock_answer")


def test_images_must_be_known() -> None:
    rows = [answer("known", ASKED, TOLD), answer("unknown", ASKED, TOLD, image="b")]
    found = judged(connect("ama", rows, [image("a")]), "ama", "image_unknown")
    assert found.keys() == {"unknown"}


def test_the_recipe_names_exactly_what_is_planted() -> None:
    dropped = [
        (answer("nowhere", ASKED, TOLD, image="nowhere"), "image_unknown"),
        (answer("icon", ASKED, TOLD, image="icon"), "too_small"),
        (answer("not free", ASKED, TOLD, image="not free"), "license"),
        (answer("rejected", ASKED, TOLD) | {"verdict": "reject"}, "rejected"),
        (answer("empty", ASKED, " "), "empty"),
        (answer("greeting", "Hi!", "As an AI, I say hi."), "not_a_question"),
        (answer("refused", "Where is it?", "I don't know."), "refused"),
        (answer("endless", "Where is it?", "and " * 900), "too_long"),
        (answer("foreign", "Where is it?", "Das Auto steht auf der Straße."), "language"),
        (answer("again", "what is this", "It is a red car", updated_at="2026-02-01"), "repeated"),
    ]
    apart = [(answer("two", "How many dogs are there?", "Two dogs."), "count_against_points")]
    flagged = [(answer(f"stock {n}", f"Is it {n}?", LONG), ["stock_answer"]) for n in range(5)]
    flagged = [(row | image_of(n), flags) for n, (row, flags) in enumerate(flagged)]
    good = [
        answer("good", ASKED, TOLD, updated_at="2026-01-01"),
        answer("three", "How many cats are there?", "Three cats."),
        answer("elsewhere", ASKED, TOLD) | image_of(0),
    ]
    found = outcome(
        "ama",
        [*(row for row, _ in (*dropped, *apart, *flagged)), *good],
        [
            *(image(name) for name in ("a", *map(str, range(5)))),
            *(image("icon", 40, 40), image("not free", license="CC-BY-NC-4.0")),
        ],
        [points("dogs", [(1, 1)], "Dogs"), points("cats", [(1, 1), (5, 5), (9, 9)], "the cats")],
    )
    assert found.dropped == {row["annotation_uid"]: step for row, step in dropped}
    assert found.apart == {row["annotation_uid"]: step for row, step in apart}
    expected = {row["annotation_uid"]: flags for row, flags in flagged}
    assert found.flags == expected | {row["annotation_uid"]: [] for row in good}


def test_a_reworded_pair_repeats_another_on_the_same_image_only() -> None:
    said = "The small red car stands on the left in front of a yellow house."
    rows = [
        answer("first", "What stands on the left?", said),
        answer("reworded", "What stands there on the left?", said.replace("The", "That")),
        answer("other image", "What stands on the left?", said, image="b"),
    ]
    found = outcome("ama", rows, [image("a"), image("b")])
    # Of two, the one whose id comes first stays.
    assert list(found.dropped.values()) == ["near_duplicate_text"]
    assert found.dropped.keys() <= {"first", "reworded"}


ALIKE = "Is {} a red car on the left near the large window of the old house?"
DIFFERENT = {
    "another answer": ((ALIKE.format("there"), "Yes."), (ALIKE.format("there"), "No.")),
    "another side": tuple((ALIKE.replace("left", side), "Yes.") for side in ("left", "right")),
    "another colour": tuple((ALIKE.replace("red", of), "Yes.") for of in ("red", "blue")),
    "another thing": tuple((ALIKE.replace("car", thing), "Yes.") for thing in ("car", "bus")),
    "another age": tuple(
        (f"Is the man who stands on the left {age} than the woman?", "Yes.")
        for age in ("older", "taller")
    ),
    "another time": tuple(
        ("What time is it on the large clock on the tower?", f"It is {time}.")
        for time in ("ten past two", "half past five")
    ),
    "the other way round": tuple(
        (f"Is the {one} that stands there behind the {other} in the picture?", "Yes, it is.")
        for one, other in (("cat", "dog"), ("dog", "cat"))
    ),
    "small words alone": (("Is this it?", "This is it."), ("Is it there?", "There it is.")),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_pairs_that_differ_in_a_word_that_tells_are_two(case: str) -> None:
    rows = [answer(str(n), *said) for n, said in enumerate(DIFFERENT[case])]
    assert not outcome("ama", rows, [image("a")]).dropped


def image_of(number: int) -> Row:
    """What puts a row on another image."""
    return {"image_sha256": image(str(number))["image_sha256"]}


@pytest.mark.parametrize("make", ama_thresholds.TRIALS)
def test_the_steps_do_what_was_measured(make: Callable[[int], Trial]) -> None:
    trial = make(ama_thresholds.ROWS)
    *_, precision, recall, _ = measured("ama")[trial.name]
    assert trial.named().both == f"{precision} / {recall}"


def test_the_comparison_of_pairs_does_what_was_measured() -> None:
    _, score = next(near_scores(near_pairs(ama_thresholds.ROWS)))
    *_, precision, recall, _ = measured("ama")["near_duplicate_text min_jaccard"]
    assert score.both == f"{precision} / {recall}"


def test_the_recipes_comments_say_what_was_measured() -> None:
    assert not not_in_comments("ama")
