"""Encode an image once and segment many phrases: after the first, each costs a fraction of the time.

Usage: python examples/ask_again.py sample:coffee cup table spoon
"""

from __future__ import annotations

import sys
import time

import wordmask


def main(image: str, *phrases: str) -> None:
    segmenter = wordmask.load()
    start = time.perf_counter()
    encoded = segmenter.encode(image)
    print(f"encode: {1000 * (time.perf_counter() - start):.0f} ms")
    for phrase in phrases:
        start = time.perf_counter()
        (found,) = segmenter.segment(encoded, phrase)
        print(f"{phrase}: {found.area} pixels, {1000 * (time.perf_counter() - start):.0f} ms")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
