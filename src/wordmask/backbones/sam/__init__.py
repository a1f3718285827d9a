"""Segment Anything (arXiv 2304.02643) through transformers, with a faster vision encoder and mask decoder."""

from __future__ import annotations

from wordmask.backbones.sam.load import SamParts, load_sam

__all__ = ["SamParts", "load_sam"]
