"""What the answers to the forgetting probe before and after a training say.

What counts as worse: a mean over all names that moved to the bad side by more than chance (the interval of a paired
bootstrap over images, `metrics.bootstrap`, does not hold 0) and visibly, or by more than the first number in `FALL`;
a single name's mean likewise, with `NAME_FALL`. Fewer than `FEWEST` images have no interval.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.bootstrap import interval, pool, ratio_of_sums
from wordmask.ops.rle import decode
from wordmask.training.forgetting.vocabulary import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.training.forgetting.probe import Answers, MaskAnswer, ProbeChoice
    from wordmask.training.validation import Scored

__all__ = ["FALL", "NAME_FALL", "Change", "Difference", "Forgetting", "Labelled", "compare"]

Fall = tuple[float, float]
"""How far a mean may move to the bad side: whatever its interval, and beyond chance."""

FALL: Fall = (0.05, 0.005)
"""Of a mean over everything."""
NAME_FALL: Fall = (0.1, 0.02)
"""Of one name, whose mean rests on few images, and of many names some fall."""
FEWEST = 5
"""Images from which on there is an interval."""
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """A mean before and after, over the same questions.

    Attributes:
        before, after: The means.
        low, high: Of after - before, the interval at `LEVEL`; None with fewer than `FEWEST` images.
        asked: Number of questions.
        images: Number of images that they were asked of.
        rises: Whether a rise is good: of an IoU it is, of false positives it is not.
    """

    before: float
    after: float
    low: float | None
    high: float | None
    asked: int
    images: int
    rises: bool = True

    @classmethod
    def of(cls, rows: Sequence[tuple[str, float, float]], *, rises: bool = True) -> Difference | None:
        """Return the difference over rows of (image, before, after); None where there is no row."""
        if not rows:
            return None
        values = np.array([[before, after, after - before, 1.0] for _, before, after in rows])
        pooled = pool(values, [key for key, _, _ in rows])
        low = high = None
        if len(pooled) >= FEWEST:
            bounds = interval(pooled, ratio_of_sums((2,), (3,)), level=LEVEL)
            low, high = bounds.low, bounds.high
        before, after = (math.fsum(values[:, column]) / len(rows) for column in (0, 1))
        return cls(before, after, low, high, len(rows), len(pooled), rises)

    def worse(self, fall: Fall = FALL) -> bool:
        """Return whether this says that something got worse."""
        sign = 1 if self.rises else -1
        moved = sign * (self.after - self.before)
        edge = self.high if self.rises else self.low
        most, visible = fall
        return moved < -most or (edge is not None and sign * edge < 0 and moved < -visible)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values, rounded."""
        values = {"before": self.before, "after": self.after, "low": self.low, "high": self.high}
        rounded = {name: None if value is None else round(value, 6) for name, value in values.items()}
        return {**rounded, "asked": self.asked, "images": self.images}


@dataclass(frozen=True)
class Labelled:
    """What labelled images say.

    Attributes:
        path, split: Which.
        iou: Of names that were not trained, over all pairs of image and name; None where there is no such name.
        false_positives: Rate of absent phrases that got a mask; None where nothing is known to be absent.
        names: IoU by name.
    """

    path: str
    split: str
    iou: Difference | None
    false_positives: Difference | None
    names: dict[str, Difference]

    def worse_names(self) -> list[str]:
        """Return the names that got worse, the greatest fall first."""
        fell = [name for name, difference in self.names.items() if difference.worse(NAME_FALL)]
        return sorted(fell, key=lambda name: self.names[name].after - self.names[name].before)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {
            "path": self.path,
            "split": self.split,
            "iou": _json(self.iou),
            "false_positives": _json(self.false_positives),
            "names": {name: difference.to_json() for name, difference in self.names.items()},
            "worse_names": self.worse_names(),
        }


