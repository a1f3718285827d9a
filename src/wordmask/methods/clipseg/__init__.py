"""CLIPSeg: text, visual and mixed prompts; a light decoder on frozen CLIP towers (arXiv 2112.10003)."""

from __future__ import annotations

from wordmask.methods.clipseg.loader import load_clipseg

__all__ = ["load_clipseg"]
