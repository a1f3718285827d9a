"""Eyes of CelebAMask-HQ as training examples and test cases of `imss_experiment.py`, with the trunk's maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from wordmask.backbones.crop.inputs import FILL, OUTSIDE, coarse_input, pixel_input
from wordmask.components.windows import part_boxes
from wordmask.images import load_image
from wordmask.ops.crops import CropView, cut
from wordmask.ops.masks import pack
from wordmask.training.imss.coarse_maps import mask_box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.data.sample import Sample
    from wordmask.ops.masks import PackedMask

    Bounds = tuple[float, float, float, float]

EYES = ("left eye", "right eye")
ZOOM_SIDE, WHOLE_SIDE = 64, 256
REACH = 2.5
"""Side of a crop as a multiple of the box's longer side."""
JITTER = 0.25
DETECTORS = ("oracle", "jittered", "words")


@dataclass(frozen=True, eq=False)
class Example:
    """Pixels uint8 `(s, s, 3)`, the box as a plane `(s, s)`, the target bool `(s, s)`, and the side that is asked."""

    pixels: NDArray[np.uint8]
    plane: NDArray[np.float32]
    target: NDArray[np.bool_]
    side: int


@dataclass(frozen=True, eq=False)
class Case:
    """An eye of a test face: its mask, and for each detector the view and what it was cut from (None: missed)."""

    mask: PackedMask
    examples: dict[str, tuple[Example, CropView] | None]


@dataclass(frozen=True, eq=False)
class Pool:
    """Views as tensors, with the trunk's maps of them in half precision; `rows` says which maps a view has."""

    pixels: Tensor
    plane: Tensor
    target: Tensor
    side: Tensor
    maps: tuple[Tensor, ...]
    rows: Tensor


def eye_masks(sample: Sample) -> dict[int, NDArray[np.bool_]]:
    """Return the masks of the eyes that are marked, by side."""
    masks = {query.label: query.mask for query in sample.queries if query.packed.area}
    return {side: masks[name] for side, name in enumerate(EYES) if name in masks}


def jittered(box: Bounds, draw: Generator) -> Bounds:
    """Return a box each side of which moved by up to a quarter of its length."""
    x0, y0, x1, y1 = box
    moved = np.array(box) + draw.uniform(-JITTER, JITTER, 4) * np.array([x1 - x0, y1 - y0] * 2)
    return float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])


def view_of(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    side: int,
    box: Bounds,
    *,
    zoom: bool,
    draw: Generator | None = None,
) -> tuple[Example, CropView]:
    """Return what a network sees of an eye: a crop round its box, or the whole image.

    Args:
        image: uint8 `(H, W, 3)`.
        mask: bool `(H, W)`.
        side: 0 for the left eye, 1 for the right one.
        box: XYXY in image pixels.
        zoom: Whether it is a crop.
        draw: Varies the crop's scale, place and colours; None: it is centred.
    """
    height, width = mask.shape
    if zoom:
        reach = REACH * max(box[2] - box[0], box[3] - box[1], 8.0)
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if draw is not None:
            reach *= float(np.exp(draw.uniform(-0.2, 0.2)))
            x, y = x + float(draw.uniform(-0.1, 0.1)) * reach, y + float(draw.uniform(-0.1, 0.1)) * reach
        view = CropView(x - reach / 2, y - reach / 2, ZOOM_SIDE / reach, (ZOOM_SIDE, ZOOM_SIDE))
    else:
        view = CropView(0.0, 0.0, WHOLE_SIDE / max(height, width), (WHOLE_SIDE, WHOLE_SIDE))
    pixels = cut(image, view, (height, width), fill=tuple(float(v) for v in FILL))
    if draw is not None:
        pixels = (pixels * draw.uniform(0.8, 1.2) + draw.uniform(-15, 15)).clip(0, 255).astype(np.uint8)
    target = cut(mask.view(np.uint8) * np.uint8(255), view, (height, width)) > 127
    return Example(pixels, _plane(box, view), target, side), view


