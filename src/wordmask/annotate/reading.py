"""Read and decode images ahead, in threads, while a network works on those before."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from wordmask.annotate.records import content_hash
from wordmask.errors import ImageError, WordmaskError, quote, sentence
from wordmask.images import load_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wordmask.annotate.sources import ImageSource
    from wordmask.contracts import Encoded
    from wordmask.images import RgbImage

__all__ = ["LoadedImage", "read_ahead", "read_image"]

LARGEST_WINDOW = 150_000_000
"""Pixels that may wait, decoded, for the network; one more chunk may be read while there are fewer."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image that was read, or why it could not be.

    Attributes:
        source: Where it came from.
        signature: Of its file before it was read.
        content: SHA-256 of its bytes; "" where they could not be read.
        image: The pixels; None where there are none.
        error: What is wrong with it, in a sentence; None where nothing is.
        encoded: Its features, where they were cached.
    """

    source: ImageSource
    signature: str
    content: str = ""
    image: RgbImage | None = None
    error: str | None = None
    encoded: Encoded | None = None


def read_image(source: ImageSource, find: Callable[[bytes, str, str], Encoded | None] | None = None) -> LoadedImage:
    """Read and decode one image; what is wrong with it becomes its `error`.

    Args:
        source: Where it is.
        find: Called with the bytes, their hash and the uri, returns cached features; what has some is not decoded.
    """
    signature = source.signature()
    content = ""
    try:
        _require_text(source.uri)
        data = source.read()
        content = content_hash(data)
        encoded = None if find is None else find(data, content, source.uri)
        if encoded is not None:
            return LoadedImage(source, signature, content, encoded.image, encoded=encoded)
        image = replace(load_image(data), name=PurePath(source.uri).name, path=source.uri)
        return LoadedImage(source, signature, content, image)
    except WordmaskError as error:
        said = str(error).replace("Got bytes", f"Got {quote(source.uri)}", 1)
        return LoadedImage(source, signature, content, error=said)


def _require_text(uri: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in uri):
        got = f"the file {quote(uri.encode('utf-8', 'replace').decode())}, whose name is not UTF-8"
        raise ImageError(sentence(got, "a name that other programs can read", "rename it"))


def read_ahead(
    chunks: Iterable[Sequence[ImageSource]],
    read: Callable[[ImageSource], LoadedImage],
    *,
    workers: int,
    window: int,
) -> Iterator[list[LoadedImage]]:
    """Yield the images of every chunk, in order; up to `window` images are read ahead by `workers` threads.

    Args:
        chunks: What belongs together; taken one by one as there is room.
        read: Reads one image and does not raise for what is wrong with it.
        workers: Threads.
        window: Images that may be under way or wait.
    """
    waiting: deque[list[Future[LoadedImage]]] = deque()
    remaining = iter(chunks)
    exhausted = False
    with ThreadPoolExecutor(workers, "read-ahead") as pool:
        try:
            while True:
                while not exhausted and _has_room(waiting, window):
                    chunk = next(remaining, None)
                    exhausted = chunk is None
                    if chunk:
                        waiting.append([pool.submit(read, source) for source in chunk])
                if not waiting:
                    return
                yield [future.result() for future in waiting.popleft()]
        finally:
            for chunk_futures in waiting:
                for future in chunk_futures:
                    future.cancel()


def _has_room(waiting: deque[list[Future[LoadedImage]]], window: int) -> bool:
    futures = [future for chunk in waiting for future in chunk]
    decoded = 0
    for future in futures:
        if future.done() and not future.cancelled() and (image := future.result().image) is not None:
            decoded += image.size[0] * image.size[1]
    return not futures or (len(futures) < window and decoded < LARGEST_WINDOW)
