"""Shots -> training batches: which pictures, what they are asked for, and what each pixel tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from augment import colour, hide, mirror, mirror_name, one_thing, paste, warp
from pictures import IGNORE, Shot

if TYPE_CHECKING:
    import random

    from vocabulary import Targets

REAL_GROUND = {
    "celebamask",
    "camvid",
    "clothing",
    "carparts",
    "objects",
    "facade",
}  # label 0 is known to be none of the names
SHARE = {  # share of each set in a batch, unless train.py is told otherwise; they need not add up to 1
    "celebamask": 0.32,
    "carparts": 0.05,
    "camvid": 0.14,
    "pascal": 0.28,
    "coco": 0.10,
    "clothing": 0.05,
    "people": 0.02,
    "facade": 0.015,
    "windows": 0.015,
    "objects": 0.01,
}
COMMON = 0.2  # pictures with a name that fewer than this share of its set's pictures hold are drawn more often
PASTED = {"objects": 1.0, "celebamask": 0.3, "pascal": 0.5, "coco": 0.3}  # how often labelled things are put elsewhere
HIDDEN = 0.25  # how often a rectangle of a picture is hidden
_ANIMALS = frozenset("bird cat cow dog horse sheep elephant bear zebra giraffe".split())
_VEHICLES = frozenset("airplane boat bus motorcycle train".split())
_INDOOR = frozenset("bottle sofa couch tv bed toilet laptop microwave oven refrigerator".split()) | {"dining table"}
_FOOD = frozenset("apple banana cake donut orange pear pizza sandwich tomato".split())
_SPORT = frozenset("skis surfboard kite frisbee".split())
_EVERYDAY = _ANIMALS | _VEHICLES | _INDOOR | _FOOD | _SPORT | {"fork"}
LACKS: dict[str, frozenset[str]] = {  # set -> everyday things that none of its pictures holds
    "celebamask": _EVERYDAY - {"bottle", "sofa", "couch"} | {"bicycle", "car", "cup", "truck", "fire hydrant"},
    "clothing": _EVERYDAY - {"dining table", "bottle", "sofa", "couch", "bed"},
    "facade": _EVERYDAY - {"bus", "motorcycle"},
    "windows": _EVERYDAY - {"bus", "motorcycle", "train"},
    "camvid": _EVERYDAY - _VEHICLES | {"airplane", "boat", "chair"},
    "carparts": _EVERYDAY - _VEHICLES | {"airplane", "boat"},
}
FACELESS = frozenset({"facade", "windows", "camvid", "carparts"})  # sets whose pictures show no face near by
SCENES = tuple(  # things that share pictures; people are in all of them
    frozenset(s.split(", ")) | {"person"}
    for s in (
        "airplane, bicycle, boat, bus, car, motorcycle, train",
        "bird, car, cat, cow, dog, horse, sheep",
        "bottle, cat, chair, dining table, dog, potted plant, sofa, tv",
        "airplane, bird, boat, car, dog",
        "bicycle, bird, bottle, car, cat, chair, dining table, dog, potted plant",
    )
)
NEAR = 0.55  # a noun whose nearest name is this near (cosine) means a kind of that name
FACIAL = ("face", "nose", "mouth", "left eye", "right eye", "ear", "eyebrow", "lips", "neck", "hair")
NEAR_FACES = frozenset(  # labels of clothed people that a face or its parts may lie under
    {"skin", "hair", "hat", "glasses", "sunglasses", "earrings", "necklace", "accessories", "scarf", "hoodie", "cape"}
)
FAR = 0.25  # a noun whose vector is nearer than this (cosine) to a name of the set is no safe negative


def _apart(ground: Shot, names: set[str]) -> bool:
    """Whether a picture is known not to hold the names: all of it is labelled, or its scene is another."""
    held = set(ground.atoms.values())
    if ground.exhaustive:
        return not held & names
    return ground.source == "pascal" and not any(scene & held and scene & names for scene in SCENES)


@dataclass
class Batch:
    """B pictures with K prompts each; all at the mask logits' stride.

    Attributes:
        pixels: float (B, 3, S, S).
        vectors: float (B, K, C) condition of each prompt.
        targets: float (B, K, s, s) share of each cell that the prompt covers.
        weights: float (B, K, s, s) how sure that is; 0 = unknown.
        presence: float (B, K) 1 where the thing is there.
        presence_weights: float (B, K).
        names: int64 (B, K) index into `BatchMaker.names`.
        classes: int64 (B, s, s) index into the set's names + 1, 0 = none of them, -1 = unknown.
        sources: the set of each picture.
    """

    pixels: torch.Tensor
    vectors: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    presence: torch.Tensor
    presence_weights: torch.Tensor
    names: torch.Tensor
    classes: torch.Tensor
    sources: list[str]


class BatchMaker:
    """Draws pictures by their set's share and prompts by their rarity."""

    def __init__(
        self,
        shots: dict[str, list[Shot]],
        targets: Targets,
        *,
        prompts: int = 4,
        spoken: dict[str, np.ndarray] | None = None,
        share: dict[str, float] | None = None,
    ) -> None:
        self.shots, self.targets, self.prompts = shots, targets, prompts
        self.share = SHARE | (share or {})
        self.spoken = spoken or {}  # name -> (V, C): what the phrase encoder makes of ways to say it
        self.atoms = {s: sorted({n for shot in rows for n in shot.atoms.values()}) for s, rows in shots.items()}
        for source, names in self.atoms.items():  # a mirrored name is a name too
            self.atoms[source] = sorted({*names, *(mirror_name(n) for n in names)})
        self.merged = {s: [n for n in targets.names[s] if n not in self.atoms[s]] for s in shots}
        self.frequency = {
            s: {n: sum(n in shot.atoms.values() for shot in rows) / len(rows) for n in self.atoms[s]}
            for s, rows in shots.items()
        }
        self.odds = {s: [self._odds(shot) for shot in rows] for s, rows in shots.items()}
        self.lacks = {g: self._lacking(g) for g in LACKS if g in shots}
        self.far = {s: self._far_nouns(s) for s in shots}
        self.near = self._near_nouns()
        known = {n for names in (*self.atoms.values(), *self.merged.values()) for n in names}
        asked = known | set(targets.lvis_names) | set(FACIAL) | frozenset().union(*LACKS.values())
        self.names = sorted(asked)  # every name that a picture may be asked for
        self.index = {n: i for i, n in enumerate(self.names)}

    def _odds(self, shot: Shot) -> float:
        """Repeat factor of a picture by its rarest name (Gupta et al., arXiv 1908.03195), 1 to 3."""
        rarest = min((self.frequency[shot.source][n] for n in shot.atoms.values()), default=1.0)
        return float(min(max((COMMON / rarest) ** 0.5, 1.0), 3.0))

    def _near_nouns(self) -> dict[str, np.ndarray]:
        """Name -> vectors (N, C) of the nouns whose nearest name it is: a puppy is a dog, an armchair a chair."""
        known = sorted({n for names in (*self.atoms.values(), *self.merged.values()) for n in names})
        known = [n for n in known if n in self.targets.words]
        likeness = self.targets.lvis @ np.stack([self.targets.words[n] for n in known]).T
        nearest, best = likeness.argmax(1), likeness.max(1)
        rows = {n: self.targets.lvis[(nearest == i) & (best >= NEAR) & (best < 0.98)] for i, n in enumerate(known)}
        return {n: r for n, r in rows.items() if len(r)}

    def _far_nouns(self, source: str) -> list[str]:
        known = [*self.atoms[source], *self.merged[source]]
        if source in ("celebamask", "clothing", "people"):  # people wear things that are not labelled
            known += self.atoms.get("clothing", []) + self.merged.get("celebamask", [])
            known += self.atoms.get("celebamask", [])
        if source in ("camvid", "facade", "windows", "carparts", "coco", "pascal"):
            known += [
                "car",
                "person",
                "building",
                "window",
                "road",
                "traffic sign",
                "wheel",
                "truck",
                "bus",
                "headlight",
                "street light",
            ]
        if source in ("coco", "pascal", "people", "windows", "facade"):
            known += self.atoms.get("clothing", []) + self.atoms.get("celebamask", [])
        matrix = np.stack([self.targets.words[n] for n in known if n in self.targets.words])
        near = (self.targets.lvis @ matrix.T).max(1)
        return [n for n, c in zip(self.targets.lvis_names, near, strict=True) if c < FAR]

    def make(self, count: int, size: int, rng: random.Random) -> Batch:
        sets = list(self.shots)
        sources = rng.choices(sets, weights=[self.share[s] for s in sets], k=count)
        rows = [self._picture(source, size, rng) for source in sources]
        columns = [torch.from_numpy(np.stack(c)) for c in zip(*(r for r in rows), strict=True)]
        return Batch(*columns, sources)

    def _picture(self, source: str, size: int, rng: random.Random) -> tuple[np.ndarray, ...]:
        (shot,) = rng.choices(self.shots[source], weights=self.odds[source])
        if rng.random() < PASTED.get(source, 0):
            shot = self._elsewhere(shot, rng)
        shot = warp(shot, size, rng)
        if rng.random() < 0.5:
            shot = mirror(shot)
        if rng.random() < HIDDEN:
            shot = hide(shot, rng)
        pixels = colour(shot.pixels, rng).transpose(2, 0, 1)
        prompts = [self._prompt(shot, name, rng) for name in self._positives(shot, rng)]
        return (pixels, *(np.stack(c) for c in zip(*prompts, strict=True)), self._classes(shot))

    def _lacking(self, ground: str) -> frozenset[str]:
        """Names that no picture of a set holds."""
        return LACKS[ground].union(self.atoms.get("celebamask", []) if ground in FACELESS else [])

    def _elsewhere(self, shot: Shot, rng: random.Random) -> Shot:
        """What is labelled, on another picture that does not hold it; the picture itself where there is none."""
        cut = one_thing(shot, _EVERYDAY, rng) if shot.source == "coco" else shot
        names = set(cut.atoms.values()) if cut else set()
        if not cut or not names:
            return shot
        sets = [g for g, lacking in self.lacks.items() if lacking >= names]
        if not sets or (shot.source in ("coco", "pascal") and rng.random() < 0.5):
            grounds = rng.choices(self.shots[shot.source], k=12)
            ground = next((g for g in grounds if _apart(g, names)), None)
        else:
            ground = rng.choice(self.shots[rng.choice(sets)])
        return paste(cut, ground, rng) if ground else shot

    def _classes(self, shot: Shot) -> np.ndarray:
        table = np.full(256, -1, np.int64)
        if not shot.ground and (shot.source in REAL_GROUND or shot.exhaustive):
            table[0] = 0
        for value, name in shot.atoms.items():
            table[value] = self.atoms[shot.source].index(name) + 1
        return table[shot.labels[2::4, 2::4]]

    def _prompt(self, shot: Shot, wanted: str | None, rng: random.Random) -> tuple[np.ndarray, ...]:
        name, sure, there = (wanted, 1.0, True) if wanted else self._negative(shot, rng)
        covers, sureness = np.zeros(256, np.float32), np.ones(256, np.float32)  # by label value
        if there:
            covers[shot.values(name)] = 1
        if there and shot.source == "people":
            sureness[covers == 0] = 0.2  # other people are not labelled
        if not there:
            sureness[0] = sure
        sureness[[IGNORE, *(v for v in shot.unclear(name) if not covers[v])]] = 0
        if shot.source == "clothing" and name in FACIAL and not there:
            sureness[[v for v, n in shot.atoms.items() if n in NEAR_FACES]] = 0
        weight, target = cv2.LUT(shot.labels, sureness), cv2.LUT(shot.labels, covers * sureness)
        enough = np.count_nonzero(target) > 12
        small = (shot.labels.shape[1] // 4, shot.labels.shape[0] // 4)
        target = cv2.resize(target, small, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
        target = np.divide(target, weight, out=np.zeros_like(target), where=weight > 0).clip(0, 1)
        presence_weight = sure if not there else float(enough)
        return (
            self._vector(name, rng),
            target,
            weight,
            np.float32(there),
            np.float32(presence_weight),
            np.int64(self.index[name]),
        )

    def _positives(self, shot: Shot, rng: random.Random) -> list[str | None]:
        """Different names that are there, rare ones more often; None asks for an absent one. At least one is None."""
        names = sorted(set(shot.atoms.values()))
        weights = {n: self.frequency[shot.source].get(n, 0.05) ** -0.5 for n in names}
        weights |= {n: 1.0 for n in self.merged[shot.source] if shot.values(n)}
        order = sorted(weights, key=lambda n: -(rng.random() ** (1 / weights[n])))
        return [*order[: self.prompts - 1], *[None] * self.prompts][: self.prompts]

    def _negative(self, shot: Shot, rng: random.Random) -> tuple[str, float, bool]:
        absent = [n for n in (*self.atoms[shot.source], *self.merged[shot.source]) if not shot.values(n)]
        absent = [n for n in absent if not any(n == v for v in shot.atoms.values())]
        if shot.ground:  # of the ground nothing is known but what its pictures do not hold
            absent = [n for n in absent if n in self.lacks[shot.ground]]
            return (rng.choice(absent), 0.5, False) if absent else (rng.choice(self.far[shot.source]), 0.15, False)
        if shot.source == "clothing" and rng.random() < 0.35:  # faces are there, unlabelled; garments are none
            return rng.choice([n for n in FACIAL if n not in self.atoms["clothing"]]), 0.0, False
        if shot.source in LACKS and rng.random() < 0.4:
            return rng.choice(sorted(LACKS[shot.source])), 1.0, False
        if absent and rng.random() < 0.5 and shot.source != "people":
            name = rng.choice(absent)
            if shot.unclear(name) and not shot.exhaustive:
                return name, 0.0, False
            sure = 1.0 if shot.exhaustive else 0.5 if shot.source in ("carparts", "facade", "clothing") else 0.15
            return name, sure, False
        return (
            rng.choice(self.far[shot.source]),
            1.0 if shot.source in ("celebamask", "camvid", "carparts", "facade") else 0.4,
            False,
        )

    def _vector(self, name: str, rng: random.Random) -> np.ndarray:
        """The phrase as the encoder reads it, or its target moved a little towards what is near in meaning."""
        if name in self.spoken and rng.random() < 0.65:
            return rng.choice(self.spoken[name])
        vector = self.targets.words[name if name in self.targets.words else mirror_name(name)]
        if name in self.near and rng.random() < 0.25:  # some of the way to a noun that nobody labelled
            vector = vector + rng.uniform(0, 0.7) * (rng.choice(self.near[name]) - vector)
            vector = vector / np.linalg.norm(vector)
        noise = np.random.default_rng(rng.randrange(1 << 30)).standard_normal(len(vector)).astype(np.float32)
        vector = vector + rng.choice([0.0, 0.2, 0.45]) * noise / np.linalg.norm(noise)
        return (vector / np.linalg.norm(vector)).astype(np.float32)