def _plane(box: Bounds, view: CropView) -> NDArray[np.float32]:
    plane = np.full(view.size, -2.0, np.float32)
    x0, x1 = (max(0, round((x - view.left) * view.scale)) for x in (box[0], box[2]))
    y0, y1 = (max(0, round((y - view.top) * view.scale)) for y in (box[1], box[3]))
    plane[y0:y1, x0:x1] = 2.0
    return coarse_input(plane)


def training_examples(
    samples: Sequence[Sample], *, zoom: bool, copies: int, seed: int = 0
) -> Iterator[tuple[Example, int]]:
    """Yield examples, each with the number of the image that it shows: both eyes share a whole image."""
    draw, number = np.random.default_rng(seed), -1
    for sample in samples:
        image, masks = load_image(sample.image).pixels, eye_masks(sample)
        for copy in range(copies):
            mirrored = bool(copy % 2)
            shown = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
            number += 0 if zoom else 1
            state = draw.bit_generator.state
            for side, mask in masks.items():
                own = np.ascontiguousarray(mask[:, ::-1]) if mirrored else mask
                if not zoom:
                    draw.bit_generator.state = state  # both eyes of one image have one colour, so one set of maps
                box = jittered(mask_box(own), draw)
                view, _ = view_of(shown, own, 1 - side if mirrored else side, box, zoom=zoom, draw=draw)
                number += 1 if zoom else 0
                yield view, number


def eye_cases(samples: Sequence[Sample], isolator: Any, *, zoom: bool, seed: int = 0) -> list[Case]:
    """Return the eyes of test faces; `isolator` is the compact network, asked for each eye by its name."""
    draw, cases = np.random.default_rng(seed), []
    for sample in samples:
        image, masks = load_image(sample.image).pixels, eye_masks(sample)
        answers = isolator.segment(sample.image, list(EYES), refine=False)
        for side, mask in masks.items():
            found = part_boxes(answers[side].mask, mask.shape)[:1] if answers[side].present else []
            boxes = {"oracle": mask_box(mask), "jittered": jittered(mask_box(mask), draw)}
            if found:
                boxes["words"] = found[0]
            examples = {
                name: view_of(image, mask, side, boxes[name], zoom=zoom) if name in boxes else None
                for name in DETECTORS
            }
            cases.append(Case(pack(mask), examples))
    return cases


@torch.inference_mode()
def pool_of(examples: Sequence[Example], rows: Sequence[int], encoder: Any) -> Pool:
    """Return examples as tensors with the encoder's maps of each image, float16."""
    first = {row: place for place, row in reversed(list(enumerate(rows)))}
    images = [examples[first[row]] for row in sorted(first)]
    chunks = []
    for start in range(0, len(images), 32):
        batch = torch.from_numpy(np.stack([pixel_input(view.pixels) for view in images[start : start + 32]]))
        with torch.autocast("cpu", torch.bfloat16):
            chunks.append([level.half() for level in encoder(batch.contiguous(memory_format=torch.channels_last))])
    return Pool(
        torch.from_numpy(np.stack([view.pixels for view in images])),
        torch.from_numpy(np.stack([view.plane for view in examples])).half(),
        torch.from_numpy(np.stack([view.target for view in examples])),
        torch.tensor([view.side for view in examples]),
        tuple(torch.cat(level) for level in zip(*chunks, strict=True)),
        torch.tensor(list(rows)),
    )


def drawn_on_image(logits: NDArray[np.float32], view: CropView, size: tuple[int, int]) -> PackedMask:
    """Return the mask in image pixels of logits `(s, s)` over a view."""
    x0, y0, x1, y1 = view.window(size)
    right, down = ((start + 0.5 - corner) * view.scale - 0.5 for start, corner in ((x0, view.left), (y0, view.top)))
    matrix = np.array([[view.scale, 0, right], [0, view.scale, down]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(
        logits.astype(np.float32), matrix, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE,
    )  # fmt: skip
    return pack(part > 0, size=size, offset=(x0, y0))
