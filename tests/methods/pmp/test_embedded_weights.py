"""The shipped weights: they load offline, answer like `compact` about presence, and are small."""

from __future__ import annotations

import pytest

import wordmask
from wordmask.contracts import Segmenter
from wordmask.methods.table import METHODS


@pytest.fixture(scope="module")
def pmp() -> Segmenter:
    return wordmask.load("pmp", device="cpu")


def test_a_face_is_found_and_a_zebra_is_not(pmp: Segmenter) -> None:
    compact = wordmask.load("compact", device="cpu")
    face, zebra = pmp.segment("sample:astronaut", ["face", "zebra"])
    other = compact.segment("sample:astronaut", ["face", "zebra"])
    assert [face.presence, zebra.presence] == pytest.approx([found.presence for found in other])
    assert face.present
    assert not zebra.present
    assert zebra.instances == ()
    both = (face.mask & other[0].mask).sum() / (face.mask | other[0].mask).sum()
    assert both > 0.8
    assert len(face.instances) == 1
    assert {name for c in face.candidates for name in c.scores} >= {"dense", "blend", "instance", "prompt"}


def test_regions_without_a_prompt_are_several_different_ones(pmp: Segmenter) -> None:
    regions = pmp.propose(pmp.encode("sample:astronaut"))  # type: ignore[attr-defined]
    assert 2 <= len(regions) <= 16
    assert [r.score for r in regions] == sorted((r.score for r in regions), reverse=True)
    first, second = (region.packed().full() for region in regions[:2])
    assert 0 < (first & second).sum() / (first | second).sum() + 1e-9 < 0.6


def test_the_weights_are_below_six_megabytes() -> None:
    folder = METHODS["pmp"].embedded
    assert folder is not None
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
