"""The result for one prompt: presence, mask, heatmap, instances and the candidates that were scored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wordmask.formats.candidates import ShownCandidate
from wordmask.formats.named_mask import NamedMask, ScoredMask
from wordmask.ops import masks
from wordmask.ops.probability import logit
from wordmask.results.explain import SHOWN, best_first, candidate_lines, score_text
from wordmask.results.mask_logits import MaskLogits
from wordmask.results.region import Candidate, Instance, Region

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size, Window
    from wordmask.ops.masks import PackedMask
    from wordmask.prompts import Prompt
    from wordmask.results.region import Box

MIN_AREA_RATIO = 0.02
"""A connected part smaller than this fraction of the largest part belongs to the mask, but is no instance."""


@dataclass(frozen=True, eq=False, repr=False)
class Found:
    """The result for one prompt.

    A dense method gives `heatmap_logits`; a method that proposes regions gives `regions`; either may be None, or both
    be given. With regions, the mask is their union.

    Attributes:
        prompt: The prompt.
        presence: Probability in [0, 1] that the image shows the prompt at all.
        threshold: Probability above which a pixel belongs to the mask.
        presence_threshold: The mask is empty when `presence` is below this.
        size: `(H, W)` of the input image.
        heatmap_logits: Dense logits; None where the method makes no dense map.
        regions: Regions chosen for the prompt; None where the method proposes none.
        candidates: Everything that was scored for the prompt, chosen or not; () for dense methods.
        notes: What was done to choose the regions, for `explain`.
        label_threshold: In a label map, where names share the pixels, product of presence and probability that a pixel
            of the mask must exceed, too; None: the mask as it is.
    """

    prompt: Prompt
    presence: float
    threshold: float = field(kw_only=True)
    presence_threshold: float = field(kw_only=True)
    size: Size = field(kw_only=True)
    heatmap_logits: MaskLogits | None = field(default=None, kw_only=True)
    regions: tuple[Region, ...] | None = field(default=None, kw_only=True)
    candidates: Sequence[Candidate] = field(default=(), kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    label_threshold: float | None = field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """The prompt's name."""
        return self.prompt.name

    @property
    def present(self) -> bool:
        """Whether the presence reaches its threshold."""
        return self.presence >= self.presence_threshold

    @property
    def claim_threshold(self) -> float:
        """Probability above which a pixel may get this name in a label map: `threshold` or more."""
        if self.label_threshold is None:
            return self.threshold
        return max(self.threshold, min(1.0, self.label_threshold / max(self.presence, 1e-9)))

    @property
    def claim_logit(self) -> float:
        """Logit of `claim_threshold`; minus infinity where it is `threshold`, which the mask has passed."""
        return logit(self.claim_threshold) if self.claim_threshold > self.threshold else -math.inf

    @cached_property
    def packed(self) -> PackedMask:
        """The mask stored as bits."""
        if not self.present:
            return masks.empty(self.size)
        if self.regions is not None:
            return masks.union([masks.empty(self.size), *(instance.packed for instance in self.instances)])
        return self.heatmap_logits.packed(self.threshold) if self.heatmap_logits else masks.empty(self.size)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `(H, W)` at input size: the union of all that was found. A new array at every access."""
        return self.packed.full()

    @property
    def heatmap(self) -> NDArray[np.float32]:
        """float32 `(H, W)` in [0, 1] at input size, whatever the presence; computed at every access.

        Without a dense map: for each pixel, the highest product of a region's detection score and mask probability.
        """
        if self.heatmap_logits is not None:
            return self.heatmap_logits.probabilities()
        heat = np.zeros(self.size, dtype=np.float32)
        for region in self.regions or ():
            np.maximum(heat, np.float32(region.score) * _probabilities(region), out=heat)
        return heat

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """Objects one by one: the method's regions in its order, or the mask's connected parts, largest first.

        Connected parts smaller than `MIN_AREA_RATIO` of the largest are left out; parts that touch at a corner are one.
        """
        if not self.present:
            return ()
        if self.regions is not None:
            made = (Instance(r.packed(self.threshold), r.score, r.mask_score) for r in self.regions)
            return tuple(instance for instance in made if instance.area)
        dense = self.heatmap_logits
        if dense is None:
            return ()
        whole, parts = dense.parts(self.threshold, min_area_ratio=MIN_AREA_RATIO)
        vars(self).setdefault("packed", whole)  # interpolated for it as well
        return tuple(Instance(part, score) for part, score in parts)

    @property
    def area(self) -> int:
        """Number of pixels in the mask."""
        return self.packed.area

    @property
    def box(self) -> Box | None:
        """XYXY of the mask in input pixels, None when the mask is empty."""
        return self.packed.box

    def strips(self, window: Window) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield `(y, logits)` of the heatmap that cover `window` (x0, y0, x1, y1) from top to bottom."""
        if self.heatmap_logits is not None:
            yield from self.heatmap_logits.strips(window)
            return
        x0, y0, x1, y1 = window
        heat = self.heatmap[y0:y1, x0:x1].clip(1e-6, 1 - 1e-6)
        yield y0, np.log(heat / (1 - heat))

    def named_mask(self) -> NamedMask:
        """Return name, masks and scores as plain data, which `wordmask.formats` writes."""
        instances = (ScoredMask(one.packed, one.score, one.mask_score) for one in self.instances)
        return NamedMask(self.name, self.packed, self.presence, tuple(instances))

    def explain(self) -> str:
        """Return lines of text: presence and thresholds, the mask, what was done, and the best candidates' scores."""
        sign, state = (">=", "present") if self.present else ("<", "absent, so the mask is empty")
        fraction = self.area / (self.size[0] * self.size[1])
        parts = "connected parts" if self.regions is None else "regions"
        return "\n".join(
            [
                f"{self.name}: presence {self.presence:.2f} {sign} {self.presence_threshold:.2f}: {state}",
                f"  mask: {fraction:.1%} of the image above probability {self.threshold:.2f}, "
                f"{len(self.instances)} {parts}",
                *(f"  {note}" for note in self.notes),
                *candidate_lines(self.final_candidates, threshold=self.threshold),
            ]
        )

    def shown(self) -> list[ShownCandidate]:
        """Return the best candidates as plain data, which `wordmask.formats` draws; the instances without any."""
        if not self.candidates:
            return [ShownCandidate(one.packed, True, f"score {one.score:.2f}") for one in self.instances[:SHOWN]]
        best = best_first(self.final_candidates)[:SHOWN]
        return [ShownCandidate(one.region.packed(self.threshold), one.chosen, score_text(one)) for one in best]

    @property
    def final_candidates(self) -> Sequence[Candidate]:
        """The candidates; none is chosen where the prompt is absent, since the mask is empty then."""
        if self.present:
            return self.candidates
        return tuple(replace(one, chosen=False) if one.chosen else one for one in self.candidates)

    def __repr__(self) -> str:
        state = f"{len(self.instances)} instances, area={self.area}" if self.present else "absent"
        return f"Found({self.name!r}, presence={self.presence:.2f}, {state})"


def _probabilities(region: Region) -> NDArray[np.float32]:
    """Mask probabilities float32 `(H, W)` of a region; 1 and 0 where its mask is bits."""
    if isinstance(region.mask, MaskLogits):
        return region.mask.probabilities()
    return region.mask.full().astype(np.float32)
