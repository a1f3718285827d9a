"""Output of `wordmask segment`: files, JSON lines, or text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.cli.explanations import explained_json
from wordmask.cli.printed import escaped, escaped_json
from wordmask.cli.sources import Source, StandardInput
from wordmask.errors import OutputError, quote, sentence
from wordmask.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from wordmask.formats.coco_file import CocoFile
    from wordmask.formats.folder import ResultFolder
    from wordmask.formats.style import OverlayStyle
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
        on_existing: What is done with images that have results there.
        style: How overlays look.
        written: Whether there is any file yet; folders are made with the first one.
    """

    overlay: Path | None = None
    folder: ResultFolder | None = None
    coco: CocoFile | None = None
    on_existing: str = "append"
    style: OverlayStyle | None = None
    written: bool = False

    @classmethod
    def choose(
        cls,
        out: str | Path | None,
        *,
        images: Sequence[Source],
        write_nothing: bool,
        on_existing: str = "append",
        style: OverlayStyle | None = None,
    ) -> Destination:
        """Interpret `--out`, and check before any model is loaded that it can be written.

        Raises:
            OutputError: It is empty, cannot be written, has another suffix, is one overlay file for several images,
                the image itself, or a file that wordmask did not write.
        """
        if out is None and write_nothing:
            return cls()
        if out == "":  # a shell variable that is not set
            raise OutputError(sentence("an empty --out", "a folder or a file", "name one, or leave --out away"))
        from wordmask.formats.coco_file import CocoFile, checked_on_existing

        checked_on_existing(on_existing)
        path = at_home(Path(out or DEFAULT_FOLDER))
        suffix = "" if os.path.isdir(path) else path.suffix.lower()
        if suffix in OVERLAYS:
            return cls(_overlay_file(path, images, on_existing), on_existing=on_existing, style=style)
        if suffix == ".json":
            coco = CocoFile(_writable(path), on_existing=on_existing)
            return cls(coco=coco, on_existing=on_existing, style=style)
        if suffix in _OTHER_IMAGES:
            expected = f"a folder, or a file that ends in {', '.join((*OVERLAYS, '.json'))}"
            raise OutputError(sentence(f"the output {quote(path)}", expected, "change the suffix in --out"))
        from wordmask.formats.folder import ResultFolder

        _writable(path / "coco.json")
        inputs = [image for image in images if isinstance(image, str)]
        folder = ResultFolder(path, on_existing=on_existing, inputs=inputs, style=style)
        return cls(folder=folder, on_existing=on_existing, style=style)

    def is_done(self, source: Source, phrases: Sequence[str]) -> bool:
        """Whether an image is to be skipped, because its results are there."""
        if self.on_existing != "skip":
            return False
        if self.overlay:
            return self.overlay.is_file()
        coco = self.folder.coco if self.folder else self.coco
        return coco is not None and isinstance(source, str) and coco.is_done(coco.name_of(source, None), phrases)

    def write(self, result: Segmentation, name: str) -> list[Path]:
        """Write one image's files and return their paths, and that of the annotations, which `finish` writes."""
        if self.overlay:
            self.written = True
            return list(result.save(self.overlay, style=self.style))
        if self.folder:
            files = self.folder.add(result.annotated(), name=name)
            self.written = True
            return [*files, self.folder.coco_path]
        if self.coco:
            image = result.annotated()
            self.coco.add(image, self.coco.name_of(image.path, image.name or name))
            return [self.coco.path]
        return []

    @property
    def may_block(self) -> bool:
        """Whether the annotations go to a pipe, whose reader may never come."""
        return self.coco is not None and os.path.exists(self.coco.path) and not self.coco.path.is_file()

    def finish(self) -> None:
        """Write the annotations of all images, if there were any."""
        if self.folder:
            self.folder.finish()
        elif self.coco and self.coco.write():
            self.written = True

    def summary(self) -> str:
        """Say where the files are."""
        coco = self.coco.path if self.coco else None
        return escaped(f"Written to {self.folder.folder if self.folder else self.overlay or coco}")


def at_home(path: Path) -> Path:
    """Return a path whose first part `~` is replaced by the user's home, which the shell leaves where it is quoted."""
    return path.expanduser() if path.parts[:1] == ("~",) else path


def _overlay_file(path: Path, images: Sequence[Source], on_existing: str) -> Path:
    if len(images) > 1:
        got = f"the one file {quote(path)} for the overlays of {len(images)} images"
        raise OutputError(sentence(got, "a folder", "give --out a folder"))
    if os.path.exists(path) and any(_is_same(path, image) for image in images):
        got = f"the image {quote(path)} itself as the output"
        raise OutputError(sentence(got, "another file, so that the image stays", "change --out"))
    from wordmask.formats.overlay import is_overlay

    if on_existing == "append" and path.is_file() and not is_overlay(path):
        got = f"the file {quote(path)}, which wordmask did not write, in the place of the output"
        remedy = "change --out, or add --on-existing replace"
        raise OutputError(sentence(got, "a new file, or an overlay of an earlier run", remedy))
    return _writable(path)


def json_line(result: Segmentation, name: str, files: list[Path], *, explain: bool = False) -> str:
    """Return one image's results as JSON on one line, masks as COCO run lengths; with all that was scored if asked."""
    height, width = result.size
    line = json.dumps(
        {
            "image": name,
            "height": height,
            "width": width,
            "model": result.model,
            "files": [str(path) for path in files],
            "prompts": [_found_json(found) | (explained_json(found) if explain else {}) for found in result],
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
    return f"  {name}: {things}, {_percent(found.area / pixels)} of the image ({presence})"


def _percent(ratio: float) -> str:
    """Return a ratio above 0 in percent, with a digit that is not 0."""
    return "less than 0.01%" if ratio < 1e-4 else f"{ratio:.1%}" if ratio >= 1e-3 else f"{ratio:.2%}"


def _is_same(path: Path, image: Source) -> bool:
    """Whether a path is the file that an image is read from, also by redirection."""
    if isinstance(image, StandardInput):
        try:
            return os.path.samestat(os.stat(path), os.fstat(sys.stdin.fileno()))
        except (OSError, ValueError, AttributeError):  # a closed input, or none of the system's
            return False
    return os.path.exists(image) and os.path.samefile(path, image)


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
