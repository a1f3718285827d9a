"""Train the compact network on named masks. Resumes from its own checkpoint.

python scripts/train_compact/train.py --data ../shared/data --cache runs/cache --out runs/compact --steps 8000
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import copy
import json
import queue
import random
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from augment import mirror_name
from batches import SHARE, Batch, BatchMaker
from optimisers import Optimisers
from pictures import load_pictures
from presence import PresenceLoss
from stored import TEXT, read_run, read_text
from teachers import Teachers, teacher_loss
from tokenizers import Tokenizer
from torch import nn
from train_text import encode, vary
from vocabulary import Targets

from wordmask.backbones.compact.text import CompactTextEncoder
from wordmask.losses import bce, dice
from wordmask.methods.compact.network import CompactConfig, CompactNetwork, build_compact

cv2.setNumThreads(1)

PARTS = ("mask", "class", "presence", "example", "taught")
"""What the loss adds up, as the log names it."""


def mask_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Weighted binary cross-entropy plus Dice where the thing is there."""
    rows = [x.flatten(0, 1) for x in (logits, batch.targets, batch.weights)]
    return (bce(*rows) + dice(*rows)).mean()


def class_loss(
    pixel: torch.Tensor,
    queries: dict[str, torch.Tensor],
    batch: Batch,
    balance: dict[str, torch.Tensor],
) -> torch.Tensor:
    """Cross-entropy of pixel vectors over all names of each picture's set (and 'none of them', logit 0).

    Args:
        pixel: (B, D, h, w) pixel vectors.
        queries: set -> (N, D + 1), a vector and a bias for each name.
        batch: what the pixels show.
        balance: set -> (N + 1,) weights of 'none' and of the names.
    """
    total, count = pixel.new_zeros(()), 0
    for source in set(batch.sources):
        rows = [i for i, s in enumerate(batch.sources) if s == source]
        query = queries[source]
        logits = torch.einsum("bdhw,nd->bnhw", pixel[rows], query[:, :-1]) * pixel.shape[1] ** -0.5
        logits = logits + query[:, -1, None, None]
        logits = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)
        classes = batch.classes[rows]
        if (classes >= 0).any():
            total = total + len(rows) * F.cross_entropy(logits, classes, weight=balance[source], ignore_index=-1)
            count += len(rows)
    return total / max(count, 1)


def balance_of(maker: BatchMaker) -> dict[str, torch.Tensor]:
    """Per set: weights of 'none' and of each name, rarer in pixels -> heavier (square root, at most 5)."""
    result = {}
    for source, shots in maker.shots.items():
        area = np.zeros(len(maker.atoms[source]) + 1)
        for shot in shots:
            counts = np.bincount(shot.labels[::4, ::4].ravel(), minlength=256)
            area[0] += counts[0]
            for value, name in shot.atoms.items():
                area[maker.atoms[source].index(name) + 1] += counts[value]
        share = np.maximum(area, 1) / area.sum()
        result[source] = torch.tensor(np.clip((np.median(share[1:]) / share) ** 0.5, 0.3, 4.0), dtype=torch.float32)
    return result


