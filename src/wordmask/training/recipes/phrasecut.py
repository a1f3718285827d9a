"""The recipes `phrasecut-plus` and `phrasecut`: CLIPSeg's decoder as in its paper (arXiv 2112.10003, section 4)."""

from __future__ import annotations

from wordmask.methods.clipseg.fresh import FreshDecoder
from wordmask.training.phrase_draws import PhraseSettings
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

__all__ = ["phrasecut", "phrasecut_plus"]


def phrasecut_plus() -> Recipe:
    """Train CLIPSeg (PC+), D = 64: a fresh decoder on frozen towers, with negatives and examples.

    AdamW with torch's defaults, cosine from 1e-3 to 1e-4 over 20,000 steps without warm-up, batches of 64, binary
    cross-entropy alone, mixed precision, dropout 0.1. The published code does not shuffle; this does.
    """
    return Recipe(
        name="phrasecut-plus",
        schedule=_schedule(),
        data=PhraseSettings(negatives=0.2, visual=True, text_weight=0.5, prefixes="shuffle+", valid_limit=200),
        method=_decoder(),
    )


def phrasecut() -> Recipe:
    """Train CLIPSeg (PC): as `phrasecut-plus`, with the bare phrases alone: no negatives and no examples."""
    return Recipe(
        name="phrasecut",
        schedule=_schedule(),
        data=PhraseSettings(prefixes="plain", valid_limit=200),
        method=_decoder(),
    )


def _schedule() -> Schedule:
    return Schedule(
        steps=20_000, batch=64, lr=1e-3, final_lr=1e-4, precision="fp16", valid_every=1000, save_every=500, workers=4
    )


def _decoder() -> FreshDecoder:
    return FreshDecoder(
        parts=("decoder",), dropout=0.1, channels=64, extract_layers=(3, 7, 9), size=352, fit="squash",
        cache_phrases=False, bce=1.0,
    )  # fmt: skip
