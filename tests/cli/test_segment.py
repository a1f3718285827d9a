"""`wordmask segment`, run in this process with a segmenter whose answers are known by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.segmenting import read_mask, run
from tests.fakes import BrightnessSegmenter
from wordmask.ops.rle import decode

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "loaded")


class TestFiles:
    def test_a_run_writes_overlay_masks_and_annotations(self, half_bright: Path) -> None:
        done = run("half.png", "bright", "dark", "elephant")

        assert done.exit_code == 0
        assert sorted(path.name for path in Path("segmented").iterdir()) == [
            "coco.json",
            "half.mask-bright.png",
            "half.mask-dark.png",
            "half.mask-elephant.png",
            "half.overlay.png",
        ]
        bright, dark = (
            read_mask("segmented/half.mask-bright.png"),
            read_mask("segmented/half.mask-dark.png"),
        )
        assert bright.shape == dark.shape == (40, 60)
        assert bright[:, 31:].all()
        assert not bright[:, :29].any()
        assert (bright ^ dark).all()
        assert not read_mask("segmented/half.mask-elephant.png").any()
        with Image.open("segmented/half.overlay.png") as overlay:
            assert overlay.height > 40  # the labels of a small image stand below it

    def test_the_annotations_hold_every_image_of_the_run(self, half_bright: Path) -> None:
        Image.open(half_bright).transpose(Image.Transpose.ROTATE_90).save("turned.png")

        assert run("*.png", "bright").exit_code == 0

        coco = json.loads(Path("segmented/coco.json").read_text(encoding="utf-8"))
        assert [(i["file_name"], i["height"], i["width"]) for i in coco["images"]] == [
            ("half.png", 40, 60),
            ("turned.png", 60, 40),
        ]
        assert [c["name"] for c in coco["categories"]] == ["bright"]
        assert len({a["image_id"] for a in coco["annotations"]}) == 2
        mask = decode(coco["annotations"][0]["segmentation"])
        assert np.array_equal(mask, read_mask("segmented/half.mask-bright.png"))

    def test_out_may_be_one_overlay_or_one_annotation_file(self, half_bright: Path) -> None:
        assert run("half.png", "bright", "--out", "new/folder/overlay.png").exit_code == 0
        assert [path.name for path in Path("new/folder").iterdir()] == ["overlay.png"]

        assert run("half.png", "bright", "--out", "overlay.JPG").exit_code == 0
        with Image.open("overlay.JPG") as overlay:
            assert (overlay.format, overlay.height > 40) == ("JPEG", True)

        assert run("half.png", "bright", "--out", "found.json").exit_code == 0
        assert len(json.loads(Path("found.json").read_text(encoding="utf-8"))["annotations"]) == 1
        assert not Path("segmented").exists()

    def test_images_of_one_name_do_not_overwrite_each_other(self, half_bright: Path) -> None:
        for folder in ("a", "b"):
            Path(folder).mkdir()
            Image.open(half_bright).save(f"{folder}/same.png")

        assert run("a/same.png", "b/same.png", "-p", "bright").exit_code == 0

        assert {"same.overlay.png", "same-2.overlay.png"} <= {path.name for path in Path("segmented").iterdir()}

    def test_a_phrase_becomes_a_harmless_file_name(self, half_bright: Path) -> None:
        assert run("half.png", "../etc: the *left* eye?", "\N{CAT FACE}", "\u00c4ugl\u00e4in").exit_code == 0

        names = {path.name for path in Path("segmented").glob("*.mask-*")}
        assert names == {
            "half.mask-etc-the-left-eye.png",
            "half.mask-prompt-2.png",
            "half.mask-\u00c4ugl\u00e4in.png",
        }

    def test_the_threshold_moves_the_border(self) -> None:
        ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
        Image.fromarray(ramp).save("half.png")
        run("half.png", "bright", "--out", "low", "--threshold", "0.001")
        run("half.png", "bright", "--out", "high", "--threshold", "0.999")

        low, high = (read_mask(f"{out}/half.mask-bright.png") for out in ("low", "high"))
        assert low.sum() > high.sum() > 0
        assert not (high & ~low).any()


class TestExistingResults:
    def test_a_second_run_adds_to_the_first(self, half_bright: Path) -> None:
        Image.open(half_bright).save("second.png")
        for words in (["half.png", "bright"], ["second.png", "dark"], ["half.png", "dark"], ["half.png", "dark "]):
            assert run(*words).exit_code == 0

        coco = json.loads(Path("segmented/coco.json").read_text(encoding="utf-8"))
        assert [(image["file_name"], list(image["presence"])) for image in coco["images"]] == [
            ("half.png", ["bright", "dark"]),
            ("second.png", ["dark"]),
        ]
        assert [category["name"] for category in coco["categories"]] == ["bright", "dark"]
        assert len(coco["annotations"]) == 3

    def test_skip_resumes_without_asking_again(self, half_bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run("half.png", "bright")
        before = Path("segmented/coco.json").read_bytes()

        def fail(*_: object, **__: object) -> None:
            raise AssertionError

        monkeypatch.setattr(BrightnessSegmenter, "segment", fail)
        done = run("half.png", "bright", "--on-existing", "skip")

        assert (done.exit_code, done.stdout) == (0, "half.png: skipped, its results are there\n")
        assert Path("segmented/coco.json").read_bytes() == before

    def test_replace_drops_what_was_there(self, half_bright: Path) -> None:
        run("half.png", "bright")
        run("half.png", "dark", "--on-existing", "replace")

        assert sorted(path.name for path in Path("segmented").iterdir()) == [
            "coco.json",
            "half.mask-dark.png",
            "half.overlay.png",
        ]

    @pytest.mark.parametrize("out", ["mine", "mine/coco.json"])
    def test_annotations_of_others_are_refused_before_a_model_is_loaded(
        self, half_bright: Path, out: str, loaded: list[tuple[object, dict[str, object]]]
    ) -> None:
        Path("mine").mkdir()
        Path("mine/coco.json").write_text('{"images": [], "mine": true}', encoding="utf-8")

        done = run("half.png", "bright", "--out", out)

        assert (done.exit_code, loaded) == (2, [])
        assert "which wordmask did not write" in done.stderr
        assert Path("mine/coco.json").read_text(encoding="utf-8") == '{"images": [], "mine": true}'

    def test_another_image_is_no_overlay_to_replace(self, half_bright: Path) -> None:
        Image.new("RGB", (9, 9)).save("holiday.jpg")
        before = Path("holiday.jpg").read_bytes()

        done = run("half.png", "bright", "--out", "holiday.jpg")
        assert done.exit_code == 2
        assert "--on-existing replace" in done.stderr
        assert Path("holiday.jpg").read_bytes() == before
        for _ in range(2):
            assert run("half.png", "bright", "--out", "new.jpg").exit_code == 0
        assert run("half.png", "bright", "--out", "holiday.jpg", "--on-existing", "replace").exit_code == 0

    def test_an_image_with_the_name_of_a_result_stays(self, half_bright: Path) -> None:
        Image.open(half_bright).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("half.overlay.png")
        before = Path("half.overlay.png").read_bytes()

        done = run("half.png", "half.overlay.png", "-p", "bright", "--out", ".", "--json")

        boxes = [json.loads(line)["prompts"][0]["box"] for line in done.stdout.splitlines()]
        assert boxes == [[30.0, 0.0, 60.0, 40.0], [0.0, 0.0, 30.0, 40.0]]
        assert Path("half.overlay.png").read_bytes() == before
        assert Path("half-2.overlay.png").is_file()

    def test_two_folders_with_images_of_one_name(self, half_bright: Path) -> None:
        for folder in ("a", "b"):
            Path(folder).mkdir()
            Image.open(half_bright).save(f"{folder}/same.png")

        run("a/same.png", "b/same.png", "-p", "bright")

        images = json.loads(Path("segmented/coco.json").read_text(encoding="utf-8"))["images"]
        assert [image["file_name"] for image in images] == ["a/same.png", "b/same.png"]

    def test_a_quoted_tilde_is_the_home(self, half_bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(half_bright.parent / "home"))
        monkeypatch.setenv("USERPROFILE", str(half_bright.parent / "home"))
        Path("home").mkdir()
        Image.open(half_bright).save("home/a.png")

        assert run("~/a.png", "bright", "--out", "~/found").exit_code == 0
        assert Path("home/found/a.overlay.png").is_file()
        assert not Path("~").exists()


class TestWords:
    def test_hidden_files_and_results_are_no_images(self, half_bright: Path) -> None:
        Path("._half.png").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
        Image.open(half_bright).save(".hidden.png")
        for _ in range(2):
            assert run(".", "bright", "--out", ".").exit_code == 0
        for out in ("seen.png", "seen.jpg", "seen.webp"):
            run("half.png", "bright", "--out", out)

        for words in (".", "*.*g", "**/*.png"):
            names = [json.loads(line)["image"] for line in run(words, "bright", "--json").stdout.splitlines()]
            assert names == ["half.png"]
        assert json.loads(run(".hidden.png", "bright", "--json").stdout)["image"] == ".hidden.png"
        done = run("*.overlay.png", "bright")
        assert done.exit_code == 2
        assert "only hidden files and results" in done.stderr

    def test_with_p_every_word_is_an_image(self, half_bright: Path) -> None:
        Image.open(half_bright).save("second.png")

        done = run("half.png", "second.png", "-p", "bright", "--prompt", "dark", "--json")

        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["image"] for line in lines] == ["half.png", "second.png"]
        assert [p["prompt"] for p in lines[0]["prompts"]] == ["bright", "dark"]

    def test_a_folder_means_its_images_in_order(self, half_bright: Path) -> None:
        Path("photos/sub").mkdir(parents=True)
        for name in ("b.PNG", "a.jpg", "sub/c.png"):
            Image.open(half_bright).save(f"photos/{name}")
        Path("photos/notes.txt").write_text("no image", encoding="utf-8")

        done = run("photos", "bright", "--json")

        names = [Path(json.loads(line)["image"]).name for line in done.stdout.splitlines()]
        assert names == ["a.jpg", "b.PNG"]

    def test_a_glob_may_descend(self, half_bright: Path) -> None:
        Path("photos/sub").mkdir(parents=True)
        Image.open(half_bright).save("photos/sub/c.png")

        assert '"photos/sub/c.png"' in run("photos/**/*.png", "bright", "--json").stdout

    def test_a_file_whose_name_looks_like_a_glob_is_a_file(self, half_bright: Path) -> None:
        Image.open(half_bright).save("odd[1].png")

        assert json.loads(run("odd[1].png", "bright", "--json").stdout)["image"] == "odd[1].png"

    def test_standard_input(self, half_bright: Path) -> None:
        done = run("-", "bright", "--json", data=half_bright.read_bytes())

        assert (done.exit_code, json.loads(done.stdout)["image"]) == (0, "standard input")

    def test_a_sample_image(self) -> None:
        line = json.loads(run("sample:chelsea", "bright", "--json").stdout)

        assert (line["image"], line["height"], line["width"]) == ("sample:chelsea", 300, 451)

    def test_the_model_is_asked_for_as_typed(
        self, half_bright: Path, loaded: list[tuple[object, dict[str, object]]]
    ) -> None:
        run("half.png", "bright", "-m", "owner/name", "--revision", "abc", "--device", "cpu", "--dtype", "bfloat16")

        assert loaded == [("owner/name", {"device": "cpu", "dtype": "bfloat16", "revision": "abc", "refine": None})]
