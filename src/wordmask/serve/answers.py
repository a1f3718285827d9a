"""From the results of a segmenter to the body of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.ops.boxes import to_xywh
from wordmask.serve.mask_formats import heatmap, mask_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.results import Found, Instance
    from wordmask.serve.request import SegmentRequest

__all__ = ["results", "status"]


def results(founds: Sequence[Found], request: SegmentRequest, *, margin: float) -> list[dict[str, Any]]:
    """Return the `results` of an answer, one for each prompt in order.

    Args:
        founds: What the model found.
        request: What was asked.
        margin: Distance of a presence from its threshold below which it is `unsure`.
    """
    return [_result(index, found, request, margin) for index, found in enumerate(founds)]


def status(found: Found, margin: float) -> str:
    """Return `present`, `absent`, or `unsure` where the presence is nearer than `margin` to its threshold."""
    if abs(found.presence - found.presence_threshold) < margin:
        return "unsure"
    return "present" if found.present else "absent"


def _result(index: int, found: Found, request: SegmentRequest, margin: float) -> dict[str, Any]:
    result: dict[str, Any] = {
        "index": index,
        "prompt": found.name,
        "status": status(found, margin),
        "presence": _rounded(found.presence),
        "threshold": _rounded(found.threshold),
        "presence_threshold": _rounded(found.presence_threshold),
        "masks": _masks(found, request),
    }
    if request.heatmap:
        result["heatmap"] = heatmap(found)
    if request.explain:
        result["explanation"] = found.explain()
    return result


def _masks(found: Found, request: SegmentRequest) -> list[dict[str, Any]]:
    if request.instances:
        return [_mask(instance, request.format) for instance in found.instances]
    from wordmask.results import Instance

    scores = [instance.score for instance in found.instances]
    return [_mask(Instance(found.packed, max(scores, default=0.0)), request.format)] if found.area else []


def _mask(instance: Instance, kind: str) -> dict[str, Any]:
    quality = instance.mask_score
    return {
        "bbox": list(to_xywh(instance.box)),
        "area": instance.area,
        "score": _rounded(instance.score),
        "mask_score": None if quality is None else _rounded(quality),
        **mask_fields(instance.packed, kind),
    }


def _rounded(value: float) -> float:
    return round(float(value), 5)
