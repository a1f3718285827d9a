"""Images that a command's arguments name: files, folders, globs, lists, data sets, addresses of other file systems."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.annotate.data_sets import add_coco, add_hugging_face, add_yolo
from wordmask.annotate.sources import HUGGING_FACE, JOURNAL_NAME, ImageSource, Inputs, RemoteImage
from wordmask.errors import DataError, ImageError, MissingExtraError, installing, quote, sentence
from wordmask.formats.folder import is_result
from wordmask.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["expand_inputs"]

LIST_SUFFIXES = (".txt", ".lst")
COCO_NAMES = ("instances.json", "annotations.json", "_annotations.coco.json")
YOLO_NAME = "data.yaml"


def expand_inputs(words: Sequence[str], *, out: Path | None = None) -> Inputs:
    """Return the images that arguments name, and the labels that they have already.

    Args:
        words: Files, folders (recursive), globs, `.txt` lists, COCO files or folders with one, YOLO's `data.yaml` or
            folders with one, `hf:owner/name`, and addresses that fsspec opens.
        out: Folder of the job, whose files are no inputs.

    Raises:
        ImageError: If an argument names no image.
        DataError: If a data set is malformed.
        MissingExtraError: If a package for a data set or an address is not installed.
    """
    inputs = Inputs()
    for word in words:
        before = len(inputs.images)
        _expand(word, inputs, out)
        if len(inputs.images) == before and not inputs.images:
            expected = f"at least one image ({', '.join(sorted(IMAGE_SUFFIXES)[:6])}, …)"
            raise ImageError(sentence(f"the argument {quote(word)}", expected, "check the path and the spelling"))
    return inputs


def _expand(word: str, inputs: Inputs, out: Path | None) -> None:
    if word.startswith(HUGGING_FACE):
        add_hugging_face(word.removeprefix(HUGGING_FACE), inputs)
    elif "://" in word:
        inputs.add(_remote(word))
    elif os.path.isdir(word):
        folder = Path(word)
        coco = next((folder / name for name in COCO_NAMES if (folder / name).is_file()), None)
        if coco is not None:
            add_coco(coco, inputs)
        elif (folder / YOLO_NAME).is_file():
            add_yolo(folder / YOLO_NAME, inputs)
        else:
            inputs.add([_local(path) for path in _images_below(folder, out)])
    elif word.lower().endswith(".json"):
        add_coco(Path(word), inputs)
    elif word.lower().endswith((".yaml", ".yml")):
        add_yolo(Path(word), inputs)
    elif word.lower().endswith(LIST_SUFFIXES) and os.path.isfile(word):
        inputs.add([_local(path) for path in _listed(Path(word))])
    elif glob.has_magic(word) and not os.path.exists(word):
        matches = sorted(path for path in glob.glob(word, recursive=True) if os.path.isfile(path))
        inputs.add([_local(path) for path in matches if _may_be_input(Path(path))])
    elif word.startswith("~"):
        _expand(os.path.expanduser(word), inputs, out)
    else:
        inputs.add([_local(word)])  # reading it says what is wrong with it


def _local(path: str | Path) -> ImageSource:
    return ImageSource(os.path.abspath(path))


def _may_be_input(path: Path) -> bool:
    return not path.name.startswith(".") and not is_result(path.name)


def _images_below(folder: Path, out: Path | None) -> Iterator[str]:
    """Yield the images of a folder and its subfolders, sorted by path, without results of wordmask."""
    skipped = None if out is None else os.path.realpath(out)
    for place, folders, files in os.walk(folder, onerror=_raise):
        if JOURNAL_NAME in files or os.path.realpath(place) == skipped:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(IMAGE_SUFFIXES) and _may_be_input(Path(name)):
                yield os.path.join(place, name)


def _raise(error: OSError) -> None:
    got = f"the folder {quote(error.filename)}, which cannot be listed ({error.strerror})"
    raise ImageError(sentence(got, "a folder that may be read", "change its permissions")) from error


def _listed(path: Path) -> Iterator[str]:
    """Yield the paths in a list, one a line; relative ones start from the list's folder, or else from here."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(sentence(f"the list {quote(path)}", "UTF-8 text, one path a line", "correct it")) from error
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            beside = path.parent / line
            yield str(beside if beside.exists() else line)


def _remote(address: str) -> list[ImageSource]:
    try:
        import fsspec
    except ImportError as error:
        got = f"the address {quote(address)}, which takes the library fsspec"
        raise MissingExtraError(sentence(got, "it to be installed", installing("remote"))) from error
    scheme = address.partition("://")[0]
    try:
        system, path = fsspec.core.url_to_fs(address)
        if glob.has_magic(path):
            found = system.glob(path, detail=True)
        elif system.isdir(path):
            found = system.find(path, detail=True)
        else:
            found = {path: system.info(path)}
    except ImportError as error:
        got = f"the address {quote(address)}, for which fsspec takes another library ({error})"
        raise MissingExtraError(sentence(got, "it to be installed", installing("remote"))) from error
    except (OSError, ValueError) as error:
        got = f"the address {quote(address)} ({' '.join(str(error).split())[:80]})"
        raise ImageError(sentence(got, "a file, a folder or a glob that can be read", "check it")) from error
    images = sorted((p, about) for p, about in found.items() if about.get("type") != "directory")
    if len(images) != 1:
        images = [(p, a) for p, a in images if p.lower().endswith(IMAGE_SUFFIXES) and _may_be_input(Path(p))]
    return [
        RemoteImage(f"{scheme}://{p.lstrip('/') if scheme != 'file' else p}", system, _version(a)) for p, a in images
    ]


def _version(about: Mapping[str, Any]) -> str:
    """Return what changes when a remote file does; "" where the file system does not say, so that it is read again."""
    marks = [about.get(key) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")]
    known = [str(mark) for mark in marks if mark is not None]
    return f"{about.get('size')}-{known[0]}" if known else ""
