"""Explanations of `wordmask segment --explain`: what was scored for each phrase, as text, JSON and images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.cli.printed import escaped
from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from wordmask.results import Found, Segmentation

SOFTWARE = 0x0131  # the tag of EXIF


def explained_text(result: Segmentation) -> str:
    """Return why each phrase has the mask it has, indented, its control characters escaped line by line."""
    return "\n".join(f"  {escaped(line)}" for found in result for line in found.explain().split("\n"))


def explained_json(found: Found) -> dict[str, Any]:
    """Return a phrase's explanation and candidates for `--json`."""
    return {
        "explain": found.explain().splitlines(),
        "candidates": [
            {
                "chosen": one.chosen,
                "score": round(float(one.region.score), 4),
                "scores": {name: round(float(value), 4) for name, value in one.scores.items()},
                "box": one.region.packed(found.threshold).box,
                "area": one.region.packed(found.threshold).area,
            }
            for one in found.final_candidates
        ],
    }


def write_explanations(result: Segmentation, files: list[Path]) -> list[Path]:
    """Write an image of candidates for each phrase beside its mask, or beside the overlay where there are no masks.

    Args:
        result: The result of one image.
        files: What was written of it.

    Returns:
        The files, `NAME.explain-PHRASE.png`.

    Raises:
        OutputError: If a file cannot be written, or a file of that name is not an earlier explanation.
    """
    from wordmask.formats.files import file_names

    images = [path for path in files if path.suffix != ".json"]
    masks = [path for path in images if ".mask-" in path.name]
    if masks:
        targets = [path.with_name(path.name.replace(".mask-", ".explain-", 1)) for path in masks]
    else:
        names = file_names(list(result.names), suffix=".png")
        targets = [images[0].with_name(f"{images[0].stem}.explain-{name}") for name in names] if images else []
    for index, path in enumerate(targets):
        _write(result, index, path)
    return targets


def _write(result: Segmentation, index: int, path: Path) -> None:
    from PIL import Image

    from wordmask.formats.files import write
    from wordmask.formats.overlay import is_overlay

    if path.exists() and not is_overlay(path):
        got = f"the file {quote(path)}, which wordmask did not write, in the place of an explanation"
        raise OutputError(sentence(got, "a new file", "rename it, or change --out"))
    made_by, buffer = Image.Exif(), io.BytesIO()
    made_by[SOFTWARE] = "wordmask"
    result.explained(index).save(buffer, "PNG", exif=made_by)
    write(path, buffer.getvalue())
