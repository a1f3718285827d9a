"""Output of `wordmask segment`: files, JSON lines, or text."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.cli.printed import escaped, escaped_json
from wordmask.cli.sources import Source, StandardInput
from wordmask.errors import OutputError, quote, sentence
from wordmask.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from wordmask.formats.coco import CocoAnnotations
    from wordmask.formats.folder import ResultFolder
    from wordmask.results import Found, Instance, Segmentation

DEFAULT_FOLDER = Path("segmented")
OVERLAYS = (".png", ".jpg", ".jpeg", ".webp")
"""An output path that ends so is the file of one overlay."""
_OTHER_IMAGES = {*IMAGE_SUFFIXES, ".eps", ".heic", ".heif", ".ico", ".pdf", ".qoi", ".svg"} - set(OVERLAYS)


@dataclass
class Destination:
    """Files that a run writes: one overlay, a folder, a file of COCO annotations, or nothing.

    Attributes:
        overlay: File of the overlay of the one image.
        folder: Folder of overlays, masks and annotations of all images.
        coco: File of the annotations of all images, without a folder.
        written: Whether there is any file yet; folders are made with the first one.
    """

    overlay: Path | None = None
    folder: ResultFolder | None = None
    coco: Path | None = None
    written: bool = False
    _annotations: CocoAnnotations | None = None

    @classmethod
    def choose(cls, out: str | Path | None, *, images: Sequence[Source], write_nothing: bool) -> Destination:
        """Interpret `--out`, and check before any model is loaded that it can be written.

        Raises:
            OutputError: It is empty, cannot be written, has another suffix, or is one overlay file for several images
                or the image itself.
        """
        if out is None and write_nothing:
            return cls()
        if out == "":  # a shell variable that is not set
            raise OutputError(sentence("an empty --out", "a folder or a file", "name one, or leave --out away"))
        out = Path(out or DEFAULT_FOLDER)
        if out.suffix.lower() in OVERLAYS and not os.path.isdir(out):
            if len(images) > 1:
                got = f"the one file {quote(out)} for the overlays of {len(images)} images"
                raise OutputError(sentence(got, "a folder", "give --out a folder"))
            if os.path.exists(out) and any(
                not isinstance(word, StandardInput) and _is_same(out, word) for word in images
            ):
                got = f"the image {quote(out)} itself as the output"
                raise OutputError(sentence(got, "another file, so that the image stays", "change --out"))
            return cls(overlay=_writable(out))
        if out.suffix.lower() == ".json" and not os.path.isdir(out):
            return cls(coco=_writable(out))
        if out.suffix.lower() in _OTHER_IMAGES and not os.path.isdir(out):
            expected = f"a folder, or a file that ends in {', '.join((*OVERLAYS, '.json'))}"
            raise OutputError(sentence(f"the output {quote(out)}", expected, "change the suffix in --out"))
        from wordmask.formats.folder import ResultFolder

        folder = ResultFolder(out)
        _writable(folder.coco_path)
        return cls(folder=folder)

    def write(self, result: Segmentation, name: str) -> list[Path]:
        """Write one image's files and return their paths, and that of the annotations, which `finish` writes."""
        if self.overlay:
            self.written = True
            return list(result.save(self.overlay))
        if self.folder:
            files = self.folder.add(result.annotated(), name=name)
            self.written = True
            return [*files, self.folder.coco_path]
        if self.coco:
            from wordmask.formats.coco import CocoAnnotations

            self._annotations = self._annotations or CocoAnnotations()
            self._annotations.add(result.annotated())
            return [self.coco]
        return []

    def finish(self) -> None:
        """Write the annotations of all images, if there were any."""
        if self.folder:
            self.folder.finish()
        elif self.coco and self._annotations:
            self._annotations.save(self.coco)
            self.written = True

    def summary(self) -> str:
        """Say where the files are."""
        return escaped(f"Written to {self.folder.folder if self.folder else self.overlay or self.coco}")


def json_line(result: Segmentation, name: str, files: list[Path]) -> str:
    """Return one image's results as JSON on one line, masks as COCO run lengths."""
    height, width = result.size
    line = json.dumps(
        {
            "image": name,
            "height": height,
            "width": width,
            "model": result.model,
            "files": [str(path) for path in files],
            "prompts": [_found_json(found) for found in result],
        },
        ensure_ascii=False,
    )
    return escaped_json(line)


def text_lines(result: Segmentation, name: str) -> str:
    """Return one image's results as text."""
    height, width = result.size
    return "\n".join(
        [f"{escaped(name)} ({width} x {height})", *(_found_text(found, height * width) for found in result)]
    )


def _found_json(found: Found) -> dict[str, Any]:
    from wordmask.ops.rle import encode_packed

    return {
        "prompt": found.name,
        "presence": round(float(found.presence), 4),
        "present": bool(found.present),
        "area": found.area,
        "box": found.box,
        "mask": encode_packed(found.packed),
        "instances": [_instance_json(instance) for instance in found.instances],
    }


def _instance_json(instance: Instance) -> dict[str, Any]:
    quality = None if instance.mask_score is None else round(float(instance.mask_score), 4)
    score = round(float(instance.score), 4)
    return {"box": instance.box, "area": instance.area, "score": score, "mask_score": quality}


def _found_text(found: Found, pixels: int) -> str:
    presence = f"presence {found.presence:.0%}"
    name = escaped(found.name)
    if not found.area:
        return f"  {name}: nothing found ({presence})"
    count = len(found.instances)
    things = f"{count} instance{'' if count == 1 else 's'}"
    return f"  {name}: {things}, {found.area / pixels:.1%} of the image ({presence})"


def _is_same(path: Path, word: str) -> bool:
    return os.path.exists(word) and os.path.samefile(path, word)


def _writable(path: Path) -> Path:
    """Say at once if a file could not be written; its folders are made later, with the file.

    Raises:
        OutputError: It could not.
    """
    if os.path.isdir(path):
        got = f"the folder {quote(path)} in the place of a file"
        raise OutputError(sentence(got, "a path for that file", "rename the folder, or change --out"))
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        got = f"the output {quote(path)}, which cannot be written ({getattr(error, 'strerror', None) or error})"
        raise OutputError(sentence(got, "a path that can be written", "change --out")) from error
    there = path
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if there != path and not os.path.isdir(there):
        got = f"no way to make the folder {quote(path.parent)} ({quote(there)} is a file)"
        raise OutputError(sentence(got, "a folder that can be written", "change --out"))
    if not os.access(there, os.W_OK):
        got = f"no permission to write {quote(path)}"
        raise OutputError(sentence(got, "a path that can be written", "change --out"))
    return path
