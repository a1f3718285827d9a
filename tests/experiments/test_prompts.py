"""The changes of table 2 do what they are called, and the study sums them up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.experiments.clipseg.modified import MODES, as_bytes, as_pixels
from scripts.experiments.clipseg.orderings import PROMPTS
from scripts.experiments.clipseg.towers import Sizes, WordTower, write_tokenizer
from scripts.experiments.clipseg.visual_prompts import Case, Clip, cases_of, probabilities, study, summary
from tests.experiments.toy import write_data
from wordmask.data.plain import plain

TINY = Sizes(side=32, width=16, depth=3, heads=2, text_width=16, text_depth=1, text_heads=2, channels=24)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    WordTower(TINY, folder, write_tokenizer(folder, None)).save(folder)
    return Clip(folder)


def grey() -> tuple[np.ndarray, np.ndarray]:
    """A grey picture of 64 pixels with a light square in its middle, normalised, and the square's mask."""
    picture = np.full((64, 64, 3), 100, np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[24:40, 24:40] = True
    picture[mask] = 200
    return as_pixels(picture), mask


def test_normalising_is_undone() -> None:
    image, mask = grey()
    picture = as_bytes(image)
    assert (picture[mask] == 200).all()
    assert (picture[~mask] == 100).all()


@pytest.mark.parametrize(("name", "share"), [("dim_50", 0.5), ("dim_10", 0.1), ("dim_0", 0.0)])
def test_the_ground_is_dimmed_and_the_thing_kept(name: str, share: float) -> None:
    image, mask = grey()
    changed = MODES[name].apply(image, mask)
    assert np.allclose(changed[:, mask], image[:, mask])
    assert np.allclose(changed[:, ~mask], share * image[:, ~mask], atol=1e-6)


def test_blur_spreads_the_thing_over_the_ground_alone() -> None:
    image, mask = grey()
    changed = MODES["blur"].apply(image, mask)
    assert np.allclose(changed[:, mask], image[:, mask])
    assert (changed[:, 32, 20] > image[:, 32, 20]).all()  # 4 pixels beside the light square
    assert np.allclose(changed[:, 0, 0], image[:, 0, 0], atol=1e-5)


def test_crops_show_the_thing_with_their_margin() -> None:
    image, mask = grey()
    narrow, wide = (MODES[name].apply(image, mask)[0] for name in ("crop", "crop_large"))
    light = image[0, 32, 32]
    # 22.4 and 41.6 lose their fractions, 16 and 48 have none: boxes of 19 and 32 pixels around 16
    assert np.isclose(narrow, light).mean() == pytest.approx((16 / 19) ** 2, abs=0.01)
    assert np.isclose(wide, light).mean() == pytest.approx((16 / 32) ** 2, abs=0.01)


def test_red_marks() -> None:
    image, mask = grey()
    outline = as_bytes(MODES["outline"].apply(image, mask))
    assert outline[24, 30].tolist() == [255, 0, 0]
    assert outline[32, 32].tolist() == [200, 200, 200]
    assert outline[2, 2].tolist() == [100, 100, 100]
    dyed = as_bytes(MODES["red_in_grey"].apply(image, mask))
    assert dyed[32, 32].tolist() == [200, 40, 40]
    assert dyed[2, 2].tolist() == [100, 100, 100]


def test_cases_have_three_names_and_a_large_thing(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    cases = list(cases_of(plain(data / "things", "val"), np.random.default_rng(0), least=0.05))
    assert len(cases) == 3
    assert {len(case.names) for case in cases} == {3}
    for case in cases:
        assert case.mask.mean() == pytest.approx(14 * 22 / (48 * 60), abs=0.01)
        picture = as_bytes(case.image)[case.mask].mean(axis=0)
        assert int(picture.argmax()) == ["red square", "green square", "left square"].index(case.names[0])
    assert not list(cases_of(plain(data / "things", "val"), np.random.default_rng(0), least=0.5))


def test_probabilities_are_softmax_over_the_names_that_are_there(clip: Clip) -> None:
    image, mask = grey()
    case = Case("a", image, mask, ("cat", "dog", "cup"))
    found = probabilities(clip, [case], ("original", "cls_all"))
    assert clip.scale == pytest.approx(1 / 0.07, rel=1e-4)
    texts, seen = clip.phrases(case.names), clip.pictures([case], MODES["original"])[0]
    weights = (texts @ seen * clip.scale).exp()
    assert found["original"][0] == pytest.approx(float(weights[0] / weights.sum()), rel=1e-4)
    others = [probabilities(clip, [Case("a", image, mask, names)], ("original",))["original"][0]
              for names in (("dog", "cat", "cup"), ("cup", "cat", "dog"))]  # fmt: skip
    assert found["original"][0] + sum(others) == pytest.approx(1, rel=1e-4)
    assert found["cls_all"][0] != found["original"][0]


def test_a_mask_of_everything_changes_nothing(clip: Clip) -> None:
    image, _ = grey()
    case = Case("a", image, np.ones((64, 64), bool), ("cat", "dog", "cup"))
    original = clip.pictures([case], MODES["original"])
    for name in ("cls_last", "cls_all", "all_all"):
        assert torch.allclose(clip.pictures([case], MODES[name]), original, atol=1e-5)


def test_effects_are_means_of_differences() -> None:
    found = {name: [0.25, 0.35] for name in MODES}
    found["original"], found["crop"], found["crop_large"] = [0.2, 0.4], [0.5, 0.7], [0.3, 0.5]
    summed = summary(found)
    assert summed["cases"] == 2
    assert summed["start"] == pytest.approx(30)
    assert summed["rows"]["crop"]["value"] == pytest.approx(30)
    assert summed["rows"]["crop"]["paper"] == 13.60
    assert (summed["rows"]["crop"]["low"], summed["rows"]["crop"]["high"]) == (pytest.approx(30), pytest.approx(30))
    assert summed["pairs"]["crop > crop_large"]["value"] == pytest.approx(20)
    assert "original" not in summed["rows"]
    assert len(summed["pairs"]) == len(PROMPTS)


def test_the_study_runs_on_two_sets(clip: Clip, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    record = study(clip, [plain(data / name, "val") for name in ("maps", "things")], most=1, least=0.05)
    assert record["cases"] == 2
    assert set(record["by_set"]) == {"maps", "things"}
    assert set(record["rows"]) == set(MODES) - {"original"}
