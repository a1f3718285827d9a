"""Train the text encoder of the compact network and its tokenizer towards given vectors. Minutes on a CPU."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from wordmask.backbones.compact.text import CompactTextEncoder
from wordmask.training.compact.phrases import vary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wordmask.training.compact.vocabulary import PhraseTargets

__all__ = ["encode_phrases", "train_text_encoder", "train_tokenizer"]

TEMPERATURE = 0.05
"""Of the softmax over the targets."""


def train_tokenizer(phrases: Sequence[str], size: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer, lower case: every string can be written, emoji too."""
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


def encode_phrases(tokenizer: Tokenizer, phrases: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """Token ids int64 (P, L) and bool (P, L), True where a position is padding; L <= `length`."""
    rows = [e.ids[:length] or [0] for e in tokenizer.encode_batch(list(phrases))]
    longest = max(map(len, rows))
    ids = torch.tensor([r + [0] * (longest - len(r)) for r in rows])
    padding = torch.tensor([[False] * len(r) + [True] * (longest - len(r)) for r in rows])
    return ids, padding


def train_text_encoder(
    targets: PhraseTargets,
    captions: Sequence[str] = (),
    *,
    steps: int = 1500,
    batch: int = 160,
    tokens: int = 4096,
    seed: int = 0,
    watch: Callable[[int, float], None] | None = None,
) -> tuple[CompactTextEncoder, Tokenizer]:
    """Train tokenizer and text encoder: contrastive over all targets, and cosine.

    Args:
        targets: phrases, definitions and the vectors they are trained towards.
        captions: sentences that the tokenizer also reads.
        steps: of the optimiser.
        batch: phrases of a step.
        tokens: size of the vocabulary.
        seed: of every draw.
        watch: called with step and loss.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    words, definitions = list(targets.words), list(targets.definitions)
    vectors = {v.tobytes(): v for v in (*targets.words.values(), *targets.definitions.values())}
    index = {key: i for i, key in enumerate(vectors)}
    matrix = torch.from_numpy(np.stack(list(vectors.values())))
    row = {p: index[v.tobytes()] for p, v in (*targets.words.items(), *targets.definitions.items())}
    corpus = [vary(w, rng) for w in words for _ in range(6)] + definitions + [*captions] + targets.names * 20
    tokenizer = train_tokenizer(corpus, tokens)
    model = CompactTextEncoder(tokenizer.get_vocab_size(), channels=targets.channels)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps, pct_start=0.08)
    often = targets.names or words
    for step in range(steps):
        phrases = rng.choices(words, k=2 * batch // 3) + rng.choices(often, k=batch - 2 * batch // 3)
        longer = (
            rng.choices(definitions, k=batch // 8) if definitions else []
        )  # apart from the short ones: less padding
        parts = [part for part in ([vary(p, rng) for p in phrases], longer) if part]
        wanted = torch.tensor([row[c] for c in phrases + longer])
        embedded = torch.cat([model(*encode_phrases(tokenizer, part, model.length)) for part in parts])
        cosine = (embedded * matrix[wanted]).sum(1).mean()
        loss = F.cross_entropy(embedded @ matrix.T / TEMPERATURE, wanted) * 0.5 + (1 - cosine) * 4
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if watch is not None:
            watch(step, loss.item())
    return model.eval(), tokenizer
