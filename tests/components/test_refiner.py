"""Refinement of any segmenter's masks by a crop network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from wordmask.backbones.crop.network import CropConfig, CropNetwork
from wordmask.components.refiner import CropRefiner, RefinerSettings
from wordmask.components.windows import part_boxes, region_windows
from wordmask.images import load_image
from wordmask.ops.geometry import squash
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.results import Found, MaskLogits, Region
from wordmask.results.refined_logits import RefinedLogits

SIZE = (120, 160)


class Redness(torch.nn.Module):
    """Stands for a network: a pixel belongs to the mask where it is red, whatever the coarse map says."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(1, 1)

    def forward(self, pixels: torch.Tensor, coarse: torch.Tensor, pyramid: Any, condition: Any = None) -> torch.Tensor:
        assert pyramid == ()
        assert coarse.shape == pixels[:, 0].shape
        return 4 * (pixels[:, 0] - 0.6)


@pytest.fixture
def image() -> Any:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[40:60, 50:90, 0] = 255
    return load_image(pixels)


def _refiner(**settings: Any) -> CropRefiner:
    network: Any = Redness()
    encoder: Any = lambda pixels: ()  # noqa: E731
    return CropRefiner(network, encoder, RefinerSettings(**settings))


def _coarse(rows: slice, columns: slice, cells: tuple[int, int] = (30, 40)) -> MaskLogits:
    values = np.full(cells, -4.0, np.float32)
    values[rows, columns] = 4.0
    return MaskLogits(values, squash(SIZE, SIZE))


def _found(dense: MaskLogits | None, **changes: Any) -> Found:
    options: dict[str, Any] = {
        "threshold": 0.5,
        "presence_threshold": 0.5,
        "size": SIZE,
        "heatmap_logits": dense,
    } | changes
    return Found(TextPrompt("red"), options.pop("presence", 0.9), **options)


def test_a_coarse_mask_becomes_sharp(image: Any) -> None:
    """The coarse map is two cells off; what the network draws in the window counts."""
    for threshold in (0.5, 0.2):
        found = _found(_coarse(slice(8, 14), slice(10, 20)), threshold=threshold)
        refined = _refiner().refine(found, image)
        assert refined.presence == found.presence
        truth = np.zeros(SIZE, bool)
        truth[40:60, 50:90] = True
        np.testing.assert_array_equal(refined.mask, truth)
        assert isinstance(refined.heatmap_logits, RefinedLogits)
        np.testing.assert_array_equal(refined.heatmap > threshold, truth)


def test_outside_the_windows_the_coarse_map_stays(image: Any) -> None:
    dense = _coarse(slice(20, 24), slice(2, 6))
    refined = _refiner(margin=0.1, least_margin=4).refine(_found(dense), image)
    assert not refined.mask.any()  # nothing red in the window, and the red region is outside
    assert isinstance(refined.heatmap_logits, RefinedLogits)
    (patch,) = refined.heatmap_logits.patches
    x0, y0, x1, y1 = patch.window
    outside = np.ones(SIZE, bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(refined.heatmap[outside], _found(dense).heatmap[outside])


def test_absent_empty_and_excluded_masks_stay(image: Any) -> None:
    dense = _coarse(slice(8, 14), slice(10, 20))  # 5 % of the image
    for found in (_found(dense, presence=0.2), _found(None), _found(dense, threshold=0.0)):
        assert _refiner().refine(found, image) is found
    for settings in ({"largest": 0.01}, {"smallest": 0.2}):
        assert _refiner(**settings).refine(_found(dense), image).heatmap_logits is dense
    nothing = _found(_coarse(slice(0, 0), slice(0, 0)))
    assert not _refiner().refine(nothing, image).mask.any()


def test_regions_are_refined_one_by_one(image: Any) -> None:
    bits = np.zeros(SIZE, bool)
    bits[38:56, 48:92] = True
    regions = (Region(pack(bits), 0.7), Region(_coarse(slice(8, 14), slice(10, 20)), 0.6))
    refined = _refiner().refine(_found(None, regions=regions), image)
    truth = image.pixels[..., 0] > 128
    for instance, score in zip(refined.instances, (0.7, 0.6), strict=True):
        assert instance.score == score
        assert (instance.mask ^ truth).sum() <= 4
    assert _refiner().refine(_found(None, regions=()), image).regions == ()


def test_strips_are_rows_of_the_refined_map(image: Any) -> None:
    refined = _refiner().refine(_found(_coarse(slice(8, 14), slice(10, 20))), image).heatmap_logits
    assert refined is not None
    whole = np.vstack([strip for _, strip in refined.strips((0, 0, SIZE[1], SIZE[0]))])
    np.testing.assert_allclose(1 / (1 + np.exp(-whole)), refined.probabilities(), atol=1e-6)
    part = np.vstack([strip for _, strip in refined.strips((45, 35, 95, 62))])
    np.testing.assert_array_equal(part, whole[35:62, 45:95])


def test_big_images_are_drawn_at_their_own_resolution_in_tiles() -> None:
    """A disc of 700 px: the window is reduced to 320 px, the border is drawn again in tiles, to the pixel."""
    size = (900, 1200)
    y, x = np.mgrid[: size[0], : size[1]]
    disc = (x - 600) ** 2 + (y - 450) ** 2 < 350**2
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[disc, 0] = 255
    values = np.where(disc[6::12, 6::12], np.float32(4), np.float32(-4))
    found = _found(MaskLogits(values, squash(size, size)), size=size)
    tiled = _refiner().refine(found, load_image(pixels))
    whole = _refiner(most_tiles=0).refine(found, load_image(pixels))
    assert (tiled.mask ^ disc).sum() < 0.05 * (whole.mask ^ disc).sum()
    assert (tiled.mask ^ disc).sum() < 60
    assert isinstance(tiled.heatmap_logits, RefinedLogits)
    assert len(tiled.heatmap_logits.patches) > 8


def test_windows_cover_parts_and_merge() -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:4, 2:6] = mask[20:24, 30:36] = True
    assert part_boxes(mask, SIZE) == [(120, 80, 144, 96), (8, 8, 24, 16)]
    settings = RefinerSettings(margin=0.25, least_margin=4)
    windows = region_windows(mask, SIZE, settings=settings)
    assert [window for window, _ in windows] == [(114, 74, 151, 103), (4, 4, 29, 21)]
    merged = region_windows(mask, SIZE, settings=RefinerSettings(margin=0.25, least_margin=4, most_windows=1))
    assert [window for window, _ in merged] == [(4, 4, 151, 103)]
    mask[2:4, 7:9] = True  # its window meets that of the part beside it
    assert len(region_windows(mask, SIZE, settings=settings)) == 2


