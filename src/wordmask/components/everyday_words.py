"""Everyday nouns that a model is asked for while it is trained on something else, and how they are drawn."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EVERYDAY_NOUNS", "draw_words"]

EVERYDAY_NOUNS = tuple(
    " ".join(word.split())
    for word in """
man, woman, child, baby, crowd, head, eye, ear, nose, mouth, neck, arm, leg, foot, beard, skin, hat, helmet, glasses,
jacket, coat, dress, skirt, trousers, jeans, sock, boot, belt, tie, scarf, glove, bag, backpack, suitcase, umbrella,
watch, necklace, cow, sheep, pig, goat, elephant, bear, zebra, giraffe, monkey, rabbit, duck, chicken, fish, snake,
frog, butterfly, insect, lion, tiger, truck, van, train, motorcycle, aeroplane, tram, tractor, ambulance, wheel,
tyre, headlight, licence plate, traffic light, traffic sign, street lamp, bench, pavement, bridge, fence, wall,
roof, stairs, tower, church, balcony, house, shop, statue, fountain, flag, sofa, desk, shelf, cupboard, drawer,
mirror, curtain, carpet, pillow, blanket, lamp, clock, vase, candle, basket, box, bucket, bin, television, laptop,
keyboard, computer mouse, camera, microphone, speaker, remote control, refrigerator, oven, microwave, sink, toilet,
bathtub, tap, towel, toothbrush, soap, knife, fork, spoon, bowl, glass, jug, pan, kettle, bread, cake, pizza,
sandwich, egg, cheese, meat, rice, soup, salad, apple, banana, orange, strawberry, grape, lemon, tomato, potato,
carrot, broccoli, mushroom, coffee, beer, ball, racket, skateboard, surfboard, skis, kite, guitar, piano, drum,
violin, toy, doll, teddy bear, balloon, pencil, scissors, newspaper, envelope, hammer, ladder, rope, bush, leaf,
branch, rock, sand, snow, water, river, sea, wave, hill, mountain, field, path, cloud, sun, moon, fire, smoke,
tent, castle, rocket, helicopter, ship, crane, penguin, dolphin, whale, kangaroo, camera tripod, cactus, palm tree
""".split(",")
)
"""Things that photographs show often or seldom; none of them is a word of the forgetting probe."""


def draw_words(words: Sequence[str], count: int, *, key: str, step: int) -> list[str]:
    """Return `count` words drawn with replacement for an image at a step of a training.

    They depend on the step and the image's key alone: a resumed run, or one of several processes, draws the same.
    """
    return random.Random(f"{step} {key}").choices(words, k=count)
