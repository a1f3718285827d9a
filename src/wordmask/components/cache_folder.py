"""The folder of the feature cache: where it is, what it holds, limiting and clearing it; without torch."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cache_files", "clear_entries", "default_folder", "describe"]


def default_folder() -> Path:
    """Return `$WORDMASK_CACHE`, or the folder for caches of the system's user."""
    chosen = os.environ.get("WORDMASK_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "wordmask" / "features"


def cache_files(root: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file of a cache, without what else lies in the folder."""
    with os.scandir(root) as folders:
        names = [folder.path for folder in folders if len(folder.name) == 2 and folder.is_dir()]
    for name in names:
        with contextlib.suppress(OSError), os.scandir(name) as files:
            yield from files


def describe(folder: Path) -> dict[str, Any]:
    """Return `entries` and `bytes` of a cache; zeros where there is none."""
    entries = total = 0
    if folder.is_dir():
        for file in cache_files(folder):
            with contextlib.suppress(OSError):
                total += file.stat().st_size
                entries += file.name.endswith(".safetensors")
    return {"entries": entries, "bytes": total}


def clear_entries(folder: Path, *, keep: int = 0) -> tuple[int, int]:
    """Delete the entries that were used longest ago until at most `keep` bytes are left.

    Args:
        folder: Of the cache.
        keep: Bytes that may stay.

    Returns:
        Number of files that were deleted, and their bytes.
    """
    entries = []
    for file in cache_files(folder) if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            about = file.stat()
            entries.append((max(about.st_atime, about.st_mtime), about.st_size, file.path))
    left, files, size = sum(one[1] for one in entries), 0, 0
    for _, length, path in sorted(entries):
        if left <= keep:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            left, files, size = left - length, files + 1, size + length
    return files, size
