"""Segment phrases in one image, print what was found and save an overlay.

Usage: python examples/segment_one.py sample:astronaut face hair
"""

from __future__ import annotations

import sys

import wordmask


def main(image: str, *phrases: str) -> None:
    result = wordmask.load().segment(image, phrases)
    for found in result:
        print(f"{found.name}: presence {found.presence:.2f}, {found.area} pixels, {len(found.instances)} instances")
    result.save("overlay.png")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
