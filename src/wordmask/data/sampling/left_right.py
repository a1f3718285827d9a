"""Left and right in phrases of mirrored images: `prompts.left_right`, under the name that data sets use."""

from __future__ import annotations

from wordmask.prompts.left_right import swap_left_right

__all__ = ["swap_left_right"]
