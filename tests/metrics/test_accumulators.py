"""What every accumulator promises: parts merge to the whole, a state survives JSON, nothing scored is undefined."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.metrics.judgements import EVERY, IGNORED, RANDOM
from wordmask.errors import DataError
from wordmask.metrics.accumulator import Accumulator, deviation, mean
from wordmask.metrics.binary import Binary
from wordmask.metrics.boundary import Boundary
from wordmask.metrics.confusion import Confusion
from wordmask.metrics.detection import Detection
from wordmask.metrics.judged import Judged
from wordmask.metrics.mirror import Mirror
from wordmask.metrics.presence import Presence
from wordmask.metrics.proposals import Proposals
from wordmask.metrics.referring import Referring
from wordmask.metrics.sizes import BySize
from wordmask.metrics.thresholds import Sweep


def _plainly(metric: Any, judged: Judged) -> None:
    metric.update(judged)


def _with_proposals(metric: Any, judged: Judged) -> None:
    metric.update(judged, [judged.mask, judged.mask[::-1], judged.mask[:, ::-1] | judged.mask])


def _with_mirror(metric: Any, judged: Judged) -> None:
    metric.update(judged, judged.mask[:, ::-1] & judged.mask)


def _as_labels(metric: Any, judged: Judged) -> None:
    truth = np.where(judged.truth, 1, 3 * judged.mask)
    metric.update(
        judged.mask.astype(np.int32), truth if judged.ignored is None else np.where(judged.ignored, -1, truth)
    )


def _as_instances(metric: Any, judged: Judged) -> None:
    metric.update(judged.key, [(judged.label, judged.truth)], [(judged.label, judged.presence, judged.mask)])


Feed = Callable[[Any, Judged], None]
KINDS: list[tuple[Callable[[], Any], Feed]] = [
    (Sweep, _plainly),
    (lambda: Sweep(group_by="key", at=(0.3,)), _plainly),
    (Referring, _plainly),
    (lambda: Referring(at=(0.25,)), _plainly),
    (Binary, _plainly),
    (Boundary, _plainly),
    (Presence, _plainly),
    (Proposals, _with_proposals),
    (lambda: Proposals(at=(2,)), _with_proposals),
    (Mirror, _with_mirror),
    (lambda: Confusion(("ground", "thing", "nowhere", "missed"), unseen=("thing",)), _as_labels),
    (Detection, _as_instances),
    (lambda: Detection(areas="share"), _as_instances),
]
NAMES = [f"{make().__class__.__name__}-{index}" for index, (make, _) in enumerate(KINDS)]
each = pytest.mark.parametrize(("make", "feed"), KINDS, ids=NAMES)


def _fed(make: Callable[[], Any], feed: Feed, judgements: list[Judged]) -> Any:
    metric = make()
    for judged in judgements:
        feed(metric, judged)
    return metric


def _same(one: dict[str, float], two: dict[str, float]) -> bool:
    """Return whether two scores are equal to the last bit, `nan` equal to itself."""
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


@each
def test_parts_merge_to_the_whole_in_any_order(make: Callable[[], Any], feed: Feed) -> None:
    whole = _fed(make, feed, EVERY).compute()
    parts = [_fed(make, feed, EVERY[start::3]) for start in range(3)]
    total = make()
    for part in (parts[2], parts[0], parts[1]):
        before = part.compute()
        total.merge(part)
        assert _same(part.compute(), before)
    assert _same(total.compute(), whole)
    assert any(not math.isnan(value) and value > 0 for value in whole.values())


@each
def test_an_interrupted_run_goes_on(make: Callable[[], Any], feed: Feed) -> None:
    half = json.loads(json.dumps(_fed(make, feed, EVERY[:11]).state(), allow_nan=False))
    resumed = type(make()).from_state(half)
    assert resumed.config() == make().config()
    for judged in EVERY[11:]:
        feed(resumed, judged)
    whole = _fed(make, feed, EVERY)
    assert _same(resumed.compute(), whole.compute())
    assert json.dumps(resumed.state()) == json.dumps(whole.state())


@each
def test_nothing_scored_is_undefined_under_the_same_names(make: Callable[[], Any], feed: Feed) -> None:
    scores = make().compute()
    assert scores.keys() == _fed(make, feed, RANDOM).compute().keys()
    assert all(math.isnan(value) for value in scores.values())


@each
def test_scores_are_python_floats(make: Callable[[], Any], feed: Feed) -> None:
    assert {type(value) for value in _fed(make, feed, RANDOM).compute().values()} == {float}


@pytest.mark.parametrize("make", [Sweep, Referring, Binary, Boundary, Presence])
def test_an_ignored_picture_leaves_no_trace(make: Callable[[], Any]) -> None:
    with_it, without = (_fed(make, _plainly, judgements) for judgements in ([IGNORED, *RANDOM], RANDOM))
    assert json.dumps(with_it.state()) == json.dumps(without.state())


@each
def test_other_metrics_are_refused(make: Callable[[], Any], feed: Feed) -> None:
    metric: Accumulator = make()
    other = Referring(at=(0.123,))
    with pytest.raises(DataError, match="merge only parts of one evaluation"):
        metric.merge(other)
    for state in ({"metric": "Other"}, None, [], {"metric": type(metric).__name__, "config": {}}):
        with pytest.raises(DataError, match=r"the state of|damaged state"):
            type(metric).from_state(state)


@pytest.mark.parametrize(
    "damage",
    [
        {"config": {"of": 1}},
        {"content": {"keys": ["a"], "labels": ["a"], "rows": [[1, 2, 3]]}},
        {"content": {"keys": ["a"], "labels": ["a"], "rows": [[1, 0.5]]}},
        {"content": {"keys": ["a"], "labels": [], "rows": [[1, 2]]}},
        {"content": {"keys": ["a"]}},
        {"content": None},
    ],
)
def test_damaged_states_are_one_sentence(damage: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="a damaged state of Referring"):
        Referring.from_state(Referring().state() | damage)


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Referring().at = (0.1,)  # type: ignore[misc]


def test_means_do_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).random(1000) * 10.0 ** np.arange(1000).clip(0, 15)
    shuffled = np.random.default_rng(1).permutation(values)
    assert mean(values) == mean(shuffled)
    assert deviation(values) == deviation(shuffled)
    assert deviation([1.0, 2.0, 3.0, 4.0]) == pytest.approx(np.std([1, 2, 3, 4]), rel=1e-15)


def test_by_size_merges_and_goes_on() -> None:
    whole, left, right = (BySize(Referring()) for _ in range(3))
    for place, judged in enumerate(EVERY):
        whole.update(judged)
        (left if place < 9 else right).update(judged)
    left = BySize.from_state(json.loads(json.dumps(left.state())), Referring)
    left.merge(right)
    assert _same(left.compute(), whole.compute())
    assert json.dumps(left.state()["parts"], sort_keys=True) == json.dumps(whole.state()["parts"], sort_keys=True)
    with pytest.raises(DataError, match="merge only parts"):
        left.merge(BySize(Referring(at=(0.1,))))
    with pytest.raises(DataError, match="merge only parts"):
        left.merge(Referring())
    for state in (Referring().state(), None, {"metric": "BySize"}, left.state() | {"parts": {"huge": {}}}):
        with pytest.raises(DataError, match="that of BySize"):
            BySize.from_state(state, Referring)
