"""Writing of graphs: torch's exporter, ONNX files, OpenVINO's own files."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

import torch

from wordmask.errors import MissingExtraError, installing, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.export.compact import Part

__all__ = ["require_writers", "write_onnx", "write_openvino"]

OPSET = 20
"""Version of ONNX's operators."""


def require_writers(to: str) -> None:
    """Check that what writes and runs graphs of a format is installed.

    Raises:
        MissingExtraError: If it is not.
    """
    _require("onnx", "onnx", "onnxscript", *(["onnxruntime"] if to == "onnx" else []))
    if to == "openvino":
        _require("openvino", "openvino")


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
