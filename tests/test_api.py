"""`load` and `segment`: names to folders to methods, and every way a name can be wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.fakes import BrightnessSegmenter
from wordmask import api
from wordmask.errors import CheckpointError, DeviceError, ModelNotFoundError, OfflineError
from wordmask.methods.table import METHODS, Method, imported, known_presets


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path, dict[str, Any]]]:
    """Replace every method's loader by the fake, and keep what each was called with."""
    calls: list[tuple[str, Path, dict[str, Any]]] = []

    def loader(kind: str) -> Any:
        def make(folder: Path, **wishes: Any) -> BrightnessSegmenter:
            calls.append((kind, folder, wishes))
            return BrightnessSegmenter()

        return make

    for name, method in METHODS.items():
        loaders = {kind: loader(kind) for kind in method.loaders}
        file_loader = loader("file") if method.file_loader else None
        monkeypatch.setitem(METHODS, name, dataclasses.replace(method, loaders=loaders, file_loader=file_loader))
    api._kept.cache_clear()
    return calls


def folder_of(kind: object, path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
    return path


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = folder_of("wordmask-compact", tmp_path / "embedded")
    monkeypatch.setitem(METHODS, "compact", dataclasses.replace(METHODS["compact"], embedded=folder))
    return folder


@pytest.mark.parametrize("name", [None, "compact"])
def test_no_name_and_the_methods_name_mean_the_embedded_weights(
    name: str | None, embedded: Path, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    assert isinstance(wordmask.load(name, device="cpu", dtype="float32"), BrightnessSegmenter)
    assert made == [("wordmask-compact", embedded, {"device": torch.device("cpu"), "dtype": torch.float32})]


def test_a_training_run_means_its_best_weights(tmp_path: Path, made: list[tuple[str, Path, dict[str, Any]]]) -> None:
    best = folder_of("wordmask-compact", tmp_path / "run" / "best")
    (tmp_path / "run" / "run.json").write_text("{}", encoding="utf-8")
    wordmask.load(tmp_path / "run", device="cpu")
    assert made[0][1] == best


@pytest.mark.parametrize("kind", ["clipseg", "wordmask-compact"])
def test_a_folder_is_read_by_the_method_it_names(
    kind: str, tmp_path: Path, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    folder = folder_of(kind, tmp_path / "model")

    wordmask.load(folder, dtype="bfloat16")
    wordmask.load(str(folder))

    assert [(call[0], call[1]) for call in made] == [(kind, folder)] * 2
    assert made[0][2]["dtype"] == torch.bfloat16


def test_a_local_folder_that_looks_like_a_hub_id_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of("clipseg", Path("owner/name"))

    wordmask.load("owner/name")

    assert made[0][1] == Path("owner/name")


def test_a_single_weight_file_is_an_original_decoder(
    tmp_path: Path, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    file = tmp_path / "rd64-uni.safetensors"
    file.write_bytes(b"weights")

    wordmask.load(file)

    assert [call[:2] for call in made] == [("file", file)]


def test_a_hub_id_is_fetched_at_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    folder = folder_of("clipseg", tmp_path / "snapshot")
    asked: list[object] = []
    monkeypatch.setattr(
        "wordmask.backbones.hub.fetch_checkpoint", lambda name, *, revision: asked.append((name, revision)) or folder
    )

    wordmask.load("CIDAS/clipseg-rd64-refined", revision="abc")

    assert asked == [("CIDAS/clipseg-rd64-refined", "abc")]
    assert made[0][:2] == ("clipseg", folder)


def test_a_planned_method_says_so_and_names_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "later", Method("later", "not built"))
    with pytest.raises(ModelNotFoundError, match=r"'later'.*not built yet.*'compact', 'clipseg'"):
        wordmask.load("later")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("clipsge", "did you mean 'clipseg'"),
        ("sam", "'compact', 'clipseg'"),
        ("./missing", "local folder"),
        ("", "''"),
        ("a/b/c", "hub id"),
    ],
)
def test_a_wrong_name_lists_the_right_ones(name: str, hint: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        wordmask.load(name)

    message = str(caught.value)
    assert hint in message
    for right in ("'clipseg'", "CIDAS/clipseg-rd64-refined", "wordmask models"):
        assert right in message


def test_clipseg_is_the_published_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    folder = folder_of("clipseg", tmp_path / "snapshot")
    asked: list[object] = []
    monkeypatch.setattr(
        "wordmask.backbones.hub.fetch_checkpoint", lambda name, *, revision: asked.append((name, revision)) or folder
    )

    wordmask.load("clipseg")

    assert asked == [("CIDAS/clipseg-rd64-refined", None)]
    assert made[0][:2] == ("clipseg", folder)


def test_clipseg_without_a_network_names_compact() -> None:
    with pytest.raises(OfflineError, match=r"'clipseg' \(CIDAS/clipseg-rd64-refined\).*load 'compact'"):
        wordmask.load("clipseg")


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_entry_of_the_table_can_be_imported(method: Method) -> None:
    assert method.planned or method.embedded or method.presets
    entries = [entry for entry in (*method.loaders.values(), method.file_loader, method.trainer) if entry is not None]
    assert all(callable(imported(entry)) for entry in entries)


def test_the_embedded_network_says_what_it_can() -> None:
    segmenter = wordmask.load(device="cpu")
    assert segmenter.trainable == (METHODS["compact"].trainer is not None)
    assert not segmenter.joint_vocabulary


def test_names_of_methods_and_presets_are_clear() -> None:
    presets = [preset for method in METHODS.values() for preset in method.presets]
    assert len(known_presets()) == len(presets)
    for preset in presets:
        assert preset.name not in METHODS or preset in METHODS[preset.name].presets
        assert preset.parts


def test_a_hub_id_without_a_network() -> None:
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE"):
        wordmask.load("nobody/has-this-model")


@pytest.mark.parametrize("name", [None, "clipseg"])
def test_a_revision_belongs_to_a_hub_id(name: str | None) -> None:
    with pytest.raises(ModelNotFoundError, match="leave revision out"):
        wordmask.load(name, revision="main")


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (None, ModelNotFoundError, "a config.json in it"),
        ("{", CheckpointError, "valid JSON"),
        pytest.param("[" * 100_000, CheckpointError, "valid JSON", id="deep"),
        ("[]", CheckpointError, "a JSON list"),
        ("{}", CheckpointError, "model_type 'None'"),
        ('{"model_type": "bert"}', CheckpointError, "'clipseg' or 'wordmask-clipseg'"),
        ('{"model_type": ["clipseg"]}', CheckpointError, "model_type"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path: Path, content: str | None, error: type[Exception], said: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")

    with pytest.raises(error) as caught:
        wordmask.load(tmp_path)
    assert said in str(caught.value)


def test_a_wrong_device_is_said_before_anything_is_fetched() -> None:
    with pytest.raises(DeviceError, match="Got device 'gpu'"):
        wordmask.load("nobody/has-this-model", device="gpu")


def test_segment_loads_once_and_keeps(
    embedded: Path, half_bright: Path, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    first = wordmask.segment(half_bright, "bright")
    second = wordmask.segment(half_bright, ["dark", "bright"])

    assert len(made) == 1
    assert second.names == ("dark", "bright")
    assert np.array_equal(first["bright"].mask, second["bright"].mask)
    assert first["bright"].mask[:, 31:].all()


def test_segment_takes_a_loaded_segmenter(
    half_bright: Path, brightness: BrightnessSegmenter, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    assert wordmask.segment(half_bright, "bright", model=brightness).model == "brightness"
    assert made == []


@pytest.mark.parametrize("name", ["./missing", "~/missing/model", "here/missing", "here/sub/missing"])
def test_a_missing_path_is_a_missing_folder_before_it_is_a_hub_id(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here/sub").mkdir(parents=True)

    with pytest.raises(ModelNotFoundError, match=rf"the model folder '{name}', which does not exist.*hub id"):
        wordmask.load(name, device="cpu")


def test_a_hub_id_whose_owner_is_a_folder_here_is_still_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[tuple[str, Path, dict[str, Any]]]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("owner").mkdir()
    folder = folder_of("clipseg", tmp_path / "snapshot")
    monkeypatch.setattr("wordmask.backbones.hub.fetch_checkpoint", lambda *_, **__: folder)

    wordmask.load("owner/name")

    assert made[0][1] == folder


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-of-this-name/x/y"])
def test_impossible_paths_of_models_are_not_found(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="wordmask models"):
        wordmask.load(name, device="cpu")


@pytest.mark.parametrize("model", [5, b"clipseg", 2.5, ["clipseg"]])
def test_a_model_of_another_type_is_one_sentence(model: Any, half_bright: Path) -> None:
    said = f"a model of type {type(model).__name__}, expected None, a name"
    with pytest.raises(ModelNotFoundError, match=said):
        wordmask.load(model, device="cpu")
    with pytest.raises(ModelNotFoundError, match=said):
        wordmask.segment(half_bright, "bright", model=model)
