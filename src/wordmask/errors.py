"""The exceptions of wordmask, one tree.

    WordmaskError
    ├── ImageError                  an image that cannot be read or used
    ├── PromptError                 an empty, too long or wrongly typed prompt
    │   └── UnsupportedPromptError  a valid prompt of a type that the model does not take
    ├── ModelNotFoundError          no model of that name or path
    │   └── OfflineError            the model may exist, but the hub cannot be reached
    ├── CheckpointError             weights that do not fit the network
    ├── DataError                   a data set, or one of its files, that is missing or not as its authors lay it out
    ├── DeviceError                 a device or number type that this machine lacks
    ├── TrainingError               training that cannot continue
    ├── OutputError                 a result that cannot be written
    └── MissingExtraError           an optional package that is not installed

Every error caused by input is a `WordmaskError`, and its message states what was got, what was expected and what to
do. Any other exception raised by wordmask is a bug.

A `WordmaskWarning`, worded the same way, says that something was left out while the call went on.
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
    "installing",
    "quote",
    "sentence",
]


class WordmaskError(Exception):
    """Base of every error that is caused by input or the environment."""


class WordmaskWarning(UserWarning):
    """Something was left out, and the call went on."""


class ImageError(WordmaskError):
    """An image cannot be read, or is not what the call needs."""


class PromptError(WordmaskError):
    """A prompt is empty, too long, of the wrong type, or not part of the result."""


class UnsupportedPromptError(PromptError):
    """The prompt is valid, but the model does not take prompts of its type."""


class ModelNotFoundError(WordmaskError):
    """There is no model of that name or path."""


class OfflineError(ModelNotFoundError):
    """The model is not on this machine and the hub cannot be reached."""


class CheckpointError(WordmaskError):
    """Weights or their config are damaged, incomplete or made for another network."""


class DataError(WordmaskError):
    """A data set's folder or one of its files is missing, or is not as its authors lay it out."""


class DeviceError(WordmaskError):
    """The device or dtype does not exist here."""


class TrainingError(WordmaskError):
    """Training cannot continue: losses that are not finite, or a run folder of another configuration."""


class OutputError(WordmaskError):
    """A result cannot be written to the given path."""


class MissingExtraError(WordmaskError):
    """A feature needs an optional package that is not installed."""


def sentence(got: str, expected: str, remedy: str) -> str:
    """Return an error message that states what was got, what was expected and what to do."""
    return f"Got {got}, expected {expected}: {remedy}."


def installing(extra: str) -> str:
    """Return how to install optional packages, for messages; wordmask is not on the package index."""
    return f"run `pip install -e '.[{extra}]'` in the folder of wordmask's repository"


def quote(value: object, *, limit: int = 80) -> str:
    """Return `value` in quotes on a single printable line of at most about `limit` characters.

    Names and phrases come from users and files: line breaks and control characters are escaped, long text is cut.
    """
    text = str(value)
    shown = text if len(text) <= limit else f"{text[: limit - 20]}…{text[-18:]}"
    return repr(shown)
