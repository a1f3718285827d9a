"""The models of a service, and how a group of requests about one image is answered together."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.errors import sentence
from wordmask.images import load_image
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt
from wordmask.serve.failures import ServiceError, invalid
from wordmask.serve.schema import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.contracts import Encoded, Segmenter
    from wordmask.prompts import Prompt
    from wordmask.results import Found
    from wordmask.serve.features import KeptFeatures
    from wordmask.serve.prompts import PromptMaker
    from wordmask.serve.request import SegmentRequest

__all__ = ["Answered", "ServedModel", "chosen", "served_models"]

OPTIONS = ("refine", "place")
"""Options of `segment` that some segmenters have."""
KINDS: dict[str, type] = {"text": TextPrompt, "visual": VisualPrompt, "mixed": MixedPrompt}
"""Types of prompts by the names in `GET /v1/models`."""


@dataclass
class Answered:
    """What a model made of one request of a group.

    Attributes:
        founds: One for each prompt of the request, in order.
        size: `(H, W)` of the image.
        encode, segment: Seconds that the group took.
        reused: Whether the image's features were there.
    """

    founds: list[Found]
    size: tuple[int, int]
    encode: float
    segment: float
    reused: bool


class ServedModel:
    """A segmenter with the name under which it is served.

    Args:
        name: What requests give as `model`.
        segmenter: The segmenter; several threads call it.
    """

    def __init__(self, name: str, segmenter: Segmenter) -> None:
        self.name, self.segmenter = name, segmenter
        known = _parameters(segmenter)
        self.options = tuple(option for option in OPTIONS if option in known)

    def about(self) -> Model:
        """Return what `GET /v1/models` says of it."""
        accepts = [kind for kind, made in KINDS.items() if made in self.segmenter.accepts]
        usual = {"refine": bool(getattr(self.segmenter, "refines", False)), "place": "auto"}
        options = {name: usual[name] for name in self.options}
        return Model(self.name, self.segmenter.name, accepts, options, self.segmenter.joint_vocabulary)

    def check(self, request: SegmentRequest) -> None:
        """Refuse types of prompts and options that the model does not have.

        Raises:
            ServiceError: If there is one.
        """
        accepts = self.about().accepts
        for spec in request.prompts:
            if spec.kind not in accepts:
                message = sentence(f"a {spec.kind} prompt for {self.name}", " or ".join(accepts), "ask in another way")
                raise invalid(message, code="unsupported_prompt")
        for name, _ in request.options:
            if name not in self.options:
                known = " or ".join(self.options) or "none"
                message = sentence(f"the option {name} for {self.name}", known, "leave it out")
                raise invalid(message, code="unsupported_option")

    def encode(self, request: SegmentRequest, features: KeptFeatures, *, max_pixels: int) -> tuple[Encoded, bool]:
        """Return the features of a request's image, and whether they were there."""
        key = (self.name, request.key)
        kept = features.get(key)
        if kept is not None:
            return kept, True
        encoded = self.segmenter.encode(load_image(request.content, max_pixels=max_pixels))
        features.put(key, encoded)
        return encoded, False

    def answer(self, encoded: Encoded, requests: Sequence[SegmentRequest], maker: PromptMaker) -> list[list[Found]]:
        """Answer requests about one image: prompts with the same thresholds and options are decoded together.

        A model whose answers depend on the other prompts of a call answers each request by itself.
        """
        groups: dict[Any, list[tuple[int, int, Prompt]]] = {}
        for number, request in enumerate(requests):
            for index, spec in enumerate(request.prompts):
                threshold = request.threshold if spec.body.threshold is None else spec.body.threshold
                own = number if self.segmenter.joint_vocabulary else -1
                key = (threshold, request.presence_threshold, request.options, own)
                groups.setdefault(key, []).append((number, index, maker.make(spec)))
        found: dict[tuple[int, int], Found] = {}
        for (threshold, presence, options, _), members in groups.items():
            given: Any = self.segmenter.segment
            result = given(
                encoded, [prompt for *_, prompt in members], threshold=threshold, presence_threshold=presence,
                **dict(options),
            )  # fmt: skip
            found |= {(number, index): one for (number, index, _), one in zip(members, result, strict=True)}
        return [[found[number, index] for index in range(len(r.prompts))] for number, r in enumerate(requests)]


def _parameters(segmenter: Any) -> set[str]:
    """Return the parameters of `segment`; of a segmenter that passes others on, those of the one that it wraps, too."""
    own = inspect.signature(segmenter.segment).parameters
    passes_on = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in own.values())
    inner = getattr(segmenter, "segmenter", None)
    return set(own) | (_parameters(inner) if passes_on and inner is not None else set())


def served_models(models: Segmenter | Mapping[str, Segmenter]) -> dict[str, ServedModel]:
    """Return the models of a service by name, the first of them the default."""
    named: Mapping[str, Any] = models if isinstance(models, Mapping) else {models.name: models}
    return {name: ServedModel(name, segmenter) for name, segmenter in named.items()}


def chosen(models: Mapping[str, ServedModel], name: str | None) -> ServedModel:
    """Return the model of that name, or the first.

    Raises:
        ServiceError: If there is none.
    """
    if name is None:
        return next(iter(models.values()))
    if name not in models:
        known = ", ".join(models)
        message = f"Got the model {name[:80]!r}, expected one of {known}: choose one of these."
        raise ServiceError(404, "not_found_error", "model_not_found", message)
    return models[name]
