"""What the parts of wordmask promise one another. Protocols: nothing has to inherit from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from wordmask.errors import ImageError, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from wordmask.images import ImageInput, RgbImage
    from wordmask.ops.geometry import Placement, Size
    from wordmask.prompts import Prompt, PromptInput
    from wordmask.results import Segmentation
    from wordmask.samples import Sample

__all__ = ["Dataset", "DenseModel", "DenseOutput", "Encoded", "Segmenter"]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A picture as one model has seen it: the slow part, done once.

    Attributes:
        size: `(H, W)` of the input.
        placement: How it lies on the network's canvas.
        features: What the model computed; only a model with the same weights can read them, on any device and in any
            precision.
        image: The input, kept for drawing.
        model: Name of the model, which tells its weights from others.
    """

    size: Size
    placement: Placement
    features: Any
    image: RgbImage | None
    model: str

    def require(self, model: str) -> None:
        """Check that the features were made by `model`.

        Raises:
            ImageError: If another model made them.
        """
        if self.model != model:
            got = f"a picture encoded by {self.model!r}"
            raise ImageError(
                sentence(got, f"one encoded by {model!r}", f"encode it with {model!r}, or pass the picture")
            )


@runtime_checkable
class Segmenter(Protocol):
    """A method, loaded: pictures and prompts in, a `Segmentation` out. It holds no state about a picture.

    Attributes:
        name: What messages and results call it.
        accepts: The prompt types it follows: `TextPrompt`, `VisualPrompt`, `MixedPrompt`.
        trainable: Whether it has weights that can be trained here.
        exportable: Whether its networks can be exported.
    """

    @property
    def name(self) -> str: ...
    @property
    def accepts(self) -> frozenset[type]: ...
    @property
    def trainable(self) -> bool: ...
    @property
    def exportable(self) -> bool: ...

    def encode(self, image: ImageInput) -> Encoded:
        """Return what the image encoder makes of a picture, to be prompted any number of times."""
        ...

    def segment(
        self, image: ImageInput | Encoded, prompts: PromptInput, *, threshold: float | None = None
    ) -> Segmentation:
        """Return one `Found` per prompt, in order; `threshold` in [0, 1] replaces the model's own."""
        ...

    def segment_many(
        self,
        images: Iterable[ImageInput],
        prompts: PromptInput,
        *,
        batch_size: int = 8,
        threshold: float | None = None,
    ) -> Iterator[Segmentation]:
        """Yield one `Segmentation` per picture, in order; pictures are read as the results are taken."""
        ...


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """What a dense decoder answers for one picture.

    Attributes:
        logits: float `(P, h, w)` over the whole canvas.
        presence: float `(P,)`, logits that the thing is there; None when the network has no such head.
    """

    logits: torch.Tensor
    presence: torch.Tensor | None = None


@runtime_checkable
class DenseModel(Protocol):
    """A network that turns one condition vector into one dense mask: what `methods/dense.py` runs.

    Attributes:
        name: What messages and results call it; it must differ between models that cannot read each other's features.
        accepts: The prompt types that `embed_prompt` follows.
        mean, std: RGB normalisation of pixels in [0, 1].
        chunk: Number of prompts decoded at once.
        threshold: Default probability above which a pixel belongs to a mask; None cuts each mask where its expected
            IoU is highest (`ops.probability.best_level`), which wants calibrated logits.
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
        """Return where a picture of `size = (H, W)` goes on the network's canvas."""
        ...

    def encode_pixels(self, pixels: torch.Tensor) -> Any:
        """Return the features of normalised float32 pixels `(B, 3, h, w)`: any tree of tensors with a leading B."""
        ...

    def embed_prompt(self, prompt: Prompt) -> torch.Tensor:
        """Return the condition `(C,)` of a prompt."""
        ...

    def decode(self, features: Any, conditions: torch.Tensor) -> DenseOutput:
        """Return the masks of one picture's features for conditions `(P, C)`."""
        ...

    def calibrate_presence(self, logits: torch.Tensor) -> torch.Tensor:
        """Return probabilities `(P,)` from presence logits `(P,)`."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Pictures with prompts and true masks, made one by one as they are asked for.

    Attributes:
        name: What reports call it, such as "refcoco+".
        split: Which part of it this is, such as "testA".
        names: Its vocabulary, in the order of `Sample.labels`; () where every prompt is a phrase of its own.
        fingerprint: Short hash of what the samples depend on (annotation files, options): two runs on the same data
            agree in it.
    """

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Return a sample; reading it twice gives the same one.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: one of its files is missing or malformed.
        """
        ...
