"""Names of the training sets, merged names, words that mean the same, and the vector each phrase is trained towards."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SETS = ("coco", "pascal", "people", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects")

# Names that are unions of labelled ones: set -> merged name -> labelled names.
FACE = [
    "skin",
    "nose",
    "eyeglasses",
    "left eye",
    "right eye",
    "left eyebrow",
    "right eyebrow",
    "mouth",
    "upper lip",
    "lower lip",
]
MERGED: dict[str, dict[str, list[str]]] = {
    "celebamask": {
        "face": FACE,
        "eye": ["left eye", "right eye"],
        "eyebrow": ["left eyebrow", "right eyebrow"],
        "ear": ["left ear", "right ear"],
        "lips": ["upper lip", "lower lip"],
        "head": [*FACE, "left ear", "right ear", "hair", "hat", "earring"],
        "person": [*FACE, "left ear", "right ear", "hair", "hat", "earring", "necklace", "neck", "clothing"],
    },
    "carparts": {
        "car door": ["back left door", "back right door", "front left door", "front right door"],
        "headlight": ["front left light", "front right light"],
        "tail light": ["back left light", "back right light"],
        "car light": ["front left light", "front right light", "back left light", "back right light"],
        "bumper": ["front bumper", "back bumper"],
        "windshield": ["front glass"],
        "wing mirror": ["left mirror", "right mirror"],
        "car": ["*"],
    },
    "clothing": {
        "person": ["*"],
        "footwear": [
            "boots",
            "clogs",
            "flats",
            "heels",
            "loafers",
            "pumps",
            "sandals",
            "shoes",
            "sneakers",
            "wedges",
        ],
    },
    "camvid": {"person": ["pedestrian", "cyclist"]},
    "coco": {"wall": ["wall-brick", "wall-stone", "wall-tile", "wall-wood", "wall"]},
}

# Near synonyms inside one set: neither is a negative for the other.
ALIKE: dict[str, list[set[str]]] = {
    "clothing": [
        {"bag", "purse", "wallet", "accessories"},
        {"pants", "jeans", "leggings", "tights", "stockings", "shorts"},
        {"jumper", "sweater", "sweatshirt", "hoodie", "cardigan", "top"},
        {"shirt", "blouse", "t-shirt", "top", "vest", "bra", "intimate", "bodysuit", "swimwear"},
        {"coat", "jacket", "blazer", "cape", "suit", "vest"},
        {"boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers", "wedges"},
        {"dress", "romper", "skirt", "bodysuit", "swimwear", "suit"},
        {"glasses", "sunglasses", "accessories"},
        {"accessories", "bracelet", "earrings", "necklace", "ring", "watch", "scarf", "tie", "belt", "hat", "gloves"},
        {"panties", "intimate", "swimwear", "shorts", "bra", "bodysuit"},
        {"socks", "stockings", "tights", "leggings"},
    ],
    "coco": [
        {"wall", "wall-brick", "wall-stone", "wall-tile", "wall-wood"},
        {"floor", "floor-wood"},
        {"building", "house", "roof", "window", "door", "bridge"},
        {"pavement", "road", "gravel", "dirt", "platform"},
        {"grass", "tree", "flower", "playingfield", "dirt", "mountain"},
        {"water", "sea", "river"},
        {"sand", "dirt", "gravel"},
        {"fence", "net", "railroad"},
        {"table", "dining table", "counter", "shelf"},
        {
            "food",
            "fruit",
            "cake",
            "sandwich",
            "pizza",
            "donut",
            "hot dog",
            "banana",
            "apple",
            "orange",
            "broccoli",
            "carrot",
        },
        {"cup", "wine glass", "bottle", "bowl", "vase"},
        {"person", "tie", "backpack", "handbag"},
        {"window", "window-blind", "curtain"},
        {"rug", "floor", "blanket", "towel"},
        {"paper", "cardboard", "book"},
        {"truck", "car", "bus"},
    ],
    "windows": [
        {"facade", "window", "shop", "balcony fence"},
        {"fence", "balcony fence"},
        {"street", "traffic infrastructure"},
    ],
    "facade": [],
    "camvid": [],
}

# Words that mean a labelled name; none of them is ever a name in training on pictures.
WORDS_ALIKE: dict[str, list[str]] = {
    "pavement": ["sidewalk", "footpath", "walkway"],
    "road": ["street surface", "roadway", "asphalt", "tarmac"],
    "building": ["tower", "edifice", "block of flats", "apartment building"],
    "vegetation": ["plants", "greenery", "foliage"],
    "pedestrian": ["walker", "passer-by", "person walking"],
    "cyclist": ["bicyclist", "bike rider", "person on a bicycle"],
    "pole": ["lamppost", "post", "pillar"],
    "traffic sign": ["road sign", "street sign"],
    "fence": ["railing", "barrier"],
    "sky": ["heavens", "the blue sky"],
    "tree": ["trees", "woods"],
    "skin": ["facial skin", "complexion"],
    "face": ["visage", "human face", "the person's face"],
    "head": ["human head"],
    "hair": ["hairdo", "hairstyle", "locks"],
    "eyeglasses": ["eye glasses", "specs", "pair of glasses"],
    "left eye": ["eye on the person's left", "the person's left eye", "left eyeball"],
    "right eye": ["eye on the person's right", "the person's right eye", "right eyeball"],
    "left eyebrow": ["left brow", "the person's left eyebrow"],
    "right eyebrow": ["right brow", "the person's right eyebrow"],
    "eyebrow": ["brow", "brows"],
    "mouth": ["oral opening", "teeth"],
    "upper lip": ["top lip"],
    "lower lip": ["bottom lip"],
    "clothing": ["clothes", "garment", "apparel", "attire"],
    "hood": ["bonnet", "car hood", "engine cover"],
    "trunk": ["boot of the car", "car trunk"],
    "tailgate": ["rear hatch", "hatchback door"],
    "windshield": ["windscreen"],
    "front glass": ["front windshield", "front window of the car"],
    "back glass": ["rear windshield", "rear window of the car"],
    "back bumper": ["rear bumper"],
    "back left door": ["rear left door", "left rear door", "left back door"],
    "back right door": ["rear right door", "right rear door", "right back door"],
    "front left door": ["left front door"],
    "front right door": ["right front door"],
    "back left light": ["rear left light", "left tail light"],
    "back right light": ["rear right light", "right tail light"],
    "front left light": ["left headlight", "left front light"],
    "front right light": ["right headlight", "right front light"],
    "left mirror": ["left wing mirror", "left side mirror"],
    "right mirror": ["right wing mirror", "right side mirror"],
    "pants": ["slacks"],
    "flats": ["flat shoes"],
    "heels": ["high heels", "stilettos"],
    "window": ["windowpane", "glass window"],
    "door": ["doorway", "entrance door"],
    "grass": ["lawn", "meadow"],
    "sea": ["ocean"],
    "rock": ["boulder", "stones"],
    "dirt": ["soil", "bare ground"],
    "snow": ["snowy ground"],
    "mountain": ["hill", "mountains"],
    "cat": ["feline", "pussycat", "house cat"],
    "dog": ["hound", "doggy", "pooch", "canine"],
    "cow": ["cattle", "ox", "dairy cow"],
    "sheep": ["ewe"],
    "horse": ["stallion", "mare", "steed"],
    "bird": ["birdie", "songbird", "sparrow"],
    "motorcycle": ["motorbike", "motor cycle"],
    "bicycle": ["pushbike", "push bike", "mountain bike"],
    "car": ["sedan", "motorcar", "vehicle"],
    "bus": ["double decker", "city bus", "omnibus"],
    "truck": ["lorry"],
    "train": ["railway train", "locomotive", "tram"],
    "boat": ["vessel", "sailing boat", "motorboat"],
    "airplane": ["plane", "aircraft", "jet"],
    "couch": ["settee", "divan"],
    "tv": ["television", "television set", "tv screen"],
    "dining table": ["dinner table"],
    "potted plant": ["houseplant", "house plant", "plant in a pot"],
    "chair": ["seat"],
    "bottle": ["flask"],
    "cup": ["coffee cup", "tea cup"],
    "cell phone": ["smartphone", "mobile phone"],
    "laptop": ["notebook computer"],
    "refrigerator": ["fridge"],
    "suitcase": ["travel case"],
    "frisbee": ["flying disc"],
    "teddy bear": ["teddy", "stuffed bear", "plush bear"],
    "toilet": ["lavatory"],
    "hair drier": ["hairdryer", "hair dryer"],
    "wine glass": ["goblet"],
    "traffic light": ["stoplight", "traffic signal"],
    "keyboard": ["computer keyboard"],
    "wheel": ["tyre", "tire"],
    "nose": ["nostrils"],
    "neck": ["throat"],
    "necklace": ["pendant", "neck chain"],
    "hat": ["headgear"],
    "sneakers": ["trainers", "running shoes"],
    "sweater": ["pullover"],
    "t-shirt": ["tee", "tee shirt"],
    "dress": ["gown"],
    "sunglasses": ["shades"],
    "person": [
        "human",
        "human being",
        "somebody",
        "man",
        "woman",
        "guy",
        "lady",
        "boy",
        "girl",
        "child",
        "kid",
        "people",
    ],
}

# Names without a CLIP vector that are near others in meaning: their vector leans towards these.
KIN: dict[str, list[str]] = {
    "pedestrian": ["person"],
    "cyclist": ["person", "bicycle"],
    "hoodie": ["sweatshirt"],
    "sneakers": ["shoe"],
    "loafers": ["shoe"],
    "pumps": ["shoe"],
    "flats": ["shoe"],
    "heels": ["shoe"],
    "wedges": ["shoe"],
    "clogs": ["shoe"],
    "leggings": ["trousers"],
    "tights": ["stockings"],
    "panties": ["underwear"],
    "intimate": ["underwear"],
    "romper": ["dress"],
    "bodysuit": ["swimsuit"],
    "street": ["road"],
    "facade": ["building"],
    "house": ["building"],
    "shop": ["building"],
    "river": ["water"],
    "sea": ["water"],
    "vegetation": ["tree", "flower"],
    "grass": ["vegetation"],
    "fruit": ["apple", "banana"],
    "food": ["sandwich", "cake"],
    "windshield": ["front glass"],
    "head": ["face", "hair"],
    "lips": ["mouth"],
    "clothing": ["shirt", "jacket"],
    "light": ["lamp"],
    "rug": ["carpet"],
    "trunk": ["tailgate"],
    "playingfield": ["grass"],
    "railroad": ["train"],
    "roof": ["building"],
    "stairs": ["ladder"],
    "flower": ["flower arrangement"],
    "accessories": ["handbag", "bracelet"],
    "jumper": ["sweater"],
}

# Several words stand for one part of the vector: "rear" is "back", "brow" is "eyebrow".
ROTATIONS = ("left", "right", "front", "back", "upper", "lower")
PREFERRED = {  # plain word -> the noun meant, where nouns of several meanings share it
    "car": "car_(automobile)",
    "bus": "bus_(vehicle)",
    "train": "train_(railroad_vehicle)",
    "orange": "orange_(fruit)",
    "mouse": "mouse_(computer_equipment)",
    "keyboard": "computer_keyboard",
    "laptop": "laptop_computer",
    "remote": "remote_control",
    "cell phone": "cellular_telephone",
    "microwave": "microwave_oven",
    "sports ball": "ball",
    "wine glass": "wineglass",
    "potted plant": "flowerpot",
    "hair drier": "hair_dryer",
    "tie": "necktie",
    "bag": "handbag",
    "sandals": "sandal_(type_of_shoe)",
    "pants": "trousers",
    "shorts": "short_pants",
    "tights": "tights_(clothing)",
    "suit": "suit_(clothing)",
    "jumper": "sweater",
    "traffic sign": "street_sign",
    "top": "shirt",
    "glasses": "spectacles",
    "boots": "boot",
    "eyeglasses": "spectacles",
    "footwear": "shoe",
    "dining table": "dining_table",
    "clock": "clock",
    "headlight": "headlight",
    "tail light": "taillight",
    "wing mirror": "rearview_mirror",
    "pole": "pole",
    "couch": "sofa",
    "sofa": "sofa",
    "boat": "boat",
    "bowl": "bowl",
    "fork": "fork",
    "knife": "knife",
    "light": "lamp",
    "carrot": "carrot",
    "toilet": "toilet",
    "bed": "bed",
    "counter": "kitchen_table",
    "donut": "doughnut",
    "house": "cabin_car",
}
del PREFERRED["house"], PREFERRED["counter"], PREFERRED["light"], PREFERRED["pole"]


def clean(name: str) -> str:
    """LVIS spelling -> the words a person would type: underscores to blanks, no bracketed remark."""
    return re.sub(r"\s+", " ", re.sub(r"\(.*?\)", "", name.replace("_", " ").replace("-", " "))).strip().lower()


def _random_unit(word: str, channels: int) -> np.ndarray:
    vector = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(channels)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Targets:
    """The vector every known phrase is trained towards.

    LVIS nouns: their CLIP vector, mean over nouns removed, unit length. Other names: a sum of their words' vectors,
    where a word without a CLIP vector has a fixed random direction.
    """

    def __init__(self, data: Path) -> None:
        entries = json.loads((data / "names/lvis_names.json").read_text())
        raw = np.load(data / "names/lvis_clip_vitb32.npy").astype(np.float32)
        centred = raw - raw.mean(0)
        self.lvis = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        self.channels = self.lvis.shape[1]
        by_name = {e["name"]: i for i, e in enumerate(entries)}
        self.words: dict[str, np.ndarray] = {}
        self.definitions: dict[str, np.ndarray] = {}
        self.lvis_names = [clean(e["name"]) for e in entries]
        for i, entry in enumerate(entries):
            for synonym in [entry["name"], *entry["synonyms"]]:
                self.words.setdefault(clean(synonym), self.lvis[i])
            if entry.get("def"):
                self.definitions[entry["def"].lower()] = self.lvis[i]
        for word, name in PREFERRED.items():
            if name in by_name:
                self.words[word] = self.lvis[by_name[name]]
        self.names = set_names(data)
        for name in sorted({n for names in self.names.values() for n in names}):
            self.words[name] = self.of(name)
        for name, alike in WORDS_ALIKE.items():
            for word in alike:
                self.words[word] = self.words[name]

    def of(self, name: str) -> np.ndarray:
        """A noun's CLIP vector; otherwise the sum of its words' and its kin's, with a direction of its own."""
        plain = clean(name)
        for known in (name, plain, plain.removesuffix("s"), plain.removesuffix("es")):
            if known in self.words:
                return self.words[known]
        parts = plain.split() if len(plain.split()) > 1 else []
        total = 0.7 * _random_unit(plain, self.channels)
        for part in parts:
            total = total + (0.6 * _random_unit(part, self.channels) if part in ROTATIONS else self.of(part))
        for kin in KIN.get(name, []):
            total = total + self.of(kin)
        return (total / np.linalg.norm(total)).astype(np.float32)


def set_names(data: Path) -> dict[str, list[str]]:
    """Names of each set: labelled ones (without background and ignore), then merged ones."""
    names: dict[str, list[str]] = {}
    for source in SETS:
        classes = json.loads((data / source / "classes.json").read_text())
        labelled = [n for n in classes.values() if n not in ("background", "ignore", "other")]
        names[source] = labelled + [n for n in MERGED.get(source, {}) if n not in labelled]
    return names
