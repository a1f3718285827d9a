"""Jobs with a feature cache: the journal is the same, byte by byte, whatever the cache holds; nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.annotate.jobs import run
from tests.annotate.test_job import digest
from tests.training.inputs import write_small_compact
from wordmask.api import load
from wordmask.components.cache_folder import cache_files

PHRASES = ["red", "square", "blue"]
PLACED = [*PHRASES, "the left red square"]
"""The last one is asked about the mirrored image as well, which takes pixels."""
Loads = Callable[..., Any]


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    folder = write_small_compact(tmp_path_factory.mktemp("model") / "small")
    return lambda cache=None, dtype="bfloat16": load(folder, device="cpu", dtype=dtype, cache=cache)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three shapes, one of them turned by EXIF, a copy, and a file that is cut short."""
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number, size in enumerate([(48, 64), (64, 30), (40, 200), (64, 64)]):
        image = Image.fromarray(random.integers(0, 255, (*size, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 1 else 1
        image.save(tmp_path / "in" / f"{number} ü.jpg", exif=exif)
    content = (tmp_path / "in" / "0 ü.jpg").read_bytes()
    (tmp_path / "in" / "copy.jpg").write_bytes(content)
    (tmp_path / "in" / "cut.jpg").write_bytes(content[:300])
    return tmp_path / "in"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_warm_cache_changes_nothing_and_decodes_nothing(
    loads: Loads, folder: Path, tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = run(folder, tmp_path / "cold", PHRASES, segmenter=loads(tmp_path / "cache", dtype))
    warm = loads(tmp_path / "cache", dtype)
    run(folder, tmp_path / "warm", PHRASES, segmenter=warm)
    assert (cold.done, cold.bad, warm.hits, warm.misses) == (5, 1, 5, 0)
    assert digest(tmp_path / "warm") == digest(tmp_path / "cold")

    entry = Path(next(iter(cache_files(tmp_path / "cache"))).path)
    entry.write_bytes(entry.read_bytes()[:-1] + b"!")
    damaged = loads(tmp_path / "cache", dtype)
    run(folder, tmp_path / "damaged", PHRASES, segmenter=damaged)
    assert damaged.misses == 1
    assert digest(tmp_path / "damaged") == digest(tmp_path / "cold")

    decoded: list[object] = []
    monkeypatch.setattr("wordmask.images.deferred.load_image", decoded.append)
    run(folder, tmp_path / "again", PHRASES, segmenter=loads(tmp_path / "cache", dtype))
    assert decoded == []


def test_in_bfloat16_the_cache_rounds_nothing(loads: Loads, folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "without", PLACED, segmenter=loads(), batch=1)
    run(folder, tmp_path / "with", PLACED, segmenter=loads(tmp_path / "cache"))
    run(folder, tmp_path / "warm", PLACED, segmenter=loads(tmp_path / "cache"))
    assert digest(tmp_path / "without") == digest(tmp_path / "with") == digest(tmp_path / "warm")


@pytest.mark.parametrize("name", ["compact", "pmp", "imss", "tas"])
def test_every_embedded_method_answers_from_the_cache(name: str, folder: Path, tmp_path: Path) -> None:
    image = folder / "0 ü.jpg"
    first = load(name, device="cpu", dtype="bfloat16", cache=tmp_path / "cache").segment(image, ["red cup"])[0]
    cached: Any = load(name, device="cpu", dtype="bfloat16", cache=tmp_path / "cache")
    found = cached.segment(image, ["red cup"])[0]
    assert (cached.hits, cached.misses) == (1, 0)
    assert (found.presence, found.area) == (first.presence, first.area)
