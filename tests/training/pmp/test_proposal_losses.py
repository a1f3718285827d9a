"""Targets, matching and losses of mask proposals."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F

from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.features import TrunkMaps
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.training.pmp.losses import ProposalLosses, proposal_losses
from wordmask.training.pmp.matching import match, matching_costs
from wordmask.training.pmp.targets import UNKNOWN_INSTANCES, ProposalTargets, boxes_of, sample_points

SMALL = DecoderConfig(
    queries=4, channels=16, layers=3, heads=2, feedforward=16, embedding=8, mixed=16, text=32, fine=8, coarse=16,
    deep=24, deepest=32,
)  # fmt: skip


def two_squares() -> ProposalTargets:
    """A row with two instances, one whose instances are not known, and one of something absent."""
    whole = torch.zeros(3, 32, 32, dtype=torch.bool)
    instances = torch.zeros(3, 2, 32, 32, dtype=torch.bool)
    instances[0, 0, 4:12, 4:12], instances[0, 1, 20:28, 18:30] = True, True
    whole[0], whole[1, 10:20, 10:20] = instances[0].any(0), True
    certain = torch.ones(3, dtype=torch.bool)
    counts = torch.tensor([2, UNKNOWN_INSTANCES, 0])
    known = torch.ones(3, 32, 32, dtype=torch.bool)
    return ProposalTargets(whole, certain, instances, counts, certain, known, ~certain)


def test_boxes_are_fractions_and_those_of_empty_masks_are_everything() -> None:
    boxes = boxes_of(two_squares().instances)
    assert boxes[0].tolist() == [[0.125, 0.125, 0.375, 0.375], [0.5625, 0.625, 0.9375, 0.875]]
    assert boxes[2, 0].tolist() == [0, 0, 1, 1]


def test_points_lie_in_their_cells_and_half_of_them_near_instances() -> None:
    targets = two_squares()
    points, cells = sample_points(targets, 400, torch.Generator().manual_seed(0))
    assert ((points * 32).long() == torch.stack([cells % 32, cells // 32], -1)).all()
    near = targets.instances[0].any(0).flatten()[cells[0, :200]].float().mean()
    anywhere = targets.instances[0].any(0).flatten()[cells[0, 200:]].float().mean()
    assert near > 2 * anywhere  # of the grid, the instances cover 16 %


def test_costs_of_all_layers_are_those_of_single_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 3, 50, generator=generator)
    targets = (torch.rand(1, 2, 50, generator=generator) < 0.4).float()
    known = (torch.rand(1, 50, generator=generator) < 0.8).float()
    costs = matching_costs(logits, targets, known)
    x, t, w = logits[1, 0, 2], targets[0, 1], known[0].bool()
    probability = x.sigmoid()[w]
    dice = 1 - (2 * (probability * t[w]).sum() + 1) / (probability.sum() + t[w].sum() + 1)
    expected = 5 * F.binary_cross_entropy_with_logits(x[w], t[w]) + 5 * dice
    assert costs[1, 0, 2, 1].item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_matching_is_the_cheapest_of_all() -> None:
    costs = torch.rand(2, 2, 4, 3, generator=torch.Generator().manual_seed(1))
    matches = match(costs, [3, 0])
    assert set(matches.rows.tolist()) == {0}
    for output in range(2):
        own = matches.outputs == output
        total = costs[output, 0, matches.queries[own], matches.targets[own]].sum().item()
        best = min(sum(costs[output, 0, q, t].item() for t, q in enumerate(p)) for p in permutations(range(4), 3))
        assert total == pytest.approx(best)


def test_losses_reach_every_trained_weight_and_fall() -> None:
    torch.manual_seed(0)
    network, targets = ProposalNetwork(SMALL), two_squares()
    maps = TrunkMaps(*(torch.randn(3, c, 64 // s, 64 // s) for c, s in ((8, 4), (16, 8), (24, 16), (32, 32))))
    phrases, dense = F.normalize(torch.randn(3, 1, 32), dim=-1), torch.randn(3, 1, 16, 16)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    totals = []
    for step in range(25):
        features = network.encode(maps)
        losses, matches = proposal_losses(
            network, features, network(features, phrases, dense), targets, dense=dense,
            weights=ProposalLosses(points=128), generator=torch.Generator().manual_seed(step),
        )  # fmt: skip
        assert set(matches.rows.tolist()) == {0}
        total = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad()
        total.backward()
        if step == 0:
            assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
        optimiser.step()
        totals.append(total.item())
    assert sum(totals[-5:]) < 0.7 * sum(totals[:5])
