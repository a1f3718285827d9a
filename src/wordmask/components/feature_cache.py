"""Features that a frozen image encoder computes, kept on disk (feature cache).

One folder serves training (`CachedFeatures`, below) and everything that segments (`components.cached_segmenter`): the
files have one form, and their keys never collide.

A file is named by a hash over everything that its values depend on: the weights of the encoder, the precision that it
computes in, and every bit of the pixels. What is found under a name is therefore what the encoder would compute, and
nothing has to be deleted when data, recipe or model change.

An image is encoded by itself, never in a batch: there, the last bits of its features may depend on how many others
there are, and a resumed run, which finds some of its images in the cache, would no longer be the same run. That costs
4 % on one core of a CPU (ViT-B/16 at 352 px, against batches of 4), and only where nothing is cached yet. Values are
rounded to float16 before they are used for the first time, so that the first time is no other than the next.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from wordmask.components.cache_folder import cache_files
from wordmask.errors import DataError, OutputError, TrainingError, WordmaskWarning, quote, sentence
from wordmask.formats.files import write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CachedFeatures", "FeatureCache", "is_aligned", "remove_damaged", "rounded"]

FORMAT = "wordmask read-outs 1"  # keys of caches that are in use depend on this text
"""Part of every key; another number makes all older files unknown."""
READERS = 8
"""Files read at once."""
ALIGNMENT = 64
"""Bytes to a multiple of which tensors in memory start."""
_ROW = 4096
"""Bytes of a row of which a checksum takes the sum."""
RECOUNT = 8
"""The cache is counted again when this process has used `1 / RECOUNT` of the space that was left. As many processes can
therefore write at once and stay within the limit, but for a file each."""
ABANDONED = 3600.0
"""Seconds after which an unfinished file belongs to a process that is no more."""


class FeatureCache:
    """A folder of tensors by key, of limited size; any number of processes and runs may share one.

    A damaged file counts as missing. Files are not forced onto the disk: what a power cut damages is noticed when it
    is read.

    Args:
        folder: Made where it is missing. Files lie in subfolders named by the first two letters of their keys.
        limit: Bytes that the files may take together. Nothing is deleted: once they do, no more is added.
        examples: Whether example images come again, so that their embeddings are worth keeping.

    Raises:
        OutputError: If the folder cannot be made, read or written to.
        DataError: If the limit is no positive number.
    """

    def __init__(self, folder: Path, *, limit: int, examples: bool = False) -> None:
        if limit <= 0:
            raise DataError(sentence(f"a feature cache of {quote(limit)} bytes", "a positive number", "allow it more"))
        self.folder, self.limit, self.examples, self.full = folder, limit, examples, False
        _require_writable(folder)
        self._count()

    @property
    def size(self) -> int:
        """Bytes of all files: those there at the last count, and what this process has added since."""
        return self._counted + self._added

    def get(self, key: str) -> tuple[Tensor, ...] | None:
        """Return what was put under a key, on the CPU; None where there is nothing, or a damaged file."""
        entry = self.entry(key)
        return None if entry is None else entry[0]

    def entry(self, key: str) -> tuple[tuple[Tensor, ...], dict[str, str]] | None:
        """Return the tensors under a key, and the text that was kept with them; None as in `get`."""
        try:
            tensors, about = _read(self._path(key))
            kind, digest = ("crc32", _bytes) if "crc32" in about else ("sums", _sums)
            is_sound = about.pop(kind) == _checksum(key, tensors, about, digest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError):
            return None
        return (tensors, about) if is_sound else None

    def put(
        self,
        key: str,
        tensors: Sequence[Tensor],
        *,
        dtype: torch.dtype = torch.float16,
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Keep tensors under a key, rounded; a file that is there is replaced.

        Once the cache is full nothing is written, after one warning.

        Args:
            key: What they are found by.
            tensors: Those of numbers with a fraction are rounded, the others kept as they are.
            dtype: To what: float16 or bfloat16.
            about: Text to be kept with them.

        Raises:
            OutputError: If the file cannot be written, as on a full disk.
        """
        halves = _apart([rounded(tensor, dtype) for tensor in tensors])
        path, text = self._path(key), dict(about or {})
        text["sums"] = _checksum(key, halves, text, _sums)
        content = save({str(number): half for number, half in enumerate(halves)}, metadata=text)
        growth = len(content) - (path.stat().st_size if path.is_file() else 0)
        if self._has_room(growth):
            write(path, content)
            self._added += growth

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.safetensors"

    def _has_room(self, growth: int) -> bool:
        if growth <= 0:
            return True
        if not self.full and (self._added + growth) * RECOUNT > self.limit - self._counted:
            self._count()
        if self.size + growth <= self.limit:
            return True
        if not self.full:
            self.full = True
            warnings.warn(self._is_full(), WordmaskWarning, stacklevel=4)
        return False

    def _is_full(self) -> str:
        got = f"the feature cache {quote(self.folder)}, which is full ({self.size / 2**30:.1f} GiB)"
        remedy = "allow it more, use fewer variants, or continue: what is missing is computed"
        return sentence(got, "space for every augmented image", remedy)

    def _count(self) -> None:
        """Sum up all files, and remove what killed processes left unfinished."""
        self._counted, self._added = 0, 0
        for file in cache_files(self.folder):
            with contextlib.suppress(OSError):  # another process may just have renamed or removed it
                about = file.stat()
                if file.name.endswith(".part") and time.time() - about.st_mtime > ABANDONED:
                    os.unlink(file)
                else:
                    self._counted += about.st_size


