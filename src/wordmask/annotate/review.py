"""The riskiest images first, as a Label Studio project: what a person should look at before anything else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.annotate.exports.label_studio import write_tasks
from wordmask.annotate.labelled import class_mask
from wordmask.ops.masks import iou, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["Risk", "rank", "write_review"]


@dataclass(frozen=True, order=True)
class Risk:
    """Why an image should be reviewed.

    Attributes:
        value: In [0, 1]; 1 is the riskiest.
        reason: The class and the measure that gave it.
        uri: The image.
    """

    value: float
    reason: str
    uri: str


def risk_of(image: LabelledImage, thresholds: Mapping[str, float], other: LabelledImage | None = None) -> Risk:
    """Return the highest of three risks over all classes.

    Presence near its threshold, `1 - |p - t| / max(t, 1 - t)`; a low mask quality, `1 - q` of the worst object; and
    disagreement with another model, 1 - IoU of the masks of the class.

    Args:
        image: With the labels of the first model.
        thresholds: Presence thresholds by class.
        other: With the labels of the second model; None without one.
    """
    risks = [Risk(0.0, "nothing", image.uri)]
    for name, presence in image.presence.items():
        cut = thresholds.get(name, 0.5)
        margin = 1 - abs(presence - cut) / max(cut, 1 - cut)
        risks.append(Risk(margin, f"{name}: presence {presence:.2f} near {cut:.2f}", image.uri))
        qualities = [one.mask_score for one in image.objects if one.name == name and one.mask_score is not None]
        if qualities:
            risks.append(Risk(1 - min(qualities), f"{name}: mask quality {min(qualities):.2f}", image.uri))
        if other is not None and name in other.presence:
            agreement = iou(pack(class_mask(image, name)), pack(class_mask(other, name)))
            risks.append(Risk(1 - agreement, f"{name}: IoU {agreement:.2f} of two models", image.uri))
    return max(risks, key=lambda risk: risk.value)


def rank(labelled: LabelledSet, second: LabelledSet | None = None) -> list[Risk]:
    """Return the risks of all images, the riskiest first; images that people reviewed are left out.

    Args:
        labelled: Labels of the first model.
        second: Labels of the second model on the same images.
    """
    thresholds = labelled.presence_thresholds()
    risks = []
    for image in labelled:
        if labelled.is_reviewed(image.uri):
            continue
        other = None
        if second is not None and (row := second.journal.image(image.uri)) is not None:
            other = second.labelled(row)
        risks.append(risk_of(image, thresholds, other))
    return sorted(risks, key=lambda risk: (-risk.value, risk.uri))


def write_review(labelled: LabelledSet, folder: Path, count: int, second: LabelledSet | None = None) -> int:
    """Write the riskiest images as `tasks.json` and `config.xml`, and `risks.jsonl` of all; return how many tasks.

    Args:
        labelled: Labels of the first model.
        folder: Where to.
        count: Tasks at most.
        second: Labels of the second model.
    """
    risks = rank(labelled, second)
    chosen = risks[:count]
    reasons = {risk.uri: risk for risk in chosen}
    folder.mkdir(parents=True, exist_ok=True)

    def images() -> Iterator[LabelledImage]:
        for risk in chosen:
            row = labelled.journal.image(risk.uri)
            assert row is not None
            yield labelled.labelled(row)

    def more(image: LabelledImage) -> dict[str, object]:
        return {"risk": round(reasons[image.uri].value, 4), "reason": reasons[image.uri].reason}

    write_tasks(images(), labelled.names, folder, more=more)
    with (folder / "risks.jsonl").open("w", encoding="utf-8") as file:
        for risk in risks:
            about = {"image": risk.uri, "risk": round(risk.value, 4), "reason": risk.reason}
            file.write(json.dumps(about, ensure_ascii=False) + "\n")
    return len(chosen)
