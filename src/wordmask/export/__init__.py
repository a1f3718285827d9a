"""Export of models to ONNX and OpenVINO."""

from wordmask.export.api import Exported, export_model

__all__ = ["Exported", "export_model"]
