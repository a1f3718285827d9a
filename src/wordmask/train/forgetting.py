"""The forgetting guard: did a training cost the model something about words that were not trained?

What counts as worse: a mean over all names that moved to the bad side by more than luck (the interval of a paired
bootstrap over pictures, `metrics.bootstrap`, does not hold 0) and visibly, or by more than the first number in `FALL`;
a single name's mean likewise, with `NAME_FALL`. Fewer than `FEWEST` pictures have no interval.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.bootstrap import interval, pool, ratio_of_sums
from wordmask.ops.rle import decode
from wordmask.train.vocabulary import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.train.exam import Answers, Exam, Marked
    from wordmask.train.validation import Answered

__all__ = ["FALL", "NAME_FALL", "Change", "Difference", "Forgetting", "Truth", "compare"]

Fall = tuple[float, float]
"""How far a mean may move to the bad side: whatever its interval, and beyond luck."""

FALL: Fall = (0.05, 0.005)
"""Of a mean over everything."""
NAME_FALL: Fall = (0.1, 0.02)
"""Of one name, whose mean rests on few pictures, and of many names some fall."""
FEWEST = 5
"""Pictures from which on there is an interval."""
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """A mean before and after, over the same questions.

    Attributes:
        before, after: The means.
        low, high: Of after - before, the interval at `LEVEL`; None with fewer than `FEWEST` pictures.
        asked: Number of questions.
        pictures: Number of pictures that they were asked of.
        rises: Whether a rise is good: of an IoU it is, of false alarms it is not.
    """

    before: float
    after: float
    low: float | None
    high: float | None
    asked: int
    pictures: int
    rises: bool = True

    @classmethod
    def of(cls, rows: Sequence[tuple[str, float, float]], *, rises: bool = True) -> Difference | None:
        """Return the difference over rows of (picture, before, after); None where there is no row."""
        if not rows:
            return None
        values = np.array([[before, after, after - before, 1.0] for _, before, after in rows])
        pooled = pool(values, [key for key, _, _ in rows])
        low = high = None
        if len(pooled) >= FEWEST:
            luck = interval(pooled, ratio_of_sums((2,), (3,)), level=LEVEL)
            low, high = luck.low, luck.high
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
        return {**rounded, "asked": self.asked, "pictures": self.pictures}


@dataclass(frozen=True)
class Truth:
    """What data with truth say.

    Attributes:
        path, split: Which.
        iou: Of names that were not trained, over all pairs of picture and name; None where there is no such name.
        alarms: Share of absent phrases that got a mask; None where nothing is known to be absent.
        names: IoU by name.
    """

    path: str
    split: str
    iou: Difference | None
    alarms: Difference | None
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
            "false_alarms": _json(self.alarms),
            "names": {name: difference.to_json() for name, difference in self.names.items()},
            "worse_names": self.worse_names(),
        }


@dataclass(frozen=True)
class Change:
    """How far answers to everyday words moved: not whether they are good, since nobody knows the truth.

    Attributes:
        pictures: That were asked.
        words: Everyday words that were not trained.
        asked: Pairs of picture and word.
        found: Pairs of which the model before found something.
        agreement: Mean IoU of the masks after with those before, where before found something; None where it never did.
        vanished: Share of these where after finds nothing; None as well.
        appeared: Share of the other pairs where after finds something; None where there are none.
        far: Share of masks for things that hardly any picture shows: false alarms, but for luck.
        absent: Share of masks for names that the data at hand know to be absent; None where they know none.
    """

    pictures: int
    words: int
    asked: int
    found: int
    agreement: float | None
    vanished: float | None
    appeared: float | None
    far: Difference | None
    absent: Difference | None

    def to_json(self) -> dict[str, Any]:
        """Return the plain values, rounded."""
        shares = {name: getattr(self, name) for name in ("agreement", "vanished", "appeared")}
        return {
            **{name: getattr(self, name) for name in ("pictures", "words", "asked", "found")},
            **{name: None if value is None else round(value, 6) for name, value in shares.items()},
            "far_alarms": _json(self.far),
            "absent_alarms": _json(self.absent),
        }


@dataclass(frozen=True)
class Forgetting:
    """What a training cost, as far as it was measured.

    Attributes:
        truth: With truth; None where the user named no data.
        change: Without truth.
    """

    truth: Truth | None
    change: Change

    @property
    def worse(self) -> bool:
        """Whether anything that has a good and a bad side got worse."""
        parts = [self.change.far, self.change.absent]
        if self.truth is not None:
            parts += [self.truth.iou, self.truth.alarms]
            if self.truth.worse_names():
                return True
        return any(part is not None and part.worse() for part in parts)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        truth = None if self.truth is None else self.truth.to_json()
        return {"worse": self.worse, "truth": truth, "change": self.change.to_json()}


def compare(exam: Exam, before: Answers, after: Answers) -> Forgetting:
    """Return what two models' answers to the same exam say."""
    guard = exam.guard
    truth = None if guard.data is None else _truth(str(guard.data), guard.split, before.truth, after.truth)
    return Forgetting(truth, _change(before, after))


def _truth(path: str, split: str, before: list[Answered], after: list[Answered]) -> Truth:
    pairs = list(zip(before, after, strict=True))
    there = [(old, new) for old, new in pairs if old.iou is not None]
    rows = [(old.key, _worth(old), _worth(new)) for old, new in there]
    names: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for row, (old, _) in zip(rows, there, strict=True):
        names[normalised(old.phrase)].append(row)
    by_name = {name: Difference.of(of_name) for name, of_name in sorted(names.items())}
    known = {name: difference for name, difference in by_name.items() if difference is not None}
    return Truth(path, split, Difference.of(rows), _alarms(before, after), known)


def _worth(answered: Answered) -> float:
    assert answered.iou is not None
    return answered.iou


def _alarms(before: Iterable[Answered], after: Iterable[Answered]) -> Difference | None:
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
        pictures=len({answer.key for answer in before.everyday} | {answer.key for answer in before.far}),
        words=len({answer.word for answer in before.everyday}),
        asked=len(pairs),
        found=len(found),
        agreement=_mean(overlaps),
        vanished=_mean([not areas[place][1] for place in found]),
        appeared=_mean(news),
        far=_alarms(before.far, after.far),
        absent=_alarms(before.absent, after.absent),
    )


def _area(answer: Marked) -> int:
    return int(np.count_nonzero(decode(answer.mask)))


def _overlap(one: Marked, other: Marked) -> float:
    first, second = decode(one.mask), decode(other.mask)
    return float(np.count_nonzero(first & second) / np.count_nonzero(first | second))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _json(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else difference.to_json()
