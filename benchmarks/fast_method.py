"""A method that takes microseconds an image and imports no torch, for benchmarks of everything around a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.contracts import Encoded
from wordmask.images import load_image
from wordmask.ops.geometry import squash
from wordmask.ops.masks import components, pack
from wordmask.prompts import TextPrompt, as_prompts
from wordmask.results import Found, Region, Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BrightRegions"]


class BrightRegions:
    """Finds the bright or the dark parts of an image, whatever else it is asked."""

    name = "bright-regions"
    accepts = frozenset({TextPrompt})
    joint_vocabulary = False
    trainable = False
    exportable = False

    def encode(self, image: Any) -> Encoded:
        """Return the grey values as features."""
        image = load_image(image)
        return Encoded(image.size, squash(image.size, image.size), image.pixels.mean(axis=2), image, self.name)

    def segment(
        self, image: Any, prompts: Any, *, threshold: float | None = None, presence_threshold: float | None = None
    ) -> Segmentation:
        """Return connected parts above, or for "dark" below, half of the range."""
        encoded = image if isinstance(image, Encoded) else self.encode(image)
        founds = []
        for prompt in as_prompts(prompts):
            mask = encoded.features < 20 if prompt.name == "dark" else encoded.features > 128
            regions = tuple(Region(part, 0.9, 0.8) for part in components(pack(mask), min_area_ratio=0.1))
            presence = 0.9 if regions else 0.1
            wanted = 0.5 if presence_threshold is None else presence_threshold
            founds.append(
                Found(prompt, presence, threshold=0.5, presence_threshold=wanted, size=encoded.size, regions=regions)
            )
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def segment_many(self, images: Iterable[Any], prompts: Any, **options: Any) -> Iterator[Segmentation]:
        """Yield one result per image."""
        options.pop("batch_size", None)
        return (self.segment(image, prompts, **options) for image in images)