def test_the_network_keeps_the_size_and_reads_phrases_once_trained() -> None:
    torch.manual_seed(0)
    network = CropNetwork(CropConfig(widths=(8, 8, 8, 8, 16), pyramid=(4, 6, 8, 10), condition=6)).eval()
    pixels, coarse, phrase = torch.randn(2, 3, 32, 64), torch.randn(2, 32, 64), torch.randn(2, 6)
    pyramid = [torch.randn(2, c, 32 // s, 64 // s) for c, s in zip((4, 6, 8, 10), (4, 8, 16, 32), strict=True)]
    plain = network(pixels, coarse, pyramid)
    assert plain.shape == (2, 32, 64)
    assert torch.equal(network(pixels, coarse, pyramid, phrase), plain)  # a fresh network ignores phrases
    first: Any = network.modulate[0]
    torch.nn.init.normal_(first.linear.weight)
    assert not torch.allclose(network(pixels, coarse, pyramid, phrase), plain)
    assert torch.equal(network(pixels, coarse, pyramid), plain)


def test_letterboxed_maps_are_refined(image: Any) -> None:
    """A letterboxed map is read without its padding."""
    from wordmask.ops.geometry import letterbox

    values = np.full((32, 32), -4.0, np.float32)
    values[8:12, 10:18] = 4.0  # rows 0 to 23 show the image
    dense = MaskLogits(values, letterbox(SIZE, (160, 160)))
    refined = _refiner().refine(_found(dense), image)
    np.testing.assert_array_equal(refined.mask, image.pixels[..., 0] > 128)


def test_windows_that_are_not_trusted_stay(image: Any) -> None:
    """The two masks overlap in part, and the stand-in is sure but at the border of what it draws."""
    found = _found(_coarse(slice(8, 14), slice(10, 20)))
    coarse_mask = found.mask
    drawn = image.pixels[..., 0] > 128
    common = (coarse_mask & drawn).sum()
    overlap, inside = common / (coarse_mask | drawn).sum(), common / drawn.sum()
    assert inside > overlap + 0.1
    for settings in ({"least_iou": overlap - 0.06}, {"least_inside": inside - 0.06}, {"least_confidence": 0.6}):
        np.testing.assert_array_equal(_refiner(**settings).refine(found, image).mask, drawn)
    for settings in ({"least_iou": overlap + 0.06}, {"least_inside": inside + 0.06}, {"least_confidence": 0.99}):
        np.testing.assert_array_equal(_refiner(**settings).refine(found, image).mask, coarse_mask)
        np.testing.assert_array_equal(_refiner(**settings).ungated().refine(found, image).mask, drawn)


def test_logits_are_mixed_by_weight(image: Any) -> None:
    """With half of each, the coarse +4 and -4 and the network's logits are averaged."""
    found = _found(_coarse(slice(8, 14), slice(10, 20)))
    whole, half = (_refiner(weight=weight).refine(found, image).heatmap_logits for weight in (1.0, 0.5))
    assert isinstance(whole, RefinedLogits)
    assert isinstance(half, RefinedLogits)
    coarse = 2 * half.patches[0].values.astype(np.float32) - whole.patches[0].values
    assert coarse.min() == pytest.approx(-4, abs=0.02)
    assert coarse.max() == pytest.approx(4, abs=0.02)


def test_the_weight_of_logits_is_set_in_each_window() -> None:
    """A quarter of the drawn mask lies in the coarse one, of equal size: IoU 1 / 7; all of it has the logit 2."""

    class Shifted(Redness):
        def forward(self, pixels: Any, coarse: Any, pyramid: Any, condition: Any = None) -> torch.Tensor:
            return torch.where(pixels[:, 0] > 0, 2.0, -2.0)

    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[40:60, 40:60, 0] = 255
    network: Any = Shifted()
    encoder: Any = lambda pixels: ()  # noqa: E731
    values = np.full(SIZE, -4.0, np.float32)
    values[50:70, 50:70] = 4.0
    found = _found(MaskLogits(values, squash(SIZE, SIZE)))
    refiner = CropRefiner(network, encoder, RefinerSettings(adaptive=True))
    refined = refiner.refine(found, load_image(pixels)).heatmap_logits
    assert isinstance(refined, RefinedLogits)
    weight = (1 / 7 + np.tanh(1.0)) / 2
    assert refined.patches[0].values.max() == pytest.approx(weight * 2 + (1 - weight) * 4, abs=0.05)


def test_far_from_the_coarse_border_nothing_changes() -> None:
    """The stand-in draws nothing: the coarse mask loses a rim of 8 px inside, its middle stays."""

    class Nothing(Redness):
        def forward(self, pixels: Any, coarse: Any, pyramid: Any, condition: Any = None) -> torch.Tensor:
            return torch.full_like(coarse, -8.0)

    network: Any = Nothing()
    encoder: Any = lambda pixels: ()  # noqa: E731
    values = np.full(SIZE, -4.0, np.float32)
    values[20:100, 40:120] = 4.0  # 80 px: drawn at the image's own scale
    found = _found(MaskLogits(values, squash(SIZE, SIZE)))
    refined = CropRefiner(network, encoder, RefinerSettings(reach=8)).refine(
        found, load_image(np.zeros((*SIZE, 3), np.uint8))
    )
    kept = np.zeros(SIZE, bool)
    kept[28:92, 48:112] = True
    assert (refined.mask ^ kept).sum() <= 4 * 64


def test_mirrored_crops_are_averaged_and_told_the_other_side(image: Any) -> None:
    """The stand-in adds 2 on the left half of what it sees and, for the phrase with side 1, everywhere 1 more."""

    class Lopsided(Redness):
        def forward(self, pixels: Any, coarse: Any, pyramid: Any, condition: Any = None) -> torch.Tensor:
            logits = torch.zeros_like(coarse)
            logits[..., : coarse.shape[-1] // 2] = 2.0
            told.append(condition[:, 0].tolist())
            shifted: torch.Tensor = logits + condition[:, :, None]
            return shifted

    told: list[list[float]] = []
    network: Any = Lopsided()
    encoder: Any = lambda pixels: ()  # noqa: E731
    sides = {"left eye": 0.0, "right eye": 1.0}
    embed: Any = lambda prompt: torch.tensor([sides[prompt.text]])  # noqa: E731
    refiner = CropRefiner(network, encoder, RefinerSettings(mirror=True), embed=embed)
    dense = _coarse(slice(8, 14), slice(10, 20))
    refined = refiner.refine(replace(_found(dense), prompt=TextPrompt("left eye")), image).heatmap_logits
    assert told == [[0.0, 1.0]]
    assert isinstance(refined, RefinedLogits)
    np.testing.assert_array_equal(refined.patches[0].values, 1.5)


def test_small_masks_are_drawn_without_the_coarse_logits(image: Any) -> None:
    """A mask below `alone_below` of the image is as with a weight of 1, a larger one is mixed."""
    found = _found(_coarse(slice(8, 14), slice(10, 20)))  # 60 of 30 x 40 cells
    alone, small, large = (
        _refiner(**settings).refine(found, image).heatmap_logits
        for settings in ({}, {"weight": 0.5, "alone_below": 0.06}, {"weight": 0.5, "alone_below": 0.04})
    )
    assert isinstance(alone, RefinedLogits)
    assert isinstance(small, RefinedLogits)
    assert isinstance(large, RefinedLogits)
    np.testing.assert_array_equal(small.patches[0].values, alone.patches[0].values)
    assert np.abs(large.patches[0].values - alone.patches[0].values).max() > 1
