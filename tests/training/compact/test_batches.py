"""Labelled images are kept as they are, and batches tell what is known of them and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wordmask.errors import DataError
from wordmask.training.compact.batches import BatchMaker
from wordmask.training.compact.label_space import COVERED, UNCLEAR, UNKNOWN, LabelSpace
from wordmask.training.compact.labelled_images import (
    BY_BOXES,
    BY_PIXELS,
    BY_TAG,
    LabelledImages,
    LabelledImageWriter,
    load_labelled_images,
)
from wordmask.training.compact.mixing import CompactBatch, Mixing
from wordmask.training.compact.phrase_bank import build_bank

SPACE = LabelSpace(
    "things",
    ("left eye", "right eye", "dog", "puppy"),
    unions={"eye": ("left eye", "right eye"), "thing": ("*",)},
    near_synonyms=(("dog", "puppy"),),
    extra=("sky", "cow"),
)


def embed(phrases: list[str]) -> torch.Tensor:
    rows = [torch.randn(8, generator=torch.Generator().manual_seed(sum(map(ord, p)))) for p in phrases]
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    folder = tmp_path_factory.mktemp("images")
    writer = LabelledImageWriter([SPACE], side=64)
    pixels = np.full((64, 48, 3), 120, np.uint8)
    labels = np.zeros((64, 48), np.uint8)
    labels[10:30, :20], labels[10:30, 28:] = 1, 2  # a left eye on the left, a right eye on the right
    writer.add("things", pixels, labels, absent={"dog": 1.0, "cow": 1.0})
    unknown = np.full((64, 48), UNKNOWN, np.uint8)
    unknown[:, 40:] = 0
    boxes = [("dog", 4.0, 8.0, 30.0, 40.0)]
    writer.add("things", pixels, unknown, boxes=boxes, tags=["sky"], absent={"cow": 1.0})
    writer.save(folder, parts=2)
    return load_labelled_images([folder])


def ask(images: LabelledImages, step: int, **changes: object) -> tuple[BatchMaker, CompactBatch]:
    bank = build_bank(images.spaces, embed)
    settings = {"counts": {"things": 8}, "prompts": 5, "positives": 3, "hidden": 0.0, **changes}
    maker = BatchMaker(images, bank, Mixing(**settings))  # type: ignore[arg-type]
    return maker, maker.make(step, 64)


def test_what_a_label_is_to_a_name() -> None:
    table = SPACE.relations()
    names = SPACE.names
    assert table[names.index("eye"), [1, 2, 3]].tolist() == [COVERED, COVERED, 0]
    assert table[names.index("dog"), [3, 4]].tolist() == [COVERED, UNCLEAR]
    assert table[names.index("thing"), 1:5].tolist() == [COVERED] * 4
    assert SPACE.mirrored_labels()[1:4].tolist() == [2, 1, 3]
    with pytest.raises(ValueError, match="254"):
        LabelSpace("many", tuple(map(str, range(255))))


def test_images_come_back_as_they_were_written(images: LabelledImages) -> None:
    assert len(images) == 2
    assert images.sizes.tolist() == [[64, 48], [64, 48]]
    assert images.labels[0, 10, 5] == 1
    assert images.labels[0, 10, 20] == 2
    assert images.labels[0, 0, 30] == UNKNOWN  # beside the image
    names = SPACE.names
    assert images.present[0, [names.index(n) for n in ("left eye", "eye", "dog")]].tolist() == [BY_PIXELS, BY_PIXELS, 0]
    assert images.present[1, [names.index(n) for n in ("dog", "sky")]].tolist() == [BY_BOXES, BY_TAG]
    assert images.absent[0, names.index("dog")] == 1
    assert images.boxes[1, 4:20, 2:15].all()
    assert images.boxes[1].sum() == 16 * 13


def test_a_batch_depends_on_seed_and_step_alone(images: LabelledImages) -> None:
    (_, first), (_, same), (_, other) = (ask(images, step) for step in (3, 3, 4))
    assert torch.equal(first.pixels, same.pixels)
    assert torch.equal(first.targets, same.targets)
    assert not torch.equal(first.pixels, other.pixels)


def test_prompts_tell_what_is_known(images: LabelledImages) -> None:
    for step in range(6):
        maker, batch = ask(images, step)
        for i in range(8):
            for name, there, target, weight, boxed, inside, sure in zip(
                (maker.bank.names[n] for n in batch.names[i].tolist()), batch.presence[i], batch.targets[i],
                batch.weights[i], batch.boxed[i], batch.inside[i], batch.presence_weights[i], strict=True,
            ):  # fmt: skip
                assert target[weight == 0].sum() == 0, "unknown cells enter no target"
                if there and name in ("left eye", "right eye", "eye", "thing"):
                    assert target.sum() > 0
                if name == "dog" and there:
                    assert boxed
                    assert inside.sum() > 0
                    assert (weight[inside == 1] == 0).all(), "inside a box nothing is known"
                if name == "cow":
                    assert not there
                    assert sure == 1
                if name == "sky":
                    assert weight.sum() == 0, "of a tag nobody knows where it is"


def test_mirrored_images_have_mirrored_names(images: LabelledImages) -> None:
    """In the image the left eye lies on the left: mirrored, what then lies on the left is called the left eye too."""
    sides = set()
    for step in range(12):
        maker, batch = ask(images, step)
        for i in range(8):
            names = [maker.bank.names[n] for n in batch.names[i].tolist()]
            if not {"left eye", "right eye"} <= set(names):
                continue
            for name in ("left eye", "right eye"):
                k = names.index(name)
                if batch.presence[i, k] and batch.targets[i, k].sum() > 8:
                    columns = batch.targets[i, k].sum(0)
                    middle = (columns * torch.arange(16)).sum() / columns.sum()
                    centre = torch.arange(16)[batch.weights[i, k].sum(0) > 0].float().mean()
                    sides.add((name, bool(middle < centre)))
    # a left eye lies on the left in every image, mirrored or not
    assert sides <= {("left eye", True), ("right eye", False)}
    assert sides


def test_something_is_pasted_on_other_images(images: LabelledImages) -> None:
    found = 0
    for step in range(8):
        maker, batch = ask(images, step, pasted={"things": 1.0})
        eyes = [maker.bank.names.index(n) for n in ("left eye", "right eye")]
        boxed = (batch.names == maker.bank.names.index("dog")) & (batch.boxed > 0)
        asked = (batch.names == eyes[0]) | (batch.names == eyes[1])
        found += int((boxed.any(1) & (asked & (batch.presence > 0)).any(1)).sum())
    assert found  # an eye on an image that has a boxed dog and no labelled eye


def test_too_many_phrases_are_refused() -> None:
    from types import SimpleNamespace

    from wordmask.prompts import TextPrompt
    from wordmask.training.compact.from_dataset import space_of

    found = SimpleNamespace(area=1)
    queries = [SimpleNamespace(prompt=TextPrompt(f"n{i}"), label=f"n{i}", packed=found) for i in range(300)]

    class Many(list[SimpleNamespace]):
        names = ()

    samples = SimpleNamespace(dataset=Many([SimpleNamespace(queries=queries, absent=())]), indices=(0,))
    with pytest.raises(DataError, match="300 different names"):
        space_of(samples, "many")  # type: ignore[arg-type]


def test_the_files_lie_in_parts(tmp_path: Path) -> None:
    writer = LabelledImageWriter([SPACE], side=32)
    writer.add("things", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
    writer.save(tmp_path, parts=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["facts.json.z", "images0.bin", "images1.bin", "images2.bin"]
    assert load_labelled_images([tmp_path]).sizes.tolist() == [[32, 32]]


def test_mixed_images_are_asked_for_names_of_both(images: LabelledImages) -> None:
    both = 0
    for step in range(8):
        maker, batch = ask(images, step, cut_mixed={"things": 1.0})
        dog, eye = (maker.bank.names.index(n) for n in ("dog", "left eye"))
        boxed = (batch.names == dog) & (batch.boxed > 0) & (batch.inside.flatten(2).sum(2) > 0)
        drawn = (batch.names == eye) & (batch.targets.flatten(2).sum(2) > 0)
        both += int((boxed.any(1) & drawn.any(1)).sum())
    assert both
