"""The programs that measure TAS, on small inputs."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from tests.benchmarks.scripts import FOLDER
from wordmask.ops.masks import pack


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when they are run, the programs import one another by name."""
    monkeypatch.syspath_prepend(str(FOLDER))


def test_expressions_fit_one_instance_alone() -> None:
    referring = import_module("referring")
    things = []
    for x in (10, 45, 80):
        mask = np.zeros((60, 100), bool)
        mask[20 : 30 + x // 10, x : x + 12] = True
        things.append(referring.Thing("dog", pack(mask)))
    made = {one.kind: one for one in referring.expressions_of(things, "a")}
    assert {"side", "middle", "order"} <= made.keys()
    assert made["order"].text == "the second dog from the left"
    assert made["order"].mirrored == "the second dog from the right"
    assert made["order"].target is things[1].mask
    assert made["middle"].target is things[1].mask
    assert all(one.others == 2 for one in made.values())
    assert [one.kind for one in referring.expressions_of(things[:1], "a")] == ["name"]


def test_scores_of_referring_expressions() -> None:
    tables = import_module("tas_tables")
    rows = [{"key": "a", "i": 1, "u": 2}, {"key": "b", "i": 90, "u": 100}]
    found = tables.scores(rows)
    assert round(found["oIoU"][0], 2) == round(100 * 91 / 102, 2)
    assert round(found["mIoU"][0], 2) == 70.0
    assert found["Pr@0.5"][0] == 50.0
    gaps = tables.difference(rows, [{**row, "i": 0} for row in rows])
    assert {name: round(gap[0], 2) for name, gap in gaps.items()} == {"oIoU": 89.22, "mIoU": 70.0, "Pr@0.5": 50.0}
    assert all(low <= value <= high for value, low, high in gaps.values())
