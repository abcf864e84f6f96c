"""Forms of one word made equal, for comparing texts: "circles" and "circle", "grey" and "gray".

A light stemmer: it takes endings off and never looks anything up, so that a few stems are no words
("riding" is "rid"); both texts are stemmed alike.
"""

from functools import lru_cache

from pixmo.speech.cleaning.numbers import SCALES, TEENS, TENS, UNITS
from pixmo.speech.cleaning.word_classes import COLOURS, each

NEGATION = "no"
NEGATIONS = each("no not never without nothing none nobody cannot")
NUMBERS = {"zero": 0} | UNITS | TEENS | TENS | SCALES
COLOUR_FORMS = {"grey": "gray", "golden": "gold", "silvery": "silver", "violet": "purple"}
COLOUR_STEMS = (COLOURS | {"gold"}) - COLOUR_FORMS.keys()
DIRECTIONS = {
    **{word: word for word in ("left", "right", "above", "front", "between", "inside", "outside")},
    **{word: word for word in ("north", "south", "east", "west")},
    **dict.fromkeys(("below", "under", "beneath", "underneath"), "below"),
    **dict.fromkeys(("top", "upper", "topmost"), "top"),
    **dict.fromkeys(("bottom", "lower"), "bottom"),
    **dict.fromkeys(("middle", "center", "centre", "central"), "middle"),
    **dict.fromkeys(("behind", "back", "rear"), "behind"),
    **{"leftmost": "left", "rightmost": "right"},
}
IRREGULAR = {
    **{"men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot"},
    **{"teeth": "tooth", "mice": "mouse", "geese": "goose", "leaves": "leaf", "knives": "knife"},
    **{"shelves": "shelf", "wolves": "wolf", "halves": "half", "loaves": "loaf", "lives": "life"},
    **{"sat": "sit", "stood": "stand", "ran": "run", "held": "hold", "wore": "wear"},
    **{"worn": "wear", "hung": "hang", "lay": "lie", "lain": "lie", "lying": "lie", "ate": "eat"},
    **{"written": "write", "wrote": "write", "drawn": "draw", "drew": "draw", "said": "say"},
    **{"made": "make", "went": "go", "gone": "go", "took": "take", "taken": "take", "flew": "fly"},
    **{"worse": "bad", "better": "good", "colour": "color", "colours": "color"},
    **{"coloured": "color", "metre": "meter", "metres": "meter", "theatre": "theater"},
    **{"harbour": "harbor", "harbours": "harbor", "photo": "photograph", "tv": "television"},
}
VOWELS = frozenset("aeiouy")
SHORTEST_STEM = 3


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The word, in small letters, without its endings."""
    word = word.removesuffix("'s").removesuffix("'")
    for colour in (word, word.removesuffix("ish"), without_ending(word, "ish")):
        if COLOUR_FORMS.get(colour, colour) in COLOUR_STEMS:
            return COLOUR_FORMS.get(colour, colour)
    word = singular(IRREGULAR.get(word, word))
    for ending in ("ing", "ed"):
        if word.endswith(ending) and not word.endswith("eed"):
            word = without_ending(word, ending)
            break
    return word[:-1] + "i" if word.endswith("y") and len(word) > SHORTEST_STEM else silent(word)


def singular(word: str) -> str:
    """The word without the ending of a plural, or of the third person."""
    if len(word) <= SHORTEST_STEM or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "xes", "sses", "zes")) else word[:-1]


def without_ending(word: str, ending: str) -> str:
    """The word without its ending, "run" of "running"; the word itself where too little is left."""
    left = word.removesuffix(ending)
    if len(left) < SHORTEST_STEM or VOWELS.isdisjoint(left):
        return word
    doubled = left[-1] == left[-2] and left[-1] not in "aeiouls"
    return left[:-1] if doubled else left


def silent(word: str) -> str:
    """The word without an e that may be missing in another form: "hold", "cub" of "cube"."""
    return word[:-1] if word.endswith("e") and len(word) > SHORTEST_STEM else word
