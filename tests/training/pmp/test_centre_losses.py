"""Losses of the maps that divide masks: 0 where the maps are right, and targets from masks of instances."""

from __future__ import annotations

import torch

from wordmask.methods.pmp.embedded.centres import CentreMaps
from wordmask.training.pmp.centre_losses import centre_losses, centre_targets
from wordmask.training.pmp.score_loss import fraction_passed
from wordmask.training.pmp.targets import UNKNOWN_INSTANCES, ProposalTargets

NOTHING = torch.zeros(1, 16, 16)


def _targets(count: int = 2) -> ProposalTargets:
    instances = torch.zeros(1, 2, 32, 32, dtype=torch.bool)
    instances[0, 0, 4:12, 2:14], instances[0, 1, 4:12, 14:30] = True, True
    sure = torch.ones(1, dtype=torch.bool)
    known = torch.ones(1, 32, 32, dtype=torch.bool)
    return ProposalTargets(instances.any(1), sure, instances, torch.tensor([count]), sure, known, ~sure)


def test_targets_are_boxes_and_owners_of_cells() -> None:
    targets = centre_targets(_targets(), NOTHING)
    assert targets.boxes.tolist() == [[[1, 2, 7, 6], [7, 2, 15, 6]]]
    assert targets.owners[0, 3].tolist() == [-1] + 6 * [0] + 8 * [1] + [-1]
    assert targets.mask.sum() == 56


def test_losses_of_true_maps_are_small_and_of_others_are_not() -> None:
    targets = centre_targets(_targets(), NOTHING)
    y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    box = targets.boxes[0][targets.owners[0].clamp(min=0)]  # (16, 16, 4)
    offsets = torch.stack([box[..., 0::2].mean(-1) - x, box[..., 1::2].mean(-1) - y])
    sizes = torch.stack([box[..., 2] - box[..., 0], box[..., 3] - box[..., 1]]).log()
    heat = torch.full((16, 16), -9.0)
    heat[4, 4], heat[4, 11] = 9, 9
    mask = 18 * targets.mask[0] - 9
    maps = CentreMaps(offsets[None, None], sizes[None, None], heat[None, None], mask[None, None])
    right = centre_losses(maps, targets)
    assert all(float(value) < 0.01 for value in right.values()), right
    moved = centre_losses(
        maps._replace(heat=heat.roll(3)[None, None], offsets=maps.offsets + 2, mask=-maps.mask), targets
    )
    assert all(float(moved[name]) > 1 for name in ("offset", "heat", "mask")), moved


def test_where_instances_are_not_known_only_the_mask_counts() -> None:
    known, unknown = _targets(), _targets(UNKNOWN_INSTANCES)
    shapes = ((2, 16, 16), (2, 16, 16), (16, 16), (16, 16))
    maps = CentreMaps(*(torch.zeros(1, 1, *shape, requires_grad=True) for shape in shapes))
    targets = centre_targets(unknown._replace(instances=torch.zeros_like(unknown.instances)), NOTHING)
    losses = {name: loss.detach() for name, loss in centre_losses(maps, targets).items()}
    assert [float(losses[name]) for name in ("offset", "size", "heat")] == [0, 0, 0]
    assert float(losses["mask"]) > 0.5
    sum(centre_losses(maps, centre_targets(known, NOTHING)).values(), torch.zeros(())).backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in maps)


def test_what_scores_learn_is_the_fraction_of_thresholds_passed() -> None:
    found, true = torch.zeros(3, 10, 10, dtype=torch.bool), torch.zeros(1, 10, 10, dtype=torch.bool)
    true[0, :, :], found[0, :, :], found[1, :, :7], found[2, 0, 0] = True, True, True, True
    assert fraction_passed(found.numpy(), true.numpy()).tolist() == [1.0, 0.5, 0.0]
    assert fraction_passed(found.numpy(), true.numpy()[:0]).tolist() == [0.0, 0.0, 0.0]
