"""Convolutions in int8: their scales, which are chosen, and what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordmask.backbones.graphs import open_graph
from wordmask.export.int8 import Scale, quantised


def test_scales_cover_zero_and_clip_rare_values() -> None:
    even = Scale.of(np.linspace(0, 255, 256, dtype=np.float32))
    assert (even.step, even.zero) == (pytest.approx(1.0), 0)
    signed = Scale.of(np.linspace(-1, 3, 1000, dtype=np.float32))
    assert (signed.step, signed.zero) == (pytest.approx(4 / 255, rel=0.05), pytest.approx(64, abs=1))
    assert Scale.of(np.full(3, 5, np.float32)).zero == 0
    assert Scale.of(np.zeros(3, np.float32)).step > 0
    rare = np.concatenate([np.linspace(0, 1, 1_000_000), [3.0]]).astype(np.float32)
    assert Scale.of(rare).step < 2 / 255  # not 3 / 255: one value is clipped, all others are rounded less


def graph_of(path: Path, first: str) -> dict[str, torch.Tensor]:
    """Write conv(64, 64) + ReLU, conv(64, 8) and a sum with the input's first channels; return its inputs."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = {first: random.normal(size=(64, 64, 3, 3)), "neck.weight": random.normal(size=(8, 64, 3, 3))}
    tensors = {name: (0.05 * value).astype(np.float32) for name, value in weights.items()}
    tensors |= {"b1": random.normal(size=64).astype(np.float32), "b2": random.normal(size=8).astype(np.float32)}
    shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", first, "b1"], ["c"], **shape), helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "neck.weight", "b2"], ["y"], **shape),
    ]  # fmt: skip
    sizes: dict[str, list[Any]] = {"x": [1, 64, 6, 7], "y": [1, 8, 6, 7]}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items())
    initial = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initial)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), str(path))
    return {"x": torch.from_numpy(random.normal(size=(1, 64, 6, 7)).astype(np.float32))}


@pytest.mark.parametrize(("name", "layers"), [("network.encoder.stages.1.0.weight", 1), ("network.neck.weight", 0)])
def test_chosen_convolutions_compute_in_int8(name: str, layers: int, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    inputs = graph_of(tmp_path / "float.onnx", name)

    assert quantised(tmp_path / "float.onnx", tmp_path / "int8.onnx", [inputs]) == layers
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    assert sum(tensor.data_type == onnx.TensorProto.INT8 for tensor in graph.initializer) == 2 * layers  # with zeros
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) == 2 * layers

    plain, low = (open_graph(tmp_path / f"{kind}.onnx", "onnx").run(inputs)["y"] for kind in ("float", "int8"))
    error = float((low - plain).norm() / plain.norm())
    assert error < 0.02
    assert (error > 1e-5) == (layers > 0)
