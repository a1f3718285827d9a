"""What each arm of the experiment on ingredients leaves out, and how arms are compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from wordmask.training.compact.label_space import UNKNOWN, LabelSpace
from wordmask.training.compact.labelled_images import BY_BOXES, BY_PIXELS, BY_TAG, LabelledImages

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).parents[2] / "benchmarks"
PASCAL, PEOPLE, BOXED, UNBOXED = 8, 9, 10, 11


@pytest.fixture(scope="module")
def programs() -> Iterator[tuple[Any, Any]]:
    sys.path.insert(0, str(PROGRAMS))
    try:
        import ingredients
        import ingredients_table

        yield ingredients, ingredients_table
    finally:
        sys.path.remove(str(PROGRAMS))


@pytest.fixture
def images() -> LabelledImages:
    """One image of each set; three names: one labelled, one boxed or tagged, one absent."""
    present = torch.tensor([[BY_PIXELS, 0, 0], [BY_PIXELS, BY_TAG, 0], [BY_PIXELS, BY_BOXES, 0], [0, BY_TAG, 0]])
    slots = torch.full((4, 8), -1)
    slots[2, :2] = torch.tensor([0, 1])
    return LabelledImages(
        [LabelSpace("everyday", ("cat", "dog", "cow"), {}, [], ())],
        torch.zeros(4, 3, 4, 4, dtype=torch.uint8),
        torch.ones(4, 2, 2, dtype=torch.uint8),
        torch.zeros(4, 2, 2, dtype=torch.uint8),
        torch.full((4, 2), 4),
        torch.zeros(4, dtype=torch.int64),
        slots,
        present.to(torch.uint8),
        torch.tensor([[0, 0, 1.0], [0, 0, 1.0], [0, 0, 1.0], [0, 0, 0.3]]),
        torch.ones(4),
        torch.tensor([PASCAL, PEOPLE, BOXED, UNBOXED]),
    )


def test_each_arm_leaves_out_what_it_says(programs: tuple[Any, Any], images: LabelledImages) -> None:
    module, _ = programs
    assert module.without_photographs(images).odds.tolist() == [1, 1, 0, 0]
    assert module.without_box_presence(images).absent[:, 2].tolist() == pytest.approx([1, 0, 0, 0.3])
    told = module.without_captions(images)
    assert told.present[:, 1].tolist() == [0, 0, BY_BOXES, 0]
    assert told.absent[:, 2].tolist() == [1, 1, 1, 0]
    unmapped = module.without_teacher_maps(images)
    assert unmapped.labels.flatten(1).amin(1).tolist() == [1, 1, UNKNOWN, UNKNOWN]
    assert unmapped.present[:, 0].tolist() == [BY_PIXELS, BY_PIXELS, BY_BOXES, 0]
    assert images.labels.max() == 1  # the images themselves stay as they were


def test_a_teacher_is_asked_once_for_the_same_pixels(programs: tuple[Any, Any]) -> None:
    count = iter(range(1, 9))
    teacher = programs[0].Remembered(lambda _: next(count))
    one, other = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 3, 4, 4)
    assert [teacher(one), teacher(one.clone()), teacher(other)] == [1, 1, 2]


def record(presence: list[float]) -> dict[str, Any]:
    values = {"intersection": [2], "union": [4], "drawn": [3]}
    return {"kind": "pascal", "there": ["cat"], "absent": ["dog", "cow"], "presence": presence} | values


def test_arms_are_compared_image_by_image(programs: tuple[Any, Any]) -> None:
    _, table = programs
    whole, arm = [record([3.0, 0.0, 1.0])] * 5, [record([0.5, 0.0, 1.0])] * 5
    assert table.ranking(whole) == 1
    assert table.false_positives(whole) == 0
    assert table.false_positives(arm) == 0.5
    assert table.overlap(whole) == 0.5
    assert table.inside(whole) == pytest.approx(2 / 3)
    assert table.difference("AUROC, 20 names", [arm], [whole]) == pytest.approx((-0.5, -0.5, -0.5))
