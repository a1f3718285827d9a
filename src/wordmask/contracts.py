"""Protocols between the packages of wordmask; nothing has to inherit from them. Importing this loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from wordmask.errors import ImageError, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from wordmask.batch import Batch
    from wordmask.data.sample import Sample
    from wordmask.formats.named_mask import NamedMask
    from wordmask.images import ImageInput, RgbImage
    from wordmask.ops.geometry import Placement, Size
    from wordmask.prompts import Prompt, PromptInput
    from wordmask.results import Region, Segmentation

__all__ = [
    "Captioner",
    "Dataset",
    "DenseModel",
    "DenseOutput",
    "DetectedBoxes",
    "Detector",
    "Encoded",
    "ImageEncoder",
    "MaskWriter",
    "ProposalSource",
    "Segmenter",
    "TextEncoder",
    "Trainable",
]


@dataclass(frozen=True, eq=False, repr=False)
class Encoded:
    """An image with the features that one model computed from it.

    Attributes:
        size: `(H, W)` of the input.
        placement: Position of the input on the network's canvas.
        features: Any tree of tensors; only a model with the same weights can read it, on any device, in any precision.
        image: The input, kept for drawing and cropping.
        model: Name of the model, which tells its weights from others.
        mirror: The mirrored input, encoded by the same model, where that was done already; phrases with words of place
            need it (`components.place.mirror`).
    """

    size: Size
    placement: Placement
    features: Any
    image: RgbImage | None
    model: str
    mirror: Encoded | None = None

    def require(self, model: str) -> None:
        """Check that the features were computed by `model`.

        Raises:
            ImageError: If another model computed them.
        """
        if self.model != model:
            got = f"an image encoded by {self.model!r}"
            raise ImageError(sentence(got, f"one encoded by {model!r}", f"encode it with {model!r}, or pass the image"))

    def __repr__(self) -> str:
        return f"Encoded({self.model}, {self.size[0]} x {self.size[1]})"


# --- methods ---


@runtime_checkable
class Segmenter(Protocol):
    """A loaded method: images and prompts in, a `Segmentation` out. It keeps no state about an image.

    Attributes:
        name: Name in messages and results.
        accepts: Prompt types it takes: `TextPrompt`, `VisualPrompt`, `MixedPrompt`.
        joint_vocabulary: Whether the result for a prompt depends on the others given with it (a softmax over a
            vocabulary); then all names of a vocabulary have to be given in one call.
        trainable: Whether wordmask can train it.
        exportable: Whether its networks can be exported.
    """

    @property
    def name(self) -> str: ...
    @property
    def accepts(self) -> frozenset[type]: ...
    @property
    def joint_vocabulary(self) -> bool: ...
    @property
    def trainable(self) -> bool: ...
    @property
    def exportable(self) -> bool: ...

    def encode(self, image: ImageInput) -> Encoded:
        """Return the image encoder's features, which can be prompted any number of times."""
        ...

    def segment(
        self,
        image: ImageInput | Encoded,
        prompts: PromptInput,
        *,
        threshold: float | None = None,
        presence_threshold: float | None = None,
    ) -> Segmentation:
        """Return one `Found` per prompt, in order; thresholds in [0, 1], None takes the model's own."""
        ...

    def segment_many(
        self,
        images: Iterable[ImageInput],
        prompts: PromptInput,
        *,
        batch_size: int = 8,
        threshold: float | None = None,
        presence_threshold: float | None = None,
    ) -> Iterator[Segmentation]:
        """Yield one `Segmentation` per image, in order; images are read as the results are taken."""
        ...


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """Output of a dense decoder for one image.

    Attributes:
        logits: float `(P, h, w)` over the whole canvas.
        presence: float `(P,)`, presence logits; None when the network has no presence head.
    """

    logits: torch.Tensor
    presence: torch.Tensor | None = None


