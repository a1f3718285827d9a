"""Features of images on disk: found again by any caller, by the file's bytes, whatever happened to the entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.training.inputs import write_small_compact
from wordmask.api import load
from wordmask.cli.app import app
from wordmask.components.cache_folder import cache_files, clear_entries, describe
from wordmask.components.cached_segmenter import CachedSegmenter
from wordmask.components.feature_cache import FeatureCache, remove_damaged
from wordmask.components.feature_tree import UnknownTreeError, flatten, in_memory_order, layout_of, restore, with_layout
from wordmask.contracts import Segmenter
from wordmask.errors import PromptError
from wordmask.methods.compact.method import CompactFeatures


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_compact(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    path = tmp_path / "image.png"
    Image.fromarray(random.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


def cached(model: Path, folder: Path) -> Any:
    return load(model, device="cpu", cache=folder)


def test_the_second_time_nothing_is_encoded_and_the_answer_is_the_same(
    model: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached(model, tmp_path / "cache").segment(image, ["red", "square"])
    again = cached(model, tmp_path / "cache")
    monkeypatch.setattr(again.segmenter, "encode", None)
    second = again.segment(image, ["square", "red"])
    from_bytes = again.segment(image.read_bytes(), ["red"])

    assert isinstance(again, Segmenter)
    assert (again.hits, again.misses) == (2, 0)
    for other in (second["red"], from_bytes["red"]):
        assert other.presence == first["red"].presence
        assert np.array_equal(other.heatmap, first["red"].heatmap)


def test_many_images_take_the_options_of_one(model: Path, image: Path, tmp_path: Path) -> None:
    segmenter = cached(model, tmp_path / "cache")
    placed = "the left square"
    (many,) = segmenter.segment_many([image], [placed], place="off", refine=False, threshold=0.4)
    one = segmenter.segment(image, [placed], place="off", threshold=0.4)
    assert (many[0].threshold, many[0].presence) == (0.4, one[0].presence)
    assert not np.array_equal(many[0].heatmap, segmenter.segment(image, [placed])[0].heatmap)


def test_rounding_changes_answers_by_little(model: Path, image: Path, tmp_path: Path) -> None:
    exact = load(model, device="cpu").segment(image, ["red"])["red"].heatmap
    rounded = cached(model, tmp_path / "cache").segment(image, ["red"])["red"].heatmap
    assert 0 <= np.abs(exact - rounded).max() < 0.01


def test_a_file_that_is_found_is_not_decoded(model: Path, image: Path, tmp_path: Path) -> None:
    segmenter = cached(model, tmp_path / "cache")
    segmenter.encode(image)
    encoded = segmenter.encode(image)
    assert encoded.image is not None
    assert encoded.image._pixels is None
    assert encoded.image.size == (48, 64)
    with Image.open(image) as file:
        assert np.array_equal(encoded.image.pixels, np.asarray(file))


def test_pixels_and_files_of_another_model_have_entries_of_their_own(model: Path, image: Path, tmp_path: Path) -> None:
    segmenter = cached(model, tmp_path / "cache")
    with Image.open(image) as file:
        pixels = np.asarray(file)
    segmenter.encode(pixels)
    segmenter.encode(pixels.copy())
    assert (segmenter.hits, segmenter.misses) == (1, 1)
    other = CachedSegmenter(segmenter.segmenter, segmenter.cache, "other weights")
    other.encode(pixels)
    assert other.misses == 1


def test_a_damaged_entry_is_made_anew(model: Path, image: Path, tmp_path: Path) -> None:
    segmenter = cached(model, tmp_path / "cache")
    first = segmenter.segment(image, ["red"])["red"].heatmap
    (entry,) = cache_files(tmp_path / "cache")
    content = bytearray(Path(entry.path).read_bytes())
    content[-5] ^= 1
    Path(entry.path).write_bytes(content)
    again = segmenter.segment(image, ["red"])["red"].heatmap
    assert segmenter.misses == 2
    assert np.array_equal(first, again)

    Path(entry.path).write_bytes(content)
    assert remove_damaged(tmp_path / "cache") == 1
    assert describe(tmp_path / "cache")["entries"] == 0


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    import os

    store = FeatureCache(tmp_path, limit=2**20)
    keys = [letter * 64 for letter in "abc"]
    for age, key in enumerate(keys):
        store.put(key, [torch.zeros(100)])
        os.utime(store._path(key), (1000 + age, 1000 + age))
    size = describe(tmp_path)["bytes"] // 3
    assert clear_entries(tmp_path, keep=2 * size) == (1, size)
    assert [store.get(key) is not None for key in keys] == [False, True, True]


def test_trees_of_tensors_come_back() -> None:
    tensors = [torch.arange(3), torch.ones(2)]
    tree = CompactFeatures((tensors[0], None), {"a": [tensors[1], 2, "b"]}, tensors[1])  # type: ignore[arg-type]
    flat, text = flatten(tree)
    back = restore(flat, text)
    assert type(back) is CompactFeatures
    assert (back[0][1], back[1]["a"][1:]) == (None, [2, "b"])  # type: ignore[call-overload]
    assert torch.equal(back[1]["a"][0], tensors[1])  # type: ignore[call-overload]
    with pytest.raises(UnknownTreeError):
        flatten(object())
    with pytest.raises(ValueError, match="wordmask"):
        restore([], '{"named": "os:system", "parts": []}')


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).view(1, 2, 3, 4),
        torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        torch.arange(48.0).view(2, 4, 3, 2).permute(0, 3, 1, 2)[1:],
        torch.arange(24.0).view(4, 6)[:, :3],
        torch.arange(6.0)[:1].expand(2, 1),
        torch.empty(1, 0, 3),
        torch.tensor(2.0),
    ],
)
def test_layouts_in_memory_come_back(tensor: torch.Tensor) -> None:
    layout = layout_of(tensor)
    back = with_layout(in_memory_order(tensor).clone(), layout)
    assert torch.equal(back, tensor)
    assert (back.is_contiguous(), list(back.stride())) == (layout[1] == list(back.contiguous().stride()), layout[1])
    with pytest.raises(ValueError, match="does not fit"):
        with_layout(torch.zeros(100), layout)


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    tensor = torch.arange(6.0)
    flat, text = flatten({"a": tensor, "b": tensor, "c": tensor[2:]})
    assert len(flat) == 2
    assert restore(flat, text)["b"] is tensor
    store = FeatureCache(tmp_path, limit=2**20)
    store.put("k" * 64, flat, dtype=torch.float32)
    found = store.get("k" * 64)
    assert found is not None
    assert [one.tolist() for one in found] == [one.tolist() for one in flat]


def test_whole_numbers_are_kept_and_large_ones_go_to_bfloat16(tmp_path: Path) -> None:
    store = FeatureCache(tmp_path, limit=2**20)
    store.put("k" * 64, [torch.tensor([70000]), torch.tensor([7e4])], dtype=torch.bfloat16, about={"note": "ä"})
    entry = store.entry("k" * 64)
    assert entry is not None
    assert (entry[0][0].item(), entry[0][1].dtype, entry[1]) == (70000, torch.bfloat16, {"note": "ä"})


def test_a_precision_that_is_none(model: Path, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="float16 or bfloat16"):
        CachedSegmenter(load(model, device="cpu"), FeatureCache(tmp_path, limit=1), "f", precision="int8")


def test_the_command_shows_and_clears(model: Path, image: Path, tmp_path: Path) -> None:
    cached(model, tmp_path / "cache").encode(image)
    shown = CliRunner().invoke(app, ["cache", str(tmp_path / "cache"), "--check", "--json"]).output
    assert '"damaged": 0' in shown
    assert '"entries": 1' in shown
    assert "0 entries" in CliRunner().invoke(app, ["cache", str(tmp_path / "cache"), "--clear"]).output
