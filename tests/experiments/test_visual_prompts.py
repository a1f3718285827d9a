"""The image changes of CLIPSeg's table 2 do what they are called, and the study summarises them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel

from scripts.experiments import visual_prompts
from scripts.experiments.image_changes import CHANGES, PAIRS, normalise, to_bytes
from scripts.experiments.visual_prompts import Case, Clip, cases_of, probabilities, study, summarise, with_file_names
from tests.methods.checkpoints import write_tokenizer
from wordmask.data.registry import open_data
from wordmask.errors import DataError
from wordmask.ops import rle

COLOURS = {"red square": (220, 30, 30), "green-square": (30, 200, 40), "left square": (40, 60, 220)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP as transformers saves it."""
    folder = tmp_path_factory.mktemp("clip")
    tokens = write_tokenizer(folder)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 3}
    text = {**tower, "vocab_size": tokens, "eos_token_id": tokens - 1, "bos_token_id": tokens - 2}
    torch.manual_seed(0)
    config = CLIPConfig(vision_config={**tower, "image_size": 32, "patch_size": 8}, text_config=text, projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(folder: Path) -> Clip:
    return Clip(folder)


def write_squares(root: Path, count: int = 3) -> Path:
    """Write images of 48 x 60 pixels with three coloured squares each, and their COCO instances."""
    (root / "images").mkdir(parents=True)
    content: dict[str, list[dict[str, Any]]] = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 48, "width": 60} for n in range(count)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(COLOURS, start=1)],
        "annotations": [],
    }
    for number in range(count):
        random = np.random.default_rng(number)
        pixels = random.integers(90, 130, (48, 60, 3), dtype=np.uint8)
        for row, colour in enumerate(COLOURS.values()):
            left = 6 + int(random.integers(0, 24))
            mask = np.zeros(pixels.shape[:2], bool)
            mask[row * 16 + 1 : row * 16 + 15, left : left + 22] = True
            pixels[mask] = colour
            record = {"id": len(content["annotations"]), "image_id": number, "category_id": row + 1, "iscrowd": 0}
            content["annotations"].append({**record, "segmentation": rle.encode(mask)})
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
    (root / "instances.json").write_text(json.dumps(content))
    return root


