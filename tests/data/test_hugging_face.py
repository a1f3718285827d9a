"""A data set of the `datasets` library, through a fake with the same interface."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import DatasetContract
from wordmask.contracts import Dataset
from wordmask.data.hugging_face import HuggingFace
from wordmask.errors import DataError, MissingExtraError

NAMES = ["sky", "road"]
VALUES = [[0, 0, 1], [1, 255, 255]]


class Rows:
    """What this reader uses of `datasets.Dataset`."""

    def __init__(self, rows: list[dict[str, Any]], features: dict[str, Any] | None = None) -> None:
        self.rows, self.features = rows, features or {}
        self._fingerprint = "0123456789abcdef"
        self.info = SimpleNamespace(dataset_name="streets")

    @property
    def column_names(self) -> list[str]:
        return list(self.rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def image(size: tuple[int, int] = (2, 3)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))


def label_map(values: Any = VALUES) -> Image.Image:
    return Image.fromarray(np.asarray(values, dtype=np.uint8))


def rows(**row: Any) -> Rows:
    first = {"image": image(), "label": label_map(), "id": "first"} | row
    return Rows([first, first | {"label": label_map([[1] * 3] * 2), "id": "second"}])


class TestHuggingFace(DatasetContract):
    options: ClassVar[dict[str, Any]] = {
        "exhaustive": True, "split": "test", "ignore": (255, 3), "key": "id", "names": ["sky", "street"]
    }  # fmt: skip

    def build(self, folder: Path, **options: Any) -> Dataset:
        return HuggingFace(rows(), **({"names": NAMES} | options))


def test_rows_become_samples() -> None:
    dataset = HuggingFace(rows(), NAMES, key="id", exhaustive=True)
    first, second = dataset[0], dataset[1]
    assert (dataset.name, first.key, second.key) == ("streets", "first", "second")
    assert first.labels is not None
    assert first.labels.tolist() == [[0, 0, 1], [1, -1, -1]]
    assert [query.packed.area for query in first.queries] == [2, 2]
    assert first.ignored is not None
    assert first.ignored.area == 2
    assert second.absent == ("sky",)


def test_names_come_from_the_features() -> None:
    feature = SimpleNamespace(feature=SimpleNamespace(feature=SimpleNamespace(names=NAMES)))
    dataset = HuggingFace(Rows(rows(label=VALUES).rows, {"label": feature}))
    assert dataset.names == tuple(NAMES)
    assert dataset[0].queries[0].packed.area == 2
    with pytest.raises(DataError, match="no names of the values in the column 'label' of 'streets'"):
        HuggingFace(rows())


def test_undecoded_columns_are_read() -> None:
    stream = io.BytesIO()
    label_map().save(stream, format="PNG")
    dataset = HuggingFace(rows(label={"bytes": stream.getvalue(), "path": None}), NAMES)
    assert dataset[0].queries[0].packed.area == 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"image": b"no image"}, "no readable image in row 0 of streets"),
        ({"label": b"no image"}, "no readable label map in row 0 of streets"),
        ({"label": label_map([[0]])}, "a label map of 1 x 1 in row 0 of streets, expected its image's 2 x 3"),
        ({"label": label_map([[9] * 3] * 2)}, "row 0 of streets' with the value 9"),
        ({"label": image()}, r"a label map of shape \(2, 3, 3\)"),
        ({"label": None}, "a label map of shape"),
    ],
)
def test_bad_rows_are_named(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        HuggingFace(rows(**row), NAMES)[0]


def test_what_is_no_set_of_rows_is_refused() -> None:
    with pytest.raises(DataError, match="with the splits 'train', 'test', expected one of them"):
        HuggingFace({"train": rows(), "test": rows()}, NAMES)
    with pytest.raises(DataError, match="of type generator"):
        HuggingFace((row for row in [1]), NAMES)
    with pytest.raises(DataError, match="without a row"):
        HuggingFace(Rows([]), NAMES)
    with pytest.raises(DataError, match="no column 'mask' in 'streets', expected one of 'image', 'label', 'id'"):
        HuggingFace(rows(), NAMES, label="mask")


def test_a_name_is_opened_by_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("datasets")
    asked: list[Any] = []

    def load_dataset(name: str, config: str | None, *, split: str) -> Rows:
        asked.append((name, config, split))
        if name == "gone":
            raise FileNotFoundError("no such set")
        return rows()

    library.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", library)
    dataset = HuggingFace("owner/streets", NAMES, split="test", config="small")
    assert (dataset.name, len(dataset), asked) == ("owner/streets", 2, [("owner/streets", "small", "test")])
    with pytest.raises(DataError, match=r"the data set 'gone', which `datasets` cannot open .*no such set"):
        HuggingFace("gone", NAMES)


def test_without_the_library_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="the package datasets: run `pip install datasets`"):
        HuggingFace("owner/streets", NAMES)
