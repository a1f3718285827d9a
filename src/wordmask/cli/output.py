"""Where the results of a run go: files in a folder (or one file), a JSON line, or lines for people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordmask.cli.sources import Source
from wordmask.errors import OutputError, quote, sentence
from wordmask.formats.files import shortened
from wordmask.results import Found, Segmentation

DEFAULT_FOLDER = Path("segmented")
OVERLAYS = (".png", ".jpg", ".jpeg", ".webp")
"""An output path that ends so is the file of one overlay."""


@dataclass
class Destination:
    """Writes what a run finds.

    Attributes:
        overlay: The overlay of the one picture goes here.
        folder: `NAME.overlay.png` and `NAME.mask-PHRASE.png` of every picture go here.
        coco: The annotations of the whole run go here.
    """

    overlay: Path | None = None
    folder: Path | None = None
    coco: Path | None = None
    _stems: set[str] = field(default_factory=set)

    @classmethod
    def choose(cls, out: Path | None, *, pictures: Sequence[Source], write_nothing: bool) -> Destination:
        """Read the user's wish, and find out before the slow part whether it can be written.

        Raises:
            OutputError: It cannot, or one overlay file was asked for several pictures or in the place of its picture.
        """
        if out is None and write_nothing:
            return cls()
        out = out or DEFAULT_FOLDER
        if out.suffix.lower() in OVERLAYS and not out.is_dir():
            if len(pictures) > 1:
                got = f"the one file {quote(out)} for the overlays of {len(pictures)} pictures"
                raise OutputError(sentence(got, "a folder", "give --out a folder"))
            if out.exists() and any(isinstance(word, str) and _is_same(out, word) for word in pictures):
                got = f"the picture {quote(out)} itself as the output"
                raise OutputError(sentence(got, "another file, so that the picture stays", "change --out"))
            return cls(overlay=_writable(out))
        if out.suffix.lower() == ".json" and not out.is_dir():
            return cls(coco=_writable(out))
        return cls(folder=out, coco=_writable(out / "coco.json"))

    def write(self, result: Segmentation, name: str) -> list[Path]:
        """Write one picture's files and return their paths."""
        if self.overlay:
            result.save(self.overlay)
            return [self.overlay]
        if not self.folder:
            return []
        from wordmask.formats.png import save_masks

        stem = self._new_stem(name)
        overlay = self.folder / f"{stem}.overlay.png"
        result.save(overlay)
        return [overlay, *save_masks(result, self.folder, prefix=f"{stem}.mask-")]

    def finish(self, results: Iterator[Segmentation]) -> None:
        """Take the results one by one, so that one is held at a time, and write the annotations of all."""
        if self.coco:
            from wordmask.formats.coco import save_coco

            save_coco(results, self.coco)
        else:
            for _ in results:
                pass

    def summary(self) -> str:
        """Say where the files are."""
        return f"Written to {self.folder or self.overlay or self.coco}"

    def _new_stem(self, name: str) -> str:
        """Name the files after the picture; a number tells apart pictures of the same name from several folders."""
        stem = shortened(Path(name.removeprefix("sample:")).stem.replace(" ", "-"))
        choices = (stem, *(f"{stem}-{number}" for number in range(2, len(self._stems) + 3)))
        chosen = next(choice for choice in choices if choice.casefold() not in self._stems)
        self._stems.add(chosen.casefold())
        return chosen


def json_line(result: Segmentation, name: str, files: list[Path]) -> str:
    """Return one picture's answers as JSON on one line, masks as COCO run lengths."""
    height, width = result.size
    return json.dumps(
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


def text_lines(result: Segmentation, name: str) -> str:
    """Return one picture's answers for people to read."""
    height, width = result.size
    return "\n".join([f"{name} ({width} x {height})", *(_found_text(found, height * width) for found in result)])


def _found_json(found: Found) -> dict[str, Any]:
    from wordmask.ops.rle import encode_packed

    return {
        "prompt": found.name,
        "presence": round(float(found.presence), 4),
        "present": bool(found.present),
        "area": found.area,
        "box": found.box,
        "mask": encode_packed(found.packed),
        "instances": [{"box": i.box, "area": i.area, "score": round(float(i.score), 4)} for i in found.instances],
    }


def _found_text(found: Found, pixels: int) -> str:
    presence = f"presence {found.presence:.0%}"
    if not found.area:
        return f"  {found.name}: nothing found ({presence})"
    count = len(found.instances)
    things = f"{count} instance{'' if count == 1 else 's'}"
    return f"  {found.name}: {things}, {found.area / pixels:.1%} of the picture ({presence})"


def _is_same(path: Path, word: str) -> bool:
    return os.path.exists(word) and os.path.samefile(path, word)


def _writable(path: Path) -> Path:
    """Make the folder of a file, and say at once if the file could not be written there.

    Raises:
        OutputError: It could not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = f"no way to make the folder {quote(path.parent)} ({error.strerror})"
        raise OutputError(sentence(got, "a folder that can be written", "give another place with --out")) from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        got = f"no permission to write {quote(path)}"
        raise OutputError(sentence(got, "a place that can be written", "give another place with --out"))
    return path
