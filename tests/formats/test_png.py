"""Mask files read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.segmentations import SIZE, found, logits, segmentation
from wordmask.errors import OutputError
from wordmask.formats.png import save_masks


def test_every_prompt_gets_its_mask(tmp_path: Path) -> None:
    result = segmentation(
        found("left eye", logits((5, 4, 15, 12))), found("none", logits()), found("left eye", logits((0, 0, 2, 2)))
    )
    paths = save_masks(result.annotated().masks, tmp_path / "masks", prefix="photo-")
    assert [path.name for path in paths] == ["photo-left-eye.png", "photo-none.png", "photo-left-eye-2.png"]
    for path, answer in zip(paths, result, strict=True):
        with Image.open(path) as image:
            assert image.mode == "L"
            assert image.size == SIZE[::-1]
            np.testing.assert_array_equal(np.asarray(image), answer.mask * 255)


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot be written"):
        save_masks(segmentation(found("a", logits())).annotated().masks, tmp_path / "file")


def test_a_folder_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"the folder"):
        save_masks(segmentation(found("a", logits())).annotated().masks, tmp_path)
