"""The model of a job: its fingerprint without loading it, and the model itself when it is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from wordmask.annotate.journal import Journal
    from wordmask.contracts import Segmenter

__all__ = ["JobModel", "fingerprint_of"]


def fingerprint_of(model: str | os.PathLike[str] | None, *, revision: str | None = None, **settings: Any) -> str:
    """Return a hash of a model's files and of the settings that change its answers; no torch is loaded.

    Args:
        model: As for `wordmask.load`.
        revision: As for `wordmask.load`.
        settings: Further values that answers depend on, such as the number type; those that are None do not count.

    Raises:
        ModelNotFoundError: If nothing has that name.
    """
    from wordmask.api import find_model
    from wordmask.backbones.hub import fetch_checkpoint
    from wordmask.checkpoints.fingerprint import fingerprint

    files = fingerprint(find_model(model, revision=revision), fetch=fetch_checkpoint)
    chosen = sorted((key, str(value)) for key, value in settings.items() if value is not None)
    return hashlib.sha256(f"{files} {chosen}".encode()).hexdigest()[:24]


@dataclass
class JobModel:
    """The model of a job, loaded when it is first needed.

    Attributes:
        fingerprint: Of its weights and of the settings that change its answers.
        load: Loads it.
    """

    fingerprint: str
    load: Callable[[], Segmenter]
    _loaded: Segmenter | None = field(default=None, init=False)

    @property
    def segmenter(self) -> Segmenter:
        """The loaded model."""
        if self._loaded is None:
            self._loaded = self.load()
        return self._loaded

    @property
    def is_loaded(self) -> bool:
        """Whether it was needed."""
        return self._loaded is not None

    def facts(self, journal: Journal) -> Mapping[str, Any]:
        """Return `name`, `presence` (threshold; None where unknown) and `joint`, from the journal where it has them."""
        known = journal.method(self.fingerprint)
        if known is None:
            model = self.segmenter
            journal.add_method(self.fingerprint, model.name, presence=None, joint=model.joint_vocabulary)
            known = (model.name, None, model.joint_vocabulary)
        return {"name": known[0], "presence": known[1], "joint": known[2]}
