"""Results written down: overlays for people, PNG masks and COCO for programs. Files appear whole or not at all."""
