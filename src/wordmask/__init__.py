"""Say it, get the mask: segment what a phrase or an example image names.

Importing the package costs nothing: each public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordmask.api import load, segment
    from wordmask.errors import (
        CheckpointError,
        DataError,
        DeviceError,
        ImageError,
        MissingExtraError,
        ModelNotFoundError,
        OfflineError,
        OutputError,
        PromptError,
        TrainingError,
        UnsupportedPromptError,
        WordmaskError,
    )
    from wordmask.evaluation.api import EvaluationResult, evaluate
    from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt
    from wordmask.results import Found, Instance, Segmentation
    from wordmask.training.run import train

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "DataError",
    "DeviceError",
    "EvaluationResult",
    "Found",
    "ImageError",
    "Instance",
    "MissingExtraError",
    "MixedPrompt",
    "ModelNotFoundError",
    "OfflineError",
    "OutputError",
    "PromptError",
    "Segmentation",
    "TextPrompt",
    "TrainingError",
    "UnsupportedPromptError",
    "VisualPrompt",
    "WordmaskError",
    "__version__",
    "evaluate",
    "load",
    "segment",
    "train",
]

_HOME = {
    "load": "wordmask.api",
    "segment": "wordmask.api",
    "EvaluationResult": "wordmask.evaluation.api",
    "evaluate": "wordmask.evaluation.api",
    "MixedPrompt": "wordmask.prompts",
    "TextPrompt": "wordmask.prompts",
    "VisualPrompt": "wordmask.prompts",
    "Found": "wordmask.results",
    "Instance": "wordmask.results",
    "Segmentation": "wordmask.results",
    "train": "wordmask.training.run",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module it is defined in (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'wordmask' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "wordmask.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
