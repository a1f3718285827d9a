"""Read a quantised TFLite convolutional network as a torch module, so that it runs on any device and any image size.

Weights are dequantised; activations are clamped to the range that their 8 bits span, without rounding.
Needs `ai-edge-litert` (a development tool) to read the file; a converted network is saved and loaded by torch alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path

FILE_TYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8}
"""TFLite's tensor types, by their number in its schema."""


def read_operations(path: Path) -> list[dict[str, Any]]:
    """Read the operations of a TFLite file.

    Returns:
        One entry an operation, in order: its kind, tensor numbers of inputs and output, options, the range of the
        output's 8 bits, and for convolutions `weight` (out, in / groups, k, k) and `bias` (out,).
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}

    def constant(index: int) -> np.ndarray | None:
        tensor = graph.tensors[index]
        content = model.buffers[tensor.buffer].data
        if content is None:
            return None
        values = np.frombuffer(bytes(content), FILE_TYPES[tensor.type]).reshape(tensor.shape)
        quantised = tensor.quantization
        if quantised is None or quantised.scale is None:
            return values
        zero = 0 if quantised.zeroPoint is None else quantised.zeroPoint[0]
        whole: np.ndarray = ((values.astype(np.float64) - zero) * quantised.scale[0]).astype(np.float32)
        return whole

    operations = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        options = operator.builtinOptions
        out = graph.tensors[operator.outputs[0]]
        entry: dict[str, Any] = {
            "kind": kind,
            "inputs": [int(i) for i in operator.inputs],
            "output": int(operator.outputs[0]),
            "size": [int(n) for n in out.shape],
            "stride": int(getattr(options, "strideH", 1)),
            "dilation": int(getattr(options, "dilationHFactor", 1)),
            "act": int(getattr(options, "fusedActivationFunction", 0)),
        }
        if out.quantization is not None and out.quantization.scale is not None:
            scale, zero = float(out.quantization.scale[0]), int(out.quantization.zeroPoint[0])
            entry["range"] = [(0 - zero) * scale, (255 - zero) * scale]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weight, bias = constant(operator.inputs[1]), constant(operator.inputs[2])
            assert weight is not None
            assert bias is not None
            order = (3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
            entry["weight"] = torch.from_numpy(np.ascontiguousarray(weight.transpose(order)))
            entry["bias"] = torch.from_numpy(bias.copy())
            entry["inputs"] = entry["inputs"][:1]
        operations.append(entry)
    return operations


class TfliteNetwork(nn.Module):
    """Convolutions, additions, resizing and concatenation of a TFLite file.

    Args:
        operations: what `read_operations` returns.
        taps: tensor numbers whose values are returned; the last one ends the computation.
    """

    def __init__(self, operations: list[dict[str, Any]], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.operations, self.taps = [], taps
        for entry in operations:
            if "weight" in entry:
                self.register_buffer(f"weight{entry['output']}", entry["weight"])
                self.register_buffer(f"bias{entry['output']}", entry["bias"])
            self.operations.append({k: v for k, v in entry.items() if k not in ("weight", "bias")})

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Float (B, 3, H, W) in [-1, 1] -> the tapped tensors (B, C, h, w)."""
        values = {self.operations[0]["inputs"][0]: pixels}
        for entry in self.operations:
            inputs = [values[i] for i in entry["inputs"] if i in values]
            values[entry["output"]] = self._run(entry, inputs, values)
            if entry["output"] == self.taps[-1]:
                break
        return [values[i] for i in self.taps]

    def _run(self, entry: dict[str, Any], inputs: list[Tensor], values: dict[int, Tensor]) -> Tensor:
        kind, x = entry["kind"], inputs[0]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weight = getattr(self, f"weight{entry['output']}")
            groups = x.shape[1] if kind == "DEPTHWISE_CONV_2D" else 1
            reach = entry["dilation"] * (weight.shape[-1] - 1)
            around = [max((-(-n // entry["stride"]) - 1) * entry["stride"] + 1 + reach - n, 0) for n in x.shape[2:]]
            even = all(n % 2 == 0 for n in around) and around[0] == around[1]
            if not even:  # TensorFlow's SAME puts the odd row and column last
                x = F.pad(x, [around[1] // 2, around[1] - around[1] // 2, around[0] // 2, around[0] - around[0] // 2])
            pad = around[0] // 2 if even else 0
            bias = getattr(self, f"bias{entry['output']}")
            x = F.conv2d(x, weight, bias, entry["stride"], pad, entry["dilation"], groups)
        elif kind == "ADD":
            x = inputs[0] + inputs[1]
        elif kind == "QUANTIZE":
            pass
        elif kind == "CONCATENATION":
            x = torch.cat(inputs, 1)
        elif kind == "AVERAGE_POOL_2D":
            x = x.mean((2, 3), keepdim=True)
        elif kind == "RESIZE_BILINEAR":
            like = self._like(entry, values)
            x = x.expand(-1, -1, *like) if x.shape[-1] == 1 else F.interpolate(x, size=like, mode="bilinear")
        else:
            raise ValueError(f"the operation {kind} is not read here")
        low, high = entry.get("range", (-1e4, 1e4))
        return x.clamp(max(low, 0.0) if entry["act"] in (1, 3) else low, min(high, 6.0) if entry["act"] == 3 else high)

    def _like(self, entry: dict[str, Any], values: dict[int, Tensor]) -> tuple[int, int]:
        """Height and width of an earlier result that had the resized one's size in the file."""
        for other in reversed(self.operations):
            if other["output"] in values and other["size"][1:3] == entry["size"][1:3]:
                height, width = values[other["output"]].shape[2:]
                return height, width
        return entry["size"][1], entry["size"][2]


def save_network(path: Path, operations: list[dict[str, Any]]) -> None:
    """Keep operations, weights as 8 bits and a scale for each tensor."""

    def small(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.ndim < 2:
            return value
        levels = torch.unique(value).double()  # multiples of one step, as the file has them
        step, low = float(levels.diff().min()), float(levels[0])
        return {"bytes": ((value.double() - low) / step).round().to(torch.uint8), "low": low, "scale": step}

    torch.save([{k: small(v) for k, v in entry.items()} for entry in operations], path)


def load_network(path: Path, taps: tuple[int, ...]) -> TfliteNetwork:
    """Read what `save_network` wrote."""

    def whole(value: Any) -> Any:
        return value["bytes"].float() * value["scale"] + value["low"] if isinstance(value, dict) else value

    operations = [{k: whole(v) for k, v in e.items()} for e in torch.load(path, weights_only=True)]
    last = next(i for i, e in enumerate(operations) if e["output"] == taps[-1])
    return TfliteNetwork(operations[: last + 1], taps).eval()
