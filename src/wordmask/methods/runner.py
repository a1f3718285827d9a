"""The half of a segmenter that does not depend on the method: reading, batching, validation, iteration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from wordmask.components.place.mirror import flipped_found, flipped_image, merged, swapped_prompt
from wordmask.components.place.prompts import PlacedPrompts, split_prompts
from wordmask.components.place.settings import PlaceSettings
from wordmask.components.thresholds import Thresholds, checked_probability
from wordmask.contracts import Encoded
from wordmask.errors import ImageError, quote, sentence
from wordmask.images import ImageInput, RgbImage, load_image
from wordmask.methods.call_checks import batches, check_numbers, check_types, checked_batch_size, is_single_image
from wordmask.methods.table import REFINER, imported
from wordmask.ops.resize import normalised, place
from wordmask.prompts import Prompt, PromptInput, as_prompts, distinct_prompts
from wordmask.results import Segmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wordmask.ops.geometry import Placement, Size
    from wordmask.results import Found

Plan = TypeVar("Plan")


class ImageModel(Protocol):
    """What a `MethodRunner` needs of a network to encode images; attributes as in `contracts.DenseModel`."""

    @property
    def name(self) -> str: ...
    @property
    def accepts(self) -> frozenset[type]: ...
    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def presence_threshold(self) -> float: ...

    def canvas(self, size: Size) -> Placement: ...
    def encode_pixels(self, pixels: Tensor) -> Any: ...


@dataclass(frozen=True)
class Together(Generic[Plan]):
    """Prompts that are asked together.

    Attributes:
        plan: What `prepare` made of the different ones.
        rows: Their positions among `Asked.prompts.asked`.
        places: For each its place among the different ones.
    """

    plan: Plan
    rows: tuple[int, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Asked(Generic[Plan]):
    """The prompts of a call.

    Attributes:
        prompts: All of them, in order, split into what names and what places.
        usual: Those without words of place; None where there are none.
        named: The names of those with words of place; None where there are none.
        mirrored: The same as they read for the mirror image; None where it is not asked about.
    """

    prompts: PlacedPrompts
    usual: Together[Plan] | None
    named: Together[Plan] | None = None
    mirrored: Together[Plan] | None = None


class MethodRunner(ABC, Generic[Plan]):
    """A `Segmenter` but for two steps that each method writes: `prepare` prompts, and `answer` them for an image.

    It reads images, encodes those of equal canvas together, checks prompts, thresholds and batch size, and iterates.
    Nothing about an image is kept between calls.

    Args:
        model: The network, in evaluation mode, on `device` and in `dtype`.
        device: Device of the pixels.
        dtype: Precision of the model; pixels are float32 in any case.

    Attributes:
        refines: Whether masks are refined (`components.refiner`) in calls that do not say.
        understands_place: Whether the method itself reads words of place; otherwise they choose among its instances
            (`components.place`).
        place_settings: How the names of phrases with words of place are asked.
    """

    joint_vocabulary: bool = False
    trainable: bool = False
    exportable: bool = False
    understands_place: bool = False

    def __init__(
        self, model: ImageModel, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self._image_model = model
        self.device = torch.device(device)
        self.dtype = dtype
        self.refines = False
        self.place_settings = PlaceSettings()

    @abstractmethod
    def prepare(self, prompts: tuple[Prompt, ...]) -> Plan:
        """Return what depends on the prompts alone, such as their embeddings; made once for all images of a call."""

    @abstractmethod
    def answer(self, encoded: Encoded, plan: Plan, thresholds: Thresholds) -> Segmentation:
        """Return one `Found` per prompt, in order. It runs in inference mode."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._image_model.name

    @property
    def accepts(self) -> frozenset[type]:
        """The prompt types that the model takes."""
        return self._image_model.accepts

    def encode(self, image: ImageInput) -> Encoded:
        """Return the image encoder's features; `segment` takes them in the image's place.

        Raises:
            ImageError: If the image cannot be read.
        """
        return self._encode_all([load_image(image)])[0]

    def encode_many(self, images: Sequence[ImageInput]) -> list[Encoded]:
        """Return the features of several images, in order; those of equal canvas go through the network together.

        Raises:
            ImageError: If an image cannot be read.
        """
        return self._encode_all([load_image(image) for image in images])

    def segment(
        self,
        image: ImageInput | Encoded,
        prompts: PromptInput,
        *,
        threshold: float | None = None,
        presence_threshold: float | None = None,
        refine: bool | None = None,
        place: str = "auto",
    ) -> Segmentation:
        """Return one `Found` per prompt, in order.

        Args:
            image: An image, or what `encode` made of one.
            prompts: A phrase or prompt, or several.
            threshold: Probability above which a pixel belongs to a mask; None takes the model's, which may be one of
                its own for each mask (`ops.probability.best_threshold`).
            presence_threshold: Presence below which a mask is empty; None takes the model's.
            refine: Whether masks are redrawn at the image's own resolution; None takes the model's `refines`.
            place: How words of place are read ("the second cup from the left"): "auto", "viewer", "subject" or "off"
                (`components.place.prompts.split_prompts`).

        Raises:
            ImageError: If the image cannot be read, or was encoded with other weights; another device or precision
                will do.
            CheckpointError: If the model's answer is no number: weights that overflow.
            PromptError: If a prompt is blank or of a type that the model does not take, or a threshold is none.
        """
        thresholds = self._thresholds(threshold, presence_threshold)
        asked = self._ask(prompts, place)
        if not isinstance(image, Encoded):
            image = self.encode(image)
        image.require(self.name)
        return self._answer(image, asked, thresholds, refine)

    def segment_many(
        self,
        images: Iterable[ImageInput],
        prompts: PromptInput,
        *,
        batch_size: int = 8,
        threshold: float | None = None,
        presence_threshold: float | None = None,
        refine: bool | None = None,
        place: str = "auto",
    ) -> Iterator[Segmentation]:
        """Yield one `Segmentation` per image, in order; up to `batch_size` images are read and encoded together.

        Fewer images than that are read together where they have more than `PIXELS_AT_ONCE` pixels in all.

        Raises:
            ImageError: If an image cannot be read: after the results of all images before it, and the iteration ends.
                At once if `images` is a single one.
            PromptError: As in `segment`, or for a batch size that is none, at once.
            CheckpointError: As in `segment`.
        """
        if is_single_image(images):
            got = f"a single image ({quote(images) if isinstance(images, str) else type(images).__name__})"
            raise ImageError(sentence(got, "several", "pass a list of images, or call segment for one"))
        size = checked_batch_size(batch_size)
        thresholds = self._thresholds(threshold, presence_threshold)
        return self._segment_all(iter(images), self._ask(prompts, place), size, thresholds, refine)

    def _segment_all(
        self, images: Iterator[ImageInput], asked: Asked[Plan], batch_size: int, thresholds: Thresholds,
        refine: bool | None,
    ) -> Iterator[Segmentation]:  # fmt: skip
        for batch in batches(images, batch_size):
            for encoded in self._encode_all(batch):
                yield self._answer(encoded, asked, thresholds, refine)

    @torch.inference_mode()
    def _ask(self, prompts: PromptInput, place: str = "auto") -> Asked[Plan]:
        every = as_prompts(prompts)
        check_types(every, self.accepts, model=self.name)
        split = split_prompts(every, "off" if self.understands_place else place)
        usual = tuple(row for row in range(len(every)) if split.placed[row] is None)
        named = split.named
        swapped = tuple(swapped_prompt(prompt) for prompt in split.asked) if named else ()
        return Asked(
            split,
            self._together(split.asked, usual) if usual else None,
            self._together(split.asked, named) if named else None,
            self._together(swapped, named) if named and self.place_settings.mirror else None,
        )

    def _together(self, prompts: Sequence[Prompt], rows: tuple[int, ...]) -> Together[Plan]:
        """Prepare some of the prompts; all of them where an answer depends on the others."""
        rows = tuple(range(len(prompts))) if self.joint_vocabulary else rows
        different, places = distinct_prompts([prompts[row] for row in rows])
        return Together(self.prepare(different), rows, places)

    @torch.inference_mode()
    def _answer(
        self, encoded: Encoded, asked: Asked[Plan], thresholds: Thresholds, refine: bool | None
    ) -> Segmentation:
        """Answer each different prompt once; those that repeat one get its answer under their own name."""
        redraw = self.refines if refine is None else refine
        every: dict[int, Found] = {}
        if asked.named is not None:
            every |= self._places(encoded, asked, thresholds.of_places, refine=redraw)
        if asked.usual is not None:
            every |= self._answered(encoded, asked.usual, thresholds, refine=redraw)
        asked_for = asked.prompts.asked
        founds = [
            every[row] if every[row].prompt is prompt else replace(every[row], prompt=prompt)
            for row, prompt in enumerate(asked_for)
        ]
        chosen = asked.prompts.choose(founds)
        if redraw and asked.mirrored is not None and encoded.image is not None:
            chosen = self._redrawn(encoded, chosen, asked.prompts)
        return Segmentation(encoded.size, tuple(chosen), encoded.image, self.name)

    def _answered(
        self, encoded: Encoded, asked: Together[Plan], thresholds: Thresholds, *, refine: bool
    ) -> dict[int, Found]:
        """The answers to prompts that are asked together, by their positions."""
        result = self.answer(encoded, asked.plan, thresholds)
        check_numbers(result)
        if refine:
            result = self.refined(result, encoded)
        return {row: result.founds[place] for row, place in zip(asked.rows, asked.places, strict=True)}

    def _places(
        self, encoded: Encoded, asked: Asked[Plan], thresholds: Thresholds, *, refine: bool
    ) -> dict[int, Found]:
        """The answers to the names of phrases with words of place: the mean over both orientations of the image."""
        assert asked.named is not None
        other = self.with_mirror(encoded).mirror if asked.mirrored is not None else None
        if asked.mirrored is None or other is None:
            return self._answered(encoded, asked.named, thresholds, refine=refine)
        here = self._answered(encoded, asked.named, thresholds, refine=False)
        there = self._answered(other, asked.mirrored, thresholds, refine=False)
        return {row: merged(found, flipped_found(there[row])) for row, found in here.items()}

    def _redrawn(self, encoded: Encoded, founds: list[Found], prompts: PlacedPrompts) -> list[Found]:
        """Results whose chosen regions are redrawn at the image's own resolution."""
        rows = [row for row, placed in enumerate(prompts.placed) if placed is not None]
        coarse = Segmentation(encoded.size, tuple(founds[row] for row in rows), encoded.image, self.name)
        fine = dict(zip(rows, self.refined(coarse, encoded).founds, strict=True))
        return [fine.get(row, found) for row, found in enumerate(founds)]

    @torch.inference_mode()
    def with_mirror(self, encoded: Encoded) -> Encoded:
        """Return features with those of the mirror image; without them where the image was not kept.

        Whoever asks several phrases with words of place about one image can keep what this returns.
        """
        if encoded.mirror is not None or encoded.image is None:
            return encoded
        return replace(encoded, mirror=self._encode_all([flipped_image(encoded.image)])[0])

    def refined(self, result: Segmentation, encoded: Encoded) -> Segmentation:
        """Return a result with masks redrawn at the image's own resolution; it needs the image."""
        if encoded.image is None:
            return result
        refiner = imported(REFINER)(str(self.device))
        founds = tuple(refiner.refine(found, encoded.image) for found in result.founds)
        return replace(result, founds=founds)

    def _thresholds(self, threshold: float | None, presence_threshold: float | None) -> Thresholds:
        """The thresholds of a call or, where there is none, the model's."""
        mask = self._image_model.threshold if threshold is None else threshold
        presence = self._image_model.presence_threshold if presence_threshold is None else presence_threshold
        return Thresholds(
            None if mask is None else checked_probability(mask, "threshold"),
            checked_probability(presence, "presence_threshold"),
            self.place_settings.presence * presence if presence_threshold is None else None,
        )

    def _encode_all(self, images: list[RgbImage]) -> list[Encoded]:
        """Encode images; those of equal canvas go through the network together."""
        placements = [self._image_model.canvas(image.size) for image in images]
        features: dict[int, Any] = {}
        for canvas in dict.fromkeys(placement.canvas for placement in placements):
            chosen = [index for index, placement in enumerate(placements) if placement.canvas == canvas]
            pixels = torch.stack([self._pixels(images[index], placements[index]) for index in chosen])  # (B, 3, h, w)
            with torch.inference_mode():
                together = self._image_model.encode_pixels(pixels)
            features |= {index: _row(together, row) for row, index in enumerate(chosen)}
        return [
            Encoded(image.size, placement, features[index], image, self.name)
            for index, (image, placement) in enumerate(zip(images, placements, strict=True))
        ]

    def _pixels(self, image: RgbImage, placement: Placement) -> Tensor:
        """Normalised float32 pixels (3, h, w) of an image on its canvas, padded with the mean colour."""
        mean, std = self._image_model.mean, self._image_model.std
        red, green, blue = (round(255 * value) for value in mean)
        canvas = place(image.pixels, placement, fill=(red, green, blue))  # (h, w, 3)
        return torch.from_numpy(normalised(canvas, mean, std)).permute(2, 0, 1).to(self.device)


def map_tensors(features: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a tree of tensors (tuples, lists, dicts, named tuples) of the same structure, each tensor changed."""
    if isinstance(features, Tensor):
        return change(features)
    if isinstance(features, dict):
        return {key: map_tensors(value, change) for key, value in features.items()}
    parts = [map_tensors(value, change) for value in features]
    build: Callable[..., Any] = type(features)
    return build(*parts) if hasattr(features, "_fields") else build(parts)


def _row(features: Any, row: int) -> Any:
    """One image's part of a tree of tensors; the leading dimension stays, with length 1."""
    return map_tensors(features, lambda tensor: tensor[row : row + 1])
