"""Networks as ONNX or OpenVINO graphs: open a file, run it on tensors. The only file that imports these runtimes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from wordmask.errors import CheckpointError, MissingExtraError, installing, quote, sentence
from wordmask.files import require_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["RUNTIMES", "SUFFIXES", "Graph", "open_graph"]

RUNTIMES = ("onnx", "openvino")
"""What runs graphs."""
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""Endings of the files of each."""


class Graph(Protocol):
    """A network as a graph."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, float32 on the CPU, for inputs by name. Several threads may call it."""
        ...


def open_graph(path: Path, runtime: str, *, dtype: torch.dtype = torch.float32) -> Graph:
    """Open a graph.

    Args:
        path: Its file.
        runtime: One of `RUNTIMES`.
        dtype: What OpenVINO computes in; ONNX Runtime computes in what the graph says.

    Raises:
        MissingExtraError: If the runtime is not installed.
        CheckpointError: If the file is missing or damaged.
    """
    remedy = "export the model again"
    if not path.is_file():
        raise CheckpointError(sentence(f"no graph at {quote(path)}", "one of an exported network", remedy))
    require_regular(path, "a graph", error=CheckpointError, remedy=remedy)
    try:
        return _Onnx(path) if runtime == "onnx" else _OpenVino(path, dtype)
    except ImportError as error:
        package = "onnxruntime" if runtime == "onnx" else "openvino"
        raise MissingExtraError(sentence(f"no {package}", f"the extra {runtime}", installing(runtime))) from error
    except RuntimeError as error:
        raise _damaged(path, error) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "onnxruntime":
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    got = f"no readable graph at {quote(path)} ({quote(error, limit=80)})"
    return CheckpointError(sentence(got, "a graph that wordmask exported", "export the model again"))


class _Onnx:
    """A graph in ONNX Runtime, as many threads as torch has."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        binding = self._session.io_binding()
        arrays = {name: value.contiguous().numpy() for name, value in inputs.items()}  # alive until the end of the run
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
        for name in self._names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        return {name: _tensor(value) for name, value in zip(self._names, binding.get_outputs(), strict=True)}


def _tensor(value: Any) -> Tensor:
    """Return an OrtValue as a tensor that shares its memory, or a copy where this version cannot share."""
    own = getattr(value, "_ortvalue", None)
    return from_dlpack(own) if hasattr(own, "__dlpack__") else torch.from_numpy(value.numpy())


class _OpenVino:
    """A graph in OpenVINO; every thread has a request of its own."""

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        import openvino

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        }
        self._model: Any = openvino.Core().compile_model(str(path), "CPU", settings)
        self._names = [sorted(output.get_names()) for output in self._model.outputs]  # an output may have several
        self._requests = threading.local()

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not hasattr(self._requests, "own"):
            self._requests.own = self._model.create_infer_request()
        request = self._requests.own
        request.infer({name: value.contiguous().numpy() for name, value in inputs.items()}, share_inputs=True)
        found = [torch.tensor(request.get_output_tensor(index).data) for index in range(len(self._names))]
        return {name: value for names, value in zip(self._names, found, strict=True) for name in names}
