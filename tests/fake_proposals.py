"""A small method that proposes regions and learns by matching: it proves that the frame is not made for dense maps.

How a method is added: a segmenter (here on `MethodRunner`), a `Trainable` if it learns, a function that reads its
folders, and one entry in `METHODS`. `register` adds the entry for the length of a test:

    def test_x(monkeypatch, tmp_path):
        fake_proposals.register(monkeypatch)
        segmenter = wordmask.load(fake_proposals.write(tmp_path / "model"))
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from wordmask.checkpoints import read_json
from wordmask.components.thresholds import Thresholds
from wordmask.contracts import Encoded
from wordmask.methods.runner import MethodRunner
from wordmask.methods.table import METHODS, Method
from wordmask.ops.geometry import Placement, Size, squash
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Candidate, Found, MaskLogits, Region, Segmentation

MODEL_TYPE = "fake-proposals"
SIDE = 64
QUERIES = 6
CHANNELS = 16
WORDS = 97


class Proposals(NamedTuple):
    """What the network proposes for B images.

    Attributes:
        masks: float `(B, Q, h, w)`, logits.
        queries: float `(B, Q, C)`, compared with phrase embeddings.
        quality: float `(B, Q)`, logits of the predicted IoU.
    """

    masks: Tensor
    queries: Tensor
    quality: Tensor


class ProposalNetwork(nn.Module):
    """Image -> Q masks with an embedding each; phrases -> embeddings, by a hash of the phrase."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 1),
        )
        self.queries = nn.Parameter(torch.randn(QUERIES, CHANNELS))
        self.mix = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.ReLU(), nn.Linear(CHANNELS, 2 * CHANNELS + 1))
        self.bias = nn.Parameter(torch.zeros(QUERIES, 1, 1))
        self.words = nn.Embedding(WORDS, CHANNELS)
        self.nothing = nn.Parameter(torch.zeros(CHANNELS))

    def propose(self, pixels: Tensor) -> Proposals:
        """Return proposals for pixels `(B, 3, S, S)`."""
        cells = self.encoder(pixels)  # (B, C, h, w)
        weights = torch.einsum("qc,bchw->bqhw", self.queries, cells).flatten(2).softmax(dim=-1)  # (B, Q, h * w)
        content = weights @ cells.flatten(2).transpose(1, 2) + self.queries  # (B, Q, C)
        mask, query, quality = self.mix(content).split([CHANNELS, CHANNELS, 1], dim=-1)
        return Proposals(torch.einsum("bqc,bchw->bqhw", mask, cells) + self.bias, query, quality[..., 0])

    def embed(self, phrases: list[str]) -> Tensor:
        """Return `(P, C)`."""
        rows = torch.tensor([zlib.crc32(phrase.encode()) % WORDS for phrase in phrases], device=self.bias.device)
        return self.words(rows)

    def class_logits(self, queries: Tensor, vocabulary: Tensor) -> Tensor:
        """Return `(..., Q, P + 1)`: how well each query fits each phrase, and that it fits none."""
        return queries @ torch.cat([vocabulary, self.nothing[None]]).T


class ProposalModel:
    """The network as `MethodRunner` needs it."""

    name = MODEL_TYPE
    accepts = frozenset({TextPrompt})
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    threshold = 0.5
    presence_threshold = 0.5

    def __init__(self, network: ProposalNetwork) -> None:
        self.network = network

    def canvas(self, size: Size) -> Placement:
        return squash(size, (SIDE, SIDE))

    def encode_pixels(self, pixels: Tensor) -> Proposals:
        return self.network.propose(pixels)


class Asked(NamedTuple):
    """Prompts, their different names, and the embeddings `(P, C)` of these."""

    prompts: tuple[Prompt, ...]
    names: list[str]
    vocabulary: Tensor


class ProposalSegmenter(MethodRunner[Asked]):
    """Gives each query to the phrase it fits best, among all phrases of the call and "none of them"."""

    joint_vocabulary = True
    trainable = True

    def __init__(self, network: ProposalNetwork, **options: Any) -> None:
        super().__init__(ProposalModel(network.eval()), **options)
        self.network = network

    def prepare(self, prompts: tuple[Prompt, ...]) -> Asked:
        names = list(dict.fromkeys(prompt.name for prompt in prompts))  # asked twice, it is one name
        return Asked(prompts, names, self.network.embed(names))

    def propose(self, encoded: Encoded) -> tuple[Region, ...]:
        """Return all regions without a prompt (`contracts.ProposalSource`)."""
        quality = encoded.features.quality[0].sigmoid().tolist()
        return tuple(
            Region(MaskLogits(mask, encoded.placement), score, score)
            for mask, score in zip(encoded.features.masks[0].float().cpu().numpy(), quality, strict=True)
        )

    def answer(self, encoded: Encoded, plan: Asked, thresholds: Thresholds) -> Segmentation:
        prompts, names, vocabulary = plan
        probability = self.network.class_logits(encoded.features.queries[0], vocabulary).softmax(dim=-1)  # (Q, P + 1)
        best = probability.argmax(dim=-1).tolist()
        founds = []
        for prompt in prompts:
            index = names.index(prompt.name)
            scores = probability[:, index].tolist()
            candidates = tuple(
                Candidate(
                    Region(region.mask, score, region.mask_score),
                    {"class": score, "quality": float(region.mask_score or 0)},
                    chosen=query == index,
                )
                for region, score, query in zip(self.propose(encoded), scores, best, strict=True)
            )
            founds.append(
                Found(
                    prompt,
                    max(scores),
                    threshold=0.5 if thresholds.mask is None else thresholds.mask,
                    presence_threshold=thresholds.presence,
                    size=encoded.size,
                    regions=tuple(candidate.region for candidate in candidates if candidate.chosen),
                    candidates=candidates,
                )
            )
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)