@dataclass(frozen=True)
class Change:
    """How far answers on unlabelled images changed: not whether they are good, which only ground truth can tell.

    Attributes:
        images: That were asked.
        words: Everyday words that were not trained.
        asked: Pairs of image and word.
        found: Pairs of which the model before found something.
        overlap: Mean IoU of the masks after with those before, where before found something; None where it never did.
        vanished: Part of these where after finds nothing; None as well.
        appeared: Part of the other pairs where after finds something; None where there are none.
        far: Rate of masks for things that hardly any image shows: false positives, but for rare ones.
        absent: Rate of masks for names that the data at hand know to be absent; None where they know none.
    """

    images: int
    words: int
    asked: int
    found: int
    overlap: float | None
    vanished: float | None
    appeared: float | None
    far: Difference | None
    absent: Difference | None

    def to_json(self) -> dict[str, Any]:
        """Return the plain values, rounded."""
        parts = {name: getattr(self, name) for name in ("overlap", "vanished", "appeared")}
        return {
            **{name: getattr(self, name) for name in ("images", "words", "asked", "found")},
            **{name: None if value is None else round(value, 6) for name, value in parts.items()},
            "far_false_positives": _json(self.far),
            "absent_false_positives": _json(self.absent),
        }


@dataclass(frozen=True)
class Forgetting:
    """What a training cost, as far as it was measured.

    Attributes:
        labelled: On labelled images; None where the user named none.
        change: On unlabelled images.
    """

    labelled: Labelled | None
    change: Change

    @property
    def worse(self) -> bool:
        """Whether anything that has a good and a bad side got worse."""
        parts = [self.change.far, self.change.absent]
        if self.labelled is not None:
            parts += [self.labelled.iou, self.labelled.false_positives]
            if self.labelled.worse_names():
                return True
        return any(part is not None and part.worse() for part in parts)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        labelled = None if self.labelled is None else self.labelled.to_json()
        return {"worse": self.worse, "labelled": labelled, "change": self.change.to_json()}


def compare(choice: ProbeChoice, before: Answers, after: Answers) -> Forgetting:
    """Return what two models' answers to the same probe say."""
    labelled = (
        None if choice.data is None else _labelled(str(choice.data), choice.split, before.labelled, after.labelled)
    )
    return Forgetting(labelled, _change(before, after))


def _labelled(path: str, split: str, before: list[Scored], after: list[Scored]) -> Labelled:
    pairs = list(zip(before, after, strict=True))
    present = [(old, new) for old, new in pairs if old.iou is not None]
    rows = [(old.key, _iou(old), _iou(new)) for old, new in present]
    names: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for row, (old, _) in zip(rows, present, strict=True):
        names[normalised(old.phrase)].append(row)
    by_name = {name: Difference.of(of_name) for name, of_name in sorted(names.items())}
    known = {name: difference for name, difference in by_name.items() if difference is not None}
    return Labelled(path, split, Difference.of(rows), _false_positives(before, after), known)


def _iou(scored: Scored) -> float:
    assert scored.iou is not None
    return scored.iou


def _false_positives(before: Iterable[Scored], after: Iterable[Scored]) -> Difference | None:
    pairs = zip(before, after, strict=True)
    rows = [(old.key, float(old.found), float(new.found)) for old, new in pairs if old.iou is None]
    return Difference.of(rows, rises=False)


def _change(before: Answers, after: Answers) -> Change:
    pairs = list(zip(before.everyday, after.everyday, strict=True))
    areas = [(_area(old), _area(new)) for old, new in pairs]
    found = [place for place, (old, _) in enumerate(areas) if old]
    overlaps = [_overlap(*pairs[place]) for place in found]
    news = [bool(new) for old, new in areas if not old]
    return Change(
        images=len({answer.key for answer in before.everyday} | {answer.key for answer in before.far}),
        words=len({answer.phrase for answer in before.everyday}),
        asked=len(pairs),
        found=len(found),
        overlap=_mean(overlaps),
        vanished=_mean([not areas[place][1] for place in found]),
        appeared=_mean(news),
        far=_false_positives(before.far, after.far),
        absent=_false_positives(before.absent, after.absent),
    )


def _area(answer: MaskAnswer) -> int:
    return int(np.count_nonzero(decode(answer.mask)))


def _overlap(one: MaskAnswer, other: MaskAnswer) -> float:
    first, second = decode(one.mask), decode(other.mask)
    return float(np.count_nonzero(first & second) / np.count_nonzero(first | second))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _json(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else difference.to_json()
