"""Exported networks answer as the network does: the parts in torch, and (slow) real graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import wordmask
from tests.methods.contract import random_image
from tests.methods.test_compact import TINY, tiny_network, tiny_tokenizer
from wordmask.cli.app import app
from wordmask.errors import CheckpointError, DeviceError, MissingExtraError, ModelNotFoundError, OutputError
from wordmask.export import export_model
from wordmask.export.check import compared, compared_images
from wordmask.export.compact import Part, parts_of
from wordmask.methods.compact import load_compact, save_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.exported import load_exported
from wordmask.methods.exported.model import GRAPHS, ExportedModel

SETTINGS = CompactSettings(
    long_side=96, presence_scale=2.0, presence_shift=0.5, presence_threshold=0.25, affinity_sharpness=5.0,
    threshold=None, weak_part_ratio=0.5, mask_scale=1.2, mask_shift=0.1,
)  # fmt: skip


class TorchGraph:
    """A part of a network in the place of its graph."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        assert set(inputs) == set(self.part.inputs)
        found = self.part.module(*(inputs[name] for name in self.part.inputs))
        outputs = found if isinstance(found, tuple) else (found,)
        return dict(zip(self.part.outputs, outputs, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    save_compact(path, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    return path


@pytest.fixture(scope="module")
def eager(folder: Path) -> DenseSegmenter:
    return load_compact(folder)


def test_parts_answer_as_the_whole(eager: DenseSegmenter) -> None:
    network: Any = eager.model
    graphs = {name: TorchGraph(part) for name, part in parts_of(network).items()}
    assert tuple(graphs) == GRAPHS
    text = network.network.text
    model = ExportedModel("parts", graphs, network.tokenizer, SETTINGS, length=text.length, channels=text.channels)
    exported = DenseSegmenter(model)

    for seed, size in enumerate([(96, 96), (50, 96), (96, 33), (40, 200)]):
        image = random_image(*size, seed=seed)
        prompts = ["hair", "a cat"]
        for one, two in zip(eager.segment(image, prompts), exported.segment(image, prompts), strict=True):
            assert one.heatmap_logits is not None
            assert two.heatmap_logits is not None
            torch.testing.assert_close(
                torch.from_numpy(two.heatmap_logits.values), torch.from_numpy(one.heatmap_logits.values),
                atol=1e-4, rtol=1e-4,
            )  # fmt: skip
            assert two.presence == pytest.approx(one.presence, abs=1e-4)
            assert two.threshold == pytest.approx(one.threshold, abs=1e-4)
    images = compared_images()[-2:]
    check = compared(eager, exported, images)  # phrases and an example
    assert (check.images, check.prompts, check.iou) == (2, 9, pytest.approx(1, abs=0.01))
    assert check.presence < 1e-3


def test_exportable_tells_the_truth(eager: DenseSegmenter, folder: Path, tmp_path: Path) -> None:
    from tests.fakes import BrightnessSegmenter

    assert eager.exportable
    assert not BrightnessSegmenter.exportable
    with pytest.raises(OutputError, match="onnx or openvino"):
        export_model(folder, tmp_path, to="tflite")
    for size in (32, 100, 4096):
        with pytest.raises(OutputError, match="multiple of 32"):
            export_model(folder, tmp_path, size=size)


def test_without_the_extra_nothing_is_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="the extra onnx"):
        export_model(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "model_type": "wordmask-exported", "name": "x", "runtime": "onnx", "settings": SETTINGS.to_json(),
        "graphs": {name: f"{name}.onnx" for name in GRAPHS}, "text": {"length": 24, "channels": 32, "tokens": 300},
    }  # fmt: skip
    wrong = [
        {"runtime": "pickle"}, {"graphs": {}}, {"graphs": dict.fromkeys(GRAPHS, "../x.onnx")}, {"text": {}},
        {"settings": {"long_side": 1}}, {},
    ]  # fmt: skip
    for change in wrong:
        (tmp_path / "config.json").write_text(json.dumps(content | change))
        with pytest.raises(CheckpointError):
            wordmask.load(tmp_path)
    with pytest.raises(DeviceError, match="exported"):
        load_exported(tmp_path, device="cuda")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_graphs_answer_as_the_network(runtime: str, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino", reason=f"{runtime} is not installed")

    arguments = ["export-model", str(folder), "--to", runtime, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "lowest IoU" in done.output
    exported = wordmask.load(tmp_path / "out", dtype="float32")
    assert exported.name.startswith("tiny-")
    assert not exported.exportable
    check = compared(load_compact(folder), exported, compared_images())
    assert check.iou >= 0.99
    assert check.presence < 1e-3
    assert "eager, float32" in done.output
    with pytest.raises(ModelNotFoundError, match="not exportable"):
        export_model(tmp_path / "out", tmp_path / "again")

    small = CliRunner().invoke(app, [*arguments, "--size", "64"])
    assert small.exit_code == 0, small.output
    again = wordmask.load(tmp_path / "out", dtype="float32").encode(random_image(50, 128))
    assert again.placement.canvas == (32, 64)
