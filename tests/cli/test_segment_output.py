"""What `wordmask segment` prints, and what it says about faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.segmenting import run
from tests.fakes import BrightnessSegmenter
from wordmask.cli.output import _percent
from wordmask.cli.sources import expand
from wordmask.errors import ImageError
from wordmask.ops.rle import decode

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "loaded")


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
