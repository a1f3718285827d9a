"""Find the adapter of a query-based model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.backbones.query_hosts.eomt import EomtHost
from wordmask.backbones.query_hosts.mask2former import Mask2FormerHost
from wordmask.backbones.query_hosts.maskformer import MaskFormerHost
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from wordmask.backbones.query_hosts.base import QueryHost

__all__ = ["HOSTS", "adapter"]

HOSTS: dict[str, tuple[type[QueryHost], str]] = {
    "mask2former": (Mask2FormerHost, "Mask2FormerForUniversalSegmentation"),
    "maskformer": (MaskFormerHost, "MaskFormerForInstanceSegmentation"),
    "eomt": (EomtHost, "EomtForUniversalSegmentation"),
}
"""By the `model_type` of a published config.json: the adapter, and the class of transformers that reads the folder."""


def adapter(model: Any, position: str | None = None) -> QueryHost:
    """Wrap a model of transformers.

    Args:
        model: The model, which is taken over: hooks are put into its decoder.
        position: Where its layers are guided, one of `base.POSITIONS`; None = as its adapter says.

    Raises:
        CheckpointError: If it is of another kind, or the position is none.
    """
    kind = getattr(model.config, "model_type", None)
    if kind not in HOSTS:
        got = f"a model of the type {quote(kind)}"
        raise CheckpointError(sentence(got, f"one of {', '.join(HOSTS)}", "choose a model with mask queries"))
    return HOSTS[kind][0](model, position)
