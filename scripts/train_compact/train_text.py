"""Train the phrase encoder and its tokenizer: phrase -> CLIP-like vector. Minutes on a CPU.

python scripts/train_compact/train_text.py --data ../shared/data --out runs/text
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from vocabulary import Targets

from wordmask.backbones.compact.text import CompactTextEncoder

TEMPLATES = [
    "a {}",
    "the {}",
    "a photo of a {}",
    "a photo of the {}",
    "an image of a {}",
    "one {}",
    "my {}",
    "this {}",
    "a picture of a {}",
    "{}s",
    "the {}s",
    "{} in the picture",
    "all {}s",
    "a photo of a {}.",
    "{}.",
]
ADJECTIVES = [
    "red",
    "blue",
    "green",
    "black",
    "white",
    "yellow",
    "brown",
    "big",
    "small",
    "old",
    "new",
    "dark",
    "bright",
    "wooden",
    "shiny",
    "tall",
]


def train_tokenizer(phrases: list[str], size: int) -> Tokenizer:
    """Byte-level BPE, lower case: every string can be written, emoji too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["[PAD]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(phrases, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, phrases: list[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [e.ids[:length] or [0] for e in tokenizer.encode_batch(phrases)]
    longest = max(map(len, rows))
    ids = torch.tensor([r + [0] * (longest - len(r)) for r in rows])
    padding = torch.tensor([[False] * len(r) + [True] * (longest - len(r)) for r in rows])
    return ids, padding


def vary(phrase: str, rng: random.Random) -> str:
    """A person's ways of writing the same thing; colours and sizes are not labelled, so they do not move the target."""
    if rng.random() < 0.15:
        phrase = f"{rng.choice(ADJECTIVES)} {phrase}"
    if rng.random() < 0.45:
        phrase = rng.choice(TEMPLATES).format(phrase)
    if rng.random() < 0.06 and len(phrase) > 4:
        at = rng.randrange(1, len(phrase) - 1)
        phrase = phrase[:at] + phrase[at + 1 :]
    return phrase


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=160)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = random.Random(args.seed)
    targets = Targets(args.data)
    words, definitions = list(targets.words), list(targets.definitions)
    bank = {v.tobytes(): v for v in targets.words.values()}
    index = {key: i for i, key in enumerate(bank)}
    matrix = torch.from_numpy(np.stack(list(bank.values())))
    row = {w: index[v.tobytes()] for w, v in targets.words.items()} | {
        d: index.get(v.tobytes(), 0) for d, v in targets.definitions.items()
    }
    ours = sorted({n for names in targets.names.values() for n in names})
    captions = [c["caption"] for c in json.loads((args.data / "coco/captions.json").read_text())]
    corpus = [vary(w, rng) for w in words for _ in range(6)] + definitions + captions + ours * 20
    tokenizer = train_tokenizer(corpus, args.tokens)
    model = CompactTextEncoder(tokenizer.get_vocab_size())
    print(f"{len(words)} phrases, {len(definitions)} definitions, {len(bank)} vectors", flush=True)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=args.steps, pct_start=0.08)
    start = time.time()
    for step in range(args.steps):
        phrases = rng.choices(words, k=2 * args.batch // 3) + rng.choices(ours, k=args.batch - 2 * args.batch // 3)
        longer = rng.choices(definitions, k=args.batch // 8)  # apart from the short ones: less padding
        parts = ([vary(p, rng) for p in phrases], longer)
        wanted = torch.tensor([row[c] for c in phrases + longer])
        vectors = torch.cat([model(*encode(tokenizer, part, model.length)) for part in parts])
        logits = vectors @ matrix.T / 0.05
        loss = F.cross_entropy(logits, wanted) * 0.5 + (1 - (vectors * matrix[wanted]).sum(1)).mean() * 4
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 0 or step == args.steps - 1:
            model.eval()
            with torch.no_grad():
                test = model(*encode(tokenizer, words, model.length))
                near = (test @ matrix.T).argmax(1)
                exact = np.mean([near[i].item() == row[w] for i, w in enumerate(words)])
                cosine = (test * matrix[[row[w] for w in words]]).sum(1).mean()
            model.train()
            print(
                f"step {step} loss {loss.item():.3f} nearest-is-right {exact:.3f} cosine {cosine:.3f}",
                f"{time.time() - start:.0f} s",
                flush=True,
            )
    args.out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, args.out / "text.safetensors")
    tokenizer.save(str(args.out / "tokenizer.json"))


if __name__ == "__main__":
    main()
