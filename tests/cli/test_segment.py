"""`wordmask segment`, run in this process with a segmenter whose answers are known by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.fakes import BrightnessSegmenter
from wordmask.cli.app import app
from wordmask.cli.output import _percent
from wordmask.cli.sources import expand
from wordmask.errors import ImageError
from wordmask.ops.rle import decode

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, dict[str, object]]]:
    """Put the fake in the place of every model, and keep how it was asked for."""
    calls: list[tuple[object, dict[str, object]]] = []

    def load(model: object, **wishes: object) -> BrightnessSegmenter:
        calls.append((model, wishes))
        return BrightnessSegmenter()

    monkeypatch.setattr("wordmask.api.load", load)
    return calls


def run(*words: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["segment", *words], input=data)


def read_mask(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image) > 0


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


class TestPrinted:
    def test_json_is_all_there_is_and_lossless(self, half_bright: Path) -> None:
        done = run("half.png", "bright", "elephant", "--json")

        assert (done.exit_code, done.stderr) == (0, "")
        line = json.loads(done.stdout)
        bright, elephant = line.pop("prompts")
        assert line == {"image": "half.png", "height": 40, "width": 60, "model": "brightness", "files": []}
        mask = decode(bright["mask"])
        assert mask.sum() == bright["area"] == bright["instances"][0]["area"]
        assert mask[:, 31:].all()
        assert bright["box"] == [30.0, 0.0, 60.0, 40.0]
        assert (elephant["present"], elephant["area"], elephant["box"], elephant["instances"]) == (False, 0, None, [])
        assert elephant["presence"] == 0.02
        assert not Path("segmented").exists()

    @pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a POSIX thing")
    def test_a_progress_bar_on_a_terminal_leaves_standard_output_alone(self, half_bright: Path) -> None:
        import pty

        Image.open(half_bright).save("second.png")
        program = (
            "from tests.fakes import BrightnessSegmenter\n"
            "import wordmask.api\n"
            "wordmask.api.load = lambda *_, **__: BrightnessSegmenter()\n"
            "from wordmask.cli import main\n"
            "main()"
        )
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-c", program, "segment", "*.png", "bright", "--json"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "TERM": "xterm"},
        )
        shown = os.read(ours, 100_000).decode()
        os.close(ours)
        os.close(theirs)

        assert done.returncode == 0
        assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == ["half.png", "second.png"]
        assert "Segmenting" in shown
        assert '"image"' not in shown

    def test_json_names_the_files_when_some_are_written(self, half_bright: Path) -> None:
        files = json.loads(run("half.png", "bright", "--json", "--out", "found").stdout)["files"]

        assert [Path(file).name for file in files] == ["half.overlay.png", "half.mask-bright.png", "coco.json"]
        assert all(Path(file).is_file() for file in files)
        assert json.loads(run("half.png", "bright", "--json", "--out", "a.json").stdout)["files"] == ["a.json"]

    def test_long_names_of_image_and_phrase_find_room_together(self, half_bright: Path) -> None:
        names = ("n" * 250 + ".png", "n" * 249 + "m.png", "猫" * 83 + ".png")
        for name in names:
            Path(name).write_bytes(half_bright.read_bytes())

        assert run(*names, "-p", "y" * 2000, "-p", "猫" * 200).exit_code == 0
        assert len(list(Path("segmented").glob("*.mask-*.png"))) == 6

    @pytest.mark.skipif(sys.platform != "linux", reason="names there are any bytes")
    def test_a_name_that_is_not_utf8(self, half_bright: Path) -> None:
        Path(os.fsdecode(b"caf\xe9.png")).write_bytes(half_bright.read_bytes())

        done = run(os.fsdecode(b"caf\xe9.png"), "bright", "--json", "--out", "found")

        assert done.exit_code == 0
        assert json.loads(done.stdout)["image"] == "caf\ufffd.png"
        assert Path("found/caf\ufffd.overlay.png").is_file()
        assert (
            json.loads(Path("found/coco.json").read_text(encoding="utf-8"))["images"][0]["file_name"] == r"caf\xe9.png"
        )

    @pytest.mark.parametrize(
        ("ratio", "text"),
        [
            (0.5, "50.0%"),
            (0.001, "0.1%"),
            (0.0004, "0.04%"),
            (0.0001, "0.01%"),
            (1e-6, "less than 0.01%"),
            (1, "100.0%"),
        ],
    )
    def test_what_was_found_is_never_0_percent(self, ratio: float, text: str) -> None:
        assert _percent(ratio) == text

    def test_options_of_overlays(self, half_bright: Path) -> None:
        words = ["half.png", "bright", "elephant", "--colour", "bright=#0a0b0c", "--opacity", "1", "--no-legend"]
        assert run(*words, "--label-size", "0", "--out", "plain.png").exit_code == 0
        assert run(*words, "--legend", "--hide-missing", "--out", "legend.png").exit_code == 0

        with Image.open("plain.png") as plain, Image.open("legend.png") as legend:
            assert plain.getpixel((45, 20)) == legend.getpixel((legend.width // 2 + 15, 20)) == (10, 11, 12)
            assert (plain.size, legend.height > 40) == ((60, 40), True)
        for wrong in ("bright", "bright=nocolour", "=#ffffff"):
            done = run(*words, "--colour", wrong)
            assert done.exit_code == 2
            assert "write for example --colour hair=#ff8800" in done.stderr

    def test_people_get_a_line_a_phrase(self, half_bright: Path) -> None:
        done = run("half.png", "bright", "elephant")

        assert done.stdout.splitlines() == [
            "half.png (60 x 40)",
            "  bright: 1 instance, 50.0% of the image (presence 97%)",
            "  elephant: nothing found (presence 2%)",
            "Written to segmented",
        ]
        assert done.stderr == ""

    def test_nothing_found_is_a_success(self, half_bright: Path) -> None:
        assert run("half.png", "elephant").exit_code == 0

    def test_a_repeated_phrase_is_asked_once(self, half_bright: Path) -> None:
        line = json.loads(run("half.png", "bright", "Bright", '"bright"', " bright", "--json").stdout)

        assert [prompt["prompt"] for prompt in line["prompts"]] == ["bright"]

    def test_quiet_prints_nothing(self, half_bright: Path) -> None:
        done = run("half.png", "bright", "--quiet")

        assert (done.exit_code, done.output) == (0, "")
        assert Path("segmented/half.overlay.png").is_file()


class TestFaults:
    def test_one_bad_image_among_many_is_reported_and_the_rest_goes_on(self, half_bright: Path) -> None:
        Path("broken.png").write_bytes(half_bright.read_bytes()[:60])
        Image.open(half_bright).save("last.png")

        done = run("broken.png", "half.png", "missing.png", "last.png", "-p", "bright")

        assert done.exit_code == 1
        complaints = done.stderr.splitlines()
        assert len(complaints) == 2
        assert complaints[0].startswith("Error: Got 'broken.png'")
        assert "missing.png" in complaints[1]
        coco = json.loads(Path("segmented/coco.json").read_text(encoding="utf-8"))
        assert [image["file_name"] for image in coco["images"]] == ["half.png", "last.png"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["missing.png", "bright"], "missing.png"),
            (["half.png"], "no phrase"),
            (["half.png", "  "], "blank prompt"),
            (["half.png", "x" * 10_000], "10000 characters"),
            (["half.png", "second.png"], "in a phrase's place"),
            (["nothing*.png", "bright"], "matches no file"),
            (["empty", "bright"], "at least one image in it"),
            (["notes.txt", "bright"], "notes.txt"),
            (["sample:nobody", "bright"], "sample:astronaut"),
            (["-", "bright"], "nothing on standard input"),
            (["half.png", "second.png", "-p", "bright", "--out", "one.png"], "the overlays of 2 images"),
            (["half.png", "bright", "--out", "half.png/folder"], "'half.png' is a file"),
            (["half.png", "bright", "--out", ""], "an empty --out"),
            (["half.png", "bright", "--out", "taken"], "in the place of a file"),
            (["half.png", "bright", "--out", "a.gif"], ".png, .jpg, .jpeg, .webp, .json: change the suffix"),
            (["half.png", "bright", "--out", "x" * 300], "cannot be written"),
            (["half.png", "bright", "--out", "x" * 300 + ".json"], "cannot be written"),
            (["", "bright"], "an empty path"),
            (["half.png", "-p", "--json"], "--prompt=--json"),
            (["half.png", "-qp", "-q"], "the option '-q'"),
            (["half.png", "--prompt", "--", "hair"], "the option '--'"),
        ],
    )
    def test_bad_input_is_one_sentence_and_exit_code_2(self, half_bright: Path, words: list[str], said: str) -> None:
        Image.open(half_bright).save("second.png")
        Path("empty").mkdir()
        Path("taken/coco.json").mkdir(parents=True)
        Path("notes.txt").write_text("no image", encoding="utf-8")

        done = run(*words)

        assert done.exit_code == 2
        assert done.stdout == ""
        assert {path.name for path in Path().iterdir()} == {"half.png", "second.png", "empty", "taken", "notes.txt"}
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: Got ")
        assert ", expected " in line
        assert said in line

    def test_a_damaged_image_gives_one_line_even_where_pillow_warns(self, half_bright: Path) -> None:
        Image.open(half_bright).save("half.tif", compression="tiff_lzw")
        content = Path("half.tif").read_bytes()
        Path("cut.tif").write_bytes(content[:-10])

        done = run("cut.tif", "bright")

        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.skipif(os.name == "nt", reason="names of files that are open")
    def test_standard_input_is_never_the_output(self, half_bright: Path) -> None:
        before = half_bright.read_bytes()
        program = "from wordmask.cli import main; main()"
        with half_bright.open("rb") as file:
            done = subprocess.run(
                [sys.executable, "-c", program, "segment", "-", "bright", "--out", "half.png"],
                stdin=file, capture_output=True, text=True, check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            )  # fmt: skip

        assert done.returncode == 2
        assert "itself as the output" in done.stderr
        assert half_bright.read_bytes() == before

    @pytest.mark.parametrize("out", ["half.png", "./half.png", "other.png"])
    def test_the_image_itself_is_never_the_output(self, half_bright: Path, out: str) -> None:
        Path("other.png").symlink_to("half.png")
        before = half_bright.read_bytes()

        done = run("half.png", "bright", "--out", out)

        assert done.exit_code == 2
        assert "itself as the output" in done.stderr
        assert half_bright.read_bytes() == before

    @pytest.mark.parametrize("words", [["missing.png", "bright"], ["gone.png", "missing.png", "-p", "bright"]])
    def test_missing_images_are_told_before_a_model_is_loaded(
        self, words: list[str], loaded: list[tuple[object, dict[str, object]]]
    ) -> None:
        done = run(*words)

        assert (done.exit_code, loaded) == (2, [])
        assert done.stderr.count("where there is nothing") == len(words) // 2

    def test_a_folder_that_cannot_be_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("locked").mkdir()

        def denied(_: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", denied)
        done = run("locked", "bright")

        assert done.exit_code == 2
        assert "cannot be listed (Permission denied)" in done.stderr

    def test_a_closed_standard_input_is_an_empty_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wordmask.cli.sources.sys.stdin", None)

        with pytest.raises(ImageError, match="nothing on standard input"):
            expand(["-"])

    def test_debug_shows_the_traceback(self) -> None:
        done = run("missing.png", "bright", "--debug")

        assert type(done.exception).__name__ == "ImageError"

    @pytest.mark.parametrize(
        "words", [["half.png", "bright", "--threshold", "1.5"], ["half.png", "bright", "--nonsense"], []]
    )
    def test_bad_usage_is_exit_code_2(self, half_bright: Path, words: list[str]) -> None:
        assert run(*words).exit_code == 2

    def test_a_fault_of_ours_keeps_its_traceback(self, half_bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(BrightnessSegmenter, "segment", fail)

        assert isinstance(run("half.png", "bright").exception, RuntimeError)
