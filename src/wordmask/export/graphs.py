"""Writing of graphs: torch's exporter, ONNX files, OpenVINO's own files, int8."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wordmask.errors import MissingExtraError, installing, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from wordmask.export.compact import Part

__all__ = ["quantised", "write_onnx", "write_openvino"]

OPSET = 20
"""Version of ONNX's operators."""


def write_onnx(part: Part, path: Path) -> None:
    """Write a part as an ONNX file, weights included.

    Raises:
        MissingExtraError: If onnx or onnxscript is not installed.
    """
    _require("onnx", "onnx", "onnxscript")
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            part.module.eval(), tuple(part.inputs.values()), dynamo=True, dynamic_shapes=tuple(part.dynamic.values()),
            input_names=list(part.inputs), output_names=list(part.outputs), opset_version=OPSET, verbose=False,
        )  # fmt: skip
    assert program is not None
    program.save(str(path), external_data=False)


def write_openvino(source: Path, path: Path) -> None:
    """Convert an ONNX file to OpenVINO's `.xml` and `.bin`, weights in float32: in float16 weak masks change.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
    """
    _require("openvino", "openvino")
    import openvino

    openvino.save_model(openvino.convert_model(str(source)), str(path), compress_to_fp16=False)


def quantised(source: Path, path: Path, inputs: Sequence[dict[str, Tensor]]) -> None:
    """Write an ONNX file whose convolutions and products compute in int8, their ranges those of example inputs.

    Raises:
        MissingExtraError: If onnxruntime is not installed.
    """
    _require("onnx", "onnxruntime", "onnx")
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter([{name: value.numpy() for name, value in row.items()} for row in inputs])

        def get_next(self) -> Any:
            return next(self.rows, None)

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared), str(path), Reader(), per_channel=True, op_types_to_quantize=["Conv"],
            quant_format=quantization.QuantFormat.QDQ, activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8, extra_options={"CalibMovingAverage": True},
        )  # fmt: skip


def _require(extra: str, *packages: str) -> None:
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(sentence(f"no {package}", f"the extra {extra}", installing(extra)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporters print about their own deprecations."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "root")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
