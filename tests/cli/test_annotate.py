"""`wordmask annotate`, `export`: counts of a mixed folder, events, exit codes, formats made later."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.annotate.jobs import write_images
from tests.fakes import BrightnessSegmenter
from wordmask.annotate.exporting import FORMATS
from wordmask.cli.app import app


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    monkeypatch.chdir(tmp_path)
    calls: list[object] = []

    def load(model: object, **_: object) -> BrightnessSegmenter:
        calls.append(model)
        return BrightnessSegmenter()

    monkeypatch.setattr("wordmask.api.load", load)
    return calls


def call(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_mixed_folder_of_200_ends_with_the_right_counts(tmp_path: Path) -> None:
    paths = write_images(Path("photos/straße"), 180)
    for number in range(12):
        content = paths[number].read_bytes()
        (Path("photos") / f"corrupt {number}.jpg").write_bytes(b"\xff\xd8\xff" if number % 2 else content[:50])
    for number in range(5):
        os.symlink(tmp_path / f"nowhere {number}", Path("photos") / f"unreadable {number}.png")
    for number in range(3):
        shutil.copyfile(paths[number], Path("photos") / f"写真 {number}.png")
    done = call("annotate", "photos", "-p", "bright", "-p", "cat", "--json", "--format", "coco")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    end = next(one for one in events if one["event"] == "end")
    assert done.exit_code == 1
    assert (end["total"], end["done"], end["copies"], end["bad"]) == (200, 183, 3, 17)
    assert len(Path("labelled/quarantine.jsonl").read_text().splitlines()) == 17
    coco = json.loads(Path("labelled/coco/annotations.json").read_bytes())
    assert (len(coco["images"]), len({one["image_id"] for one in coco["annotations"]})) == (183, 183)
    root = Path("labelled/coco") / coco["info"]["image_root"]
    assert all((root / image["file_name"]).is_file() for image in coco["images"])
    assert [one["seconds_left"] is not None for one in events if one["event"] == "batch"][-1]


def test_nothing_is_loaded_or_written_when_nothing_changed(loads: list[object]) -> None:
    write_images(Path("photos"), 3)
    assert call("annotate", "photos", "-p", "bright").exit_code == 0
    before = Path("labelled/coco/annotations.json").stat().st_mtime_ns
    again = call("annotate", "photos", "-p", "bright")
    assert "3 known before" in again.stdout
    assert Path("labelled/coco/annotations.json").stat().st_mtime_ns == before
    assert len(loads) == 1


def test_formats_are_made_later_without_a_model(loads: list[object]) -> None:
    write_images(Path("photos"), 2)
    call("annotate", "photos", "-p", "bright=light", "--min-score", "0.2")
    loads.clear()
    done = call("export", "labelled", "--format", ",".join(FORMATS), "--splits", "train=0.5,val=0.5")
    assert done.exit_code == 0, done.output
    assert {path.name for path in Path("labelled").iterdir()} >= set(FORMATS)
    assert Path("labelled/fidelity.md").read_text().count("| 1.0000 | 1.0000 |") == len(FORMATS)
    assert "light: bright" not in Path("labelled/hugging-face/README.md").read_text()
    assert loads == []
    assert all(name in call("export", "--list").stdout for name in FORMATS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["annotate", "photos"], "no phrase"),
        (["annotate", "-p", "cat"], "no images"),
        (["annotate", "photos", "-p", "cat", "--format", "word"], "one of coco"),
        (["annotate", "photos", "-p", "cat", "--shard", "3/2"], "--shard 2/8"),
        (["annotate", "photos", "-p", "cat", "--splits", "train=2"], "add up to 1"),
        (["annotate", "photos", "-p", "cat", "--engine", "dask"], "local or ray"),
        (["annotate", "--merge"], "no shard wrote"),
        (["export", "nowhere"], "holds no journal.sqlite"),
        (["export", "photos", "--parts", "glue"], "bridge or split"),
    ],
)
def test_bad_usage_is_told_in_a_sentence(words: list[str], said: str) -> None:
    write_images(Path("photos"), 1)
    done = call(*words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_review_and_preview_write_their_files() -> None:
    write_images(Path("photos"), 3)
    done = call("annotate", "photos", "-p", "bright", "--review", "2", "--second-model", "compact")
    assert done.exit_code == 0, done.output
    assert len(json.loads(Path("labelled/review/tasks.json").read_bytes())) == 2
    assert call("annotate", "photos", "-p", "bright", "--preview", "2").exit_code == 0
    assert Path("labelled/preview.html").is_file()
