"""A model to evaluate, with the facts that results state about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wordmask.evaluation.provenance import checksum, revision_of

if TYPE_CHECKING:
    import os

    from wordmask.contracts import Segmenter

__all__ = ["EvaluatedModel"]


@dataclass(frozen=True)
class EvaluatedModel:
    """A loaded segmenter and its provenance.

    Attributes:
        segmenter: The model.
        asked: The name by which the user asked for it.
        revision: Commit on a hub, if it came from one.
        checksum: Of its files; None where it has none.
        device, dtype: Where and in which precision it runs.
        refine: Whether masks are redrawn at the image's own resolution; None: the model's default.
    """

    segmenter: Segmenter
    asked: str
    revision: str | None = None
    checksum: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    refine: bool | None = None

    @classmethod
    def of(cls, segmenter: Segmenter) -> EvaluatedModel:
        """Describe a segmenter that is loaded already; it has no checksum."""
        device, dtype = getattr(segmenter, "device", "cpu"), getattr(segmenter, "dtype", "float32")
        return cls(segmenter, segmenter.name, device=str(device), dtype=str(dtype).removeprefix("torch."))

    @classmethod
    def load(
        cls, model: str | os.PathLike[str] | None, *, revision: str | None = None, device: str = "auto",
        dtype: str = "auto", refine: bool | None = None,
    ) -> EvaluatedModel:  # fmt: skip
        """Load a model by its name or path; see `wordmask.load`.

        Raises:
            ModelNotFoundError: If nothing has that name.
        """
        from wordmask.api import DEFAULT_METHOD, find_model, load

        path = find_model(model, revision=revision)
        segmenter = load(model, device=device, dtype=dtype, revision=revision, refine=refine)
        asked = DEFAULT_METHOD if model is None else str(model)
        known = revision_of(path) or revision
        return replace(cls.of(segmenter), asked=asked, revision=known, checksum=checksum(path), refine=refine)

    @property
    def name(self) -> str:
        """The model's name in results, and what was asked of it."""
        return self.segmenter.name + _ASKED[self.refine]

    def facts(self) -> dict[str, Any]:
        """Return what a result states about the model."""
        return {
            "asked": self.asked,
            "name": self.name,
            "revision": self.revision,
            "checksum": self.checksum,
            "device": self.device,
            "dtype": self.dtype,
        } | ({} if self.refine is None else {"refine": self.refine})


_ASKED = {None: "", True: "+refine", False: "-no-refine"}
