"""What a call asks for: names as classifier rows and as tokens of the decoder, and names that compete with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.images import RgbImage
from wordmask.methods.pmp.clip_crops import masked_crop
from wordmask.methods.pmp.text_query_attention import KINDS, PromptTokens
from wordmask.ops.bounded_cache import BoundedCache
from wordmask.prompts import TextPrompt, VisualPrompt, fold_phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wordmask.backbones.clip.pair import Clip
    from wordmask.methods.pmp.stage_two_settings import StageTwoSettings
    from wordmask.prompts import Prompt

__all__ = ["Vocabulary", "VocabularyEncoder", "bare_name", "class_name"]

NAMES_KEPT = 8192
"""Names whose embeddings are kept; the ones unused for longest go first."""
_SENTENCE = re.compile(r"(?:an? )?(?:photo|picture|image) of (?:an?|the) (.+?)\.?$", re.IGNORECASE)
_SUFFIXES = re.compile(r"(?:-other)?-(?:merged|stuff)$|-other$")


class Vocabulary(NamedTuple):
    """The prompts of a call, with those names that compete with them.

    Attributes:
        names: K prompts, as the host's classifier may know them.
        others: O names that are never returned.
        classifier: float `(K + O, D)`, unit vectors.
        by_example: bool `(K + O,)`, prompts that are example images.
        tokens: Tokens of each prompt, float `(T, D)`.
        kinds: Kind of each of these tokens, int64 `(T,)`.
    """

    names: tuple[str, ...]
    others: tuple[str, ...]
    classifier: Tensor
    by_example: Tensor
    tokens: tuple[Tensor, ...]
    kinds: tuple[Tensor, ...]

    def together(self) -> PromptTokens:
        """Return the tokens of all prompts `(1, T, D)`, for one pass."""
        return PromptTokens(torch.cat(self.tokens)[None], None, torch.cat(self.kinds)[None])

    def separate(self, prompts: Sequence[int]) -> PromptTokens:
        """Return the tokens of some prompts, each a row of its own `(P, T, D)`, padded."""
        length = max(len(self.tokens[place]) for place in prompts)
        rows = [F.pad(self.tokens[place], (0, 0, 0, length - len(self.tokens[place]))) for place in prompts]
        kinds = [F.pad(self.kinds[place], (0, length - len(self.kinds[place]))) for place in prompts]
        counts = torch.tensor([len(self.tokens[place]) for place in prompts], device=rows[0].device)
        padding = torch.arange(length, device=rows[0].device) >= counts[:, None]
        return PromptTokens(torch.stack(rows), padding, torch.stack(kinds))


class VocabularyEncoder:
    """Embeds prompts with CLIP's towers; names that were embedded before are not embedded again.

    Args:
        clip: The CLIP.
        settings: Templates, tokens and distractors.
        host_names: Names that the host was trained for.
    """

    def __init__(self, clip: Clip, settings: StageTwoSettings, host_names: Sequence[str]) -> None:
        self.clip, self.settings = clip, settings
        self.host_names = tuple(dict.fromkeys(class_name(name) for name in host_names))
        self._sentences: BoundedCache[str, Tensor] = BoundedCache(NAMES_KEPT)
        self._words: BoundedCache[str, Tensor] = BoundedCache(NAMES_KEPT)

    def __call__(self, prompts: Sequence[Prompt], *, one_by_one: bool) -> Vocabulary:
        """Return the vocabulary of a call.

        Args:
            prompts: The prompts, different from each other.
            one_by_one: Whether the decoder is asked prompt by prompt.
        """
        names = tuple(bare_name(p.text) if isinstance(p, TextPrompt) else p.name for p in prompts)
        others = self.competitors(prompts, names)
        self.sentences([name for name, p in zip(names, prompts, strict=True) if isinstance(p, TextPrompt)])  # together
        asked = [self._row(prompt, name) for prompt, name in zip(prompts, names, strict=True)]
        rows = torch.cat([torch.stack(asked), self.sentences(others)]) if others else torch.stack(asked)
        by_example = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        by_example[: len(prompts)] = torch.tensor([isinstance(p, VisualPrompt) for p in prompts])
        tokens, kinds = zip(*map(self.tokens_of, prompts, names, asked, [one_by_one] * len(names)), strict=True)
        return Vocabulary(names, others, rows, by_example, tokens, kinds)

    def competitors(self, prompts: Sequence[Prompt], names: Sequence[str]) -> tuple[str, ...]:
        """Return the names that compete with the prompts: their negatives, and where few are asked the distractors."""
        negatives = [phrase for prompt in prompts if isinstance(prompt, TextPrompt) for phrase in prompt.negatives]
        few = len(names) < self.settings.distract_below
        wanted = [*negatives, *(self.settings.distractors if few else ()), *(self.host_names if few else ())]
        asked = {fold_phrase(name) for name in names}
        by_question = {fold_phrase(name): name for name in reversed(wanted) if fold_phrase(name) not in asked}
        order = dict.fromkeys(fold_phrase(name) for name in wanted)
        return tuple(by_question[question] for question in order if question in by_question)

    def sentences(self, names: Sequence[str]) -> Tensor:
        """Return unit vectors `(N, D)`: the mean over the templates of each name's unit vectors."""
        return self._cached(names, self._sentences, self._embed_sentences)

    def _embed_sentences(self, names: list[str]) -> list[Tensor]:
        templates = self.settings.templates or ("{}",)
        texts = [template.replace("{}", name) for name in names for template in templates]
        vectors = F.normalize(self.clip.text.embed_texts(texts).float(), dim=-1)
        return list(F.normalize(vectors.view(len(names), len(templates), -1).mean(1), dim=-1))

    def _embed_words(self, names: list[str]) -> list[Tensor]:
        return [F.normalize(words.float(), dim=-1) for words in self.clip.text.embed_words(names)]

    def _row(self, prompt: Prompt, name: str) -> Tensor:
        return self._example(prompt) if isinstance(prompt, VisualPrompt) else self.sentences([name])[0]

    def _example(self, prompt: VisualPrompt) -> Tensor:
        """The unit vector `(D,)` of an example: its object before a background of the mean colour."""
        crop = masked_crop(RgbImage(prompt.example.pixels), prompt.region, size=self.clip.size)
        device = self.clip.vision.class_token.device
        pixels = torch.from_numpy(crop.astype(np.float32) / 255).permute(2, 0, 1)[None].to(device)
        return F.normalize(self.clip.vision.pooled(self.clip.normalised(pixels)).float(), dim=-1)[0]

    def tokens_of(self, prompt: Prompt, name: str, row: Tensor, one_by_one: bool) -> tuple[Tensor, Tensor]:
        """Return what the decoder reads of a prompt, float `(T, D)`, and the kinds of these tokens, int64 `(T,)`.

        Args:
            prompt: A phrase or an example.
            name: What is embedded of a phrase.
            row: Its classifier row `(D,)`.
            one_by_one: Whether the decoder is asked prompt by prompt.
        """
        wanted = self.settings.text_tokens
        if isinstance(prompt, VisualPrompt):
            parts = [(row[None], "image")]
        else:
            words = wanted in ("word", "both") or (wanted == "auto" and one_by_one)
            parts = [(row[None], "sentence")] if wanted == "both" or not words else []
            if words:
                parts.append((self._cached([name], self._words, self._embed_words, stacked=False), "word"))
        kinds = [torch.full((len(part),), KINDS.index(kind), device=part.device) for part, kind in parts]
        return torch.cat([part for part, _ in parts]), torch.cat(kinds)

    def _cached(
        self, names: Sequence[str], cache: BoundedCache[str, Tensor], embed: Callable[[list[str]], list[Tensor]], *,
        stacked: bool = True,
    ) -> Tensor:  # fmt: skip
        found = {name: kept for name in names if (kept := cache.get(name)) is not None}
        fresh = [name for name in dict.fromkeys(names) if name not in found]
        for name, vector in zip(fresh, embed(fresh) if fresh else [], strict=True):
            cache.put(name, vector)
            found[name] = vector
        if not stacked:
            return found[names[0]]
        return torch.stack([found[name] for name in names]) if names else torch.zeros(0, self.clip.channels)


def bare_name(phrase: str) -> str:
    """Return the name inside a sentence such as "a photo of a cat."; other phrases stay as they are."""
    match = _SENTENCE.fullmatch(phrase.strip())
    return match[1] if match else phrase


def class_name(label: str) -> str:
    """Return a label of COCO's panoptic or stuff classes as a name: "wall-other-merged" is a wall."""
    return _SUFFIXES.sub("", label.split(",")[0].strip()).replace("-", " ").replace("_", " ")