def example_loss(network: CompactNetwork, features, batch: Batch, bank: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """The vector read from a masked example should point at the phrase's own, against the batch's other phrases."""
    areas = (batch.targets * batch.weights).sum((2, 3))
    rows = torch.arange(len(areas))
    pick = areas[:, 0] > 2
    if pick.sum() < 2:
        return areas.new_zeros(())
    chosen = type(features)(*(f[rows[pick]] for f in features))
    vectors = network.read_example(chosen, (batch.targets * (batch.weights > 0))[pick, 0])
    wanted = batch.vectors[pick, 0]
    logits = vectors @ torch.cat([wanted, bank]).T / 0.07
    same = (wanted @ torch.cat([wanted, bank]).T) > 0.8
    same[torch.arange(len(wanted)), torch.arange(len(wanted))] = True
    return (
        -(logits.log_softmax(1).masked_fill(~same, -1e9)).logsumexp(1).mean()
        + 2 * (1 - (vectors * wanted).sum(1)).mean()
    )


def producer(maker: BatchMaker, args: argparse.Namespace, start: int) -> Any:
    """Queue of the batches of steps `start` and on, made by a process of its own: a thread would hold this one up."""
    context = torch.multiprocessing.get_context("fork")
    batches = context.Queue(maxsize=3)

    parent = os.getpid()

    def work() -> None:
        for step in range(start, args.steps):
            size = args.size if step < args.grow_at else args.grow
            batch = maker.make(args.batch, size, random.Random(args.seed * 1_000_003 + step))
            while os.getppid() == parent:  # no longer, once training was killed
                try:
                    batches.put(batch, timeout=5)
                    break
                except queue.Full:
                    continue
        while os.getppid() == parent:  # tensors in the queue live in this process's memory
            time.sleep(1)

    context.Process(target=work, daemon=True).start()
    return batches


def take_over(network: CompactNetwork, stored: dict[str, torch.Tensor]) -> None:
    """Begin with weights of a network that may lack blocks this one has: those start as the shortcut alone."""
    missing, unexpected = network.load_state_dict(stored, strict=False)
    missing = [k for k in missing if not k.startswith(TEXT)]
    print(f"started from {len(stored)} tensors; new: {missing}; not used: {unexpected}", flush=True)


def speak(folder: Path, targets: Targets, names: list[str], *, ways: int = 12) -> dict[str, np.ndarray]:
    """Name -> unit vectors (ways, C) that the trained phrase encoder makes of it, plain first, then varied."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = CompactTextEncoder(tokenizer.get_vocab_size()).eval()
    model.load_state_dict(read_text(folder))
    rng, result = random.Random(0), {}
    with torch.no_grad():
        for name in names:
            phrases = [name, *(vary(name, rng) for _ in range(ways - 1))]
            result[name] = model(*encode(tokenizer, phrases, model.length)).numpy()
    return result


def share(text: str) -> tuple[str, float]:
    """A set and its share in a batch, from SET=VALUE."""
    name, _, value = text.partition("=")
    if name not in SHARE or not float(value) > 0:
        raise ValueError(text)
    return name, float(value)


def rate(step: int, args: argparse.Namespace) -> float:
    """Warm up, stay, and from --decay on fall to zero: a run can be taken up again before its decay."""
    if step < args.warm:
        return (step + 1) / args.warm
    if step < args.decay:
        return 1.0
    return max((args.steps - step) / max(args.steps - args.decay, 1), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--start", type=Path, help="run, or folder of weights that ship, to begin from with a new optimiser"
    )
    parser.add_argument("--without", nargs="*", default=[], metavar="SET", help="sets that are held out")
    parser.add_argument(
        "--share", type=share, nargs="*", default=[], metavar="SET=VALUE", help="other shares of sets in a batch"
    )
    parser.add_argument(
        "--teacher", type=Path, nargs="*", default=[], metavar="FOLDER", help="calibrated weights to learn from as well"
    )
    parser.add_argument("--follow", type=float, default=1.0, help="weight of the teachers' answers beside the labels")
    parser.add_argument(
        "--text",
        type=Path,
        help="folder of train_text.py, or of weights that ship: most prompts as its encoder reads them",
    )
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--warm", type=int, default=200)
    parser.add_argument("--decay", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--grow", type=int, default=256, help="side of the crops from step --grow-at on")
    parser.add_argument("--grow-at", type=int, default=1 << 30)
    parser.add_argument("--side", type=int, default=384, help="longer side of the pictures that crops are taken from")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--bf16", action="store_true", help="convolutions and matrix products in bfloat16")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument(
        "--muon",
        type=float,
        default=0.0,
        help="rate of Muon for matrices and convolutions; wants fast bfloat16; 0: AdamW",
    )
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=250)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    targets = Targets(args.data)
    sets = tuple(s for s in SHARE if s not in args.without)
    shots = load_pictures(args.data, args.cache, "train", side=args.side, sets=sets)
    maker = BatchMaker(shots, targets, prompts=args.prompts, share=dict(args.share))
    balance = balance_of(maker)
    words = dict(targets.words)
    if args.text:
        known = {n for names in (*maker.atoms.values(), *maker.merged.values()) for n in names}
        maker.spoken = speak(args.text, targets, sorted(known | set(targets.lvis_names)))
        words |= {n: v[0] for n, v in maker.spoken.items()}
    names = {s: torch.from_numpy(np.stack([words[n] for n in maker.atoms[s]])) for s in maker.atoms}
    bank = torch.cat(list(names.values()))
    config = CompactConfig()
    network = build_compact(config).to(memory_format=torch.channels_last)
    begin, latest = 0, args.out / "last.pt"
    source = latest if latest.exists() else args.start
    stored = read_run(source) if source else {}
    if source == latest:
        network.load_state_dict(stored["network"], strict=False)
    elif source:
        take_over(network, stored["average"])
    # Names compete with each other in the class loss and not in a mask: the same pixel vectors, but queries of its own,
    # which only training needs.
    classes: nn.Module = copy.deepcopy(network.decoder.query)
    trained = {k: p for k, p in network.named_parameters() if not k.startswith(TEXT)}
    trained |= {f"classes.{k}": p for k, p in classes.named_parameters()}
    optimiser = Optimisers(trained, rate=args.rate, muon=args.muon)
    if "classes" in stored:
        classes.load_state_dict(stored["classes"])
    if source == latest:
        optimiser.load_state_dict(stored["optimiser"])
        begin = stored["step"]
    if source:
        print(f"{source}: goes on at step {begin}", flush=True)
    average = {k: v.clone() for k, v in network.state_dict().items() if not k.startswith(TEXT)}
    if source == latest:
        average = stored["average"]
    presence_loss = PresenceLoss(len(maker.names))
    if source == latest and "presence" in stored:  # older runs did not count
        presence_loss.load_state_dict(stored["presence"])
    sided = torch.tensor([mirror_name(n) != n for n in maker.names])
    teachers = Teachers(args.teacher, args.seed, sided, maker.spoken)
    weights = torch.tensor([1.0, 1.0, 1.0, 0.1, args.follow])
    batches = producer(maker, args, begin)
    sums, clock = np.zeros(len(PARTS)), time.time()
    for step in range(begin, args.steps):
        batch = batches.get()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            features = network.encode(batch.pixels.contiguous(memory_format=torch.channels_last))
            logits, presence = network.decoder(features, batch.vectors)
            answer = teachers.answer(batch, step) if teachers else None
        queries = {s: classes(network.decoder.gain * vectors) for s, vectors in names.items()}
        features = type(features)(*(f.float() for f in features))
        logits, presence = logits.float(), presence.float()
        taught = teacher_loss(logits, *answer) if answer is not None else torch.zeros(())
        parts = torch.stack(
            [
                mask_loss(logits, batch),
                class_loss(features.pixel, queries, batch, balance),
                presence_loss(presence, batch),
                example_loss(network, features, batch, bank),
                taught,
            ]
        )
        loss = parts @ weights
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(trained.values()), 2.0)
        if not torch.isfinite(norm):
            print(f"step {step}: gradient is not finite, step left out", flush=True)
            optimiser.forget()
            continue
        optimiser.step(rate(step, args))
        keep = min(args.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for k, v in network.state_dict().items():
                if k in average:
                    average[k].lerp_(v, 1 - keep) if v.is_floating_point() else average[k].copy_(v)
        sums += parts.detach().numpy()
        if (step + 1) % 50 == 0:
            speed = 50 * args.batch / (time.time() - clock)
            print(
                json.dumps(
                    {
                        "step": step + 1,
                        **{part: round(total / 50, 4) for part, total in zip(PARTS, sums, strict=True)},
                        "pictures/s": round(speed, 1),
                    }
                ),
                flush=True,
            )
            sums, clock = np.zeros(len(PARTS)), time.time()
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            state = {k: v for k, v in network.state_dict().items() if not k.startswith(TEXT)}
            temporary = latest.with_suffix(".tmp")
            torch.save(
                {
                    "network": state,
                    "average": average,
                    "classes": classes.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "presence": presence_loss.state_dict(),
                    "step": step + 1,
                },
                temporary,
            )
            os.replace(temporary, latest)


if __name__ == "__main__":
    main()
