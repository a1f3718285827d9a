"""A segmenter that finds the features of images it has seen before in the feature cache.

The key of an entry is a hash of the image (the bytes of its file where there is one, else its pixels), of the model's
files and of the number types. Asking new phrases of a known image therefore encodes nothing, whoever encoded it: the
command line, a folder job, Python or a server. An image is encoded by itself on a CPU, and its features are rounded
before they are used for the first time, so that a first answer equals all later ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wordmask.components.feature_cache import FeatureCache, is_aligned, rounded
from wordmask.components.feature_tree import (
    UnknownTreeError,
    flatten,
    in_memory_order,
    layout_of,
    restore,
    with_layout,
)
from wordmask.components.place.mirror import flipped_image
from wordmask.components.place.prompts import split_prompts
from wordmask.contracts import Encoded
from wordmask.errors import PromptError, quote, sentence
from wordmask.images import load_image
from wordmask.images.deferred import DeferredImage
from wordmask.ops.geometry import Placement
from wordmask.prompts import as_prompts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wordmask.components.place.settings import PlaceSettings
    from wordmask.contracts import Segmenter
    from wordmask.images import ImageInput, RgbImage
    from wordmask.prompts import PromptInput
    from wordmask.results import Segmentation

__all__ = ["DEFAULT_LIMIT", "PRECISIONS", "CachedSegmenter"]

FORMAT = "wordmask features 2"
DEFAULT_LIMIT = 20 * 2**30
"""Bytes that a cache may take where nobody says otherwise."""
PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class CachedSegmenter:
    """A `Segmenter` with a feature cache in front of its image encoder.

    Args:
        segmenter: What encodes and answers.
        cache: Where features are kept.
        fingerprint: Of the model's files (`checkpoints.fingerprint`).
        precision: `float16` or `bfloat16`; None takes that in which the segmenter computes, so that nothing is rounded,
            and float16 where it computes in float32. What float16 cannot hold is kept as bfloat16 in any case.
    """

    def __init__(
        self, segmenter: Segmenter, cache: FeatureCache, fingerprint: str, *, precision: str | None = None
    ) -> None:
        own = getattr(segmenter, "dtype", None)
        if precision is None:
            precision = "bfloat16" if own == torch.bfloat16 else "float16"
        if precision not in PRECISIONS:
            got = f"the precision {quote(precision)} of cached features"
            raise PromptError(sentence(got, " or ".join(PRECISIONS), "choose one of these"))
        self.segmenter, self.cache = segmenter, cache
        words = (FORMAT, fingerprint, segmenter.name, str(own or ""), precision)
        self._start = "\n".join(words)
        self._dtype = PRECISIONS[precision]
        self.hits = self.misses = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.segmenter, name)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.segmenter.name

    @property
    def accepts(self) -> frozenset[type]:
        """The prompt types that the model takes."""
        return self.segmenter.accepts

    @property
    def place_settings(self) -> PlaceSettings:
        """How the names of phrases with words of place are asked."""
        settings: PlaceSettings = self.segmenter.place_settings  # type: ignore[attr-defined]
        return settings

    @place_settings.setter
    def place_settings(self, settings: PlaceSettings) -> None:
        self.segmenter.place_settings = settings  # type: ignore[attr-defined]

    @property
    def joint_vocabulary(self) -> bool:
        """Whether an answer depends on the other prompts of its call."""
        return self.segmenter.joint_vocabulary

    @property
    def trainable(self) -> bool:
        """Whether wordmask can train the model."""
        return self.segmenter.trainable

    @property
    def exportable(self) -> bool:
        """Whether the model's networks can be exported."""
        return self.segmenter.exportable

    # --- encoding ---

    def encode(self, image: ImageInput) -> Encoded:
        """Return the image's features, from the cache where they are there.

        Raises:
            ImageError: If the image cannot be read.
        """
        content = _content_of(image)
        if isinstance(content, bytes):
            name = os.fsdecode(image) if isinstance(image, str | os.PathLike) else None
            known = self.find(content, hashlib.sha256(content).hexdigest(), path=name)
            if known is not None:
                return known
            return self.encode_many([load_image(image)], [hashlib.sha256(content).hexdigest()])[0]
        return self.encode_many([load_image(image)])[0]

    def find(self, data: bytes, content: str, *, path: str | None = None) -> Encoded | None:
        """Return the features of a file that was encoded before, without decoding it; None where they are not there.

        Args:
            data: The bytes of the file.
            content: Their SHA-256.
            path: Where the file is.
        """
        entry = self._entry(content)
        if entry is None:
            return None
        features, placement = entry
        name = None if path is None else os.path.basename(path)
        image = DeferredImage(data, placement.size, name=name, path=path)
        self.hits += 1
        return Encoded(placement.size, placement, features, image, self.name)

    def encode_many(self, images: Sequence[ImageInput], contents: Sequence[str] | None = None) -> list[Encoded]:
        """Return the features of several images; those that are not cached are computed, one by one on a CPU.

        Args:
            images: What `load_image` reads.
            contents: For each the SHA-256 of its file; None: of its pixels.
        """
        loaded = [load_image(image) for image in images]
        keys = list(contents) if contents is not None else [_pixel_hash(image) for image in loaded]
        found = [self._known(image, key) for image, key in zip(loaded, keys, strict=True)]
        missing = [index for index, one in enumerate(found) if one is None]
        for index, encoded in zip(missing, self._computed([loaded[index] for index in missing]), strict=True):
            found[index] = self._kept(encoded, keys[index])
        return [one for one in found if one is not None]

    def with_mirror(self, encoded: Encoded) -> Encoded:
        """Return features with those of the mirror image, from the cache where they are there."""
        if encoded.mirror is not None or encoded.image is None:
            return encoded
        return replace(encoded, mirror=self.encode_many([flipped_image(encoded.image)])[0])

    def _asks_mirror(self, prompts: PromptInput, place: str) -> bool:
        settings = getattr(self.segmenter, "place_settings", None)
        return settings is not None and settings.mirror and bool(split_prompts(as_prompts(prompts), place).named)

    def _known(self, image: RgbImage, key: str) -> Encoded | None:
        entry = self._entry(key)
        if entry is None or entry[1].size != image.size:
            return None
        self.hits += 1
        return Encoded(image.size, entry[1], entry[0], image, self.name)

    def _computed(self, images: Sequence[RgbImage]) -> list[Encoded]:
        self.misses += len(images)
        device = getattr(self.segmenter, "device", torch.device("cpu"))
        together = getattr(self.segmenter, "encode_many", None)
        if callable(together) and torch.device(device).type != "cpu":
            return list(together(images))
        return [self.segmenter.encode(image) for image in images]

    def _kept(self, encoded: Encoded, key: str) -> Encoded:
        """Round the features, keep them, and return them as they will be found."""
        keep = getattr(self.segmenter, "features_to_keep", None)
        try:
            tensors, tree = flatten(keep(encoded.features) if callable(keep) else encoded.features)
        except UnknownTreeError:
            return encoded
        layouts = [layout_of(tensor) for tensor in tensors]
        flat = [in_memory_order(tensor) for tensor in tensors]
        dtype = self._dtype
        halves = [rounded(tensor, dtype) for tensor in flat]
        if not all(bool(half.isfinite().all()) for half in halves if half.is_floating_point()):
            dtype = torch.bfloat16
            halves = [rounded(tensor, dtype) for tensor in flat]
        placement = encoded.placement
        about = {
            "tree": tree,
            "layouts": json.dumps(layouts),
            "placement": json.dumps([placement.size, placement.canvas, placement.content]),
        }
        self.cache.put(self._key(key), halves, dtype=dtype, about=about)
        found = [
            with_layout(half.to(tensor.device, tensor.dtype, copy=True), layout)
            for half, tensor, layout in zip(halves, tensors, layouts, strict=True)
        ]
        return replace(encoded, features=restore(found, tree))

    def _entry(self, content: str) -> tuple[Any, Placement] | None:
        entry = self.cache.entry(self._key(content))
        if entry is None:
            return None
        tensors, about = entry
        device = getattr(self.segmenter, "device", torch.device("cpu"))
        dtype = getattr(self.segmenter, "dtype", torch.float32)
        try:
            size, canvas, inside = json.loads(about["placement"])
            placement = Placement(tuple(size), tuple(canvas), tuple(inside))
            # kernels, and so the last bits of answers, may depend on where in memory a tensor starts
            moved = [t.to(device, dtype if t.is_floating_point() else t.dtype, copy=not is_aligned(t)) for t in tensors]
            laid = [with_layout(one, layout) for one, layout in zip(moved, json.loads(about["layouts"]), strict=True)]
            return restore(laid, about["tree"]), placement
        except (KeyError, ValueError, TypeError, AttributeError, ImportError, IndexError, RuntimeError):
            return None

    def _key(self, content: str) -> str:
        return hashlib.sha256(f"{self._start}\n{content}".encode()).hexdigest()

    # --- answering ---

    def segment(self, image: ImageInput | Encoded, prompts: PromptInput, **options: Any) -> Segmentation:
        """Return one `Found` per prompt, in order; options are those of the segmenter's `segment`."""
        encoded = image if isinstance(image, Encoded) else self.encode(image)
        if self._asks_mirror(prompts, options.get("place", "auto")):
            encoded = self.with_mirror(encoded)
        return self.segmenter.segment(encoded, prompts, **options)

    def segment_many(
        self, images: Iterable[ImageInput], prompts: PromptInput, *, batch_size: int = 8, **options: Any
    ) -> Iterator[Segmentation]:
        """Yield one `Segmentation` per image, in order; `batch_size` is not used, since images are encoded alone."""
        for image in images:
            yield self.segment(image, prompts, **options)


def _content_of(image: ImageInput) -> bytes | None:
    """Return the bytes of a file that is named or given; None for pixels, streams and what cannot be read."""
    if isinstance(image, bytes | bytearray):
        return bytes(image)
    if isinstance(image, str | os.PathLike) and not str(image).startswith("sample:"):
        with contextlib.suppress(OSError, ValueError):
            if os.path.isfile(image):
                return Path(image).read_bytes()
    return None


def _pixel_hash(image: RgbImage) -> str:
    state = hashlib.sha256(repr(image.size).encode())
    state.update(image.pixels.tobytes())
    return state.hexdigest()
