"""Every format: rings, parts, single pixels, touching and overlapping objects, negatives, given labels, edits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.annotate.jobs import run, write_images
from wordmask.annotate.exporting import FORMATS, export_all, find_format
from wordmask.annotate.exports.base import ExportOptions
from wordmask.annotate.exports.brush import decode_brush, encode_brush
from wordmask.annotate.exports.voc import voc_palette
from wordmask.annotate.fidelity import compare
from wordmask.annotate.job import journal_path
from wordmask.annotate.journal import Journal
from wordmask.annotate.labelled import LabelledSet
from wordmask.annotate.records import Answer, ImageRecord, Question, content_hash
from wordmask.errors import OutputError
from wordmask.ops.masks import pack
from wordmask.ops.rle import encode

LOSSLESS = ("coco", "coco-results", "label-studio", "cvat", "datumaro", "hugging-face")
SIZE = (40, 60)


def shapes() -> dict[str, np.ndarray]:
    """Return masks that formats lose: none of them overlap."""
    empty = np.zeros(SIZE, dtype=np.bool_)
    ring, parts, tiny, left, right, line, comb = (empty.copy() for _ in range(7))
    ring[2:14, 2:14] = True
    ring[5:11, 5:11] = False
    ring[7:9, 7:9] = True  # an island in the hole
    parts[2:8, 18:24] = parts[10:14, 28:34] = True
    tiny[20:23, 3:6] = True
    left[20:30, 10:20] = right[20:30, 20:30] = True
    line[35, 5:15] = True
    comb[20:38, 34:58] = True
    comb[22:36:4, 36:56] = False  # several holes
    return {"ring": ring, "parts": parts, "tiny": tiny, "left": left, "right": right, "line": line, "comb": comb}


def journal_of(folder: Path, images: list[list[tuple[str, np.ndarray]]], *, size: tuple[int, int] = SIZE) -> Journal:
    """Return a journal with given masks; the pixels of the images do not matter."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for one in images for name, _ in one)) or ["thing"]
    questions = {name: Question(name, (), "fake") for name in names}
    journal = Journal(folder / "out" / "journal.sqlite")
    journal.add_questions(questions.values())
    classes = [{"name": name, "questions": [questions[name].key], "presence": None} for name in names]
    journal.set_meta("classes", json.dumps(classes))
    for number, masks in enumerate(images):
        path = folder / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((*size, 3), number, dtype=np.uint8)).save(path)
        answers = tuple(answer(questions[n].key, [m for name, m in masks if name == n]) for n in names)
        record = ImageRecord(str(path), "1-1", content_hash(path.read_bytes()), size, None, answers)
        journal.write([record])
    return journal


def answer(question: str, masks: list[np.ndarray]) -> Answer:
    objects: list[dict[str, Any]] = []
    for place, mask in enumerate(masks):
        x0, y0, x1, y1 = pack(mask).window
        about = {"rle": encode(mask)["counts"], "bbox": [x0, y0, x1 - x0, y1 - y0], "area": int(mask.sum())}
        objects.append(about | {"score": 0.9 - place / 100, "mask_score": 0.8})
    return Answer(question, 0.9 if masks else 0.1, 0.5, tuple(objects))


@pytest.mark.parametrize("name", FORMATS)
def test_shapes_that_formats_lose_come_back(name: str, tmp_path: Path) -> None:
    masks = list(shapes().items())
    with journal_of(tmp_path, [masks, [], masks[:2]]) as journal:
        labelled = LabelledSet(journal)
        export_all(labelled, tmp_path / "out", [name])
        facts = compare(labelled, find_format(name), tmp_path / "out" / name)

    assert (facts["images"], facts["missing_images"], facts["lost"], facts["added"]) == (3, 0, 0, 0)
    assert facts["objects"] == 9
    if name == "yolo":  # the two bridges between the parts, and from the ring to its island
        assert (facts["exact"], facts["lost_parts"]) == (5, 4)
        assert facts["min"] > 0.75
    else:
        assert (facts["exact"], facts["mean"]) == (9, 1.0)


