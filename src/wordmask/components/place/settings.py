"""Settings of words of place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wordmask.settings import Ranges, Settings

__all__ = ["PlaceSettings"]


@dataclass(frozen=True)
class PlaceSettings(Settings):
    """How the names of phrases with words of place are asked; phrases without such words never depend on it.

    Attributes:
        mirror: Whether the network is asked about the mirror image as well, and both answers are averaged
            (`components.place.mirror`): one more encoding of the image. Without it, which instance is found depends on
            the image's orientation.
        presence: Factor of the model's presence threshold, since who says where a thing is says that it is there; a
            threshold that the caller gives counts as it is.
    """

    mirror: bool = True
    presence: float = 0.6

    ranges: ClassVar[Ranges] = {"presence": (0, 1)}
