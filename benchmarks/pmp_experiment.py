"""Train and score small query decoders: does the prompt in every layer help, and when (docs/experiments/pmp.md).

    python benchmarks/pmp_experiment.py --train train.pt --valid val.pt --model pmp --arms host,pmp,placebo \
        --queries 8 --seeds 0,1,2 --steps 600 --out results

All arms read the same frozen pixel features (`benchmarks/pmp_features.py`); only queries, layers and heads are trained.
`benchmarks/pmp_table.py` makes tables of the results. With `--unseen 4`, a quarter of the names is left out of the
training of the decoder (the trunk knows them), and masks of these names are scored; "seen" has those of the others.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from pmp_networks import PositionedNetwork, VocabularyNetwork
from torch import Tensor

import wordmask
from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.features import ProposalFeatures
from wordmask.methods.pmp.embedded.network import ProposalNetwork, QueryState
from wordmask.training.pmp.losses import ProposalLosses, proposal_losses
from wordmask.training.pmp.targets import ProposalTargets

if TYPE_CHECKING:
    from wordmask.training.pmp.matching import Matches

BATCH, PROMPTS, LR, POINTS, SIDE = 8, 2, 1e-3, 384, 128


@dataclass(frozen=True)
class Arm:
    """What a decoder gets.

    Attributes:
        guided: Whether prompts are given to it.
        attention: Whether its queries attend to the prompt.
        own: Whether one of its queries is made from the prompt.
        shuffled: Whether the prompt is replaced by a random other name.
        start: Arm that its weights come from; "" for random ones.
        dual: Whether every step has an unprompted pass, too.
        closed: Whether the gates stay at 0: prompts are told, and nothing comes of it.
        quarters: Quarters of the steps that it is trained for.
        named: Whether the proposal is chosen by its name, too, as the host's is.
        tokens: Names that are read for a prompt, itself and others of the image's set, all targets; 0: the whole set.
        told: Whether the prompt is told apart from the other names.
        instances: Whether targets are instances, where the data mark them, and instances are scored.
        position: Where in a layer the queries attend to the prompt, one of the library's `POSITIONS`.
    """

    guided: bool = True
    attention: bool = True
    own: bool = False
    shuffled: bool = False
    start: str = ""
    dual: bool = False
    closed: bool = False
    quarters: int = 4
    named: bool = False
    tokens: int = 1
    told: bool = False
    instances: bool = False
    position: str = "post_sa"


ARMS = {
    "host": Arm(guided=False, attention=False, quarters=3),
    "host-on": Arm(guided=False, attention=False, start="host", quarters=1),
    "pmp-tuned": Arm(start="host", dual=True, quarters=1),
    "pmp": Arm(),
    "placebo": Arm(shuffled=True),
    "pmp-pre": Arm(position="pre"),
    "pmp-post-ca": Arm(position="post_ca"),
    "pmp-post-ffn": Arm(position="post_ffn"),
    "closed": Arm(closed=True),
    "query": Arm(attention=False, own=True),
    "query-pmp": Arm(own=True),
    "pmp-named": Arm(named=True),
    "names": Arm(named=True, tokens=8),
    "names-told": Arm(named=True, tokens=8, told=True),
    "host-inst": Arm(guided=False, attention=False, instances=True),
    "pmp-inst": Arm(instances=True),
    "names-inst": Arm(named=True, tokens=8, instances=True),
    "names-query": Arm(own=True, named=True, tokens=8),
    "names-set": Arm(start="names", quarters=0, named=True, tokens=0),
}


class Data:
    """Features and masks of images; with a generator for draws.

    Args:
        path: What `pmp_features.py` wrote.
        seed: Of the draws.
        every: With n above 0, about one name in n is held out, by its checksum: those names are left out ...
        held_out: ... or, if this is true, all others.
    """

    def __init__(self, path: Path, seed: int = 0, *, every: int = 0, held_out: bool = False) -> None:
        content = torch.load(path, weights_only=False)
        self.rows = []
        for row in content["rows"]:
            taken = [k for k, name in enumerate(row["names"]) if not every or is_unseen(name, every) == held_out]
            if taken:
                self.rows.append(
                    {**row, "names": [row["names"][k] for k in taken], "taken": taken, "all": row["names"]}
                )
        self.vectors: dict[str, Tensor] = dict(zip(content["names"], content["vectors"], strict=True))
        self.sets: dict[str, list[str]] = {
            group: sorted({name for row in self.rows if row["set"] == group for name in row["names"]})
            for group in sorted({row["set"] for row in self.rows})
        }
        self.random = np.random.default_rng(seed)

    def features(self, chosen: list[int]) -> ProposalFeatures:
        """Return features of images."""
        rows = [self.rows[i] for i in chosen]
        fine, mixed = (torch.stack([row[name] for row in rows]).float() for name in ("fine", "mixed"))
        memories = [torch.stack([row["memories"][level] for row in rows]).float() for level in range(3)]
        return ProposalFeatures((memories[0], memories[1], memories[2]), fine, mixed)

    def masks(self, index: int) -> Tensor:
        """Return bool `(names, SIDE, SIDE)`."""
        row = self.rows[index]
        bits = np.unpackbits(row["masks"], count=len(row["all"]) * SIDE * SIDE)
        return torch.from_numpy(bits.reshape(-1, SIDE, SIDE)[row["taken"]].astype(bool))

    def parts(self, index: int) -> list[Tensor]:
        """Return bool `(n, SIDE, SIDE)` for each name: its instances; n = 0 where they are not marked."""
        row = self.rows[index]
        bits = np.unpackbits(row["instances"], count=sum(row["counts"]) * SIDE * SIDE)
        parts = np.split(bits.reshape(-1, SIDE, SIDE).astype(bool), np.cumsum(row["counts"])[:-1])
        return [torch.from_numpy(parts[k]) for k in row["taken"]]

    def wanted(self, index: int, instances: bool) -> list[Tensor]:
        """Return targets bool `(n, SIDE, SIDE)` for each name: its mask, or its instances where they are marked."""
        masks = list(self.masks(index).unsqueeze(1))
        if not instances:
            return masks
        return [part if len(part) else mask for part, mask in zip(self.parts(index), masks, strict=True)]

    def other(self, name: str) -> str:
        """Return another name."""
        names = [n for n in self.vectors if n != name]
        return names[int(self.random.integers(len(names)))]

    def vocabulary(self, name: str, group: str, count: int) -> list[str]:
        """Return a name and others of its set, drawn at random, `count` in all; 0: the whole set.

        Where names are held out, a set may have fewer: then names of other sets, all absent, fill up.
        """
        others = [other for other in self.sets[group] if other != name]
        drawn = [others[k] for k in self.random.permutation(len(others))]
        if len(drawn) < count - 1:
            more = sorted({other for names in self.sets.values() for other in names}.difference(others, [name]))
            drawn += [more[k] for k in self.random.permutation(len(more))]
        return [name, *drawn][: count or len(self.sets[group])]


def is_unseen(name: str, every: int) -> bool:
    """Whether a name is one of those held out: the same in every file."""
    return zlib.crc32(name.encode()) % every == 0


def targets(masks: list[Tensor], whole: bool) -> ProposalTargets:
    """Return targets of rows; with `whole` each row has one mask, that of its prompt."""
    instances = torch.zeros(len(masks), max(map(len, masks)), SIDE, SIDE, dtype=torch.bool)
    for row, mask in enumerate(masks):
        instances[row, : len(mask)] = mask
    sure = torch.ones(len(masks), dtype=torch.bool)
    first = instances[:, 0] if whole else torch.zeros_like(instances[:, 0])
    counts = torch.tensor([len(mask) for mask in masks])
    return ProposalTargets(first, sure & whole, instances, counts, sure, torch.ones_like(first), ~sure)


def guided_loss(
    network: ProposalNetwork, data: Data, chosen: list[int], features: ProposalFeatures, arm: Arm
) -> Tensor:
    """Return the loss of PROMPTS prompts for each image."""
    asked = []
    for i in chosen:
        names = data.rows[i]["names"]
        asked += [(i, names[k]) for k in data.random.integers(len(names), size=PROMPTS)]
    read = [vocabulary(data, name, data.rows[i]["set"], arm) for i, name in asked]
    found, masks = [], []
    for (i, name), names in zip(asked, read, strict=True):
        every = data.rows[i]["names"]
        present = [name] if arm.tokens == 1 else [other for other in names if other in every]
        wanted = data.wanted(i, arm.instances)
        masks.append(torch.cat([wanted[every.index(other)] for other in present]))
        found.append([other for other in present for _ in wanted[every.index(other)]])
    state = network(features, stacked(data.vectors, read, len(chosen)))
    losses, matches = proposal_losses(
        network, features, state, targets(masks, whole=arm.own), weights=ProposalLosses(points=POINTS)
    )
    loss = torch.stack(list(losses.values())).sum()
    if not arm.named:
        return loss
    names = sorted({name for i in chosen for name in data.rows[i]["names"]}.union(*read))
    return loss + name_loss(network, data, state, matches, names, found)


def vocabulary(data: Data, name: str, group: str, arm: Arm) -> list[str]:
    """Return the names that are read for a prompt."""
    if arm.shuffled:
        return [data.other(name)]
    return [name] if arm.tokens == 1 else data.vocabulary(name, group, arm.tokens)


def stacked(vectors: dict[str, Tensor], read: list[list[str]], images: int) -> Tensor:
    """Return phrases `(images, K, text)`, or `(images, K, T, text)` where several names are read for each."""
    phrases = torch.stack([torch.stack([vectors[name] for name in names]) for names in read])
    return phrases.view(images, -1, *phrases.shape[1 + (phrases.shape[1] == 1) :])


def host_loss(network: ProposalNetwork, data: Data, chosen: list[int], features: ProposalFeatures, arm: Arm) -> Tensor:
    """Return the loss of one unprompted pass, with the names of its proposals."""
    state = network(features, None)
    wanted = [data.wanted(i, arm.instances) for i in chosen]
    masks = [torch.cat(parts) for parts in wanted]
    losses, matches = proposal_losses(
        network, features, state, targets(masks, whole=False), weights=ProposalLosses(points=POINTS)
    )
    found = [
        [name for name, part in zip(data.rows[i]["names"], parts, strict=True) for _ in part]
        for i, parts in zip(chosen, wanted, strict=True)
    ]
    names = sorted({name for row in found for name in row})
    return torch.stack(list(losses.values())).sum() + name_loss(network, data, state, matches, names, found)


def name_loss(
    network: ProposalNetwork, data: Data, state: QueryState, matches: Matches, names: list[str], found: list[list[str]]
) -> Tensor:
    """Return the loss of the names of matched proposals; `found` has those of the targets of each row."""
    phrases = torch.stack([data.vectors[name] for name in names])
    logits = network.name_logits(state.queries.flatten(0, 1), phrases.expand(len(found), -1, -1)).float()
    wanted = torch.zeros_like(logits)
    last = matches.outputs == len(state.heads) - 1
    for row, query, target in torch.stack([matches.rows, matches.queries, matches.targets], 1)[last].tolist():
        wanted[row, query, names.index(found[row][target])] = 1
    matched = wanted.any(-1, keepdim=True)
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return 2 * (each * matched).sum() / matched.sum().clamp(min=1) / 4


def trained(network: ProposalNetwork, data: Data, arm: Arm, steps: int) -> float:
    """Train all but the pixel encoder; return the seconds of processor time."""
    frozen = ("memory", "mask_features")
    weights = [p for n, p in network.named_parameters() if p.requires_grad and not n.startswith(frozen)]
    optimiser = torch.optim.AdamW(weights, lr=LR, weight_decay=0.03, betas=(0.9, 0.98))
    began = time.process_time()
    for step in range(steps):
        scale = min(1.0, (step + 1) / 40) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimiser.param_groups[0]["lr"] = LR * scale
        chosen = data.random.integers(len(data.rows), size=BATCH).tolist()
        features, losses = data.features(chosen), []
        with torch.autocast("cpu", torch.bfloat16):
            if arm.guided:
                losses.append(guided_loss(network, data, chosen, features, arm))
            if arm.dual or not arm.guided:
                losses.append(host_loss(network, data, chosen, features, arm))
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 2.0)
        optimiser.step()
    return time.process_time() - began


@torch.inference_mode()
def scored(network: ProposalNetwork, data: Data, arm: Arm, known: Data) -> list[list[float]]:
    """Return a row for each image and name, or instance: image, area, best IoU, IoU of chosen, IoU of the own query.

    One proposal is chosen for a name, or as many as it has instances; those not told apart are left out. Names that are
    read beside the prompt are drawn from those of the set in `known`, the training data.
    """
    rows = []
    for i in range(len(data.rows)):
        found, scores = proposed(network, data, i, arm, known)
        for k, parts in enumerate(data.parts(i) if arm.instances else data.masks(i).unsqueeze(1)):
            if not len(parts):
                continue
            masks, bits = parts[:, ::2, ::2].flatten(1).float(), found[k].float()
            both = masks @ bits.T
            ious = both / (masks.sum(-1, keepdim=True) + bits.sum(-1) - both).clamp(min=1)  # (n, N)
            chosen = scores[k].argsort(descending=True, stable=True)[: len(parts)]
            columns = masks.mean(1), ious.amax(1), ious[:, chosen].amax(1), ious[:, -1]
            rows += [[i, *row] for row in torch.stack(columns, 1).tolist()]
    return rows


def proposed(network: ProposalNetwork, data: Data, i: int, arm: Arm, known: Data) -> tuple[Tensor, Tensor]:
    """Return proposals bool `(K, N, cells)` for the names of an image, and scores `(K, N)` by which they are chosen."""
    features, names, vectors = data.features([i]), data.rows[i]["names"], known.vectors | data.vectors
    read = [vocabulary(known if arm.tokens != 1 else data, name, data.rows[i]["set"], arm) for name in names]
    phrases = torch.stack([vectors[name] for name in names])[None]
    with torch.autocast("cpu", torch.bfloat16):
        state = network(features, stacked(vectors, read, 1) if arm.guided else None)
        last = state.heads[-1]
        found = last.logits(network.mask_features.grid(features).flatten(2), None)[0] > 0
        quality = last.quality[0].float().sigmoid()
        if not arm.guided:
            names_of = network.name_logits(state.queries[:, 0], phrases)[0].float().sigmoid()  # (N, K)
            found, quality = found.expand(len(names), -1, -1), quality[0] * names_of.T
        elif arm.named:
            names_of = network.name_logits(state.queries[0], phrases[0].unsqueeze(1)).float().sigmoid()  # (K, N, 1)
            quality = quality * names_of[..., 0]
    return found, quality


def main() -> None:
    """Run arms one after the other; runs whose result is there are left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--valid", type=Path, required=True)
    parser.add_argument("--model", default="pmp")
    parser.add_argument("--arms", default="host,pmp,placebo")
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--unseen", type=int, default=0, metavar="N", help="hold out one name in N")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    segmenter: Any = wordmask.load(asked.model, device="cpu", dtype="float32")
    valid = Data(asked.valid, every=asked.unseen, held_out=True)
    seen = Data(asked.valid, every=asked.unseen) if asked.unseen else None
    for seed in map(int, asked.seeds.split(",")):
        for name in asked.arms.split(","):
            if not (path := asked.out / f"{name}-{asked.queries}-{seed}.json").exists():
                run(name, seed, path, asked, segmenter.model.network, valid, seen)


