"""CutMix: what is shown, labelled and known of two images on one canvas."""

from __future__ import annotations

import torch

from wordmask.training.compact.cut_mixed import CutMix, Known, Regions, Scene
from wordmask.training.compact.labelled_images import BY_BOXES, BY_PIXELS, BY_TAG

DOG, CAT, SKY = range(3)


def scene() -> tuple[Scene, Known]:
    """Two images of one space: the first with a labelled dog, the second with a boxed cat and a tag."""
    value = torch.tensor([1.0, 2.0]).view(2, 1, 1)
    pixels = value[:, None].expand(2, 3, 32, 32).clone()
    labels = (value * torch.tensor([1, 0]).view(2, 1, 1)).expand(2, 16, 16).to(torch.uint8)
    boxes = (value * torch.tensor([0, 0.5]).view(2, 1, 1)).expand(2, 16, 16).to(torch.uint8)
    slots = torch.full((2, 8), -1)
    slots[1, 0] = CAT
    present = torch.tensor([[BY_PIXELS, 0, 0], [0, BY_BOXES, BY_TAG]], dtype=torch.uint8)
    absent = torch.tensor([[0.0, 0.9, 0.0], [0.6, 0.0, 0.0]])
    whole = torch.ones(2, dtype=torch.bool)
    return Scene(pixels, labels, boxes, ~whole, whole), Known(slots, present, absent)


def mix(share: float) -> tuple[Scene, Known, Regions]:
    generator = torch.Generator().manual_seed(0)
    return CutMix(["things"], [0], [2], {"things": share}, torch.device("cpu"))(*scene(), generator)


def test_a_rectangle_comes_with_its_labels_and_boxes() -> None:
    mixed, known, regions = mix(1.0)
    area = regions.second
    assert 0.1 < area[0].float().mean() < 0.8
    for row, own, other in ((0, 1.0, 2.0), (1, 2.0, 1.0)):
        shown = mixed.pixels[row, 0, ::2, ::2]
        torch.testing.assert_close(shown, torch.where(area[row], other, own))
    assert torch.equal(mixed.labels[0] == 1, ~area[0])
    assert torch.equal(mixed.boxes[0], area[0].int() << 8)  # the cat's box is that of the second image
    assert torch.equal(mixed.boxes[1], (~area[1]).int())
    assert known.slots.shape == (2, 16)
    assert known.slots[:, [0, 8]].tolist() == [[-1, CAT], [CAT, -1]]
    assert not mixed.whole.any()


def test_a_name_is_absent_where_both_images_say_so() -> None:
    _, known, _ = mix(1.0)
    assert known.present.tolist() == [[BY_PIXELS, BY_BOXES, BY_TAG]] * 2
    assert known.absent.tolist() == [[0, 0, 0]] * 2
    _, alone, _ = mix(0.5)
    assert alone.present[0].tolist() == [BY_PIXELS, 0, 0]  # the first half of the rows stays as it is
    torch.testing.assert_close(alone.absent[0], torch.tensor([0.0, 0.9, 0.0]))


def test_cells_are_certain_where_their_image_tells_the_name() -> None:
    _, _, regions = mix(1.0)
    rows = torch.tensor([[DOG, CAT, SKY]] * 2)
    certain = regions.certain(rows)
    assert certain[:, :2].all()  # the second image says that it has no dog
    assert not certain[:, 2].any()  # of the sky nobody says where it is
    regions.told[0, 1, DOG] = False
    assert torch.equal(regions.certain(rows)[0, 0], ~regions.second[0])
    labelled = torch.tensor([[True, False, False]] * 2)
    assert torch.equal(regions.unclear(labelled)[0], regions.second[0])
    assert not regions.unclear(labelled)[1].any()
