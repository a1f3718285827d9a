"""Every table of the papers, run from a small folder in its authors' layout to the scores it prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.sets import (
    test_ade20k,
    test_celebamask,
    test_coco20i,
    test_coco_stuff,
    test_pascal_context,
    test_phrasecut,
    test_refer,
)
from tests.data.sets.voc_folder import write_voc
from tests.evaluation.halves import evaluated
from wordmask.data.registry import open_data
from wordmask.evaluation.benchmarks import BENCHMARKS
from wordmask.evaluation.runner import Evaluation, run


def voc(folder: Path) -> Path:
    """Every class twice, large enough for an example; one image in two is larger than 352."""
    labels = {}
    for place in range(20):
        values = np.zeros((380, 300) if place % 2 else (120, 160), np.uint8)
        values[10:70, 10:80], values[60:62], values[80:115, 20:150] = place + 1, 255, (place + 1) % 20 + 1
        labels[f"2007_{place:06d}"] = values
    return write_voc(folder, labels)


def phrasecut(folder: Path) -> Path:
    return test_phrasecut.write_phrasecut(folder, {"test": test_phrasecut.TASKS})


def phrasecut_pairs(folder: Path) -> Path:
    """A phrase of two images, so that each has an example."""
    other = test_phrasecut.task("3__9", 3, "wooden chair", [test_phrasecut.RIGHT])
    return test_phrasecut.write_phrasecut(folder, {"test": [*test_phrasecut.TASKS, other]})


FOLDERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "ade20k-150": (test_ade20k.write_benchmark, "val"),
    "ade20k-847": (test_ade20k.write_full, "val"),
    "celebamask": (test_celebamask.write_faces, "all"),
    "celebamask-eyes": (test_celebamask.write_faces, "all"),
    "coco-stuff-171": (test_coco_stuff.write_set, "val"),
    "coco20i": (test_coco20i.write_coco, "fold0"),
    "pas-20": (voc, "val"),
    "pas-21": (voc, "val"),
    "pascal-context-59": (test_pascal_context.write_set, "val"),
    "pascal-context-459": (test_pascal_context.write_set, "val"),
    "pascal-zero-shot": (voc, "unseen4"),
    "pascal5i": (voc, "all"),
    "pascal5i-text": (voc, "fold2"),
    "phrasecut": (phrasecut, "test"),
    "phrasecut-official": (phrasecut, "test"),
    "phrasecut-visual": (phrasecut_pairs, "test"),
    "refcoco": (test_refer.write_refer, "val"),
    "refcoco+": (test_refer.write_refer, "val"),
    "refcocog": (test_refer.write_refer, "umd-val"),
}
LONG = {"coco20i": 20}  # episodes of 1,000


@pytest.mark.parametrize("name", FOLDERS)
def test_a_table_can_be_measured_under_every_protocol(name: str, tmp_path: Path) -> None:
    write, split = FOLDERS[name]
    folder, benchmark = write(tmp_path / "data"), BENCHMARKS[name]
    data = open_data(folder, dataset=benchmark.dataset, split=split)
    for preset, protocol in benchmark.presets.items():
        evaluation = Evaluation(benchmark, data, split, preset, LONG.get(name))

        result = run(evaluation, evaluated(), tmp_path / preset, command="again")

        end = "" if protocol.threshold is None else f"@{protocol.threshold:g}"
        assert result["headline"] == [one.replace("@t", end) for one in protocol.headline]
        assert all(0 <= result["scores"][one]["value"] <= 1 for one in result["headline"])
        assert result["samples"] == min(len(data), LONG.get(name, 1000)) > 0
