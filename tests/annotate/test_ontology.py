"""Ontology files: both shapes, faults told in a sentence, thresholds written back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wordmask.annotate.ontology import Ontology, parse_prompt, read_ontology, write_ontology
from wordmask.errors import DataError, PromptError

FULL = """
eye: left eye
face: [face, human face]
dog: {phrases: [dog, puppy], negatives: wolf, threshold: 0.4, presence: 0.3}
cat:
"""


def read(folder: Path, text: str, name: str = "concepts.yaml") -> Ontology:
    (folder / name).write_text(text, encoding="utf-8")
    return read_ontology(folder / name)


def test_classes_name_phrases(tmp_path: Path) -> None:
    ontology = read(tmp_path, FULL)
    assert ontology.names == ("eye", "face", "dog", "cat")
    assert [one.phrases for one in ontology.concepts] == [
        ("left eye",),
        ("face", "human face"),
        ("dog", "puppy"),
        ("cat",),
    ]
    dog = ontology.find("Dog")
    assert dog is not None
    assert (dog.negatives, dog.threshold, dog.presence) == (("wolf",), 0.4, 0.3)
    assert dog.prompts[1].negatives == ("wolf",)


@pytest.mark.parametrize(
    "content",
    [
        {"ontology": {"left eye": "eye", "right eye": "eye"}},
        {"promptMap": [["left eye", "eye"], ["right eye", "eye"]]},
        [{"prompt": "left eye", "class": "eye"}, {"prompt": "right eye", "class": "eye"}],
        {"left eye": "eye", "right eye": "eye"},
    ],
)
def test_autodistills_shapes_name_the_phrase_first(tmp_path: Path, content: object) -> None:
    ontology = read(tmp_path, json.dumps(content), "ontology.json")
    assert [(one.name, one.phrases) for one in ontology.concepts] == [("eye", ("left eye", "right eye"))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eye: {colour: red}", "'colour'"),
        ("eye: {presence: 3}", "0 to 1"),
        ("eye: [1]", "a phrase or a list"),
        ("just text", "a mapping of classes"),
        ("eye: [", "damaged"),
    ],
)
def test_faults_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, text)


def test_prompts_of_the_command_line() -> None:
    ontology = Ontology.of(map(parse_prompt, ["left eye=eye", "right eye = Eye", "face", "x=y=z"]))
    assert [(one.name, one.phrases) for one in ontology.concepts] == [
        ("eye", ("left eye", "right eye")), ("face", ("face",)), ("z", ("x=y",)),
    ]  # fmt: skip
    for text in ("=eye", "eye="):
        with pytest.raises(PromptError, match="phrase=class"):
            parse_prompt(text)
    with pytest.raises(PromptError, match="no phrase"):
        Ontology.of([])


@pytest.mark.parametrize("name", ["concepts.yaml", "concepts.json"])
def test_thresholds_are_written_back_and_the_file_before_is_kept(tmp_path: Path, name: str) -> None:
    text = FULL if name.endswith("yaml") else json.dumps({"eye": "left eye", "dog": {"phrases": ["dog"]}})
    ontology = read(tmp_path, text, name)
    changed = ontology.changed("EYE", presence=0.25, calibration={"fpr": 0.05})
    write_ontology(changed, tmp_path / name)
    assert read_ontology(tmp_path / name) == changed
    assert (tmp_path / f"{name}.bak").read_text() == text
