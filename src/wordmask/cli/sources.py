"""Images from the command line: paths, globs, folders, `sample:NAME` and `-`."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from wordmask.cli.failures import print_error
from wordmask.errors import ImageError, PromptError, quote, sentence


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


def expand(words: list[str]) -> tuple[list[Source], list[ImageError]]:
    """Return the images that the arguments name, in order, and the errors of those that name none.

    The images are as `load_image` accepts them.

    Raises:
        ImageError: no image is left; every word is a folder or a glob that holds no image or may not be read, or
            an empty standard input. The errors of all words but the last are printed.
    """
    sources: list[Source] = []
    errors: list[ImageError] = []
    for word in words:
        try:
            sources += _expand_one(word)
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
        if isinstance(source, StandardInput) or source.startswith("sample:"):
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


def _expand_one(word: str) -> Sequence[Source]:
    if word == "-":
        return [_standard_input()]
    if word.startswith("sample:") or os.path.isfile(word):  # a file whose name looks like a glob is a file
        return [word]
    if os.path.isdir(word):
        return _images_in(Path(word))
    if glob.has_magic(word):
        return _matches(word)
    return [word]  # load_image says what is wrong with it


def _standard_input() -> StandardInput:
    data = sys.stdin.buffer.read() if sys.stdin else b""  # None when the shell closed it
    if not data:
        remedy = "pipe a file in: wordmask segment - hair < photo.jpg"
        raise ImageError(sentence("nothing on standard input", "the bytes of an image", remedy))
    return StandardInput(data)


def _images_in(folder: Path) -> list[str]:
    try:
        found = sorted(str(path) for path in folder.iterdir() if _is_image_file(path))
    except OSError as error:
        got = f"the folder {quote(folder)}, which cannot be listed ({error.strerror})"
        raise ImageError(sentence(got, "a folder that may be read", "change its permissions")) from error
    if not found:
        from wordmask.images import IMAGE_SUFFIXES

        expected = f"at least one image in it ({', '.join(sorted(IMAGE_SUFFIXES))})"
        raise ImageError(sentence(f"the folder {quote(folder)}", expected, "give another folder or a file"))
    return found


def _matches(pattern: str) -> list[str]:
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    if not found:
        got = f"the pattern {quote(pattern)}, which matches no file here"
        raise ImageError(sentence(got, "at least one match", "check the folder and the spelling"))
    return found


def _is_image_file(path: Path) -> bool:
    """Whether a file in a folder counts as an image; a file that is named itself may have any suffix."""
    from wordmask.images import IMAGE_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
