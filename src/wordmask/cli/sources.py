"""Images from the command line: paths, globs, folders, `sample:NAME` and `-`."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from wordmask.addresses import is_address
from wordmask.cli.failures import print_error
from wordmask.errors import ImageError, PromptError, quote, sentence

_ENDS = 256  # bytes at the ends of an overlay's file that hold its metadata


class StandardInput(io.BytesIO):
    """Bytes from standard input; the name appears in messages."""

    name = "<stdin>"


Source: TypeAlias = "str | StandardInput"


def split_words(words: list[str], phrases: list[str]) -> tuple[list[str], list[str]]:
    """Split the positional arguments into images and phrases.

    Without `-p`, the first word is the image and the rest are phrases. With `-p`, all words are images.

    Raises:
        PromptError: there is no phrase, or a phrase is the name of an image file (an unquoted glob).
    """
    if phrases:
        return words, phrases
    images, phrases = words[:1], words[1:]
    if not phrases:
        got = f"the image {quote(images[0])} and no phrase"
        raise PromptError(sentence(got, "at least one phrase", 'name what to segment, such as "left eye"'))
    for phrase in phrases:
        if _is_image_file(Path(phrase)):
            got = f"the image file {quote(phrase)} in a phrase's place"
            remedy = 'quote a glob ("*.jpg"), or put the phrases behind -p: wordmask segment *.jpg -p "left eye"'
            raise PromptError(sentence(got, "phrases after the first word", remedy))
    return images, phrases


def expand(words: list[str], *, allow_urls: bool = False) -> tuple[list[Source], list[ImageError]]:
    """Return the images that the arguments name, in order, and the errors of those that name none.

    The images are as `load_image` accepts them, and addresses where they are allowed.

    Raises:
        ImageError: no image is left; every word is a folder or a glob that holds no image or may not be read, or
            an empty standard input. The errors of all words but the last are printed.
    """
    sources: list[Source] = []
    errors: list[ImageError] = []
    for word in words:
        try:
            sources += _expand_one(word, allow_urls)
        except ImageError as error:
            errors.append(error)
    if sources and not errors:
        errors = _missing(sources)
        sources = [] if errors else sources
    for said in errors if sources else errors[:-1]:
        print_error(said)
    if not sources:
        raise errors[-1]
    return sources, errors


def _missing(sources: list[Source]) -> list[ImageError]:
    """The errors of paths that cannot be opened, if all are such: told at once, before a model is loaded."""
    from wordmask.images import check_path

    errors: list[ImageError] = []
    for source in sources:
        if isinstance(source, StandardInput) or source.startswith("sample:") or is_address(source):
            return []
        try:
            check_path(source)
        except ImageError as error:
            errors.append(error)
        else:
            return []
    return errors


def label(source: Source) -> str:
    """Return an image's name for messages and files; bytes of a name that are not UTF-8 become U+FFFD."""
    return "standard input" if isinstance(source, StandardInput) else os.fsencode(source).decode("utf-8", "replace")


def _expand_one(word: str, allow_urls: bool) -> Sequence[Source]:
    if word == "-":
        return [_standard_input()]
    if is_address(word):
        if not allow_urls:
            got, remedy = f"the address {quote(word)}", "add --allow-urls, or download it first"
            raise ImageError(sentence(got, "a file on this machine", remedy))
        return [word]
    if word.startswith("sample:") or os.path.isfile(word):  # a file whose name looks like a glob is a file
        return [word]
    if os.path.isdir(word):
        return _images_in(Path(word))
    if glob.has_magic(word):
        return _matches(word)
    home = os.path.expanduser(word) if word.startswith("~/") else word  # quoted, the shell leaves it to us
    if home != word:
        return _expand_one(home, allow_urls)
    return [word]  # load_image says what is wrong with it


def _standard_input() -> StandardInput:
    from wordmask.images import read_all

    data = read_all(sys.stdin.buffer, "standard input") if sys.stdin else b""  # None when the shell closed it
    if not data:
        remedy = "pipe a file in: wordmask segment - hair < photo.jpg"
        raise ImageError(sentence("nothing on standard input", "the bytes of an image", remedy))
    return StandardInput(data)


def _images_in(folder: Path) -> list[str]:
    try:
        found = sorted(str(path) for path in folder.iterdir() if _is_input(path) and _is_image_file(path))
    except OSError as error:
        got = f"the folder {quote(folder)}, which cannot be listed ({error.strerror})"
        raise ImageError(sentence(got, "a folder that may be read", "change its permissions")) from error
    if not found:
        from wordmask.images import IMAGE_SUFFIXES

        expected = f"at least one image in it ({', '.join(sorted(IMAGE_SUFFIXES))})"
        raise ImageError(sentence(f"the folder {quote(folder)}", expected, "give another folder or a file"))
    return found


def _matches(pattern: str) -> list[str]:
    matches = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    found = [path for path in matches if _is_input(Path(path))]
    if matches and not found:
        got = f"the pattern {quote(pattern)}, which matches only hidden files and results of earlier runs"
        raise ImageError(sentence(got, "at least one other match", "name the files themselves if they are meant"))
    if not found:
        got = f"the pattern {quote(pattern)}, which matches no file here"
        raise ImageError(sentence(got, "at least one match", "check the folder and the spelling"))
    return found


def _is_input(path: Path) -> bool:
    """Whether a file in a folder, or one that a glob matches, may be meant: not hidden, no result of an earlier run.

    macOS writes a hidden file `._photo.jpg`, which is no image, beside every file on disks of other systems.
    """
    from wordmask.formats.folder import is_result

    return not path.name.startswith(".") and not is_result(path.name) and not _is_overlay(path)


def _is_overlay(path: Path) -> bool:
    """Whether wordmask drew a file; only those that mention it, at an end, are opened."""
    from wordmask.formats.overlay import OVERLAY_SUFFIXES, is_overlay

    if path.suffix.lower() not in OVERLAY_SUFFIXES or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            ends = file.read(_ENDS)
            file.seek(-min(_ENDS, os.fstat(file.fileno()).st_size), os.SEEK_END)
            ends += file.read(_ENDS)
    except OSError:
        return False
    return b"wordmask" in ends and is_overlay(path)


def _is_image_file(path: Path) -> bool:
    """Whether a file in a folder counts as an image; a file that is named itself may have any suffix."""
    from wordmask.images import IMAGE_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
