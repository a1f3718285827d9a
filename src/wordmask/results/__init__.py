"""Results of segmentation: masks, heatmaps, scores and presences, interpolated on demand and stored as bits."""

from wordmask.results.found import MIN_AREA_RATIO, Found
from wordmask.results.mask_logits import MaskLogits
from wordmask.results.region import Candidate, Instance, Region
from wordmask.results.segmentation import Segmentation

__all__ = ["MIN_AREA_RATIO", "Candidate", "Found", "Instance", "MaskLogits", "Region", "Segmentation"]
