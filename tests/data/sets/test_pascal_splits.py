"""Golden check 17: the lists of the protocols, written out from the papers."""

from __future__ import annotations

from wordmask.data.sets import pascal_splits as splits


def test_generalised_zero_shot_sets() -> None:
    assert {
        2: {"cow", "motorbike"},
        4: {"cow", "motorbike", "aeroplane", "sofa"},
        6: {"cow", "motorbike", "aeroplane", "sofa", "cat", "tvmonitor"},
        8: {"cow", "motorbike", "aeroplane", "sofa", "cat", "tvmonitor", "train", "bottle"},
        10: {
            "cow", "motorbike", "aeroplane", "sofa", "cat", "tvmonitor", "train", "bottle", "chair", "pottedplant"
        },
    } == splits.UNSEEN  # fmt: skip


def test_pascal_folds() -> None:
    assert splits.PASCAL_5I == (
        ("aeroplane", "bicycle", "bird", "boat", "bottle"),
        ("bus", "car", "cat", "chair", "cow"),
        ("diningtable", "dog", "horse", "motorbike", "person"),
        ("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
    )


def test_coco_folds_share_the_80_classes() -> None:
    assert [fold[:3] for fold in splits.COCO_20I] == [(0, 4, 8), (1, 5, 9), (2, 6, 10), (3, 7, 11)]
    assert {len(fold) for fold in splits.COCO_20I} == {20}
    assert sorted(label for fold in splits.COCO_20I for label in fold) == list(range(80))
