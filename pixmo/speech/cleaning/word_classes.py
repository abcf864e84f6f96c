"""Small closed classes of words: they tell a correction from a list, a fragment from a clause."""

from collections.abc import Iterable


def each(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


def in_order(text: str) -> tuple[str, ...]:
    """The words of `text`, in order."""
    return tuple(text.split())


ARTICLES = each("a an the")
UNITS_IN_ORDER = in_order("one two three four five six seven eight nine")
TEENS_IN_ORDER = in_order(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
TENS_IN_ORDER = in_order("twenty thirty forty fifty sixty seventy eighty ninety")
NUMBERS = frozenset((*UNITS_IN_ORDER, *TEENS_IN_ORDER, *TENS_IN_ORDER)) | each(
    "zero hundred thousand million dozen several many few both"
)
DETERMINERS = each("a an the some no any another this that these those") | NUMBERS
COLOURS = each(
    "red green blue yellow orange purple white black gray grey brown pink violet turquoise teal"
    " beige golden silver cyan magenta navy maroon tan"
)
SHAPES = each(
    "circle square triangle star diamond heart ring cross rectangle oval line dot arrow hexagon"
    " pentagon cube ball box cone cylinder shape"
)
SIZES = each(
    "small large big tiny huge little medium tall short long wide narrow thin thick larger smaller"
    " bigger taller shorter"
)
PLACES = each(
    "left right top bottom middle center centre above below over under behind front inside outside"
    " upper lower north south east west foreground background"
)
PEOPLE = each(
    "man woman men women boy girl boys girls person people child children kid kids baby lady guy"
)
BE = each("am is are was were it's there's that's they're isn't aren't")
PREPOSITIONS = each(
    "in on at of to from with by for near under over above below behind beside between along"
    " around inside outside next across through into onto against without"
)
CONJUNCTIONS = each("and or but than which who")
POSSESSIVES = each("my your his her its our their")
PRONOUNS = each("i you we he she it they there")
# What follows these was read off the image.
READING = each(
    "say says said read reads reading called named written letter letters word words spell spells"
    " spelling labeled labelled titled"
)
HELPERS = each("can could do does did not has have had will would i'm")

FUNCTION_WORDS = (
    each("a an the some any this that these those")
    | BE
    | PREPOSITIONS
    | CONJUNCTIONS
    | PRONOUNS
    | HELPERS
)
# Words that cannot end what somebody says.
DANGLING = each(
    "a an the some my his her their its and or of with which has have is are was"
) | each("were it's there's in on at to from by near")
VERBS = (
    BE
    | HELPERS
    | each(
        "see sees say says look looks show shows count find think read reads notice stand stands"
        " sit sits run runs hold holds wear wears lie lies hang hangs appear appears seem seems"
        " contain contains cover covers face faces fill fills"
    )
)

# What statements of an image begin with.
STARTERS = (
    *(("there", "is"), ("there", "are"), ("there's",), ("it", "is"), ("it's",), ("this", "is")),
    *(("i", "see"), ("i", "can", "see"), ("we", "see"), ("we", "can", "see")),
    *(("you", "see"), ("you", "can", "see"), ("we", "have"), ("it", "has")),
)

# Within one of these, one word can correct another; within the strict ones, even alone.
STRICT_FAMILIES = (NUMBERS, COLOURS, SHAPES, SIZES, PLACES, PEOPLE)
FAMILIES = (DETERMINERS, *STRICT_FAMILIES, BE, PREPOSITIONS)
CONTRACTIONS = {
    **{f"{word}'s": (word, "is") for word in ("there", "it", "that", "he", "she", "here")},
    **{f"{word}'re": (word, "are") for word in ("they", "we", "you", "there")},
}


def same_family(one: str, other: str) -> bool:
    """Whether one word can stand where the other stands; equal words can."""
    if one == other or (is_number(one) and is_number(other)):
        return True
    if plural(one) == plural(other):
        one, other = singular(one), singular(other)
    return any(one in family and other in family for family in FAMILIES)


def plural(word: str) -> bool:
    """Whether the word is the plural of a shape."""
    return word not in SHAPES and singular(word) in SHAPES


def singular(word: str) -> str:
    """The singular of a shape's name; any other word as it is."""
    candidates = (word.removesuffix("es"), word.removesuffix("s"))
    return next((candidate for candidate in candidates if candidate in SHAPES), word)


def is_number(word: str) -> bool:
    """Whether the word is a number, in letters or digits."""
    return word in NUMBERS or word.isdigit()


def is_content(word: str) -> bool:
    """Whether the word says something of an image by itself."""
    return word not in FUNCTION_WORDS


def same_strict_family(one: str, other: str) -> bool:
    """Whether both are numbers, colours, shapes, sizes, places or people."""
    if is_number(one) and is_number(other):
        return True
    if plural(one) != plural(other):
        return False
    pair = {singular(one), singular(other)}
    return any(pair <= family for family in STRICT_FAMILIES)


def is_thing(word: str) -> bool:
    """Whether the word can name a thing: a shape, people, or of no family that is known."""
    if not is_content(word) or is_number(word) or word in READING:
        return False
    named = singular(word)
    return named in SHAPES | PEOPLE or not any(named in family for family in FAMILIES)


def expanded(words: Iterable[str]) -> list[str]:
    """The words with "there's" as two."""
    return [part for word in words for part in CONTRACTIONS.get(word, (word,))]