@runtime_checkable
class DenseModel(Protocol):
    """A network that turns one prompt embedding into one dense mask: what `methods/dense.py` runs.

    Attributes:
        name: Name in messages; it must differ between models that cannot read each other's features.
        accepts: The prompt types that `embed_prompt` takes.
        mean, std: RGB normalisation of pixels in [0, 1].
        chunk: Number of prompts decoded at once.
        threshold: Default probability above which a pixel belongs to a mask; None cuts each mask where its expected
            IoU is highest (`ops.probability.best_threshold`), which needs calibrated logits.
        presence_threshold: Default presence below which a mask is empty.
    """

    @property
    def name(self) -> str: ...
    @property
    def accepts(self) -> frozenset[type]: ...
    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...
    @property
    def chunk(self) -> int: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def presence_threshold(self) -> float: ...

    def canvas(self, size: Size) -> Placement:
        """Return the position of an image of `size = (H, W)` on the network's canvas."""
        ...

    def encode_pixels(self, pixels: torch.Tensor) -> Any:
        """Return the features of normalised float32 pixels `(B, 3, h, w)`: any tree of tensors with a leading B."""
        ...

    def embed_prompt(self, prompt: Prompt) -> torch.Tensor:
        """Return the embedding `(C,)` of a prompt."""
        ...

    def decode(self, features: Any, conditions: torch.Tensor) -> DenseOutput:
        """Return the masks of one image's features for prompt embeddings `(P, C)`."""
        ...

    def calibrate_presence(self, logits: torch.Tensor) -> torch.Tensor:
        """Return probabilities `(P,)` from presence logits `(P,)`."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A `torch.nn.Module` that `training/loop.py` can train.

    Its parameters and buffers, as `state_dict` returns them, hold everything that a resumed run needs: running presence
    counts and auxiliary heads too.

    Attributes:
        parts: Names of the parts that are trained.
        size: Side of the square training images, in pixels.
        square: Whether images keep their proportions on it (letterboxed); otherwise they are squashed.
        mean, std: RGB normalisation of pixels in [0, 1] that the data pipeline must apply.
    """

    @property
    def parts(self) -> tuple[str, ...]: ...
    @property
    def size(self) -> int: ...
    @property
    def square(self) -> bool: ...
    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...

    def loss(self, batch: Batch, step: int) -> Mapping[str, torch.Tensor]:
        """Return named, weighted scalar losses of a training batch, whose sum is minimised.

        Args:
            batch: What the training set collated.
            step: Number of the optimiser step, from 0.
        """
        ...

    def parameter_groups(self, schedule: Any) -> list[dict[str, Any]]:
        """Return groups of parameters for the optimiser: see `training.optim.ParameterGroup`.

        Args:
            schedule: The `training.schedule.Schedule` of the recipe, whose values hold where a group says nothing.
        """
        ...

    def frozen(self) -> Iterable[tuple[str, torch.Tensor]]:
        """Yield, by name, the weights and buffers that must not change: () where there are none."""
        ...

    def state_dict(self) -> dict[str, Any]: ...
    def parameters(self) -> Iterator[torch.nn.Parameter]: ...
    def to(self, device: torch.device) -> Any: ...

    def segmenter(self) -> Segmenter:
        """Return a segmenter that shares the weights; used for validation."""
        ...

    def export(self, folder: Path) -> None:
        """Write a folder that `wordmask.load` reads."""
        ...


# --- parts of methods ---


@dataclass(frozen=True, eq=False)
class DetectedBoxes:
    """Boxes found for a list of phrases, the best first.

    Attributes:
        boxes: float32 `(N, 4)`, XYXY in input pixels.
        scores: float32 `(N,)` in [0, 1].
        phrase_index: int64 `(N,)`, position of the phrase that each box belongs to.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    phrase_index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)


@runtime_checkable
class Detector(Protocol):
    """Finds boxes for phrases."""

    def detect(self, image: Encoded | RgbImage, phrases: Sequence[str]) -> DetectedBoxes:
        """Return boxes with scores, each belonging to one phrase."""
        ...


@runtime_checkable
class ProposalSource(Protocol):
    """Proposes regions without a prompt."""

    def propose(self, image: Encoded | RgbImage) -> tuple[Region, ...]:
        """Return regions with their mask quality, the best first."""
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """A backbone for images.

    Attributes:
        channels: Channels of each feature map.
        strides: Input pixels per cell of each feature map.
    """

    @property
    def channels(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...

    def __call__(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return feature maps `(B, C, H / stride, W / stride)` of normalised pixels `(B, 3, H, W)`."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """A backbone for phrases.

    Attributes:
        channels: Width of an embedding.
    """

    @property
    def channels(self) -> int: ...

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return embeddings `(P, C)`."""
        ...


@runtime_checkable
class Captioner(Protocol):
    """Describes images in words."""

    def caption(self, images: Sequence[RgbImage], *, batch_size: int = 8) -> list[str]:
        """Return one caption per image."""
        ...


# --- data and formats ---


@runtime_checkable
class Dataset(Protocol):
    """Images with prompts and ground truth, read one by one on demand.

    Attributes:
        name: Name in reports, such as "refcoco+".
        split: Which part of it this is, such as "testA".
        names: Its vocabulary, in the order of `Sample.labels`; () where every prompt is a phrase of its own.
        fingerprint: Short hash of what the samples depend on (annotation files, options): equal for two runs on the
            same data.
        exhaustive: Whether whatever a name of `names` fits is marked in every image. A sample lists the other names in
            `absent`, but for those that are unclear in its image.
    """

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def exhaustive(self) -> bool: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Return a sample; reading it twice gives the same one.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: one of its files is missing or malformed.
        """
        ...


@runtime_checkable
class MaskWriter(Protocol):
    """Writes the masks of one image in a file format."""

    def write(self, path: Path, masks: Sequence[NamedMask], size: Size) -> tuple[Path, ...]:
        """Write the masks of an image of `size = (H, W)` and return the files."""
        ...