class CachedFeatures:
    """A frozen encoder with a cache: called as the encoder is, it computes only what is not cached.

    Args:
        encoder: Pixels (B, 3, H, W) to K tensors (B, ...), such as activations (B, 1 + h * w, width). Each image's
            values must depend on its pixels alone.
        cache: Where they are kept.
        fingerprint: Of the encoder's weights and of the layers that are read: another one finds nothing of this one's.
    """

    def __init__(self, encoder: Callable[[Tensor], Sequence[Tensor]], cache: FeatureCache, fingerprint: str) -> None:
        self._encoder, self.cache, self._fingerprint = encoder, cache, fingerprint
        self._readers = ThreadPoolExecutor(min(READERS, os.cpu_count() or 1), "feature-cache")

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedFeatures:
        """Copy the encoder; the cache stays one, and threads cannot be copied."""
        return CachedFeatures(copy.deepcopy(self._encoder, memo), self.cache, self._fingerprint)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the encoder's K outputs for pixels float32 (B, 3, H, W), float32 rounded to float16, on their device.

        Raises:
            TrainingError: If a value is too large for float16, or none.
            OutputError: If the cache cannot be written to.
        """
        keys = self.keys(pixels)
        distinct = dict.fromkeys(keys)
        known = dict(zip(distinct, self._readers.map(self.cache.get, distinct), strict=True))
        for image, key in zip(pixels, keys, strict=True):
            if known[key] is None:
                known[key] = self._computed(image)
                self.cache.put(key, known[key] or ())
        each = [known[key] or () for key in keys]
        return tuple(_together(parts, pixels.device) for parts in zip(*each, strict=True))

    def keys(self, pixels: Tensor) -> list[str]:
        """Return where the outputs for pixels (B, 3, H, W) are kept: a name for each image."""
        words = (FORMAT, self._fingerprint, _precision(pixels.device.type), pixels.dtype, tuple(pixels.shape[1:]))
        start = hashlib.sha256(repr(tuple(map(str, words))).encode())
        return [_hashed(start.copy(), image) for image in pixels.detach().cpu()]

    def _computed(self, image: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            outputs = tuple(output[0].to(torch.float16).cpu() for output in self._encoder(image[None]))
        if not all(bool(output.isfinite().all()) for output in outputs):
            got = "outputs of the frozen encoder that do not fit into float16"
            raise TrainingError(sentence(got, "numbers up to 65504", "train without the feature cache"))
        return outputs


def _together(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """B tensors as one float32 (B, ...): no copy in between, and half the bytes on their way to another device."""
    if device.type != "cpu":
        return torch.stack(list(parts)).to(device).float()
    whole = torch.empty((len(parts), *parts[0].shape))
    for place, part in zip(whole, parts, strict=True):
        place.copy_(part)
    return whole


def _hashed(start: Any, image: Tensor) -> str:
    start.update(image.contiguous().numpy())
    return str(start.hexdigest())


def _precision(device: str) -> str:
    """What products are computed in: a training in bfloat16 must not find what one in float32 has kept."""
    return str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else "as given"


def _read(path: Path) -> tuple[tuple[Tensor, ...], dict[str, str]]:
    """Return the tensors of a safetensors file, views of one aligned memory, and its text; numbers are their names.

    The library's own reader copies every tensor, which takes longer than all else about a read.

    Raises:
        OSError: If there is no file.
        ValueError, KeyError, TypeError, RuntimeError: If it is damaged.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 0 <= length <= size - 8:
            raise ValueError("a header beyond the end of the file")
        header = json.loads(file.read(length))
        content = aligned(size - 8 - length)
        if file.readinto(content.data) != len(content):
            raise ValueError("a file that ends too early")
    about = header.pop("__metadata__")
    if sum(last - first for first, last in (one["data_offsets"] for one in header.values())) != len(content):
        raise ValueError("a file that is too long or too short")
    tensors = []
    for one in (header[str(number)] for number in range(len(header))):
        first, last = one["data_offsets"]
        tensors.append(torch.from_numpy(content[first:last]).view(_DTYPES[one["dtype"]]).view(one["shape"]))
    return tuple(tensors), about


