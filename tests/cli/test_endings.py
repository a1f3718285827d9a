"""How a run of `wordmask segment` ends when something goes wrong on the way, and what it prints and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.fakes import BrightnessSegmenter
from wordmask.cli.app import app
from wordmask.cli.command import missing_phrase
from wordmask.cli.failures import errors_as_sentences
from wordmask.cli.interruption import Terminated
from wordmask.cli.printed import escaped, escaped_json
from wordmask.errors import ModelNotFoundError, OutputError, WordmaskWarning
from wordmask.formats.overlay import save_overlay

ROOT = Path(__file__).parents[2]
PROGRAM = """
from tests.fakes import BrightnessSegmenter
import wordmask.api
wordmask.api.load = lambda *_, **__: BrightnessSegmenter()
from wordmask.cli import main
main()
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wordmask.api.load", lambda *_, **__: BrightnessSegmenter())


def run(*words: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["segment", *words], input=data)


def piped(words: list[str], output: int) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )


def annotated(path: str = "segmented/coco.json") -> list[str]:
    return [image["file_name"] for image in json.loads(Path(path).read_text(encoding="utf-8"))["images"]]


class TestNothingIsLeftBehind:
    def test_a_wrong_model(self, half_bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(*_: object, **__: object) -> None:
            raise ModelNotFoundError("Got no model.")

        monkeypatch.setattr("wordmask.api.load", missing)
        assert run("half.png", "bright").exit_code == 2
        assert not Path("segmented").exists()

    @pytest.mark.parametrize("out", ["found", "found/all.json", "found/overlay.png"])
    def test_a_missing_image(self, out: str) -> None:
        assert run("missing.png", "bright", "--out", out).exit_code == 2
        assert not Path("found").exists()

    def test_images_that_all_fail(self) -> None:
        done = run("missing.png", "gone.png", "-p", "bright")

        assert (done.exit_code, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 2
        assert not Path("segmented").exists()


def test_annotations_of_what_was_done_outlive_an_error(half_bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.open(half_bright).save("second.png")
    monkeypatch.setattr("wordmask.formats.folder.save_overlay", failing_after(1, OutputError("Got a full disk.")))

    done = run("half.png", "second.png", "-p", "bright")

    assert done.exit_code == 2
    assert "a full disk" in done.stderr
    assert "Written" not in done.stdout
    assert annotated() == ["half.png"]


def failing_after(count: int, error: BaseException) -> Callable[..., Path]:
    """Return `save_overlay`, which raises from the call after `count` others."""
    calls: list[object] = []

    def save(image: Any, path: Path, **style: Any) -> Path:
        calls.append(path)
        if len(calls) > count:
            raise error
        return save_overlay(image, path, **style)

    return save


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_an_interrupted_run_is_complete_up_to_there(
    half_bright: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException, code: int
) -> None:
    for name in ("second.png", "third.png"):
        Image.open(half_bright).save(name)
    monkeypatch.setattr("wordmask.formats.folder.save_overlay", failing_after(2, end))

    done = run("half.png", "second.png", "third.png", "-p", "bright")

    assert done.exit_code == code
    assert done.stderr == "Interrupted after 2 of 3 images; their results are complete\n"
    assert annotated() == ["half.png", "second.png"]
    assert {path.name for path in Path("segmented").glob("third*")} == set()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_annotations_for_every_mask(half_bright: Path, number: int, code: int) -> None:
    for index in range(200):
        Path(f"{index}.png").write_bytes(half_bright.read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "segment", "*.png", "bright"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # tests in the background inherit an ignored SIGINT
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode == code
    assert said.startswith("Interrupted after ")
    masks = {path.name for path in Path("segmented").glob("*.mask-*.png")}
    assert {f"{Path(name).stem}.mask-bright.png" for name in annotated()} == masks
    assert 1 <= len(masks) < 201


@pytest.mark.parametrize("word", ["empty", "nothing*.png", "-"])
def test_a_word_without_an_image_does_not_stop_the_others(half_bright: Path, word: str) -> None:
    Path("empty").mkdir()

    done = run(word, "half.png", "-p", "bright")

    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Written to segmented" in done.stdout
    assert annotated() == ["half.png"]


def test_when_all_that_is_left_fails_too() -> None:
    done = run("nothing*.png", "missing.png", "-p", "bright")

    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 2)


def test_words_that_all_name_no_image_are_all_reported() -> None:
    Path("empty").mkdir()

    done = run("nothing*.png", "empty", "-p", "bright")

    assert (done.exit_code, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert "matches no file" in first
    assert "at least one image in it" in second


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_that_nobody_reads_can_be_left(half_bright: Path) -> None:
    os.mkfifo("all.json")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "segment", "half.png", "bright", "--out", "all.json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    time.sleep(0.2)  # it is about to open the pipe
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)

    assert process.returncode != 0


class TestDashes:
    @pytest.mark.parametrize(
        "words", [["half.png", "--prompt=--json", "--json"], ["--json", "half.png", "--", "--json"]]
    )
    def test_a_phrase_may_look_like_an_option(self, half_bright: Path, words: list[str]) -> None:
        assert [found["prompt"] for found in json.loads(run(*words).stdout)["prompts"]] == ["--json"]

    def test_only_options_and_only_before_the_end_of_options(self) -> None:
        assert missing_phrase(["a.png", "-p", "-blue", "-p"], {"--json", "-q"}) is None
        assert missing_phrase(["a.png", "--", "-p", "--json"], {"--json"}) is None
        assert missing_phrase(["a.png", "-qp", "--json"], {"--json"}) == "--json"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    "words", [["segment", "half.png", "bright"], ["segment", "half.png", "bright", "--json"], ["--help"], ["models"]]
)
def test_a_full_standard_output_is_one_sentence(half_bright: Path, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = piped(words, full.fileno())

    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("Error: Got standard output, which cannot be written (No space left on device), expected ")
    if words == ["segment", "half.png", "bright"]:
        assert annotated() == ["half.png"]


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("words", [["segment", "half.png", "bright"], ["--help"], ["models"]])
def test_a_reader_that_has_left_ends_the_run_silently(half_bright: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = piped(words, writer)
    os.close(writer)

    assert (done.returncode, done.stderr) == (1, "")


class TestNames:
    def test_garbage_on_standard_input_is_called_so(self) -> None:
        done = run("-", "bright", data=b"hello")

        assert done.exit_code == 2
        assert "Got standard input, which is not an image" in done.stderr

    @pytest.mark.skipif(os.name == "nt", reason="names there have no control characters")
    def test_control_characters_reach_neither_terminal_nor_files(self, half_bright: Path) -> None:
        Path("a\x1b[31m\nb.png").write_bytes(half_bright.read_bytes())

        done = run("a\x1b[31m\nb.png", "bright\x1b[0m\x9b", "--out", "found")

        assert done.exit_code == 0
        assert done.stdout.splitlines()[0] == "a\\x1b[31m\\nb.png (60 x 40)"
        assert done.stdout.splitlines()[1].startswith("  bright\\x1b[0m: ")
        assert sorted(path.name for path in Path("found").iterdir()) == [
            "a-[31m-b.mask-bright-0m.png",
            "a-[31m-b.overlay.png",
            "coco.json",
        ]

    def test_json_keeps_them_as_escapes(self, half_bright: Path) -> None:
        done = run("half.png", "bright\u2028\x9bdark", "--json")

        assert len(done.stdout.splitlines()) == 1
        assert "\x9b" not in done.stdout
        assert json.loads(done.stdout)["prompts"][0]["prompt"] == "bright\u2028\x9bdark"

    def test_other_text_stays(self) -> None:
        text = "l\u00e9ft eye \N{CAT FACE} \N{WOMAN}\u200d\N{GIRL}"
        assert escaped(text) == escaped_json(text) == text
        assert escaped("\ud800\u202e") == "\\ud800\\u202e"


def test_the_presence_threshold_fills_and_empties_masks(half_bright: Path) -> None:
    low, model, high = (
        json.loads(run("half.png", "bright", "elephant", "--json", *more).stdout)["prompts"]
        for more in (["--presence-threshold", "0", "--threshold", "0.1"], [], ["--presence-threshold", "0.98"])
    )

    assert [found["present"] for found in low] == [True, True]
    assert low[1]["area"] == 2400  # the logits of what is not there are 0: above 0.1 everywhere
    assert [found["present"] for found in model] == [True, False]
    assert [(found["present"], found["area"]) for found in high] == [(False, 0), (False, 0)]


def test_what_was_left_out_is_told_in_one_line_and_other_warnings_keep_theirs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with errors_as_sentences(debug=False):
            warnings.warn("Got a full store.", WordmaskWarning, stacklevel=1)
            assert capsys.readouterr().err == "Warning: Got a full store.\n"
        with pytest.warns(UserWarning, match="of another"), errors_as_sentences(debug=False):
            warnings.warn("of another kind", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == ""
