"""What a published table fixes: the data, the size at which masks are compared, prompts, thresholds and scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from wordmask.errors import DataError, PromptError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wordmask.contracts import Dataset

__all__ = ["Benchmark", "Classes", "OpenDataset", "Resize", "Rules", "Task"]

Resize: TypeAlias = Literal["original", "squash352", "letterbox352"]
"""At which size a picture is shown and its masks are compared; see `wordmask.evaluate.fitting`."""

Classes: TypeAlias = Literal["label", "key"]
"""What a mean over classes is taken over: names, or every prompt by itself."""

Task: TypeAlias = Literal["masks", "labels"]
"""One mask per prompt, or one name per pixel."""

OpenDataset: TypeAlias = "Callable[[Path | None, str, int], Dataset]"
"""`(folder, split, seed) -> Dataset`."""


@dataclass(frozen=True)
class Rules:
    """One reading of a protocol.

    Attributes:
        task: "masks": every query is answered by a mask of its own. "labels": every name of the set is asked for and a
            pixel gets the name of the highest probability.
        headline: The scores named first, in the order of the table; "@t" stands for the threshold.
        note: What sets this reading apart from the others.
        resize: See `Resize`.
        threshold: Probability above which a pixel belongs to a mask, whatever the presence; None is the model's own,
            with its own presence threshold.
        template: What a name or phrase is put into, in the place of "{}".
        words: Names that are asked for by other words.
        sweep: Whether scores are taken at 49 thresholds, from probabilities.
        classes: With a sweep, what mIoU is a mean over: "label" names, or "key" every query by itself.
        background: With the task "labels", the name that stands for the rest; None = there is none.
        weight: By how much the probability of `background`, which is asked for by that word, is multiplied; None: it
            is not asked for and is answered where no name's probability exceeds the threshold, or never without
            `decline`.
        decline: Whether a pixel gets no name (or the background) where no probability exceeds the threshold.
        absent: Whether names known to be absent are asked for, too, to judge presence.
        only: Labels to which a table is restricted; () for all.
    """

    task: Task
    headline: tuple[str, ...]
    note: str = ""
    resize: Resize = "original"
    threshold: float | None = None
    template: str = "{}"
    words: Mapping[str, str] = field(default_factory=dict)
    sweep: bool = False
    classes: Classes = "label"
    background: str | None = None
    weight: float | None = None
    decline: bool = False
    absent: bool = False
    only: tuple[str, ...] = ()

    def phrase(self, name: str) -> str:
        """Return what is asked for a name."""
        return self.template.replace("{}", self.words.get(name, name))

    def facts(self) -> dict[str, object]:
        """Return what a result says about the rules, as values that JSON can hold."""
        return {
            "task": self.task,
            "note": self.note,
            "resize": self.resize,
            "threshold": "the model's own" if self.threshold is None else self.threshold,
            "template": self.template,
            "sweep": self.sweep,
            "classes": self.classes,
            "background": self.background,
            "background_weight": self.weight,
            "decline": self.decline,
            "absent_names_asked": self.absent,
            "only": list(self.only),
            "words": dict(self.words),
        }


@dataclass(frozen=True)
class Benchmark:
    """A table of a paper that can be measured again.

    Attributes:
        name: What the user types.
        title: One line for people.
        source: Paper and table.
        layout: What folder it reads, or that it needs none.
        open: How its data are opened.
        splits: What it can be run on; the first is the default.
        presets: Readings by name; the first is the default, "original" is the one at the picture's own size with the
            model's own threshold.
        needs_folder: Whether it reads any.
        free_split: Whether the data know their splits themselves and `splits` only names the usual ones.
        unseen: For zero-shot tables the names held out of training, by split.
    """

    name: str
    title: str
    source: str
    layout: str
    open: OpenDataset
    splits: tuple[str, ...]
    presets: Mapping[str, Rules]
    needs_folder: bool = True
    free_split: bool = False
    unseen: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def rules(self, preset: str | None = None) -> tuple[str, Rules]:
        """Return the name and rules of a preset, the first one for None.

        Raises:
            PromptError: If there is no such preset.
        """
        chosen = next(iter(self.presets)) if preset is None else preset
        if chosen not in self.presets:
            got = f"the preset {quote(chosen)} of {self.name}"
            raise PromptError(sentence(got, f"one of {', '.join(self.presets)}", "choose one with --preset"))
        return chosen, self.presets[chosen]

    def dataset(self, folder: Path | None, split: str | None = None, seed: int = 0) -> Dataset:
        """Open the data.

        Args:
            folder: Where they lie; None where none is needed.
            split: One of `splits`, or any other where `splits` is empty; None for the first.
            seed: For those that draw.

        Raises:
            DataError: If the folder is not given, not there or not as its authors lay it out.
        """
        if folder is None and self.needs_folder:
            raise DataError(sentence(f"no folder for {self.name}", self.layout, "name it with --data"))
        chosen = self.splits[0] if split is None else split
        if not self.free_split and chosen not in self.splits:
            got = f"the split {quote(chosen)} of {self.name}"
            raise DataError(sentence(got, f"one of {', '.join(self.splits)}", "choose one with --split"))
        return self.open(folder, chosen, seed)
