"""Read pickles of unknown origin without running code from them.

Some annotations are published as Python pickles, and loading a pickle with the standard library runs whatever code its
maker put there. Here nothing can be loaded but None, booleans, numbers, texts, bytes, lists, tuples, dictionaries and
sets; a file that asks for anything else is refused before it is made. Files of Python 2 are read, too.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING, Any, TypeVar

from wordmask.data.reading import REMEDY, malformed, read_bytes, show
from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["read_pickle"]

_Value = TypeVar("_Value")
# What unpickling raises on damaged data.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError,
    ImportError, MemoryError, RecursionError, struct.error,
)  # fmt: skip
_ENCODINGS = ("utf-8", "latin-1")  # of Python 2's texts without an encoding; the second can read anything


class _RefusedError(Exception):
    """The pickle asks for something that is not plain data."""


def read_pickle(path: str | os.PathLike[str], what: str, kind: type[_Value], remedy: str = REMEDY) -> _Value:
    """Return the plain data in a pickle of any protocol, written by Python 2 or 3.

    Texts that Python 2 wrote without an encoding are read as UTF-8, or as Latin-1 where one of them is not UTF-8.

    Args:
        path: The file.
        what: What it should hold.
        kind: `dict` or `list`: what the outermost value must be.
        remedy: What to do when it is missing or malformed.

    Raises:
        DataError: If it is missing, is no pickle, holds another kind of value, or asks for any class or function.
    """
    content = read_bytes(path, what, remedy)
    try:
        value = _loaded(content)
    except _RefusedError as error:
        got = f"the pickle {show(path)}, which would load {error}"
        expected = f"{what} as plain lists, dictionaries, texts and numbers"
        raise DataError(sentence(got, expected, "do not open it with anything else, and get it anew")) from error
    except _DAMAGE as error:
        raise malformed(path, what, f"a damaged pickle ({quote(error, limit=60)})", remedy) from error
    if not isinstance(value, kind):
        problem = f"a {quote(type(value).__name__)} outermost instead of a {kind.__name__}"
        raise malformed(path, what, problem, remedy)
    return value


def _loaded(content: bytes) -> Any:
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding=_ENCODINGS[0]).load()
    except UnicodeDecodeError:
        return _PlainUnpickler(io.BytesIO(content), encoding=_ENCODINGS[1]).load()


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler to which the only callables are the harmless few that plain data of old protocols need."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _HARMLESS[module, name]
        except KeyError:
            raise _RefusedError(quote(f"{module}.{name}")) from None


def _no_bytes() -> bytes:
    """What `bytes` is called for: only ever the empty ones. `bytes(10**12)` would fill the memory."""
    return b""


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` is called for: Python 3 writes bytes so in the protocols of Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(quote(f"_codecs.encode to {encoding}"))
    return text.encode("latin-1")


_HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _latin1_bytes,
    **{(module, "bytes"): _no_bytes for module in ("builtins", "__builtin__")},
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset, complex)},
}
