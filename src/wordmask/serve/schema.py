"""The bodies of requests and answers as typed values: what the OpenAPI document describes and the client returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

__all__ = [
    "ErrorBody",
    "ErrorDetail",
    "ExampleBody",
    "Health",
    "ImageBody",
    "MaskAnswer",
    "MaskBody",
    "Model",
    "Models",
    "PromptBody",
    "SegmentAnswer",
    "SegmentBody",
    "SegmentResult",
]

_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True)
class ImageBody:
    """An image: exactly one of its fields.

    Attributes:
        base64: Bytes of an image file in base64, with or without `data:image/...;base64,` before them.
        url: Address of an image on a public server; refused unless the service allows it.
        field: Name of the multipart field that holds the file.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    base64: str | None = None
    url: str | None = None
    field: str | None = None


@dataclass(frozen=True)
class MaskBody:
    """A mask over an example image: exactly one of its fields.

    Attributes:
        rle: COCO's run lengths: `{"size": [H, W], "counts": "..."}`.
        png: PNG of the example's size in base64; brighter than 127 is the object.
        box: XYXY in pixels of the example.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    rle: dict[str, Any] | None = None
    png: str | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class ExampleBody:
    """An example image of what to find.

    Attributes:
        image: The example; without one, the image of the request itself.
        mask: Where the object is in it; without one, everywhere.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    image: str | ImageBody | None = None
    mask: MaskBody | None = None


@dataclass(frozen=True)
class PromptBody:
    """A prompt: a phrase, an example, or both.

    Attributes:
        text: The phrase.
        negatives: Phrases that it must not be confused with.
        visual: The example.
        weight: Weight of the phrase where both are given.
        threshold: Probability above which a pixel belongs to the mask, for this prompt alone.
        name: Name in the answer; the phrase by default.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    text: str | None = None
    negatives: tuple[str, ...] = ()
    visual: ExampleBody | None = None
    weight: float = 0.5
    threshold: float | None = None
    name: str | None = None


@dataclass(frozen=True)
class SegmentBody:
    """What `POST /v1/segment` takes. In a multipart form `image` is a file and every other field is text.

    Attributes:
        image: Bytes in base64, or an object that says where the image is.
        prompts: Phrases, or objects; a single phrase may stand for itself.
        model: One of `GET /v1/models`; the first by default.
        format: How masks are written: COCO's run lengths, polygons with holes, or PNG in base64.
        threshold: Probability above which a pixel belongs to a mask; the model's own by default.
        presence_threshold: Presence below which there are no masks; the model's own by default.
        instances: Whether objects come one by one; otherwise one mask a prompt, the union.
        heatmap: Whether the map of probabilities comes along, small.
        refine: Whether masks are refined on crops of the image; the model's habit by default.
        place: How words of place ("left", "largest") are read: `auto`, by `viewer` or `subject`, or `off`.
        explain: Whether the answer says in words how each result came about.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    image: str | ImageBody | None = None
    prompts: str | PromptBody | list[str | PromptBody] = ()  # type: ignore[assignment]
    model: str | None = None
    format: Literal["rle", "polygon", "png"] = "rle"
    threshold: float | None = None
    presence_threshold: float | None = None
    instances: bool = True
    heatmap: bool = False
    refine: bool | None = None
    place: Literal["auto", "viewer", "subject", "off"] | None = None
    explain: bool = False


@dataclass(frozen=True)
class MaskAnswer:
    """One mask.

    Attributes:
        bbox: XYWH in pixels of the image, as in COCO.
        area: Pixels.
        score: Detection score in [0, 1].
        mask_score: Mask quality in [0, 1]; null where the model does not estimate it.
        rle: COCO's run lengths, with `format` rle.
        polygon: Parts with `exterior` and `holes`, lists of [x, y], with `format` polygon.
        png: PNG of the image's size in base64, with `format` png.
    """

    bbox: list[float]
    area: int
    score: float
    mask_score: float | None = None
    rle: dict[str, Any] | None = None
    polygon: list[dict[str, Any]] | None = None
    png: str | None = None


@dataclass(frozen=True)
class SegmentResult:
    """What was found for one prompt.

    Attributes:
        index: Position of the prompt in the request.
        prompt: Its name.
        status: `present` with masks, `absent` without, or `unsure`: so near the threshold that it may be either.
        presence: Probability in [0, 1] that the image shows it.
        threshold: Probability above which a pixel belongs to its mask.
        presence_threshold: Presence below which there are no masks.
        masks: The objects, or the one union; [] where there is nothing.
        heatmap: `{"png": ..., "low": ..., "high": ...}`: a small greyscale PNG in base64 whose values 0 to 255 stand
            for logits from low to high over the whole image; null unless asked for.
        explanation: Lines of text; null unless asked for.
    """

    index: int
    prompt: str
    status: Literal["present", "absent", "unsure"]
    presence: float
    threshold: float
    presence_threshold: float
    masks: list[MaskAnswer] = field(default_factory=list)
    heatmap: dict[str, Any] | None = None
    explanation: str | None = None


@dataclass(frozen=True)
class SegmentAnswer:
    """The answer of `POST /v1/segment`.

    Attributes:
        id: Of the request.
        model: Name that the request may give as `model`.
        version: Name of the model with a checksum of its weights.
        created: Seconds since 1970.
        size: `[height, width]` of the upright image.
        timings: Milliseconds: queue, encode, segment, write, total; `reused` says whether features were there.
        results: One for each prompt, in order.
    """

    id: str
    model: str
    version: str
    created: int
    size: list[int]
    timings: dict[str, Any]
    results: list[SegmentResult]


@dataclass(frozen=True)
class ErrorDetail:
    """What went wrong.

    Attributes:
        message: What was got, what was expected, what to do.
        type: Family, such as `invalid_request_error`.
        code: The very error, such as `image_unreadable`.
    """

    message: str
    type: str
    code: str


@dataclass(frozen=True)
class ErrorBody:
    """Every answer that is no success."""

    error: ErrorDetail


@dataclass(frozen=True)
class Model:
    """A model of the service.

    Attributes:
        id: Name that requests give.
        version: Name with a checksum of its weights.
        accepts: Types of prompts: text, visual, mixed.
        options: Options of requests that it understands beside those of every model, with what it does by default.
        joint_vocabulary: Whether the answer to a prompt depends on the others of the request.
    """

    id: str
    version: str
    accepts: list[str]
    options: dict[str, Any]
    joint_vocabulary: bool
    object: str = "model"


@dataclass(frozen=True)
class Models:
    """The answer of `GET /v1/models`."""

    data: list[Model]
    object: str = "list"


@dataclass(frozen=True)
class Health:
    """The answer of `GET /v1/health`.

    Attributes:
        status: `ok`, or `stopping`.
        waiting: Requests in the queue.
        limit: Requests that may wait.
        running: Requests that a model is at.
        features: Images whose features are kept.
        feature_bytes: Memory that they take.
        memory_bytes: Memory of the process; null where the system does not tell.
        uptime: Seconds since the service was made.
        worker: Number of the process.
    """

    status: str
    waiting: int
    limit: int
    running: int
    features: int
    feature_bytes: int
    memory_bytes: int | None
    uptime: float
    worker: int
