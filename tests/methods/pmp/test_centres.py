"""Division of masks by centres: grouping of cells, the head, scores, and candidates made when asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.contract import DenseMethodContract, random_image
from tests.methods.pmp.test_embedded import SMALL, _maps
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.contracts import Segmenter
from wordmask.methods.compact import save_compact
from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.grouping import SCORE_INPUTS, CellMaps, group_cells, score_inputs
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.methods.pmp.embedded.settings import ProposalSettings
from wordmask.methods.pmp.embedded.weights import save_proposals
from wordmask.results.deferred import DeferredCandidates

DIVIDED = DecoderConfig(**{**SMALL.to_json(), "centres": 8})
BOXES = ((1, 1, 7, 9), (7, 1, 15, 9))
"""Two rectangles (x0, y0, x1, y1) that touch."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    root = tmp_path_factory.mktemp("pmp")
    save_compact(root / "compact", "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    torch.manual_seed(0)
    save_proposals(root / "pmp", "tiny-pmp", ProposalNetwork(DIVIDED), ProposalSettings(), trunk=root / "compact")
    return wordmask.load(Path(root / "pmp"), dtype="float32", device="cpu")


class TestDividedPmp(DenseMethodContract):
    tolerance = 2e-4

    @pytest.fixture
    def segmenter(self, loaded: Segmenter) -> Segmenter:
        return loaded


def _scene() -> tuple[np.ndarray, CellMaps]:
    """Two rectangles that touch, with true maps, and a part further away whose cells point nowhere."""
    mask, heat = np.full((2, 16, 24), -6.0, np.float32)
    offsets, sizes = np.zeros((2, 2, 16, 24), np.float32)
    y, x = np.mgrid[:16, :24] + 0.5
    for x0, y0, x1, y1 in BOXES:
        place = np.s_[y0:y1, x0:x1]
        mask[place] = 3
        offsets[0][place], offsets[1][place] = ((x0 + x1) / 2 - x)[place], ((y0 + y1) / 2 - y)[place]
        sizes[0][place], sizes[1][place] = np.log(x1 - x0), np.log(y1 - y0)
        heat[(y0 + y1) // 2, (x0 + x1) // 2] = 2
    mask[12:14, 19:23] = 3
    return mask, CellMaps(offsets, sizes, heat)


def test_things_that_touch_come_apart_and_nothing_is_lost() -> None:
    mask, maps = _scene()
    groups = group_cells(mask, maps, ProposalSettings())
    bits = np.stack([group.logits > 0 for group in groups])
    assert (bits.sum(0) == (mask > 0)).all()
    for (x0, y0, x1, y1), found in zip(BOXES, bits[:2], strict=True):
        assert found.sum() == found[y0:y1, x0:x1].sum() == (x1 - x0) * (y1 - y0)
    assert [group.heat > 0 for group in groups] == [True, True, False]  # the last points to no centre
    assert groups[0].box_iou == pytest.approx(1)
    assert groups[0].spread < 0.15


def test_without_centres_connected_parts_are_the_instances() -> None:
    mask, maps = _scene()
    groups = group_cells(mask, maps._replace(heat=np.full_like(maps.heat, -9)), ProposalSettings())
    assert sorted(int((group.logits > 0).sum()) for group in groups) == [8, 112]
    assert group_cells(np.full_like(mask, -1), maps, ProposalSettings()) == []


def test_parts_of_one_thing_belong_together() -> None:
    mask, maps = _scene()
    mask[3:5] = -6  # cuts both rectangles in two
    groups = group_cells(mask, maps, ProposalSettings())
    assert sorted(int((group.logits > 0).sum()) for group in groups) == [8, 36, 48]


def test_groups_whose_cells_vote_for_one_box_are_joined() -> None:
    mask, maps = _scene()
    maps.heat[8, 1], maps.sizes[:, 8, 1] = 1.5, 0.5  # a centre that no instance has, and that looks small
    drawn = maps.offsets.copy()
    drawn[0, 1:9, 1:4] -= 2.5  # and votes that lean to them
    drawn[1, 1:9, 1:4] += 3.5
    groups = group_cells(mask, maps._replace(offsets=drawn), ProposalSettings())
    assert sorted(int((group.logits > 0).sum()) for group in groups) == [8, 48, 64]


def test_scores_rise_with_the_numbers_that_they_are_made_of() -> None:
    mask, maps = _scene()
    groups = group_cells(mask, maps, ProposalSettings())
    sure, unsure = (score_inputs(groups, mask, presence) for presence in (0.9, 0.6))
    assert sure.shape == (3, SCORE_INPUTS)
    head = ProposalNetwork(DIVIDED).centres
    assert head is not None
    assert (head.expected(sure) > head.expected(unsure)).all()


def test_the_head_starts_from_the_dense_mask_and_prompts_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    network = ProposalNetwork(DIVIDED).eval()
    assert network.centres is not None
    features = network.encode(_maps())
    grid = network.mask_features.grid(features)
    phrases, dense = torch.nn.functional.normalize(torch.randn(1, 3, 32), dim=-1), 9 * torch.randn(1, 3, 16, 16)
    together = network.centres(features.centres[0], grid, phrases, dense)
    alone = network.centres(features.centres[0], grid, phrases[:, 1:2], dense[:, 1:2])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[:, 1:2], other, rtol=1e-4, atol=1e-5)
    for layer in (network.centres.out, network.centres.embed):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    assert torch.equal(network.centres(features.centres[0], grid, phrases, dense).mask, dense.clamp(-8, 8))


def test_instances_make_up_the_mask_and_candidates_hold_them(loaded: Segmenter) -> None:
    found = loaded.segment(random_image(60, 90), ["hair"], presence_threshold=0)[0]
    assert isinstance(found.candidates, DeferredCandidates)
    kinds = [list(candidate.scores)[-1] for candidate in found.candidates]
    parts = len(found.instances)
    assert kinds == ["dense", "blend", *["part"] * parts, *["instance"] * 5, "prompt"]
    blended = found.candidates[1].region.packed(found.threshold).full()
    assert (found.mask != blended).mean() < 0.05  # borders between instances
    assert pickle.loads(pickle.dumps(found)).candidates[0].scores == found.candidates[0].scores


def test_no_candidate_of_an_absent_prompt_is_chosen(loaded: Segmenter) -> None:
    found = loaded.segment(random_image(60, 90), ["hair"], presence_threshold=1.0)[0]
    assert not found.mask.any()
    assert not any(candidate.chosen for candidate in found.candidates)


def test_candidates_are_made_once_and_only_when_asked_for() -> None:
    calls = []
    candidates = DeferredCandidates(lambda: (calls.append(1), ())[1])
    assert not calls
    assert candidates == ()
    assert list(candidates) == []
    assert len(calls) == 1
