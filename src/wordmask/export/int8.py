"""Convolutions in int8: ranges from example images, pairs of QuantizeLinear and DequantizeLinear around the layers.

Weights are symmetric with a scale for each output channel, activations are uint8 with one scale for each tensor, as in
Jacob et al., CVPR 2018 (arXiv 1712.05877). Only the 3x3 convolutions inside the residual stages, with at least
`FEWEST_CHANNELS` inputs, are quantised: about four fifths of the products of the image encoder. The first layers, the
1x1 convolutions, the neck, the attention and the residual sums stay in float32, since their rounding changes masks most
(docs/tasks/export-model.md).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.backbones.graphs import open_graph
from wordmask.errors import MissingExtraError, installing, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["FEWEST_CHANNELS", "quantised"]

FEWEST_CHANNELS = 64
"""Convolutions with fewer input channels stay in float32."""
NARROWEST = 0.3
"""Smallest part of a tensor's range that its scale may cover; what lies outside is clipped."""
VALUES = 20_000
"""Values of a tensor that are looked at, for each example."""
STAGES = "encoder.stages."
"""Part of the names of the weights that may be quantised."""


@dataclass(frozen=True)
class Layer:
    """A convolution to be quantised.

    Attributes:
        node: The Conv node.
        source: Name of its input.
        result: Name of its output, after the ReLU where one follows.
    """

    node: Any
    source: str
    result: str


@dataclass(frozen=True)
class Scale:
    """How floats x become uint8: round(x / step) + zero.

    Attributes:
        step: float32.
        zero: uint8.
    """

    step: np.float32
    zero: np.uint8

    def error(self, values: NDArray[np.float32]) -> float:
        """Return the mean squared error of rounded values."""
        whole = np.clip(np.rint(values / self.step) + float(self.zero), 0, 255)
        return float(np.square((whole - float(self.zero)) * self.step - values).mean())

    @staticmethod
    def of(values: NDArray[np.float32]) -> Scale:
        """Return the scale, of those from `NARROWEST` to all of the range of values, whose rounding errs least."""
        lowest, highest = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        scales = [Scale._between(part * lowest, part * highest) for part in np.linspace(NARROWEST, 1, 15)]
        return min(scales, key=lambda scale: scale.error(values))

    @staticmethod
    def _between(lowest: float, highest: float) -> Scale:
        step = np.float32(max(highest - lowest, 1e-6) / 255)
        return Scale(step, np.uint8(round(-lowest / float(step))))


def quantised(source: Path, path: Path, inputs: Sequence[dict[str, Tensor]]) -> int:
    """Write an ONNX graph with convolutions in int8, and return how many there are.

    Args:
        source: The graph in float32.
        path: The file to write.
        inputs: Example inputs by name; a tensor's range is the mean of its lowest and highest values over them.

    Raises:
        MissingExtraError: If onnx or onnxruntime is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(sentence("no onnx", "the extra onnx", installing("onnx"))) from error
    model = onnx.load(str(source))
    layers = _layers(model.graph)
    ranges = _ranges(model, [name for layer in layers for name in (layer.source, layer.result)], inputs)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for layer in layers:
        _quantise(model.graph, layer, weights, ranges)
    _insert(model.graph, {name: ranges[name] for layer in layers for name in (layer.source, layer.result)}, layers)
    onnx.save(model, str(path))
    return len(layers)


def _layers(graph: Any) -> list[Layer]:
    """Return the convolutions of a graph that may compute in int8."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type != "Conv" or STAGES not in node.input[1] or len(node.input) < 3:
            continue
        _, channels, height, width = shapes.get(node.input[1], (0, 0, 0, 0))
        if channels < FEWEST_CHANNELS or (height, width) != (3, 3):
            continue
        users = [user for user in graph.node if node.output[0] in user.input]
        after = users[0].output[0] if [user.op_type for user in users] == ["Relu"] else node.output[0]
        found.append(Layer(node, node.input[0], after))
    return found


def _ranges(model: Any, names: Sequence[str], inputs: Sequence[dict[str, Tensor]]) -> dict[str, Scale]:
    """Return the scales of tensors by name, from running the graph on example inputs."""
    import onnx

    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in wanted)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        onnx.save(probe, str(path))
        graph = open_graph(path, "onnx")
    values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted}
    for row in inputs:
        for name, value in graph.run(row).items():
            values[name].append(value.flatten()[:: 1 + value.numel() // VALUES].numpy().copy())
    return {name: Scale.of(np.concatenate(parts)) for name, parts in values.items()}


def _quantise(graph: Any, layer: Layer, weights: dict[str, Any], ranges: dict[str, Scale]) -> None:
    """Give a convolution int8 weights and an int32 bias, and the dequantised tensor as its input."""
    from onnx import helper, numpy_helper

    _, weight, bias = list(layer.node.input)[:3]
    values: NDArray[np.float32] = numpy_helper.to_array(weights[weight])
    steps = np.maximum(np.abs(values).max((1, 2, 3)), 1e-9).astype(np.float32) / np.float32(127)  # (C,)
    whole = np.clip(np.rint(values / steps[:, None, None, None]), -127, 127).astype(np.int8)
    fine = (steps * ranges[layer.source].step).astype(np.float32)
    shift = np.rint(numpy_helper.to_array(weights[bias]).astype(np.float64) / fine).clip(-(2**31), 2**31 - 1)
    made = {
        f"{weight}.int8": whole, f"{weight}.step": steps, f"{weight}.zero": np.zeros(len(steps), np.int8),
        f"{bias}.int32": shift.astype(np.int32), f"{bias}.step": fine, f"{bias}.zero": np.zeros(len(fine), np.int32),
    }  # fmt: skip
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    place = list(graph.node).index(layer.node)
    for name, kind in ((weight, "int8"), (bias, "int32")):
        inputs = [f"{name}.{kind}", f"{name}.step", f"{name}.zero"]
        graph.node.insert(place, helper.make_node("DequantizeLinear", inputs, [f"{name}.float"], axis=0))
        graph.initializer.remove(weights[name])
    layer.node.input[:] = [f"{layer.source}.float", f"{weight}.float", f"{bias}.float"]


def _insert(graph: Any, scales: dict[str, Scale], layers: Sequence[Layer]) -> None:
    """Put a pair of QuantizeLinear and DequantizeLinear after each tensor.

    Results of the layers are read in int8 by every node that follows; what else the layers read stays in float32 for
    other readers, as the shortcuts are.
    """
    from onnx import helper, numpy_helper

    results = {layer.result for layer in layers}
    for name, scale in scales.items():
        parameters = [f"{name}.step", f"{name}.zero"]
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), key)
            for key, value in zip(parameters, (scale.step, scale.zero), strict=True)
        )
        if name in results:
            for node in graph.node:
                node.input[:] = [f"{name}.float" if one == name else one for one in node.input]
        place = next(index for index, node in enumerate(graph.node) if name in node.output)
        graph.node.insert(
            place + 1, helper.make_node("DequantizeLinear", [f"{name}.uint8", *parameters], [f"{name}.float"])
        )
        graph.node.insert(place + 1, helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}.uint8"]))