def test_yolo_splits_parts_where_that_is_wanted(tmp_path: Path) -> None:
    with journal_of(tmp_path, [[("parts", shapes()["parts"])]]) as journal:
        export_all(LabelledSet(journal), tmp_path / "out", ["yolo"], ExportOptions(parts="split"))
    lines = (tmp_path / "out" / "yolo" / "labels" / "train" / "0.txt").read_text().splitlines()
    assert len(lines) == 2
    assert "parts lost" in (tmp_path / "out" / "fidelity.md").read_text()


def test_yolo_keeps_objects_of_equal_box_and_single_pixels(tmp_path: Path) -> None:
    ring = shapes()["ring"]
    full, dot = np.zeros(SIZE, dtype=np.bool_), np.zeros(SIZE, dtype=np.bool_)
    full[2:14, 2:14] = dot[39, 59] = True
    with journal_of(tmp_path, [[("a", ring), ("a", full), ("a", dot)]]) as journal:
        labelled = LabelledSet(journal)
        export_all(labelled, tmp_path / "out", ["yolo"])
        facts = compare(labelled, find_format("yolo"), tmp_path / "out" / "yolo")
    assert (facts["objects"], facts["lost"], facts["exact"]) == (3, 0, 2)


@pytest.mark.parametrize("name", ["coco-panoptic", "label-map", "voc"])
def test_a_part_stays_on_its_whole_and_the_loss_is_told(name: str, tmp_path: Path) -> None:
    whole, part = np.zeros(SIZE, dtype=np.bool_), np.zeros(SIZE, dtype=np.bool_)
    whole[:20, :20] = part[5:8, 5:8] = True
    with journal_of(tmp_path, [[("whole", whole), ("part", part)]]) as journal:
        labelled = LabelledSet(journal)
        export_all(labelled, tmp_path / "out", [name])
        facts = compare(labelled, find_format(name), tmp_path / "out" / name)
    assert (facts["exact"], facts["lost"]) == (1, 0)
    assert facts["min"] == pytest.approx(391 / 400)
    assert "| 0.9775 | 0.png | whole | 400 |" in (tmp_path / "out" / "fidelity.md").read_text()


@pytest.mark.parametrize("shape", [(40, 50), (1, 1), (7, 300), (300, 7)])
def test_brush_labels_are_lossless(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    for density in (0.0, 0.02, 0.5, 1.0):
        mask = random.random(shape) < density
        data = encode_brush(pack(mask))
        assert set(data) <= set(range(256))
        assert np.array_equal(decode_brush(data, shape), mask)
    assert encode_brush(pack(np.zeros((40, 50), dtype=np.bool_)))[:6] == [0, 0, 31, 64, 57, 27]


def test_the_palette_is_vocs() -> None:
    assert voc_palette()[:15] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]
    assert voc_palette()[-3:] == [224, 224, 192]


def test_labels_that_were_there_stay_as_they_were(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 2)
    polygon = [[2.0, 2.0, 20.0, 2.0, 20.0, 12.0, 2.0, 12.0]]
    given = {"segmentation": polygon, "bbox": [2, 2, 18, 10], "area": 180, "iscrowd": 0, "note": "by hand"}
    images = [{"id": n, "file_name": f"000{n}.png", "height": 24, "width": 36} for n in (0, 1)]
    content = {"images": images, "categories": [{"id": 7, "name": "sign"}], "licenses": [{"id": 1, "name": "CC0"}]}
    content["annotations"] = [{"id": 5, "image_id": 1, "category_id": 7, **given}]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    for _ in range(2):
        run(tmp_path / "annotations.json", tmp_path / "out")
    with Journal(journal_path(tmp_path / "out")) as journal:
        export_all(LabelledSet(journal), tmp_path / "out", ["coco", "yolo"])
    written = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_bytes())
    names = {one["id"]: one["name"] for one in written["categories"]}
    signs = [one for one in written["annotations"] if names[one["category_id"]] == "sign"]
    assert [{key: one[key] for key in given} for one in signs] == [given]
    assert (written["licenses"], list(names.values())) == ([{"id": 1, "name": "CC0"}], ["sign", "bright"])

    run(tmp_path / "annotations.json", tmp_path / "out", on_existing="replace")
    with Journal(journal_path(tmp_path / "out")) as journal:
        assert LabelledSet(journal).names == ("bright",)


