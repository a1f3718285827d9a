"""Open an image again by the uri that a journal keeps."""

from __future__ import annotations

from functools import lru_cache

from wordmask.annotate.inputs import expand_inputs
from wordmask.annotate.sources import HUGGING_FACE, ImageSource, Inputs
from wordmask.errors import ImageError, quote, sentence

__all__ = ["open_source"]


def open_source(uri: str) -> ImageSource:
    """Return the source of a uri.

    Raises:
        ImageError: If it names nothing.
    """
    if uri.startswith(HUGGING_FACE):
        rows = _rows(uri.rpartition("/")[0])
        source = next((one for one in rows.images if one.uri == uri), None)
    elif "://" in uri:
        source = next(iter(expand_inputs([uri]).images), None)
    else:
        source = ImageSource(uri)
    if source is None:
        raise ImageError(sentence(f"the image {quote(uri)}", "an image that is where it was", "restore it"))
    return source


@lru_cache(maxsize=4)
def _rows(address: str) -> Inputs:
    return expand_inputs([address])
