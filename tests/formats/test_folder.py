"""Folders and files of results that several runs write: nothing is lost, and nothing of others is touched."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.segmentations import found, logits, segmentation
from wordmask.data.registry import open_data
from wordmask.errors import OutputError
from wordmask.formats.coco_file import CocoFile
from wordmask.formats.folder import ResultFolder, is_result
from wordmask.results import Segmentation

LEFT, RIGHT = (2, 2, 10, 10), (20, 2, 28, 10)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def result(path: str | None, **phrases: tuple[int, int, int, int]) -> Segmentation:
    """Return a result about the image of a path; `left_eye=BOX` is what was found of a phrase."""
    name = None if path is None else Path(path).name
    one = segmentation(*(found(phrase.replace("_", " "), logits(box)) for phrase, box in phrases.items()), name=name)
    assert one.image is not None
    return replace(one, image=replace(one.image, path=path))


def content(path: str = "out/coco.json") -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def phrases(path: str = "out/coco.json") -> list[tuple[str, str]]:
    """Return the file name and the category of every annotation."""
    coco = content(path)
    images = {image["id"]: image["file_name"] for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    return [(images[one["image_id"]], names[one["category_id"]]) for one in coco["annotations"]]


def files(folder: str = "out") -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def mask(file: str) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image) > 0


class TestSeveralRuns:
    def test_images_are_added_and_keep_their_ids(self) -> None:
        result("a.jpg", cat=LEFT).save("out")
        result("b.jpg", dog=LEFT, cat=RIGHT).save("out")
        result("a.jpg", dog=RIGHT).save("out")

        assert phrases() == [("a.jpg", "cat"), ("a.jpg", "dog"), ("b.jpg", "dog"), ("b.jpg", "cat")]
        coco = content()
        assert [image["id"] for image in coco["images"]] == [1, 2]
        assert sorted(one["id"] for one in coco["annotations"]) == [1, 2, 3, 4]
        assert coco["images"][0]["presence"] == {"cat": 0.9, "dog": 0.9}
        assert coco["images"][0]["masks"] == {"cat": "a.mask-cat.png", "dog": "a.mask-dog.png"}
        assert (coco["info"]["generator"], coco["licenses"]) == ("wordmask", [])

    def test_the_overlay_shows_what_stays(self) -> None:
        result("a.jpg", cat=LEFT).save("out")
        result("a.jpg", dog=RIGHT).save("out")
        both = result("a.jpg", cat=LEFT, dog=RIGHT)
        both.save("both.png")

        with Image.open("out/a.overlay.png") as shown, Image.open("both.png") as expected:
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))

    def test_a_phrase_asked_again_is_renewed(self) -> None:
        result("a.jpg", cat=LEFT).save("out")
        result("a.jpg", Cat=RIGHT).save("out")

        assert phrases() == [("a.jpg", "cat")]
        assert content()["annotations"][0]["bbox"] == [40, 4, 16, 16]
        assert files() == {"a.overlay.png", "a.mask-cat.png", "coco.json"}
        assert np.flatnonzero(mask("out/a.mask-cat.png").any(axis=0)).min() == 40

    def test_replace_drops_all_about_the_image_and_nothing_else(self) -> None:
        for path in ("a.jpg", "b.jpg"):
            result(path, cat=LEFT, dog=RIGHT).save("out")
        result("a.jpg", cow=LEFT).save("out", on_existing="replace")

        assert phrases() == [("a.jpg", "cow"), ("b.jpg", "cat"), ("b.jpg", "dog")]
        assert files() == {
            *("a.overlay.png", "a.mask-cow.png", "coco.json"),
            *("b.overlay.png", "b.mask-cat.png", "b.mask-dog.png"),
        }

    def test_skip_leaves_out_what_is_complete(self) -> None:
        result("a.jpg", cat=LEFT).save("out")
        before = content()

        assert result("a.jpg", cat=RIGHT).save("out", on_existing="skip") == ()
        assert content() == before
        result("a.jpg", cat=LEFT, dog=RIGHT).save("out", on_existing="skip")
        assert [phrase for _, phrase in phrases()] == ["cat", "dog"]

    def test_an_image_of_another_size_is_another_image(self) -> None:
        result("a.jpg", cat=LEFT).save("out")
        smaller = segmentation(found("dog", logits(LEFT), size=(20, 30)), size=(20, 30), name="a.jpg")
        assert smaller.image is not None
        replace(smaller, image=replace(smaller.image, path="a.jpg")).save("out")

        assert phrases() == [("a.jpg", "dog")]
        assert files() == {"a.overlay.png", "a.mask-dog.png", "coco.json"}

    def test_an_unknown_choice(self) -> None:
        with pytest.raises(OutputError, match=r"'overwrite' .*append, replace, skip"):
            result("a.jpg", cat=LEFT).save("out", on_existing="overwrite")

    def test_a_file_of_annotations_alone_grows_too(self) -> None:
        for path in ("a.jpg", "b.jpg", "a.jpg"):
            result(path, cat=LEFT).save("all.json")

        assert phrases("all.json") == [("a.jpg", "cat"), ("b.jpg", "cat")]


class TestNames:
    def test_images_of_one_name_stay_apart_over_runs(self) -> None:
        for path in ("x/a.jpg", "y/a.jpg", "./x/../x/a.jpg"):
            result(path, cat=LEFT).save("out")

        assert phrases() == [("x/a.jpg", "cat"), ("y/a.jpg", "cat")]
        assert files() == {
            *("a.overlay.png", "a.mask-cat.png", "a-2.overlay.png", "a-2.mask-cat.png", "coco.json"),
        }

    def test_names_start_where_the_first_run_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        result("x/a.jpg", cat=LEFT).save("out")
        (tmp_path / "x").mkdir()
        monkeypatch.chdir(tmp_path / "x")
        result("a.jpg", dog=LEFT).save("../out")
        result("../../b.jpg", dog=LEFT).save("../out")

        assert phrases("../out/coco.json") == [("x/a.jpg", "cat"), ("x/a.jpg", "dog"), ("../b.jpg", "dog")]
        assert content("../out/coco.json")["info"]["image_root"] == ".."

    def test_results_beside_the_images_name_them_as_they_lie(self, tmp_path: Path) -> None:
        result(str(tmp_path / "photos" / "a.jpg"), cat=LEFT).save("photos")

        assert phrases("photos/coco.json") == [("a.jpg", "cat")]

    def test_images_from_memory_are_always_new(self) -> None:
        for _ in range(2):
            result(None, cat=LEFT).save("out")

        assert phrases() == [("image-1", "cat"), ("image-2", "cat")]
        assert {"image.overlay.png", "image-2.overlay.png"} < files()

    def test_our_own_reader_reads_them(self) -> None:
        for folder in ("x", "y"):
            Path(folder).mkdir()
            Image.new("RGB", (60, 40)).save(f"{folder}/a.png")
            result(f"{folder}/a.png", cat=LEFT if folder == "x" else RIGHT).save("out")
        data = open_data("out/coco.json")

        assert [sample.key for sample in data] == ["x/a.png", "y/a.png"]
        assert [sample.queries[0].packed.box for sample in data] == [(4, 4, 20, 20), (40, 4, 56, 20)]


class TestOthersFiles:
    @pytest.mark.parametrize("text", ['{"images": [], "mine": true}', "[]", "", "{", '{"info": {"generator": "me"}}'])
    def test_annotations_of_somebody_else_stay(self, text: str) -> None:
        Path("out").mkdir()
        Path("out/coco.json").write_text(text)

        for path in ("out", "out/coco.json"):
            with pytest.raises(OutputError, match=r"coco\.json', which wordmask did not write.*left as it is"):
                result("a.jpg", cat=LEFT).save(path)
        assert (files(), Path("out/coco.json").read_text()) == ({"coco.json"}, text)

    @pytest.mark.parametrize(
        "changed", [{"presence": {"cat": None}}, {"masks": [1]}, {"id": "1"}, {"file_name": ["a"]}]
    )
    def test_records_that_are_none_of_ours_are_refused(self, changed: dict[str, Any]) -> None:
        result("a.jpg", cat=LEFT).save("out")
        damaged = content()
        damaged["images"][0] |= changed
        Path("out/coco.json").write_text(json.dumps(damaged))

        with pytest.raises(OutputError, match="which wordmask did not write"):
            result("a.jpg", dog=LEFT).save("out")
        assert content() == damaged

    def test_files_of_our_names_stay(self) -> None:
        Path("out").mkdir()
        for name in ("a.overlay.png", "b.mask-cat.png"):
            Path("out", name).write_text("mine")
        for path in ("a.jpg", "b.jpg"):
            result(path, cat=LEFT).save("out")

        assert Path("out/a.overlay.png").read_text() == Path("out/b.mask-cat.png").read_text() == "mine"
        assert content()["images"][0]["overlay"] == "a-2.overlay.png"
        assert content()["images"][1]["masks"] == {"cat": "b.mask-cat-2.png"}

    def test_phrases_of_one_file_name_stay_apart(self) -> None:
        result("a.jpg", left_eye=LEFT).save("out")
        other = segmentation(found("left-eye", logits(RIGHT)))
        assert other.image is not None
        replace(other, image=replace(other.image, path="a.jpg")).save("out")

        assert content()["images"][0]["masks"] == {
            "left eye": "a.mask-left-eye.png",
            "left-eye": "a.mask-left-eye-2.png",
        }
        assert np.flatnonzero(mask("out/a.mask-left-eye.png").any(axis=0)).min() == 4

    @pytest.mark.parametrize("on_existing", ["append", "replace"])
    def test_an_input_is_never_written(self, on_existing: str) -> None:
        result("a.jpg", cat=LEFT).save("out")
        before = Path("out/a.overlay.png").read_bytes()
        folder = ResultFolder(Path("out"), on_existing=on_existing, inputs=["out/a.overlay.png", "a.jpg"])
        written = folder.add(result("a.jpg", cat=RIGHT).annotated())
        folder.finish()

        assert written[0].name == "a-2.overlay.png"
        assert Path("out/a.overlay.png").read_bytes() == before

    def test_names_in_a_record_lead_nowhere_else(self) -> None:
        result("a.jpg", cat=LEFT).save("out")
        Path("a.mask-cat.png").write_text("mine")
        changed = content()
        changed["images"][0] |= {"overlay": "../a.mask-cat.png", "masks": {"cat": "../a.mask-cat.png", "dog": 3}}
        changed["annotations"].append({**changed["annotations"][0], "id": 9, "segmentation": [[1, 2, 3, 4, 5, 6]]})
        Path("out/coco.json").write_text(json.dumps(changed))
        result("a.jpg", cow=LEFT).save("out", on_existing="replace")

        assert Path("a.mask-cat.png").read_text() == "mine"

    def test_names_of_results(self) -> None:
        assert all(map(is_result, ["a.overlay.png", "b.c.mask-left-eye.PNG", "a-2.mask-x-3.png"]))
        assert not any(
            map(is_result, ["a.png", "overlay.png", "a.mask.png", ".overlay.png", "mask-a.png", "coco.json"])
        )


def test_a_failure_leaves_no_masks_without_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ResultFolder(Path("out"))
    folder.add(result("a.jpg", cat=LEFT).annotated())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wordmask.formats.folder.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.add(result("b.jpg", cat=LEFT).annotated())
    folder.finish()

    assert phrases() == [("a.jpg", "cat")]
    assert files() == {"a.overlay.png", "a.mask-cat.png", "coco.json"}


def test_annotations_are_written_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordmask.formats.coco_file._INTERVAL", -1.0)
    folder = ResultFolder(Path("out"))
    folder.add(result("a.jpg", cat=LEFT).annotated())

    assert phrases() == [("a.jpg", "cat")]
    assert folder.finish() is None


def _add(number: int) -> None:
    coco = CocoFile(Path("all.json"))
    for index in range(5):
        image = result(f"{number}-{index}.jpg", cat=LEFT).annotated()
        coco.add(image, coco.name_of(image.path, None))
        coco.write()


def test_processes_that_write_at_once_lose_nothing() -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add, args=(number,)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(name for name, _ in phrases("all.json")) == [f"{a}-{b}.jpg" for a in range(3) for b in range(5)]
    assert files(".") == {"all.json"}