class TrainableProposals(nn.Module):
    """The network with a loss over the best assignment of queries to what each image shows (`contracts.Trainable`)."""

    parts = ("network",)
    size = SIDE
    square = False
    mean = ProposalModel.mean
    std = ProposalModel.std

    def __init__(self, network: ProposalNetwork) -> None:
        super().__init__()
        self.network = network

    def loss(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return `class`, `mask` and `quality` of B images with K phrases each.

        A query that is matched learns the phrase, the mask and its IoU; all others learn "none".
        """
        proposals = self.network.propose(batch.pixels)
        images = len(batch.pixels)
        each = len(batch.phrases) // images
        losses: dict[str, list[Tensor]] = {"class": [], "mask": [], "quality": []}
        for image in range(images):
            rows = slice(image * each, (image + 1) * each)
            one = Proposals(*(field[image] for field in proposals))
            part = self._image_loss(one, batch.phrases[rows], batch.masks[rows], batch.known[rows], _shown(batch, rows))
            for name, value in part.items():
                losses[name].append(value)
        return {name: torch.stack(values).mean() for name, values in losses.items()}

    def _image_loss(
        self, proposals: Proposals, phrases: list[str], masks: Tensor, known: Tensor, shown: Tensor
    ) -> dict[str, Tensor]:
        logits = self.network.class_logits(proposals.queries, self.network.embed(phrases))  # (Q, K + 1)
        size = proposals.masks.shape[-2:]
        masks, known = (F.interpolate(values[None].float(), size, mode="area")[0] for values in (masks, known))
        pairs = _bce(proposals.masks[:, None], masks[None], known[None])  # (Q, K)
        targets = torch.nonzero(shown)[:, 0]
        cost = (pairs - logits[:, :-1].log_softmax(dim=-1))[:, targets]
        queries, columns = linear_sum_assignment(cost.detach().cpu().numpy())
        matched, chosen = torch.as_tensor(queries), targets[torch.as_tensor(columns, dtype=torch.long)]
        classes = torch.full((len(logits),), len(phrases), device=logits.device)
        classes[matched] = chosen
        quality = proposals.quality[matched]
        found = _iou(proposals.masks[matched].detach().sigmoid(), masks[chosen])
        nothing = logits.sum() * 0
        return {
            "class": F.cross_entropy(logits, classes),
            "mask": 2 * pairs[matched, chosen].mean() if len(matched) else nothing,
            "quality": F.binary_cross_entropy_with_logits(quality, found) if len(matched) else nothing,
        }

    def parameter_groups(self, schedule: Any = None) -> list[dict[str, Any]]:
        words = list(self.network.words.parameters())
        rest = [weight for weight in self.parameters() if all(weight is not word for word in words)]
        return [{"params": rest}, {"params": words, "lr_scale": 2.0, "weight_decay": 0.0, "muon": False}]

    def frozen(self) -> Iterator[tuple[str, Tensor]]:
        return iter(())

    def segmenter(self) -> ProposalSegmenter:
        return ProposalSegmenter(self.network, device=self.network.bias.device)

    def export(self, folder: Path) -> None:
        save(folder, self.network)


def _shown(batch: Any, rows: slice) -> Tensor:
    """Which of an image's K phrases it shows, bool `(K,)`."""
    if batch.presence is not None:
        return batch.presence[rows] > 0
    return batch.masks[rows].flatten(1).amax(dim=1) > 0


def _bce(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """Mean binary cross-entropy over the last two dimensions where something is known."""
    shape = torch.broadcast_shapes(logits.shape, masks.shape)
    losses = F.binary_cross_entropy_with_logits(logits.expand(shape), masks.expand(shape), reduction="none")
    return (losses * known).sum(dim=(-2, -1)) / known.sum(dim=(-2, -1)).clamp(min=1e-6)


def _iou(masks: Tensor, truth: Tensor) -> Tensor:
    """Soft IoU `(N,)` of probabilities `(N, h, w)` and ground truth `(N, h, w)`."""
    both = (masks * truth).sum(dim=(-2, -1))
    return both / ((masks + truth).sum(dim=(-2, -1)) - both).clamp(min=1e-6)


def new_network(seed: int = 0) -> ProposalNetwork:
    """Return a network with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ProposalNetwork()


def save(folder: Path, network: ProposalNetwork) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE}), encoding="utf-8")
    return folder


def write(folder: Path, *, seed: int = 0) -> Path:
    """Write a folder with random weights."""
    return save(folder, new_network(seed))


def read(folder: Path) -> ProposalNetwork:
    assert read_json(folder / "config.json")["model_type"] == MODEL_TYPE
    network = ProposalNetwork()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network


def load(folder: Path, *, device: Any = "cpu", dtype: Any = torch.float32) -> ProposalSegmenter:
    return ProposalSegmenter(read(folder).to(device), device=device)


def open_trainable(folder: Path | None, settings: Mapping[str, Any] | None = None) -> TrainableProposals:
    """Return the model of a folder for training, or a new one."""
    return TrainableProposals(new_network() if folder is None else read(folder))


def register(monkeypatch: pytest.MonkeyPatch) -> Method:
    """Add the method to `METHODS` for the length of a test."""
    method = Method(MODEL_TYPE, "a method for tests", loaders={MODEL_TYPE: load}, trainer=open_trainable)
    monkeypatch.setitem(METHODS, MODEL_TYPE, method)
    return method
