"""Model folders whose files are no files, no numbers, or hardly there: one sentence, at once, in bounded memory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import wordmask
from tests.methods.checkpoints import write_clipseg
from tests.methods.contract import random_image
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.errors import CheckpointError, ModelNotFoundError, WordmaskError
from wordmask.methods.compact import save_compact

METHODS = ("compact", "clipseg")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small model of each method."""
    root = tmp_path_factory.mktemp("models")
    save_compact(root / "compact", "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    write_clipseg(root / "clipseg", size=64)
    return {name: root / name for name in METHODS}


@pytest.fixture(params=METHODS)
def folder(folders: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(folders[request.param], tmp_path / request.param))


def load(folder: Path) -> Any:
    return wordmask.load(folder, device="cpu", dtype="float32")


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**38)


FILES = {
    "compact": ("config.json", "model.safetensors", "tokenizer.json"),
    "clipseg": ("config.json", "model.safetensors", "vocab.json", "merges.txt", "tokenizer_config.json",
                "preprocessor_config.json"),
}  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="no pipes and devices there")
@pytest.mark.parametrize("replace", [_pipe, _device, _folder, _sparse, Path.touch])
@pytest.mark.parametrize(("method", "name"), [(method, name) for method in METHODS for name in FILES[method]])
def test_what_is_no_ordinary_file_is_not_read(
    folders: dict[str, Path], tmp_path: Path, method: str, name: str, replace: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(folders[method], tmp_path / "model"))
    (folder / name).unlink()
    replace(folder / name)
    with pytest.raises((CheckpointError, ModelNotFoundError), match=r"Got .*, expected "):
        load(folder)


BARE: list[dict[str, Any]] = [
    {},
    {"vision_config": 5},
    {"vision_config": {"num_hidden_layers": "many"}},
    {"text_config": ["a"]},
    {"extract_layers": 3},
    {"extract_layers": ["x"]},
    {"extract_layers": None},
    {"projection_dim": None},
    {"projection_dim": 1e400},
    {"conditional_layer": "first"},
    {"vision_config": {"patch_size": []}},
    {"vision_config": {"patch_size": 0}},
    {"decoder": "attention", "encoder": "vit"},
    {"decoder": "attention", "encoder": []},
    {"decoder": "attention", "encoder": "vit", "vision_config": {"hidden_size": "wide"}},
    {"network": {}, "settings": {}},
    {"network": {"widths": [8], "depths": 3}, "settings": {}},
    {"network": None, "settings": None},
    {"weights": "nothing.pth", "towers": "nowhere"},
    {"weights": None, "towers": None},
    {"parts": {}},
    {"parts": {"a": {"path": "nowhere"}}},
]


@pytest.mark.parametrize("kind", ["clipseg", "wordmask-clipseg", "wordmask-compact", "bert", None, ["clipseg"], {}])
@pytest.mark.parametrize("values", BARE, ids=lambda values: json.dumps(values)[:40])
def test_a_config_with_little_in_it(tmp_path: Path, kind: Any, values: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **values}))
    with pytest.raises(WordmaskError, match=r"Got .*, expected "):
        load(tmp_path)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.uint8, torch.complex64])
def test_weights_are_floating_point_numbers(folder: Path, dtype: torch.dtype) -> None:
    def change(weights: dict[str, Tensor]) -> None:
        name = next(name for name, tensor in weights.items() if tensor.ndim > 1)
        weights[name] = weights[name].to(dtype)

    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=str(dtype)):
        load(folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floating_point_numbers_are_read(folder: Path, dtype: torch.dtype) -> None:
    rewrite(folder, lambda weights: weights.update({name: tensor.to(dtype) for name, tensor in weights.items()}))
    assert 0 <= load(folder).segment(random_image(), "hair")[0].presence <= 1


def test_an_answer_that_is_no_number_is_an_error(folder: Path) -> None:
    """Weights that are finite and overflow, as those of an interrupted or diverged training."""
    rewrite(folder, lambda weights: weights.update({name: t.float() * 1e30 for name, t in weights.items()
                                                    if "running" not in name and t.is_floating_point()}))  # fmt: skip
    segmenter = load(folder)
    with pytest.raises(CheckpointError, match=r"no number \(NaN\).*fetch or save its weights again"):
        segmenter.segment(random_image(), "hair")
    with pytest.raises(CheckpointError, match="NaN"):
        list(segmenter.segment_many([random_image()], "hair"))


def test_token_ids_beyond_the_table(folders: dict[str, Path], tmp_path: Path) -> None:
    compact = Path(shutil.copytree(folders["compact"], tmp_path / "compact"))
    content = json.loads((compact / "tokenizer.json").read_text())
    content["model"]["vocab"] = {token: number + 40 for token, number in content["model"]["vocab"].items()}
    (compact / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"token ids up to .*expected ids below 300"):
        load(compact)
    clipseg = Path(shutil.copytree(folders["clipseg"], tmp_path / "clipseg"))
    vocabulary = json.loads((clipseg / "vocab.json").read_text())
    (clipseg / "vocab.json").write_text(json.dumps(vocabulary | {"hair</w>": 10_000}))
    with pytest.raises(CheckpointError, match="token ids up to 10000, expected ids below 515"):
        load(clipseg)


def test_the_weights_of_a_folder_are_not_given_alone(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors' of the model in .*give the folder"):
        load(folder / "model.safetensors")
