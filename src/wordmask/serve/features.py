"""Features of images that were encoded before, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordmask.contracts import Encoded

__all__ = ["KeptFeatures", "bytes_of"]


class KeptFeatures:
    """The most recently used encoded images, by model and content of the file; safe with several threads.

    Only who sends an image's bytes again gets what was computed from them: the key is their hash.

    Args:
        limit: Bytes that they may take together, pixels included; 0 keeps none.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[str, str], tuple[Encoded, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return self._bytes

    def get(self, key: tuple[str, str]) -> Encoded | None:
        """Return an encoded image, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: tuple[str, str], encoded: Encoded) -> None:
        """Keep an encoded image; those unused for longest go. One that is larger than the limit is not kept."""
        size = bytes_of(encoded)
        with self._lock:
            _, before = self._kept.pop(key, (None, 0))
            self._bytes -= before
            if size > self.limit:
                return
            self._kept[key] = (encoded, size)
            self._bytes += size
            while self._bytes > self.limit:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed


def bytes_of(encoded: Encoded) -> int:
    """Return the memory of an encoded image: its features and its pixels."""
    pixels = 0 if encoded.image is None else encoded.image.pixels.nbytes
    return pixels + _tree_bytes(encoded.features)


def _tree_bytes(features: Any) -> int:
    """Bytes of all tensors and arrays in a tree of tuples, lists and dicts."""
    if isinstance(features, dict):
        return sum(map(_tree_bytes, features.values()))
    if isinstance(features, tuple | list):
        return sum(map(_tree_bytes, features))
    return int(getattr(features, "nbytes", 0))
