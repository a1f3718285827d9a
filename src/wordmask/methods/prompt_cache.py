"""A bounded cache of prompt embeddings."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from wordmask.ops.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from wordmask.prompts import Prompt

PHRASES_KEPT = 4096
"""Phrases whose embedding is kept (8 MiB at 512 channels); the one unused for longest goes first."""


class PromptCache:
    """Embeddings of phrases and of visual prompts that were asked before; safe with several threads.

    Args:
        embed_texts: Embeds phrases together: their embeddings `(C,)`, in order.
        embed_prompt: Embeds a visual or mixed prompt: `(C,)`. Its embedding is kept as long as the prompt lives.
    """

    def __init__(
        self, embed_texts: Callable[[list[str]], Sequence[Tensor]], embed_prompt: Callable[[Prompt], Tensor]
    ) -> None:
        self._embed_texts = embed_texts
        self._embed_prompt = embed_prompt
        self._phrases: BoundedCache[str, Tensor] = BoundedCache(PHRASES_KEPT)
        self._examples: WeakKeyDictionary[Prompt, Tensor] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases whose embedding is kept, the one unused for longest first."""
        return self._phrases.keys()

    def clear(self) -> None:
        """Remove all phrases."""
        self._phrases.clear()

    def embeddings(self, sources: Sequence[str | Prompt]) -> Tensor:
        """Return the embeddings `(U, C)` of phrases and of visual or mixed prompts, in order."""
        texts = [source for source in sources if isinstance(source, str)]
        found = {text: kept for text in texts if (kept := self._phrases.get(text)) is not None}
        fresh = [text for text in texts if text not in found]
        for text, embedding in zip(fresh, self._embed_texts(fresh), strict=True):
            found[text] = embedding
            self._phrases.put(text, embedding)
        return torch.stack([found[s] if isinstance(s, str) else self._example(s) for s in sources])

    def _example(self, prompt: Prompt) -> Tensor:
        with self._lock:
            embedding = self._examples.get(prompt)
        if embedding is None:
            embedding = self._embed_prompt(prompt)
            with self._lock:
                self._examples[prompt] = embedding
        return embedding