def untrained(arm: Arm, queries: int) -> ProposalNetwork:
    """Return the network of an arm; the prompt's own query is one of its queries."""
    own = arm.own
    config = DecoderConfig(queries=queries - own, guided=arm.attention, prompt_query=own, dense=False, names=True)
    if arm.position != "post_sa":
        return PositionedNetwork(config, arm.position)
    return ProposalNetwork(config) if arm.tokens == 1 else VocabularyNetwork(config, arm.told)


def run(name: str, seed: int, path: Path, asked: Any, product: ProposalNetwork, valid: Data, seen: Data | None) -> None:
    """Train and score one arm: `host` for 3/4 of the steps, arms that start from it for the rest, most for all."""
    arm = ARMS[name]
    torch.manual_seed(seed)
    network = untrained(arm, asked.queries)
    network.memory.load_state_dict(product.memory.state_dict())
    network.mask_features.load_state_dict(product.mask_features.state_dict())
    steps = arm.quarters * asked.steps // 4
    if arm.start:
        network.load_state_dict(torch.load(path.with_name(f"{arm.start}-{asked.queries}-{seed}.pt")), strict=False)
        for layer in network.guidance.attentions if network.guidance is not None and arm.dual else ():
            torch.nn.init.zeros_(layer.gate)
    network.requires_grad_(True)
    network.memory.requires_grad_(False)
    network.mask_features.requires_grad_(False)
    for layer in network.guidance.attentions if network.guidance is not None and arm.closed else ():
        torch.nn.init.zeros_(layer.gate).requires_grad_(False)
    data = Data(asked.train, seed, every=asked.unseen)
    seconds = trained(network, data, arm, steps)
    rows, others = (scored(network.eval(), one, arm, data) if one else [] for one in (valid, seen))
    torch.save(network.state_dict(), path.with_suffix(".pt"))
    best, chosen = (sum(row[k] for row in rows) / len(rows) for k in (2, 3))
    facts = {"arm": name, "queries": asked.queries, "seed": seed, "steps": steps, "seconds": seconds}
    path.write_text(json.dumps(facts | {"rows": rows, "seen": others}), encoding="utf-8")
    print(f"{path.stem}: recall {best:.3f}, selected {chosen:.3f}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
