"""Where the results of a run go: files in a folder (or one file), a JSON line, or lines for people."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordmask.errors import OutputError, quote, sentence
from wordmask.results import Found, Segmentation

DEFAULT_FOLDER = Path("segmented")
LONGEST_SLUG = 40


@dataclass
class Destination:
    """Writes what a run finds.

    Attributes:
        folder: Everything goes here: `NAME.overlay.png`, `NAME.mask-1-PHRASE.png`, and one `coco.json` for the run.
        overlay: Only the overlay, to this PNG.
        coco: Only the annotations, to this JSON.
    """

    folder: Path | None = None
    overlay: Path | None = None
    coco: Path | None = None
    _results: list[Segmentation] = field(default_factory=list)
    _stems: set[str] = field(default_factory=set)

    @classmethod
    def choose(cls, out: Path | None, *, pictures: int, write_nothing: bool) -> Destination:
        """Read the user's wish, and find out before the slow part whether it can be written.

        Raises:
            OutputError: It cannot, or one overlay file was asked for several pictures.
        """
        if out is None and write_nothing:
            return cls()
        out = out or DEFAULT_FOLDER
        if out.suffix.lower() == ".png" and not out.is_dir():
            if pictures > 1:
                got = f"the one file {quote(out)} for the overlays of {pictures} pictures"
                raise OutputError(sentence(got, "a folder", "give --out a folder"))
            return cls(overlay=_writable(out))
        if out.suffix.lower() == ".json" and not out.is_dir():
            return cls(coco=_writable(out))
        return cls(folder=_writable(out / "coco.json").parent)

    def write(self, result: Segmentation, name: str) -> list[Path]:
        """Write one picture's files and return their paths; the annotations wait for `close`."""
        if self.folder or self.coco:
            self._results.append(result)
        if self.overlay:
            result.save(self.overlay)
            return [self.overlay]
        return self._write_folder(self.folder, result, name) if self.folder else []

    def close(self) -> None:
        """Write the annotations of the whole run."""
        path = self.coco or (self.folder / "coco.json" if self.folder else None)
        if path is not None and self._results:
            from wordmask.formats.coco import save_coco

            save_coco(self._results, path)

    def summary(self) -> str:
        """Say where the files are."""
        return f"Written to {self.folder or self.overlay or self.coco}"

    def _write_folder(self, folder: Path, result: Segmentation, name: str) -> list[Path]:
        from wordmask.formats.masks import save_mask

        stem = self._new_stem(name)
        files = [folder / f"{stem}.overlay.png"]
        result.save(files[0])
        for number, found in enumerate(result, start=1):
            files.append(folder / f"{stem}.mask-{number}-{_slug(found.name)}.png")
            save_mask(found, files[-1])
        return files

    def _new_stem(self, name: str) -> str:
        """Name the files after the picture; a number tells apart pictures of the same name from several folders."""
        stem = Path(name.removeprefix("sample:")).stem.replace(" ", "-")
        choices = (stem, *(f"{stem}-{number}" for number in range(2, len(self._stems) + 3)))
        chosen = next(choice for choice in choices if choice not in self._stems)
        self._stems.add(chosen)
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


def _slug(phrase: str) -> str:
    """Make a phrase fit for a file name on any system: letters and digits of any script, joined by hyphens."""
    return re.sub(r"[\W_]+", "-", phrase).strip("-")[:LONGEST_SLUG].strip("-").lower() or "prompt"


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
