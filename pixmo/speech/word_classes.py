"""Small closed classes of words: they tell a correction from a list, a fragment from a clause."""


def each(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


ARTICLES = each("a an the")
NUMBERS = each(
    "zero one two three four five six seven eight nine ten eleven twelve dozen several many few"
    " both"
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
PEOPLE = each("man woman men women boy girl boys girls person people child baby")
BE = each("am is are was were it's there's that's they're isn't aren't")
PREPOSITIONS = each(
    "in on at of to from with by for near under over above below behind beside between along"
    " around inside outside next across through into onto against without"
)
CONJUNCTIONS = each("and or but than which who")
PRONOUNS = each("i you we he she it they there")
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

# Within one of these, one word can correct another.
FAMILIES = (DETERMINERS, COLOURS, SHAPES, SIZES, PLACES, PEOPLE, BE, PREPOSITIONS)


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


def has_family(word: str) -> bool:
    """Whether the word is of a family, and so can only correct words of that."""
    return is_number(word) or any(singular(word) in family for family in FAMILIES)
