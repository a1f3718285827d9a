"""Evaluation protocols (image size, prompts, thresholds, task, scores) and the benchmarks that use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from wordmask.data.named_sets import NAMED_SETS
from wordmask.errors import PromptError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Benchmark", "Classes", "EvaluationProtocol", "Resize", "Task"]

Resize: TypeAlias = Literal["original", "squash352", "letterbox352"]
"""The size at which an image is shown to the model and masks are compared; see `wordmask.evaluation.resizing`."""

Classes: TypeAlias = Literal["label", "key"]
"""The classes of a mean over classes: names, or every prompt by itself."""

Task: TypeAlias = Literal["masks", "labels", "instances", "proposals", "boxes"]
"""One mask per prompt, one name per pixel, scored instances, candidates of a method that proposes regions, or masks
against boxes."""


@dataclass(frozen=True)
class EvaluationProtocol:
    """One way to run and score a model.

    Attributes:
        task: "masks": one mask per query. "labels": every name of the data set is asked for and a pixel gets the name
            of the highest probability. "instances": COCO's average precision. "proposals": recall of the candidates.
        headline: Scores shown first, in this order; "@t" stands for the threshold.
        note: One line about this protocol.
        resize: See `Resize`.
        threshold: Probability above which a pixel belongs to a mask, whatever the presence; None is the model's own,
            with its own presence threshold.
        template: Prompt template; "{}" is replaced by the name or phrase.
        words: Names that are asked for by other words.
        sweep: Whether scores are taken at 49 thresholds, from probabilities.
        classes: With a sweep, the classes of mIoU: "label" names, or "key" every query by itself.
        background: With the task "labels", the name of the remaining pixels; None = there is none. A name outside the
            data set's own is added to them, for pixels that have none of its names.
        background_weight: Factor of the probability of `background`, which is then asked for by that word; None: it is
            not asked for and predicted where no name's probability exceeds the threshold, or never without `decline`.
        decline: Whether a pixel gets no name (or the background) where no probability exceeds the threshold.
        absent: Whether names known to be absent are asked for, too, to score presence.
        only: Labels to which a table is restricted; () for all.
        place: Whether words of place in the prompts choose among instances, as they do for a user: for sentences that
            refer. Otherwise prompts are names.
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
    background_weight: float | None = None
    decline: bool = False
    absent: bool = False
    only: tuple[str, ...] = ()
    place: bool = False

    def phrase(self, name: str) -> str:
        """Return the prompt for a name."""
        return self.template.replace("{}", self.words.get(name, name))

    def facts(self) -> dict[str, object]:
        """Return the protocol as values that JSON can hold."""
        return {
            "task": self.task,
            "note": self.note,
            "resize": self.resize,
            "threshold": "the model's own" if self.threshold is None else self.threshold,
            "template": self.template,
            "sweep": self.sweep,
            "classes": self.classes,
            "background": self.background,
            "background_weight": self.background_weight,
            "decline": self.decline,
            "absent_names": self.absent,
            "only": list(self.only),
            "words": dict(self.words),
            "place": self.place,
        }


@dataclass(frozen=True)
class Benchmark:
    """A table of a paper that can be measured again, or a task on any data.

    Attributes:
        name: Its name on the command line.
        title: One line for people.
        source: Paper and table.
        dataset: Its data set, a name of `wordmask.data.registry.NAMED_SETS`; None for a task, which takes any.
        presets: Protocols by name; the first is the default, "original" is the one at the image's own size with the
            model's own threshold.
        unseen: For zero-shot tables the names held out of training, by split.
    """

    name: str
    title: str
    source: str
    dataset: str | None
    presets: Mapping[str, EvaluationProtocol]
    unseen: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def protocol(self, preset: str | None = None) -> tuple[str, EvaluationProtocol]:
        """Return the name and protocol of a preset, the first one for None.

        Raises:
            PromptError: If there is no such preset.
        """
        chosen = next(iter(self.presets)) if preset is None else preset
        if chosen not in self.presets:
            got = f"the preset {quote(chosen)} of {self.name}"
            raise PromptError(sentence(got, f"one of {', '.join(self.presets)}", "choose one with --preset"))
        return chosen, self.presets[chosen]

    @property
    def default_split(self) -> str | None:
        """The split that is opened where none is asked for; None for a task."""
        return None if self.dataset is None else NAMED_SETS[self.dataset].splits[0]
