"""Labels that people corrected, read back from Label Studio."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wordmask.annotate.exports.brush import decode_brush
from wordmask.annotate.sources import GivenLabel
from wordmask.errors import DataError, quote, sentence
from wordmask.ops.boxes import to_xywh
from wordmask.ops.masks import pack
from wordmask.ops.rle import encode

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.annotate.journal import Journal

__all__ = ["CORRECTED", "REVIEWED", "add_corrections"]

CORRECTED, REVIEWED = "corrected", "reviewed"


def add_corrections(journal: Journal, path: Path) -> int:
    """Put the labels of reviewed tasks in the place of the model's, and return the number of images.

    A reviewed image has exactly the labels that its annotation has: a class without one is absent from it. Images are
    found by the hash of their file. Tasks without an annotation, and those that were skipped, change nothing.

    Args:
        journal: Of the job.
        path: Label Studio's JSON export of tasks that `wordmask annotate` or `--review` wrote.

    Raises:
        DataError: If it is none.
    """
    try:
        tasks = json.loads(path.read_bytes())
        reviewed = {task["data"]["sha256"]: labels for task in tasks if (labels := _labels(task)) is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        got = f"the file {quote(path)} ({type(error).__name__}: {' '.join(str(error).split())[:80]})"
        raise DataError(sentence(got, "Label Studio's JSON export with brush labels", "export it as JSON")) from error
    changed = 0
    for row in list(journal.images()):
        if row.error is None and row.content in reviewed:
            journal.set_given(row.uri, reviewed[row.content], origin=CORRECTED)
            journal.set_given(row.uri, [GivenLabel("", {})], origin=REVIEWED)
            changed += 1
    _add_classes(journal, [label.name for labels in reviewed.values() for label in labels])
    return changed


def _labels(task: dict[str, Any]) -> list[GivenLabel] | None:
    """The labels of the last annotation of a task; None where nobody reviewed it."""
    done = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
    if not done:
        return None
    labels = []
    for result in done[-1]["result"]:
        value = result.get("value", {})
        if "rle" not in value or not value.get("brushlabels"):
            continue
        mask = pack(decode_brush(value["rle"], (result["original_height"], result["original_width"])))
        if mask.area and mask.box is not None:
            record = {"segmentation": dict(encode(mask.full())), "area": mask.area, "iscrowd": 0}
            labels.append(GivenLabel(value["brushlabels"][0], record | {"bbox": list(to_xywh(mask.box))}))
    return labels


def _add_classes(journal: Journal, names: list[str]) -> None:
    from wordmask.prompts import fold_phrase

    classes = json.loads(journal.meta("classes") or "[]")
    known = {fold_phrase(one["name"]) for one in classes}
    for name in dict.fromkeys(names):
        if fold_phrase(name) not in known:
            classes.append({"name": name, "questions": [], "presence": None})
            known.add(fold_phrase(name))
    journal.set_meta("classes", json.dumps(classes))
