"""Write exports: each into a fresh folder that takes the old one's place, never over labels that were edited."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wordmask.annotate.exports.base import ExportOptions
from wordmask.errors import OutputError, quote, sentence
from wordmask.formats.files import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wordmask.annotate.exports.base import Export
    from wordmask.annotate.labelled import LabelledSet

__all__ = ["FORMATS", "export_all", "find_format"]

FORMATS = {
    "coco": "coco:CocoInstances",
    "coco-results": "coco:CocoResults",
    "coco-panoptic": "panoptic:CocoPanoptic",
    "yolo": "yolo:YoloSegmentation",
    "label-map": "label_maps:LabelMaps",
    "class-png": "label_maps:ClassMasks",
    "label-studio": "label_studio:LabelStudio",
    "cvat": "cvat:CvatImages",
    "datumaro": "datumaro:Datumaro",
    "hugging-face": "hugging_face:HuggingFaceFolder",
    "voc": "voc:PascalVoc",
}
"""Formats by name: where each is."""
_KEPT = ".exports"


def find_format(name: str) -> Export:
    """Return a format by its name.

    Raises:
        OutputError: If there is none of that name.
    """
    if name not in FORMATS:
        raise OutputError(sentence(f"the format {quote(name)}", f"one of {', '.join(FORMATS)}", "choose one of these"))
    module, _, kind = FORMATS[name].partition(":")
    made: Export = getattr(import_module(f"wordmask.annotate.exports.{module}"), kind)()
    return made


def export_all(
    labelled: LabelledSet,
    out: Path,
    names: Sequence[str],
    options: ExportOptions | None = None,
    *,
    replace: bool = False,
) -> list[Path]:
    """Write formats into `out / NAME`, read each back, and write what was lost into `out / fidelity.md`.

    Args:
        labelled: What is written.
        out: Folder of the job.
        names: Formats.
        options: How.
        replace: Whether a folder that was edited, or that something else wrote, is replaced.

    Returns:
        The folders, and the report.

    Raises:
        OutputError: If a folder there was edited or is not of wordmask, or something cannot be written.
    """
    from wordmask.annotate.fidelity import compare, report_text

    options = options or ExportOptions()
    exports = [find_format(name) for name in dict.fromkeys(names)]
    if not replace:
        for export in exports:
            _require_untouched(out, export.name)
    measured = []
    for export in exports:
        _write(labelled, out, export, options)
        measured.append(compare(labelled, export, out / export.name))
    report = write(out / "fidelity.md", report_text(labelled, _earlier(out, measured)).encode())
    return [*(out / export.name for export in exports), report]


def _earlier(out: Path, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join what was measured now with what earlier exports of the folder kept."""
    for one in measured:
        write(out / _KEPT / f"{one['format']}.fidelity.json", json.dumps(one).encode())
    kept = (out / _KEPT).glob("*.fidelity.json")
    found = [json.loads(path.read_bytes()) for path in kept]
    order = list(FORMATS)
    return sorted((one for one in found if one["format"] in order), key=lambda one: order.index(one["format"]))


def _write(labelled: LabelledSet, out: Path, export: Export, options: ExportOptions) -> None:
    target, fresh, old = out / export.name, out / f".{export.name}.part", out / f".{export.name}.old"
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        export.write(labelled, fresh, options)
        kept, made = out / _KEPT / f"{export.name}.json", _hashes(fresh)
        write(kept, json.dumps([*_states(kept), made]).encode())  # a kill may leave the old folder, or the new one
        if target.exists():
            os.replace(target, old)
        os.replace(fresh, target)
        write(kept, json.dumps([made]).encode())
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        got = f"the folder {quote(target)}, which cannot be written ({error.strerror})"
        raise OutputError(sentence(got, "a folder that can be written", "check permissions and space")) from error


def _states(kept: Path) -> list[dict[str, str]]:
    """Hashes of the files of the last exports that may be there; [] where there are none."""
    found: list[dict[str, str]] = json.loads(kept.read_bytes()) if kept.is_file() else []
    return found


def _hashes(folder: Path) -> dict[str, str]:
    """Hashes of the files that wordmask wrote, without linked images."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _require_untouched(out: Path, name: str) -> None:
    """Check that a folder is as wordmask wrote it.

    Raises:
        OutputError: If a file was changed or added, or something else made the folder.
    """
    target, kept = out / name, out / _KEPT / f"{name}.json"
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    remedy = "rename it to keep it, or say --on-existing replace"
    if not kept.is_file():
        got = f"the folder {quote(target)}, which wordmask did not write"
        raise OutputError(sentence(got, "no such folder, or one of an earlier run", remedy))
    states, now = _states(kept), _hashes(target)
    changed = sorted(path for path in {*states[-1], *now} if states[-1].get(path) != now.get(path))
    if now not in states:
        got = f"the file {quote(target / changed[0])}, which was changed since wordmask wrote it"
        raise OutputError(sentence(got, "labels as they were written", remedy))
