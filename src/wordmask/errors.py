"""The exceptions of wordmask, one tree.

    WordmaskError
    ├── ImageError                  an image that cannot be read or used
    ├── PromptError                 a prompt that says nothing, or too much
    │   └── UnsupportedPromptError  a good prompt that this model cannot follow
    ├── ModelNotFoundError          no such model here
    │   └── OfflineError            the model may exist, but the hub cannot be reached
    ├── CheckpointError             weights that do not fit the network
    ├── DataError                   a data set, or one of its files, that is missing or not as its authors lay it out
    ├── DeviceError                 a device or number type that this machine lacks
    ├── TrainingError               a training that cannot go on
    ├── OutputError                 a result that cannot be written
    └── MissingExtraError           an optional package that is not installed

Everything raised for a user's mistake is a `WordmaskError`, and its message is one sentence that says what was
got, what was expected and what to do. Other exceptions that leave wordmask are faults of wordmask.

What does not end a call, but leaves something out, is told as a `WordmaskWarning` in the same form.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "DataError",
    "DeviceError",
    "ImageError",
    "MissingExtraError",
    "ModelNotFoundError",
    "OfflineError",
    "OutputError",
    "PromptError",
    "TrainingError",
    "UnsupportedPromptError",
    "WordmaskError",
    "WordmaskWarning",
    "quote",
    "sentence",
]


class WordmaskError(Exception):
    """Base of every error that a user of wordmask can put right."""


class WordmaskWarning(UserWarning):
    """Something was left out, and the call went on."""


class ImageError(WordmaskError):
    """An image cannot be read, or is not what the call needs."""


class PromptError(WordmaskError):
    """A prompt is empty, too long, of the wrong type, or not part of the result."""


class UnsupportedPromptError(PromptError):
    """The prompt is sound, but the chosen model does not accept its kind."""


class ModelNotFoundError(WordmaskError):
    """No model answers to the name or path."""


class OfflineError(ModelNotFoundError):
    """The model is not on this machine and the hub cannot be reached."""


class CheckpointError(WordmaskError):
    """Weights or their config are damaged, incomplete or made for another network."""


class DataError(WordmaskError):
    """A data set's folder or one of its files is missing, or is not as its authors lay it out."""


class DeviceError(WordmaskError):
    """The device or dtype does not exist here."""


class TrainingError(WordmaskError):
    """A training cannot go on: numbers that are none, or a run folder of another training."""


class OutputError(WordmaskError):
    """A result cannot be written where it was asked for."""


class MissingExtraError(WordmaskError):
    """A feature needs an optional package that is not installed."""


def sentence(got: str, expected: str, remedy: str) -> str:
    """Return the one sentence of an error: what was got, what was expected and what to do."""
    return f"Got {got}, expected {expected}: {remedy}."


def quote(value: object, *, limit: int = 80) -> str:
    """Return `value` in quotes on a single printable line of at most about `limit` characters.

    Names and phrases come from users and files; a message must survive line breaks, control characters and novels.
    """
    text = str(value)
    shown = text if len(text) <= limit else f"{text[: limit - 20]}…{text[-18:]}"
    return repr(shown)
