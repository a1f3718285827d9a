"""TAS: training-free referring segmentation by proposals scored with image, caption and negative phrases."""

from wordmask.methods.tas.loading import load_tas, load_tas_compact

__all__ = ["load_tas", "load_tas_compact"]
