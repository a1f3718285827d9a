"""The public names: exactly these, each importable."""

from __future__ import annotations

import importlib.metadata

import pytest

import wordmask

PUBLIC = [
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


def test_these_are_the_public_names() -> None:
    assert wordmask.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_the_one_its_module_defines(name: str) -> None:
    value = getattr(wordmask, name)
    if name == "__version__":
        assert value == importlib.metadata.version("wordmask")
    else:
        assert value.__name__ == name
        assert value.__module__.startswith("wordmask.")


def test_dir_lists_the_public_names() -> None:
    assert set(PUBLIC) <= set(dir(wordmask))


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Segmenter'"):
        _ = wordmask.Segmenter  # type: ignore[attr-defined]
