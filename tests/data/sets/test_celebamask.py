"""CelebAMask-HQ: per-part files merged into one label map."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import FolderContract, write_image
from wordmask.contracts import Dataset
from wordmask.data.sets.celebamask import PARTS, CelebAMask
from wordmask.errors import DataError

HEADER = "idx          orig_idx        orig_file"
ROWS = ("0 162769 162770.jpg", "1 162770 162771.jpg", "2 182636 182637.jpg", "3 182637 182638.jpg", "2000 5 000006.jpg")


def write_part(
    root: Path, number: int, part: str, rows: slice, columns: slice, *, size: tuple[int, int] = (4, 4)
) -> None:
    """Write a mask as the authors do: black and white, three channels."""
    mask = np.zeros((*size, 3), dtype=np.uint8)
    mask[rows, columns] = 255
    folder = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(folder / f"{number:05d}_{part}.png")


def write_faces(root: Path) -> Path:
    for number in (0, 1, 2, 3, 2000):
        write_image(root / "CelebA-HQ-img" / f"{number}.jpg", (8, 8), seed=number)
        write_part(root, number, "skin", slice(0, 4), slice(0, 3))
    write_part(root, 3, "l_eye", slice(1, 2), slice(2, 3))
    write_part(root, 3, "r_eye", slice(1, 2), slice(0, 1))
    write_part(root, 3, "hair", slice(0, 1), slice(0, 4))
    write_part(root, 3, "hat", slice(0, 1), slice(0, 4))
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join((HEADER, *ROWS)))
    return root


class TestCelebAMask(FolderContract):
    annotations = ("CelebAMask-HQ-mask-anno/0/00003_skin.png", "CelebAMask-HQ-mask-anno/0/00003_r_eye.png")
    images = "CelebA-HQ-img/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "val", "eyes": True}
    malformed = (
        ("CelebA-HQ-to-CelebA-mapping.txt", None),
        ("CelebA-HQ-to-CelebA-mapping.txt", b"head\n1 2\n"),
        ("CelebA-HQ-to-CelebA-mapping.txt", b"head\n1 2 x.jpg\n"),
        ("CelebA-HQ-img/3.jpg", None),
        ("CelebAMask-HQ-mask-anno/0/00003_hair.png", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_faces(tmp_path / "faces")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return CelebAMask(folder, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_faces(tmp_path)


def test_there_are_eighteen_parts() -> None:
    assert len(PARTS) == len(set(PARTS.values())) == 18


@pytest.mark.parametrize(
    ("split", "keys"),
    [("train", ["0", "2000"]), ("val", ["1", "2"]), ("test", ["3"]), ("all", ["0", "1", "2", "3", "2000"])],
)
def test_splits_follow_celeba(root: Path, split: str, keys: list[str]) -> None:
    dataset = CelebAMask(root, split)
    assert [dataset[index].key for index in range(len(dataset))] == keys


def test_later_parts_lie_over_earlier_ones(root: Path) -> None:
    sample = CelebAMask(root)[0]
    assert sample.labels is not None
    names = [*PARTS.values(), "-"]
    # 4 x 4 masks on an image of 8 x 8: each pixel becomes 2 x 2; the hair under the hat is gone
    assert [[names[value] for value in row] for row in sample.labels[::2, ::2]] == [
        ["hat", "hat", "hat", "hat"],
        ["right eye", "skin", "left eye", "-"],
        ["skin", "skin", "skin", "-"],
        ["skin", "skin", "skin", "-"],
    ]
    np.testing.assert_array_equal(sample.labels[::2, ::2], sample.labels[1::2, 1::2])
    assert {query.label: query.packed.area for query in sample.queries} == {
        "skin": 4 * 7, "left eye": 4, "right eye": 4, "hat": 4 * 4,
    }  # fmt: skip
    assert "hair" not in sample.absent
    assert len(sample.absent) == 18 - 5


def test_both_eyes_on_demand(root: Path) -> None:
    sample = CelebAMask(root, eyes=True)[0]
    eyes = sample.queries[-1]
    assert (eyes.label, eyes.prompt.name, eyes.packed.area) == ("eyes", "eyes", 8)
    np.testing.assert_array_equal(np.argwhere(eyes.mask)[:2], [[2, 0], [2, 1]])
    assert "eyes" not in sample.absent
    assert "eyes" in CelebAMask(root, "train", eyes=True)[0].absent
    assert "eyes" not in CelebAMask(root, "train")[0].absent


def test_without_the_mapping_there_is_all_of_it(root: Path) -> None:
    (root / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    assert len(CelebAMask(root, "all")) == 5
    with pytest.raises(DataError, match="take the split 'all' instead of 'test'"):
        CelebAMask(root)


def test_a_face_without_masks_is_named(root: Path) -> None:
    (root / "CelebAMask-HQ-mask-anno" / "1" / "02000_skin.png").unlink()
    with pytest.raises(DataError, match=r"no file '.*02000_skin\.png' or of any other part"):
        CelebAMask(root, "train")[1]


def test_masks_that_do_not_fit_are_named(root: Path) -> None:
    write_part(root, 3, "nose", slice(0, 1), slice(0, 1), size=(2, 2))
    with pytest.raises(DataError, match=r"00003_nose\.png' with 2 x 2 pixels"):
        CelebAMask(root)[0]
    write_image(root / "CelebA-HQ-img" / "1.jpg", (9, 8))
    with pytest.raises(DataError, match=r"00001_skin\.png' with 4 x 4 pixels .* image's 9 x 8"):
        CelebAMask(root, "val")[0]


def test_unknown_splits_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match="one of train, val, test, all"):
        CelebAMask(root, "testA")