def grey() -> tuple[np.ndarray, np.ndarray]:
    """A grey image of 64 pixels with a light square in its middle, normalised, and the square's mask."""
    image = np.full((64, 64, 3), 100, np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[24:40, 24:40] = True
    image[mask] = 200
    return normalise(image), mask


def test_normalising_is_undone() -> None:
    image, mask = grey()
    assert (to_bytes(image)[mask] == 200).all()
    assert (to_bytes(image)[~mask] == 100).all()


@pytest.mark.parametrize(("name", "brightness"), [("dim_50", 0.5), ("dim_10", 0.1), ("dim_0", 0.0)])
def test_the_background_is_dimmed_and_the_target_kept(name: str, brightness: float) -> None:
    image, mask = grey()
    changed = CHANGES[name].apply(image, mask)
    assert np.allclose(changed[:, mask], image[:, mask])
    assert np.allclose(changed[:, ~mask], brightness * image[:, ~mask], atol=1e-6)


def test_blur_spreads_the_target_over_the_background_alone() -> None:
    image, mask = grey()
    changed = CHANGES["blur"].apply(image, mask)
    assert np.allclose(changed[:, mask], image[:, mask])
    assert (changed[:, 32, 20] > image[:, 32, 20]).all()  # 4 pixels beside the light square
    assert np.allclose(changed[:, 0, 0], image[:, 0, 0], atol=1e-5)


def test_crops_show_the_target_with_their_margin() -> None:
    image, mask = grey()
    narrow, wide = (CHANGES[name].apply(image, mask)[0] for name in ("crop", "crop_large"))
    light = image[0, 32, 32]
    # 22.4 and 41.6 lose their fractions, 16 and 48 have none: boxes of 19 and 32 pixels around 16
    assert np.isclose(narrow, light).mean() == pytest.approx((16 / 19) ** 2, abs=0.01)
    assert np.isclose(wide, light).mean() == pytest.approx((16 / 32) ** 2, abs=0.01)


def test_red_marks() -> None:
    image, mask = grey()
    outline = to_bytes(CHANGES["outline"].apply(image, mask))
    assert outline[24, 30].tolist() == [255, 0, 0]
    assert outline[32, 32].tolist() == [200, 200, 200]
    assert outline[2, 2].tolist() == [100, 100, 100]
    dyed = to_bytes(CHANGES["red_in_grey"].apply(image, mask))
    assert dyed[32, 32].tolist() == [200, 40, 40]
    assert dyed[2, 2].tolist() == [100, 100, 100]


def test_cases_have_three_names_and_a_large_target(tmp_path: Path) -> None:
    data = open_data(write_squares(tmp_path / "things"))
    cases = list(cases_of(data, np.random.default_rng(0), least=0.05))
    assert len(cases) == 3
    for case in cases:
        assert set(case.names) == {"red square", "green square", "left square"}
        assert case.mask.mean() == pytest.approx(14 * 22 / (48 * 60), abs=0.01)
        colour = to_bytes(case.image)[case.mask].mean(axis=0)
        assert int(colour.argmax()) == ["red square", "green square", "left square"].index(case.names[0])
    assert not list(cases_of(data, np.random.default_rng(0), least=0.5))


def test_probabilities_are_a_softmax_over_the_names_of_the_image(clip: Clip) -> None:
    image, mask = grey()
    case = Case("a", image, mask, ("cat", "dog", "hair"))
    found = probabilities(clip, [case], ("original", "cls_all"))
    texts, vector = clip.embed_names(case.names), clip.embed_images([case], CHANGES["original"])[0]
    weights = (texts @ vector * clip.scale).exp()
    assert clip.scale == pytest.approx(1 / 0.07, rel=1e-3)
    assert found["original"][0] == pytest.approx(float(weights[0] / weights.sum()), rel=1e-4)
    assert found["cls_all"][0] != found["original"][0]


def test_a_mask_of_everything_changes_nothing(clip: Clip) -> None:
    image, _ = grey()
    case = Case("a", image, np.ones((64, 64), bool), ("cat", "dog", "hair"))
    original = clip.embed_images([case], CHANGES["original"])
    for name in ("cls_last", "cls_all", "all_all"):
        assert torch.allclose(clip.embed_images([case], CHANGES[name]), original, atol=1e-5)


def test_effects_are_means_of_differences() -> None:
    found = {name: [0.25, 0.35] for name in CHANGES}
    found["original"], found["crop"], found["crop_large"] = [0.2, 0.4], [0.5, 0.7], [0.3, 0.5]
    summary = summarise(found)
    assert summary["cases"] == 2
    assert summary["start"] == pytest.approx(30)
    assert summary["rows"]["crop"]["paper"] == 13.60
    assert {key: summary["rows"]["crop"][key] for key in ("value", "low", "high")} == pytest.approx(
        {"value": 30, "low": 30, "high": 30}
    )
    assert summary["pairs"]["crop > crop_large"]["value"] == pytest.approx(20)
    assert len(summary["pairs"]) == len(PAIRS)


def test_every_pair_is_ordered_as_in_the_paper() -> None:
    for first, second in PAIRS:
        assert (CHANGES[first].paper or 0) > (CHANGES[second].paper or 0)


def test_lvis_addresses_become_file_names(tmp_path: Path) -> None:
    file = tmp_path / "lvis.json"
    file.write_text(json.dumps({"images": [{"id": 1, "coco_url": "http://images/val2017/000000000139.jpg"}]}))
    named = json.loads(with_file_names(file, tmp_path / "out").read_bytes())
    assert named["images"][0]["file_name"] == "val2017/000000000139.jpg"
    assert with_file_names(tmp_path, tmp_path) == tmp_path


def test_the_study_needs_an_image_that_fits(clip: Clip, tmp_path: Path) -> None:
    data = open_data(write_squares(tmp_path / "things"))
    with pytest.raises(DataError, match="no image with 3 names and an object of 50%"):
        study(clip, [data], most=1, least=0.5)


def test_the_command_writes_a_record(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_squares(tmp_path / "things")
    command = [
        "visual_prompts",
        "--clip",
        folder,
        "--data",
        data,
        "--most",
        2,
        "--least",
        0.05,
        "--out",
        tmp_path / "a.json",
    ]
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    visual_prompts.main()
    record = json.loads((tmp_path / "a.json").read_bytes())
    assert (record["cases"], set(record["by_set"])) == (2, {"things"})
    assert set(record["rows"]) == set(CHANGES)
    assert len(capsys.readouterr().out.splitlines()) == len(CHANGES)
