r"""An auto-annotation function for CVAT: masks of an ontology's phrases, inside CVAT.

    cvat-cli task auto-annotate TASK --function-module wordmask.annotate.cvat_function \\
      -p ontology=str:concepts.yaml -p model=str:compact

Labels of the task are matched by name. Where CVAT asks for polygons, each part of a mask becomes one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.annotate.exports.cvat import box_runs
from wordmask.annotate.ontology import read_ontology
from wordmask.errors import MissingExtraError, sentence

if TYPE_CHECKING:
    from wordmask.contracts import Segmenter
    from wordmask.ops.masks import PackedMask

__all__ = ["create"]


def create(ontology: str, model: str = "compact", device: str = "auto") -> Any:
    """Return the function that CVAT calls.

    Args:
        ontology: File of classes and phrases.
        model: As for `wordmask.load`.
        device: As for `wordmask.load`.

    Raises:
        MissingExtraError: If cvat-sdk is not installed.
    """
    from wordmask.api import load

    try:
        import cvat_sdk.auto_annotation as sdk
    except ImportError as error:
        raise MissingExtraError(sentence("no cvat-sdk", "cvat-sdk", "run `pip install cvat-sdk`")) from error
    return _Function(sdk, read_ontology(Path(ontology)), load(model, device=device))


class _Function:
    """What `cvat_sdk.auto_annotation.DetectionFunction` asks for: `spec` and `detect`."""

    def __init__(self, sdk: Any, ontology: Any, segmenter: Segmenter) -> None:
        self._sdk, self._ontology, self._segmenter = sdk, ontology, segmenter

    @property
    def spec(self) -> Any:
        """The labels that are found."""
        labels = [self._sdk.label_spec(name, n, type="any") for n, name in enumerate(self._ontology.names)]
        return self._sdk.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Any) -> list[Any]:
        """Return the shapes of an image: masks, or polygons where CVAT asks for them."""
        shapes = []
        least = context.conf_threshold or 0.0
        for label, concept in enumerate(self._ontology.concepts):
            options = {"threshold": concept.threshold, "presence_threshold": concept.presence}
            for found in self._segmenter.segment(image, concept.prompts, **options):
                for one in found.instances:
                    if one.score >= least and one.area:
                        shapes += self._shapes(label, one.packed, as_polygon=context.conv_mask_to_poly)
        return shapes

    def _shapes(self, label: int, mask: PackedMask, *, as_polygon: bool) -> list[Any]:
        if not as_polygon:
            left, top, right, bottom = mask.window
            return [self._sdk.mask(label, [*map(float, box_runs(mask)), left, top, right - 1, bottom - 1])]
        lines, _ = cv2.findContours(mask.crop().view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        offset = np.array(mask.window[:2])
        points = [(np.asarray(line)[:, 0] + offset).astype(float).ravel().tolist() for line in lines]
        return [self._sdk.polygon(label, line) for line in points if len(line) >= 6]
