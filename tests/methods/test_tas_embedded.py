"""TAS on the embedded network, offline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.contract import MethodContract, random_image
from tests.methods.grid_regions import GridRegions
from tests.methods.pmp.test_embedded import SMALL
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.contracts import Segmenter
from wordmask.methods.compact import save_compact
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.methods.pmp.embedded.settings import ProposalSettings
from wordmask.methods.pmp.embedded.weights import save_proposals
from wordmask.methods.runner import map_tensors
from wordmask.methods.tas.embedded import CompactRegions
from wordmask.methods.tas.mask_pooling import coverage
from wordmask.methods.tas.regions import pack_masks, pack_text, unpack_masks, unpack_text
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.ops.masks import PackedMask, empty, iou, pack
from wordmask.prompts import TextPrompt


@pytest.fixture(scope="module")
def tas() -> TasSegmenter:
    loaded = wordmask.load("tas", device="cpu", dtype="float32")
    assert isinstance(loaded, TasSegmenter)
    return loaded


class TestTas(MethodContract):
    """TAS promises what every method does."""

    tolerance = 1e-4

    @pytest.fixture
    def segmenter(self) -> Segmenter:
        return TasSegmenter(GridRegions())


def test_it_finds_a_face_and_says_why(tas: TasSegmenter) -> None:
    found = tas.segment("sample:astronaut", "face")[0]
    assert found.regions is not None
    assert len(found.regions) == 1
    x0, y0, x1, y1 = found.box or (0, 0, 0, 0)
    assert 160 < x0 < 190
    assert 260 < x1 < 300
    assert 40 < y0 < 80
    assert 170 < y1 < 200
    assert {"image", "caption", "negative"} <= set(found.candidates[0].scores)
    assert "1 of" in found.explain()


def test_an_expression_presumes_its_object(tas: TasSegmenter) -> None:
    found = tas.segment("sample:astronaut", "zebra", presence_threshold=None)[0]
    assert found.present
    assert not tas.segment("sample:astronaut", "zebra", presence_threshold=0.9)[0].present


def test_negatives_of_the_user_replace_those_of_the_caption(tas: TasSegmenter) -> None:
    plain, other = tas.segment("sample:astronaut", [TextPrompt("hair"), TextPrompt("hair", negatives=("face",))])
    faces = [candidate.scores["negative"] for candidate in other.candidates]
    assert faces != [candidate.scores["negative"] for candidate in plain.candidates]
    assert max(faces) > 0.5  # the face fits "a photo of face"


def test_features_are_tensors_that_can_be_stored(tas: TasSegmenter) -> None:
    encoded = tas.encode("sample:chelsea")
    leaves: list[torch.Tensor] = []
    map_tensors(encoded.features, lambda tensor: leaves.append(tensor) or tensor)  # type: ignore[func-returns-value]
    assert len(leaves) >= 7
    captions, phrases = encoded.features.texts()
    assert len(captions) == len(encoded.features.masks(encoded.size)) > 0
    assert set(phrases) == {text.removeprefix("a photo of a ") for text in captions}


def masks() -> list[PackedMask]:
    random = np.random.default_rng(0)
    shapes = [random.random((37, 53)) > 0.5 for _ in range(3)]
    shapes[1][:, :20] = False
    return [*(pack(shape) for shape in shapes), empty((37, 53))]


def test_masks_and_text_survive_as_tensors() -> None:
    original = masks()
    restored = unpack_masks(*pack_masks(original), (37, 53))
    assert [mask.area for mask in restored] == [mask.area for mask in original]
    assert [iou(a, b) for a, b in zip(restored, original, strict=True)] == [1.0] * 4
    assert unpack_masks(*pack_masks([]), (3, 3)) == []
    assert unpack_text(pack_text(["a cat", "two\nlines", "größer"])) == ["a cat", "two lines", "größer"]


def test_vectors_of_regions_equal_those_of_examples(tas: TasSegmenter) -> None:
    """Pooling many masks at once is the network's own reading of an example image."""
    encoded = tas.encode("sample:chelsea")
    features = encoded.features
    regions = features.masks(encoded.size)[:3]
    model = tas.model
    assert isinstance(model, CompactRegions)
    maps = features.trunk.maps
    with torch.inference_mode():
        cells = coverage(regions, tuple(maps.pixel.shape[-2:]))  # type: ignore[arg-type]
        one_by_one = torch.cat([model.network.network.read_example(maps, cell[None]) for cell in cells])
        torch.testing.assert_close(model.vectors(regions, features.trunk), one_by_one, atol=1e-5, rtol=0)


def test_a_damaged_config_is_told(tmp_path: Path) -> None:
    for content, said in (("{}", "names"), ('{"settings": {"scale": -1}}', "scale"), ('{"settings": {"x": 1}}', "x")):
        folder = tmp_path / str(abs(hash(content)))
        folder.mkdir()
        compact = Path(wordmask.__file__).parent / "weights" / "compact"
        start = f'{{"model_type": "wordmask-tas-compact", "parts": {{"trunk": {{"path": "{compact}"}}}}'
        (folder / "config.json").write_text(start + ("}" if content == "{}" else f", {content[1:]}"))
        with pytest.raises(wordmask.CheckpointError, match=said):
            wordmask.load(folder, device="cpu")


def test_a_query_decoder_gives_instances_and_proposals(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_compact(tmp_path / "compact", "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    decoder = ProposalNetwork(SMALL)
    save_proposals(tmp_path / "pmp", "tiny-pmp", decoder, ProposalSettings(), trunk=tmp_path / "compact")
    parts = {"trunk": {"path": "compact"}, "proposals": {"path": "pmp"}}
    config = {
        "model_type": "wordmask-tas-compact",
        "parts": parts,
        "names": ["cat", "hair"],
        "settings": {"min_area": 1},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = wordmask.load(tmp_path, device="cpu", dtype="float32")
    assert isinstance(loaded, TasSegmenter)
    assert isinstance(loaded.model, CompactRegions)
    assert [type(source).__name__ for source in loaded.model.sources] == ["ProposalSegmenter", "VocabularyParts"]
    assert loaded.segment(random_image(), "the cat on the left")[0].candidates
