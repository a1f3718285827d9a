"""A picture and its labels -> another of the same: mirrored, cropped, coloured, hidden in part, pasted elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from pictures import IGNORE, Shot

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SCALES = {"celebamask": (0.55, 1.05), "camvid": (0.4, 1.0), "facade": (0.4, 1.0), "carparts": (0.5, 1.05)}


def mirror_name(name: str) -> str:
    """The name in the mirror: left and right trade places."""
    swap = {"left": "right", "right": "left"}
    return " ".join(swap.get(w, w) for w in name.split())


def mirror(shot: Shot) -> Shot:
    """The mirrored picture with its names mirrored too."""
    atoms = {v: mirror_name(n) for v, n in shot.atoms.items()}
    return replace(shot, pixels=cv2.flip(shot.pixels, 1), labels=cv2.flip(shot.labels, 1), atoms=atoms)


def warp(shot: Shot, size: int, rng: random.Random) -> Shot:
    """Random scale, aspect, turn and place onto a square canvas; what lies outside the picture is unknown."""
    if size < 0.5 * max(shot.labels.shape):  # warping skips pixels where it shrinks much: halve by area first
        half = [max(side // 2, 1) for side in shot.labels.shape]
        small = cv2.resize(np.ascontiguousarray(shot.pixels), half[::-1], interpolation=cv2.INTER_AREA)
        shot = replace(shot, pixels=small, labels=shot.labels[: 2 * half[0] : 2, : 2 * half[1] : 2])
    height, width = shot.labels.shape
    low, high = SCALES.get(shot.source, (0.5, 1.1))
    extent = max(height, width) * np.exp(rng.uniform(np.log(low), np.log(high)))
    aspect = np.exp(rng.uniform(-0.15, 0.15))
    turn = np.deg2rad(rng.gauss(0, 6 if shot.source in ("celebamask", "carparts", "pascal", "coco") else 3))
    known = _labelled_place(shot.labels, rng) if rng.random() < 0.7 else None
    if known:
        y, x = known
        spread = 0.3 * extent
        x, y = x + rng.uniform(-spread, spread), y + rng.uniform(-spread, spread)
    else:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
    half = extent / 2  # keep the window over the picture where it fits
    x = min(max(x, half), width - half) if width > extent else width / 2 + rng.uniform(-0.1, 0.1) * extent
    y = min(max(y, half), height - half) if height > extent else height / 2 + rng.uniform(-0.1, 0.1) * extent
    scale = size / extent
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    matrix = np.array([[c * aspect, -s, 0], [s, c / aspect, 0]], np.float32)
    matrix[:, 2] = size / 2 - matrix[:, :2] @ np.array([x, y])
    grey = tuple(int(v) for v in MEAN * 255)
    pixels = cv2.warpAffine(
        np.ascontiguousarray(shot.pixels), matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=grey
    )
    labels = cv2.warpAffine(
        np.ascontiguousarray(shot.labels), matrix, (size, size), flags=cv2.INTER_NEAREST, borderValue=IGNORE
    )
    present = set(np.bincount(labels.ravel(), minlength=256).nonzero()[0].tolist())
    return replace(shot, pixels=pixels, labels=labels, atoms={v: n for v, n in shot.atoms.items() if v in present})


def _labelled_place(labels: np.ndarray, rng: random.Random) -> tuple[int, int] | None:
    """A random cell that is labelled, or None where a few dozen tries find none."""
    height, width = labels.shape
    for _ in range(40):
        y, x = rng.randrange(height), rng.randrange(width)
        if labels[y, x] not in (0, IGNORE):
            return y, x
    return None


def colour(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """uint8 (H, W, 3) -> normalised float32; gamma, saturation, contrast, tint, grey, blur and noise at random."""
    curve = np.arange(256, dtype=np.float32) / 255
    change, shift = np.eye(3, dtype=np.float32), np.zeros(3, np.float32)
    average = np.full((3, 3), 1 / 3, np.float32)
    if rng.random() < 0.6:
        curve = curve ** np.float32(np.exp(rng.uniform(-0.3, 0.3)))
        change = average + rng.uniform(0.6, 1.4) * (change - average)  # saturation
        contrast = rng.uniform(0.7, 1.3)
        middle = float(curve[pixels[::4, ::4]].mean())
        tint = np.array([rng.uniform(0.9, 1.1) for _ in range(3)], np.float32)
        change, shift = tint[:, None] * contrast * change, tint * ((1 - contrast) * middle + rng.uniform(-0.1, 0.1))
    if rng.random() < 0.05:
        change, shift = average @ change, average @ shift
    x = cv2.transform(cv2.LUT(pixels, curve.astype(np.float32)), np.column_stack([change, shift]).astype(np.float32))
    if rng.random() < 0.1:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.1:
        x = x + np.random.default_rng(rng.randrange(1 << 30)).normal(0, 0.03, x.shape).astype(np.float32)
    return ((x - MEAN) / STD).astype(np.float32)


def hide(shot: Shot, rng: random.Random) -> Shot:
    """A rectangle of a square picture is grey, what it shows unknown: things are to be known by each of their parts."""
    size = shot.labels.shape[0]
    height, width = (round(size * rng.uniform(0.15, 0.45)) for _ in range(2))
    y, x = rng.randint(0, size - height), rng.randint(0, size - width)
    pixels, labels = shot.pixels.copy(), shot.labels.copy()
    pixels[y : y + height, x : x + width] = MEAN * 255
    labels[y : y + height, x : x + width] = IGNORE
    return replace(shot, pixels=pixels, labels=labels)


def one_thing(shot: Shot, names: Collection[str], rng: random.Random) -> Shot | None:
    """The picture with one thing labelled, of those that have one of the names and a hundredth of its area."""
    areas = np.bincount(shot.labels.ravel(), minlength=256)
    values = [v for v, n in shot.atoms.items() if n in names and areas[v] > shot.labels.size / 100]
    if not values:
        return None
    value = rng.choice(values)
    labels = np.where(shot.labels == value, shot.labels, 0)
    return replace(shot, labels=labels, atoms={value: shot.atoms[value]})


def paste(cut: Shot, ground: Shot, rng: random.Random) -> Shot:
    """What is labelled in one picture, at another size, on another picture.

    Where both are of one set, what was labelled on the ground stays so; else only what was pasted is labelled.
    """
    ys, xs = np.nonzero((cut.labels != 0) & (cut.labels != IGNORE))
    box = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    height, width = ground.labels.shape
    scale = rng.uniform(0.25, 0.8) * min(height, width) / max(cut.labels[box].shape)
    size = [max(round(side * scale), 4) for side in cut.labels[box].shape]
    small = cv2.resize(cut.pixels[box], size[::-1], interpolation=cv2.INTER_AREA)
    names = cv2.resize(np.ascontiguousarray(cut.labels[box]), size[::-1], interpolation=cv2.INTER_NEAREST)
    mask = cv2.erode((names != 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    y, x = rng.randint(0, max(height - size[0], 0)), rng.randint(0, max(width - size[1], 0))
    same = cut.source == ground.source
    pixels, labels = ground.pixels.copy(), ground.labels.copy() if same else np.zeros_like(ground.labels)
    place, labelled = (a[y : y + size[0], x : x + size[1]] for a in (pixels, labels))
    mask, small, names = (a[: place.shape[0], : place.shape[1]] for a in (mask, small, names))
    soft = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)[..., None]
    place[:] = (soft * small + (1 - soft) * place).astype(np.uint8)
    labelled[:] = np.where(mask > 0, names, labelled)
    present = set(np.bincount(labels.ravel(), minlength=256).nonzero()[0].tolist())
    atoms = {v: n for v, n in (cut.atoms | (ground.atoms if same else {})).items() if v in present}
    if same:
        return replace(ground, pixels=pixels, labels=labels, atoms=atoms)
    return replace(cut, pixels=pixels, labels=labels, atoms=atoms, exhaustive=False, ground=ground.source)
