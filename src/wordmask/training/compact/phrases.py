"""Ways to say a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

TEMPLATES = (
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
)
ADJECTIVES = (
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
)


def vary(phrase: str, rng: random.Random) -> str:
    """Vary a phrase at random: put it in a sentence, add a colour or size that is not labelled, drop a letter."""
    if rng.random() < 0.15:
        phrase = f"{rng.choice(ADJECTIVES)} {phrase}"
    if rng.random() < 0.45:
        phrase = rng.choice(TEMPLATES).format(phrase)
    if rng.random() < 0.06 and len(phrase) > 4:
        at = rng.randrange(1, len(phrase) - 1)
        phrase = phrase[:at] + phrase[at + 1 :]
    return phrase
