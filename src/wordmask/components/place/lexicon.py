"""Words of place, names that contain them, and the other words that the parser knows."""

from __future__ import annotations

SIDE_WORDS = {
    "left": "left", "leftmost": "left", "lefthand": "left", "right": "right", "rightmost": "right",
    "righthand": "right", "top": "top", "topmost": "top", "upper": "top", "uppermost": "top", "highest": "top",
    "higher": "top", "bottom": "bottom", "bottommost": "bottom", "lower": "bottom", "lowermost": "bottom",
    "lowest": "bottom", "middle": "middle", "center": "middle", "centre": "middle", "central": "middle",
    "centermost": "middle", "centremost": "middle", "mid": "middle", "corner": "corner",
    "front": "front", "frontmost": "front", "foreground": "front", "back": "back", "backmost": "back",
    "rear": "back", "rearmost": "back", "background": "back",
}  # fmt: skip
"""Word -> side of the image or of the group."""
EXTREMES = frozenset(
    "leftmost rightmost topmost uppermost highest bottommost lowermost lowest frontmost rearmost".split()
)
SPELLINGS = {
    "lefft": "left", "leftt": "left", "letf": "left", "lfet": "left", "lef": "left", "rigth": "right", "rihgt": "right",
    "righ": "right", "rightt": "right", "rght": "right", "midle": "middle", "middel": "middle", "midlle": "middle",
    "botom": "bottom", "buttom": "bottom", "bottem": "bottom", "teh": "the", "secound": "second", "form": "from",
    "leftest": "leftmost", "rightest": "rightmost", "bigest": "biggest", "smalest": "smallest", "cornor": "corner",
    "backround": "background", "forground": "foreground", "infront": "front",
}  # fmt: skip
"""Misspelt words of place; names are never corrected."""
SIDE_NOUNS = frozenset("side half part corner edge end portion section area third quarter most".split())
IMAGE_NOUNS = frozenset(
    "image picture photo photograph pic frame screen screenshot scene shot photography view group row line".split()
)
"""Things whose left or right is the image's (or, for groups, the candidates')."""
SURFACES = frozenset(
    "road street table room field court bed couch sofa bench plate shelf wall stage counter desk pitch path track "
    "river beach yard garden building house window kitchen platform stand pile stack".split()
)
"""Things that have a left side of their own on which others stand."""

ORDINALS = {
    word: number
    for number, words in enumerate(
        ["first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th", "seventh 7th", "eighth 8th",
         "ninth 9th", "tenth 10th"], start=1,
    )
    for word in words.split()
} | {"last": -1, "penultimate": -2}  # fmt: skip
NUMBERS = {word: value for value, word in enumerate("one two three four five six seven eight nine ten".split(), 1)} | {
    "both": 2, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9, "pair": 2,
}  # fmt: skip

SUPERLATIVES = {
    "largest": ("size", True), "biggest": ("size", True), "larger": ("size", True), "bigger": ("size", True),
    "smallest": ("size", False), "tiniest": ("size", False), "littlest": ("size", False), "smaller": ("size", False),
    "tallest": ("height", True), "taller": ("height", True), "shortest": ("height", False),
    "shorter": ("height", False), "widest": ("width", True), "wider": ("width", True), "broadest": ("width", True),
    "narrowest": ("width", False), "narrower": ("width", False), "thinnest": ("width", False),
    "longest": ("length", True), "longer": ("length", True), "nearest": ("distance", False),
    "closest": ("distance", False), "closer": ("distance", False), "nearer": ("distance", False),
    "farthest": ("distance", True), "furthest": ("distance", True), "farther": ("distance", True),
    "further": ("distance", True),
}  # fmt: skip
"""Word -> (measure, whether the largest value is meant)."""

RELATION_PHRASES = {
    "next to": "next_to", "beside": "next_to", "near": "next_to",
    "close to": "next_to", "adjacent to": "next_to", "alongside": "next_to", "touching": "next_to", "by": "next_to",
    "above": "above", "over": "above", "below": "below", "under": "below", "underneath": "below", "beneath": "below",
    "in between": "between", "between": "between", "in front of": "in_front_of", "behind": "behind",
    "in back of": "behind", "on top of": "on", "on": "on", "atop": "on", "upon": "on", "inside": "inside",
    "inside of": "inside", "within": "inside", "in the middle of": "inside", "in the center of": "inside",
    "in the centre of": "inside", "without": "with", "with no": "with", "not wearing": "with", "not holding": "with",
    "not carrying": "with", "closest to": "closest_to", "nearest to": "closest_to", "nearest": "closest_to",
    "closest": "closest_to", "farthest from": "farthest_from", "furthest from": "farthest_from",
}  # fmt: skip
"""Phrase -> relation. Those that say "without" are negated."""
NEGATED_RELATIONS = frozenset({"without", "with no", "not wearing", "not holding", "not carrying"})

