"""The query decoder in training, on a frozen compact trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from wordmask.methods.pmp.embedded.model import ProposalModel, trunk_maps
from wordmask.methods.pmp.embedded.segmenter import ProposalSegmenter
from wordmask.methods.pmp.embedded.weights import save_proposals
from wordmask.methods.trainable import PartsTrainable, TrainedParts, fingerprint_weights
from wordmask.training.pmp.centre_losses import centre_losses, centre_targets
from wordmask.training.pmp.losses import ProposalLosses, proposal_losses
from wordmask.training.pmp.score_loss import score_loss
from wordmask.training.pmp.targets import UNKNOWN_INSTANCES, ProposalTargets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from wordmask.batch import Batch
    from wordmask.components.feature_cache import FeatureCache
    from wordmask.contracts import Segmenter
    from wordmask.methods.compact.method import CompactModel
    from wordmask.methods.pmp.embedded.network import ProposalNetwork
    from wordmask.methods.pmp.embedded.settings import ProposalSettings

__all__ = ["ProposalTrainable", "targets_of", "without_prompts"]

NOISE = 0.7
"""Standard deviation of the slow noise that is added to dense logits in training."""
FAINTEST = 0.35
"""Least factor of dense logits in training: on images that the trunk was trained on they are too sure."""
WITHOUT_DENSE = 0.1
"""Probability of a step without dense logits."""


class ProposalTrainable(PartsTrainable):
    """A query decoder whose trunk stays as it is.

    Some steps are unprompted, so that the same weights propose with and without a prompt. Dense logits are weakened and
    disturbed.

    Args:
        name: In its config.json.
        network: What is trained.
        compact: The trunk, its norms folded, in float32.
        trunk: Its folder.
        settings: Inference settings of proposals.
        losses: Weights of the losses.
        unguided: Probability of a step without prompts.
        size: Side of the square training images in pixels.
        seed: Of the draws of every step.
    """

    def __init__(
        self, name: str, network: ProposalNetwork, compact: CompactModel, trunk: Path, settings: ProposalSettings, *,
        losses: ProposalLosses, unguided: float, size: int, seed: int,
    ) -> None:  # fmt: skip
        super().__init__(
            {"decoder": network, "trunk": compact.network}, ("decoder",), TrainedParts(), size=size, square=False,
            mean=compact.mean, std=compact.std,
        )  # fmt: skip
        self._kept = (name, network, compact, trunk, settings)  # in a tuple, out of sight of torch
        self.losses, self.unguided, self.seed = losses, unguided, seed
        self._pyramid: Callable[[Tensor], tuple[Tensor, ...]] = compact.pyramid

    def use_cache(self, cache: FeatureCache) -> None:
        """Keep the feature maps of the trunk's image encoder on disk: 0.6 MB an image of 256 x 256 pixels."""
        from wordmask.components.feature_cache import CachedFeatures

        compact = self._kept[2]
        encoder = fingerprint_weights(compact.network.encoder.state_dict().items())
        self._pyramid = CachedFeatures(compact.pyramid, cache, f"compact/{encoder}/pyramid")

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a batch with the masks, and instance masks, of its phrases."""
        _, network, compact, _, settings = self._kept
        draws = torch.Generator().manual_seed((self.seed * 1_000_003 + step) & 0x7FFFFFFF)
        unguided = float(torch.rand((), generator=draws)) < self.unguided
        targets = targets_of(batch)
        b = len(batch.pixels)
        with torch.no_grad():
            trunk = compact.read_pyramid(self._pyramid(batch.pixels))
            vectors = self.embedded(batch.phrases, compact.embed_texts).to(batch.pixels.device)
            vectors = vectors.view(b, -1, network.config.text)
            dense, presence = compact.answer(trunk, vectors)
            dense, presence = compact.calibrate_masks(dense), compact.calibrate_presence(presence.float())
        features = network.encode(trunk_maps(trunk))
        if unguided:
            state, start = network(features, None), None
            targets = without_prompts(targets, b)
        else:
            alone = float(torch.rand((), generator=draws)) < WITHOUT_DENSE or not network.config.dense
            start = None if alone else disturbed(dense, draws)
            state = network(features, vectors, start)
        points = torch.Generator(batch.pixels.device).manual_seed(int(torch.randint(2**31, (), generator=draws)))
        losses, _ = proposal_losses(
            network, features, state, targets, dense=start, weights=self.losses, generator=points
        )
        if network.centres is not None and not unguided:
            told = disturbed(dense, draws) if start is None else start
            maps = network.centres(features.centres[0], network.mask_features.grid(features), vectors, told)
            losses |= self.losses.of_centres(centre_losses(maps, centre_targets(targets, dense.flatten(0, 1).float())))
            losses["score"] = score_loss(network.centres, maps, told, presence, targets, settings)
        return losses

    @property
    def reads_boxes(self) -> bool:
        """Whether boxes without masks teach it something: they are targets of the centre head."""
        return self._kept[1].centres is not None

    def segmenter(self) -> Segmenter:
        """Return the model as it is now; it shares the weights."""
        name, network, compact, _, settings = self._kept
        device = compact.network.text.position.device
        return ProposalSegmenter(ProposalModel(name, compact, network, settings), device=device)

    def export(self, folder: Path) -> None:
        """Write a folder that `wordmask.load` reads; it names the trunk by its relative path."""
        name, network, _, trunk, settings = self._kept
        save_proposals(folder, name, network, settings, trunk=trunk)


def targets_of(batch: Batch) -> ProposalTargets:
    """Return the targets of a batch of `training.pmp.instance_crops.InstanceSet`.

    A phrase with a mask and without instances has instances that are not known. Of a phrase with boxes alone the whole
    mask is not known.
    """
    assert batch.instance_masks is not None
    assert batch.box_labels is not None
    assert batch.boxed is not None
    k = len(batch.phrases) // len(batch.pixels)
    whole = batch.masks[..., ::2, ::2] > 0.5
    known = batch.known[..., ::2, ::2] > 0.5
    rows = [
        masks[labels == phrase] > 0.5
        for masks, labels in zip(batch.instance_masks, batch.box_labels, strict=True)
        for phrase in range(k)
    ]
    instances = whole.new_zeros((len(rows), max(1, *map(len, rows)), *whole.shape[1:]))
    for row, masks in enumerate(rows):
        instances[row, : len(masks)] = masks
    there = whole.flatten(1).any(1)
    counts = torch.tensor([len(masks) for masks in rows], device=whole.device)
    counts = torch.where(there & (counts == 0), torch.full_like(counts, UNKNOWN_INSTANCES), counts)
    certain = torch.ones_like(there)
    return ProposalTargets(whole, ~batch.boxed, instances, counts, certain, known, batch.boxed)


def without_prompts(targets: ProposalTargets, images: int) -> ProposalTargets:
    """Return the targets of images without a prompt: the instances of all their phrases that have masks.

    Where a phrase has boxes alone, further proposals are no false positives.
    """
    k = len(targets.counts) // images
    masked = targets.counts.clamp(min=0).masked_fill(targets.boxed, 0).tolist()
    rows = [torch.cat([targets.instances[i * k + j, : masked[i * k + j]] for j in range(k)]) for i in range(images)]
    size = targets.whole.shape[1:]
    instances = targets.instances.new_zeros((images, max(1, *map(len, rows)), *size))
    for row, masks in enumerate(rows):
        instances[row, : len(masks)] = masks
    empty = targets.whole.new_zeros((images, *size))
    never = targets.has_whole.new_zeros(images)
    counts = torch.tensor([len(masks) for masks in rows], device=empty.device)
    known = targets.known.view(images, k, *size)[:, 0]
    return ProposalTargets(empty, never, instances, counts, ~targets.boxed.view(images, k).any(1), known, never)


def disturbed(dense: Tensor, draws: torch.Generator) -> Tensor:
    """Return dense logits `(B, K, h, w)` times a random factor, with noise of a few cells a side added."""
    b, k = dense.shape[:2]
    factor = FAINTEST + (1 - FAINTEST) * torch.rand((b, k, 1, 1), generator=draws)
    noise = NOISE * torch.randn((b, k, 4, 4), generator=draws)
    slow = F.interpolate(noise, size=dense.shape[-2:], mode="bilinear", align_corners=False)
    return dense * factor.to(dense.device) + slow.to(dense.device)