def aligned(size: int) -> NDArray[np.uint8]:
    """Return new memory of `size` bytes that starts where torch's would: kernels may depend on it."""
    memory = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


_DTYPES = {
    "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""Number types by the names that safetensors gives them."""


def is_aligned(tensor: Tensor) -> bool:
    """Whether a tensor starts where a new one of torch would."""
    return tensor.data_ptr() % ALIGNMENT == 0


def remove_damaged(folder: Path) -> int:
    """Read every entry, delete those whose checksum is wrong, and return how many there were."""
    damaged = 0
    if not folder.is_dir():
        return damaged
    store = FeatureCache(folder, limit=1 << 60)
    for file in cache_files(folder):
        folder_name, name = os.path.split(file.path)
        stem, suffix = os.path.splitext(name)
        if suffix == ".safetensors" and store.entry(os.path.basename(folder_name) + stem) is None:
            with contextlib.suppress(OSError):
                os.unlink(file.path)
                damaged += 1
    return damaged


def rounded(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor on the CPU, contiguous, in `dtype` if its numbers have a fraction."""
    values = tensor.detach().cpu()
    return (values.to(dtype) if values.is_floating_point() else values).contiguous()


def _apart(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copy tensors that share memory with one before, which files cannot say."""
    seen: set[int] = set()
    apart = []
    for tensor in tensors:
        place = tensor.untyped_storage().data_ptr()
        apart.append(tensor.clone() if place in seen else tensor)
        seen.add(place)
    return apart


def _checksum(
    key: str, tensors: Sequence[Tensor], about: Mapping[str, str], digest: Callable[[NDArray[np.uint8], int], int]
) -> str:
    """CRC-32 of the key, the text and the tensors with types and shapes, whatever a file's header says of them."""
    value = zlib.crc32(key.encode())
    for name, text in sorted(about.items()):
        value = zlib.crc32(f"{name}={text};".encode(), value)
    for tensor in tensors:
        value = zlib.crc32(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = digest(tensor.flatten().view(torch.uint8).numpy(), value)
    return f"{value:08x}"


def _bytes(content: NDArray[np.uint8], value: int) -> int:
    """CRC-32 of all bytes: of files that earlier versions wrote."""
    return zlib.crc32(content.data, value)


def _sums(content: NDArray[np.uint8], value: int) -> int:
    """CRC-32 of the sums of rows and columns of words: a fifth of the time, and as sure for what disks do to files."""
    whole = len(content) // _ROW * _ROW
    words = content[:whole].view(np.uint64).reshape(-1, _ROW // 8)
    for axis in (0, 1):
        value = zlib.crc32(words.sum(axis=axis, dtype=np.uint64).data, value)
    return zlib.crc32(content[whole:].data, value)


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(None, "no right to write there")
    except OSError as error:
        got = f"the feature cache {quote(folder)}, which cannot be written to ({error.strerror})"
        raise OutputError(sentence(got, "a folder that you may write to", "choose another folder")) from error