COLOURS = frozenset(
    "red green blue yellow orange purple violet pink brown black white grey gray silver golden beige tan maroon navy "
    "turquoise cyan magenta teal blonde blond cream khaki olive lime".split()
)
DETERMINERS = frozenset("the a an this that these those all every each some any our my your his her their its".split())
LINKS = frozenset(
    "that which who is are was were be being standing sitting lying laying seated parked located positioned placed "
    "situated seen shown visible found hanging resting leaning stood sat and the a an , ; : . but one's it's 's".split()
)
"""Words between a name and what it says about place: they go with the place."""
PREPOSITIONS = frozenset(
    "in on at of with without by for from to near above below under behind beside between over inside around against "
    "wearing holding carrying riding eating drinking using playing having".split()
)
"""Words that end the first noun phrase of a name."""
EMPTY_HEADS = frozenset("one ones side half part corner edge end area portion section".split())
"""Nouns that name nothing."""
SINGULAR_IN_S = frozenset(
    "bus dress glass grass glasses scissors pants jeans shorts trousers sunglasses binoculars headphones canvas "
    "compass cactus octopus walrus tennis chess cross mattress lens gas goggles pliers leggings tights iris pancreas "
    "plus hibiscus campus princess waitress hostess boss moss".split()
)
PLURALS = frozenset(
    "people men women children feet teeth geese mice oxen sheep cattle persons policemen firemen".split()
)

BODY_PARTS = frozenset(
    "eye eyes eyebrow eyebrows brow ear ears cheek cheeks nostril eyelid eyelids eyelash eyelashes lid lip lips jaw "
    "temple tooth teeth molar incisor canine arm arms forearm hand hands palm fist leg legs foot feet heel knee elbow "
    "shoulder wrist ankle hip thigh calf shin finger thumb toe breast wing wings paw hoof claw fin antenna horn antler "
    "tusk flipper lung kidney lobe ventricle atrium hemisphere ovary testicle breast pupil iris sleeve shoe shoes sock "
    "boot glove earring pocket earlobe hindleg foreleg armpit collarbone breast".split()
)
CAR_PARTS = frozenset(
    "light lights headlight headlights taillight taillights mirror mirrors bumper fender blinker indicator tail-light "
    "turn-signal".split()
)
ENDED_PARTS = frozenset(
    "door doors wheel wheels tire tires tyre tyres window windshield windscreen glass leg legs paw paws seat seats "
    "bumper light lights headlight fender plate licence license axle hoof porch yard garden desk page cover pocket "
    "tooth teeth view foot feet wing fork brake".split()
)
"""Things with a front and a back of their own."""
UPPER_PARTS = frozenset(
    "lip lips eyelid lid arm leg body jaw teeth tooth back torso lobe case deck floor level thigh molar incisor lash "
    "cabinet class abdomen".split()
)
FIXED_NAMES = tuple(
    sorted(
        {
            "top hat", "top hats", "tank top", "tank tops", "crop top", "tube top", "halter top", "bikini top",
            "bikini bottom", "bikini bottoms", "pajama bottoms", "pyjama bottoms", "pajama top", "table top",
            "counter top", "roof top", "mountain top", "hill top", "tree top", "stove top", "bottle top",
            "spinning top", "top coat", "top sheet", "top bun", "top knot", "big top", "right angle",
            "right triangle", "right whale",
            "right handed", "left handed", "right hander", "left hander", "right winger", "left winger",
            "left fielder", "right fielder", "center fielder", "centre fielder", "center field", "left field",
            "right field", "left back", "right back", "centre back", "center back", "middle finger", "middle aged",
            "middle school", "middle east", "center console", "centre console", "shopping center", "shopping centre",
            "shopping mall center", "center piece", "centre piece", "centre court", "center court", "center line",
            "back pack", "backpack", "back yard", "front yard", "front desk", "front page", "front porch", "front door",
            "back door", "back seat", "front seat", "back rest", "back board", "back side", "front side", "first aid",
            "first aid kit", "first base", "second base", "third base", "first baseman", "second baseman",
            "third baseman", "second hand", "first lady", "first class", "third eye", "first floor", "second floor",
            "third floor", "top floor", "bottom floor", "second row", "first row", "third row", "front row", "back row",
            "top row", "bottom row", "middle row", "left over", "right of way", "above ground pool", "under armour",
            "under wear", "last supper", "bottom bracket", "bell bottoms", "rear view mirror", "rear mirror",
            "front loader", "upper case", "lower case", "lower back", "upper body", "lower body", "upper deck",
            "lower deck", "news center", "call center", "medical center", "health center", "sports center",
            "city center", "city centre", "town centre", "town center", "center of gravity", "next door",
            "right wing", "left wing", "stand by",
        },
        key=lambda name: (-len(name.split()), name),
    )
)  # fmt: skip
"""Names that contain a word of place, the longest first."""
