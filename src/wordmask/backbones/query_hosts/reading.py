"""Read query-based models of transformers: published folders, and such whose text attention was trained here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.backbones.query_hosts.eomt import EomtHost
from wordmask.backbones.query_hosts.mask2former import Mask2FormerHost
from wordmask.backbones.query_hosts.maskformer import MaskFormerHost
from wordmask.backbones.query_hosts.pixel_decoder import use_fast_sampling
from wordmask.checkpoints import brief, read_json
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wordmask.backbones.query_hosts.base import QueryHost

__all__ = ["HOSTS", "adapter", "build_host", "read_host"]

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
    return _known(getattr(model.config, "model_type", None))[0](model, position)


def read_host(folder: Path, position: str | None = None, *, fast: bool = True) -> QueryHost:
    """Read a published folder: config.json and weights. Every weight must be there.

    Args:
        folder: The folder.
        position: See `adapter`.
        fast: Whether a Mask2Former samples by `pixel_decoder.SampledAttention`, which is faster on a CPU; otherwise
            outputs are transformers' bit for bit.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged, or of another kind of model.
    """
    import torch

    from wordmask.backbones.pretrained import read_pretrained

    kind = read_json(folder / "config.json").get("model_type")
    model: Any = read_pretrained(folder, kind=_known(kind)[1])
    if kind == "mask2former" and fast:
        use_fast_sampling(model)
    return adapter(model.to(torch.float32), position)


def build_host(values: Mapping[str, Any], position: str | None = None) -> QueryHost:
    """Build a host with random weights.

    Args:
        values: The content of a config.json of transformers.
        position: See `adapter`.

    Raises:
        CheckpointError: If the values are impossible.
    """
    import transformers

    kind = _known(values.get("model_type"))[1]
    try:
        cls = getattr(transformers, kind)
        model = cls(cls.config_class.from_dict(dict(values)))
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError, ArithmeticError) as error:
        got = f"impossible settings of a {kind} ({brief(error)})"
        raise CheckpointError(
            sentence(got, "a config.json of transformers", "fetch or save the model again")
        ) from error
    return adapter(model.eval(), position)


def _known(kind: object) -> tuple[type[QueryHost], str]:
    if not isinstance(kind, str) or kind not in HOSTS:
        got = f"a model of the model_type {quote(kind)}"
        raise CheckpointError(sentence(got, f"one of {', '.join(HOSTS)}", "choose a model with mask queries"))
    return HOSTS[kind]