def test_a_file_that_was_edited_is_not_overwritten(tmp_path: Path) -> None:
    with journal_of(tmp_path, [[("ring", shapes()["ring"])]]) as journal:
        labelled, out = LabelledSet(journal), tmp_path / "out"
        export_all(labelled, out, ["yolo"])
        export_all(labelled, out, ["yolo"])
        label = out / "yolo" / "labels" / "train" / "0.txt"
        label.write_text("")
        with pytest.raises(OutputError, match=r"0\.txt.*changed since"):
            export_all(labelled, out, ["yolo"])
        assert label.read_text() == ""
        export_all(labelled, out, ["yolo"], replace=True)
        assert label.read_text()
        (out / "voc").mkdir()
        (out / "voc" / "mine.txt").write_text("mine")
        with pytest.raises(OutputError, match="did not write"):
            export_all(labelled, out, ["voc"])


def test_a_kill_while_folders_are_exchanged_is_no_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    ring, parts = shapes()["ring"], shapes()["parts"]
    with journal_of(tmp_path / "a", [[("x", ring)]]) as one, journal_of(tmp_path / "b", [[("x", parts)]]) as two:
        out, replace = tmp_path / "out", os.replace
        export_all(LabelledSet(one), out, ["cvat"])
        for at in (1, 2):  # before the old folder goes, and before the new one comes

            def killed(source: Any, target: Any, at: int = at) -> None:
                folders = [path for path in (source, target) if Path(path).name.startswith(".cvat")]
                if folders and (at == 1 or Path(source).name == ".cvat.part"):
                    raise KeyboardInterrupt
                replace(source, target)

            monkeypatch.setattr("os.replace", killed)
            with pytest.raises(KeyboardInterrupt):
                export_all(LabelledSet(two), out, ["cvat"])
            monkeypatch.setattr("os.replace", replace)
            export_all(LabelledSet(two if at == 1 else one), out, ["cvat"])
    assert 'left="2"' in (out / "cvat" / "annotations.xml").read_text()


def test_splits_keep_copies_and_near_copies_together_and_stay_when_images_are_added(tmp_path: Path) -> None:
    from wordmask.annotate.splits import split_of_images

    paths = write_images(tmp_path / "in", 20)
    for path in paths[:10]:
        with Image.open(path) as image:
            image.resize((72, 48), Image.Resampling.NEAREST).save(path.with_name(f"near-{path.name}"))
    parts = {"train": 0.6, "val": 0.4}
    run(tmp_path / "in", tmp_path / "out")
    with Journal(journal_path(tmp_path / "out")) as journal:
        before = split_of_images(LabelledSet(journal), parts, 0)
        other = split_of_images(LabelledSet(journal), parts, 1)
    write_images(tmp_path / "in" / "more", 5, seed=9)
    run(tmp_path / "in", tmp_path / "out")
    with Journal(journal_path(tmp_path / "out")) as journal:
        after = split_of_images(LabelledSet(journal), parts, 0)
    assert all(before[path.name] == before[f"near-{path.name}"] for path in paths[:10])
    assert set(before.values()) == {"train", "val"}
    assert before != other
    assert {name: after[name] for name in before} == before


@pytest.mark.slow
def test_a_turned_image_of_12_megapixels_comes_back_from_every_format(tmp_path: Path) -> None:
    pixels = np.full((3000, 4000, 3), 10, dtype=np.uint8)
    pixels[200:1500, 300:900] = pixels[2000:2003, 3990:3993] = 240
    pixels[700:800, 500:600] = 10
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: upright it is 4000 high
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "turned.jpg", quality=95, exif=exif)
    run(tmp_path / "in", tmp_path / "out", ["bright"])
    with Journal(journal_path(tmp_path / "out")) as journal:
        labelled = LabelledSet(journal)
        (image,) = labelled
        export_all(labelled, tmp_path / "out", list(FORMATS))
        for name in FORMATS:
            facts = compare(labelled, find_format(name), tmp_path / "out" / name)
            assert (facts["lost"], facts["mean"]) == (0, 1.0), name
    assert image.size == (4000, 3000)
