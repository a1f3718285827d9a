"""Cut an object out of an image: everything else becomes transparent, with a soft border from the heatmap.

Usage: python examples/cut_out.py sample:chelsea cat cat.png
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import wordmask
from wordmask.images import load_image


def main(source: str, phrase: str, path: str) -> None:
    image = load_image(source)
    found = wordmask.segment(image, phrase)[phrase]
    if not found.area:
        sys.exit(f"there is no {phrase} in {source} (presence {found.presence:.2f})")
    alpha = np.where(found.mask, 1.0, found.heatmap) * (found.heatmap > 0.1)
    pixels = np.dstack([image.pixels, np.round(255 * alpha).astype(np.uint8)])
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
