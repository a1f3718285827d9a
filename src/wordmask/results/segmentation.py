"""The result of segmenting one image with a list of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from wordmask.errors import ImageError, MissingExtraError, PromptError, installing, quote, sentence
from wordmask.prompts import distinct_prompts, fold_phrase

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from wordmask.formats.named_mask import AnnotatedImage
    from wordmask.formats.style import OverlayStyle
    from wordmask.images import ImageInput, RgbImage
    from wordmask.results.found import Found


_SHOWN = 3  # results in a repr


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """The results for all prompts about one image, in the order of the prompts.

    Attributes:
        size: `(height, width)` of the input.
        founds: One per prompt.
        image: The input, when it was kept.
        model: Name of the model.
    """

    size: tuple[int, int]
    founds: tuple[Found, ...]
    image: RgbImage | None
    model: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the prompts, duplicates included."""
        return tuple(found.name for found in self.founds)

    def __len__(self) -> int:
        return len(self.founds)

    def __iter__(self) -> Iterator[Found]:
        return iter(self.founds)

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.founds

    @overload
    def __getitem__(self, key: int | str) -> Found: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Found, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Found | tuple[Found, ...]:
        """Return a result by position, or the first one by the prompt's name; upper and lower case are the same.

        Raises:
            PromptError: If no prompt has that name.
            IndexError: If there is no such position.
        """
        if not isinstance(key, str):
            return self.founds[key]
        for same in (str.strip, fold_phrase):
            for found in self.founds:
                if same(found.name) == same(key):
                    return found
        asked = ", ".join(repr(name) for name in self.names)
        raise PromptError(sentence(f"the name {quote(key)}", f"one of {asked}", "use a prompt that was asked"))

    def __repr__(self) -> str:
        height, width = self.size
        shown = [repr(found) for found in self.founds[:_SHOWN]]
        if len(self) > _SHOWN:
            shown.append(f"and {len(self) - _SHOWN} more")
        return f"Segmentation({', '.join([self.model, f'{height} x {width}', *shown])})"

    def annotated(self, image: ImageInput | None = None) -> AnnotatedImage:
        """Return the result as plain data, which `wordmask.formats` writes; a repeated phrase comes once.

        Args:
            image: The input image, needed for an overlay when the result did not keep it.

        Raises:
            ImageError: If the image cannot be read or has another size.
        """
        from wordmask.formats.named_mask import AnnotatedImage
        from wordmask.images import load_image

        source = self.image if image is None else load_image(image)
        if source is not None and source.size != self.size:
            got = f"an image of size {source.size} (height, width)"
            raise ImageError(sentence(got, f"the size of the result, {self.size}", "pass the image that was segmented"))
        _, places = distinct_prompts([found.prompt for found in self.founds])
        once: dict[tuple[int, int, int], Found] = {}
        for place, found in zip(places, self.founds, strict=True):
            once.setdefault((place, id(found.heatmap_logits), id(found.regions)), found)
        masks = tuple(found.named_mask() for found in once.values())
        pixels = source.pixels if source else None
        name, path = (source.name, source.path) if source else (None, None)
        return AnnotatedImage(self.size, masks, name, path, pixels)

    def overlay(self, image: ImageInput | None = None, *, style: OverlayStyle | None = None) -> Image.Image:
        """Return the image with masks, outlines and labels drawn over it: RGB, at input size.

        Args:
            image: The input image, when the result did not keep it.
            style: Opacity, colours, size of labels; a legend that is asked for there makes the image higher.

        Raises:
            ImageError: If there is no image to draw on, or it has another size.
        """
        from wordmask.formats.overlay import draw_overlay

        return draw_overlay(self.annotated(image), style=style)

    def explained(self, key: int | str = 0, image: ImageInput | None = None) -> Image.Image:
        """Return the image with all that was scored for a prompt, chosen or rejected, and the scores below.

        Where nothing was scored the instances are shown. `Found.explain` says the same in words.

        Args:
            key: The prompt's position or name.
            image: The input image, when the result did not keep it.

        Raises:
            ImageError: If there is no image to draw on, or it has another size.
            PromptError: If no prompt has that name.
        """
        from wordmask.formats.candidates import draw_candidates

        pixels = self.annotated(image).pixels
        if pixels is None:
            got = "a result that did not keep its image"
            raise ImageError(sentence(got, "an image to draw on", "pass it as explained(key, image)"))
        found = self[key]
        return draw_candidates(pixels, found.shown(), found.explain().splitlines()[: 2 + len(found.notes)])

    def save(
        self,
        path: str | os.PathLike[str],
        image: ImageInput | None = None,
        *,
        on_existing: str = "append",
        style: OverlayStyle | None = None,
    ) -> tuple[Path, ...]:
        """Write the result: an overlay, COCO annotations, or a folder with everything.

        Args:
            path: `.png`, `.jpg` or `.webp` for the overlay alone, `.json` for the COCO annotations alone. A path
                without suffix, or that of an existing folder, for what `wordmask segment` writes into a folder:
                `NAME.overlay.png`, `NAME.mask-PHRASE.png` for every prompt, and `coco.json`, to which it is added.
            image: The input image, needed for an overlay when the result did not keep it.
            on_existing: What a folder or a `.json` file does with results that it has of this image: `append` phrases
                (those that it has are renewed), `replace` all of them, or `skip`. An overlay's file is replaced.
            style: How the overlay looks.

        Returns:
            The files.

        Raises:
            ImageError: If there is no image to draw on, or it has another size.
            OutputError: If the path is none, its suffix is unknown, a file cannot be written, or annotations are there
                that wordmask did not write.
        """
        from wordmask.formats.save import save

        return save(self.annotated(image), path, on_existing=on_existing, style=style)

    def to_coco(self) -> dict[str, Any]:
        """Return a COCO data set of this one image: images, categories, and annotations with lossless RLE.

        One annotation per instance; `iscrowd` is 0, `bbox` is XYWH; `score`, `mask_score` and `presence` come along.
        """
        from wordmask.formats.coco import CocoAnnotations

        return CocoAnnotations([self.annotated()]).content()

    def to_label_map(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return `(H, W)`: 0 for background, `i + 1` where prompt `i` is the most probable of the masks that claim it.

        With a calibrated presence (`Found.label_threshold`), only pixels where a prompt is more probable than the
        background are claimed, so masks of unsure prompts give a smaller part of their pixels, or none.
        uint8 for up to 255 prompts, else uint16. Among equals the earlier prompt wins.
        """
        labels = np.zeros(self.size, dtype=np.uint8 if len(self) <= 255 else np.uint16)
        best = np.full(self.size, -np.inf, dtype=np.float32)
        for index, found in enumerate(self.founds, start=1):
            x0, y0, x1, _ = found.packed.window
            claimed, least = found.packed.crop(), np.float32(found.claim_logit)
            for y, strip in found.strips(found.packed.window):
                place = np.s_[y : y + len(strip), x0:x1]
                wins = claimed[y - y0 : y - y0 + len(strip)] & (strip > np.maximum(best[place], least))
                np.copyto(labels[place], labels.dtype.type(index), where=wins)
                np.copyto(best[place], strip, where=wins)
        return labels

    def to_supervision(self) -> Any:
        """Return the instances as `supervision.Detections`; `class_id` is the prompt's position.

        Raises:
            MissingExtraError: If supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            remedy = installing("supervision")
            raise MissingExtraError(sentence("no supervision package", "supervision", remedy)) from error
        rows = [(index, instance) for index, found in enumerate(self.founds) for instance in found.instances]
        if not rows:
            return supervision.Detections.empty()
        return supervision.Detections(
            xyxy=np.array([instance.box for _, instance in rows], dtype=np.float32),
            mask=np.stack([instance.mask for _, instance in rows]),
            confidence=np.array([instance.score for _, instance in rows], dtype=np.float32),
            class_id=np.array([index for index, _ in rows], dtype=np.int64),
            data={"class_name": np.array([self.names[index] for index, _ in rows])},
        )
