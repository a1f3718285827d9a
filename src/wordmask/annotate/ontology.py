"""Ontologies: which phrases stand for which class, with negatives and thresholds; YAML and JSON files of them.

    eye: left eye                     # class: phrase
    face: [face, human face]          # class: several phrases
    dog:
      phrases: [dog, puppy]
      negatives: [wolf]
      threshold: 0.5                  # of a pixel's probability
      presence: 0.3                   # below it, the class is absent from an image

autodistill's shape, which names the phrase first, is read where it says so: `{"ontology": {"left eye": "eye"}}`,
`{"promptMap": [["left eye", "eye"]]}`, or a plain list of such pairs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wordmask.errors import DataError, PromptError, quote, sentence
from wordmask.formats.files import write
from wordmask.prompts import TextPrompt, fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Concept", "Ontology", "parse_prompt", "read_ontology", "write_ontology"]

_FIELDS = ("phrases", "phrase", "negatives", "threshold", "presence", "calibration")
_SHAPE = "a mapping of classes to a phrase, a list of phrases, or {phrases, negatives, threshold, presence}"
_FIX = "correct the entry; docs/tasks/annotate.md shows the form"


@dataclass(frozen=True)
class Concept:
    """A class of the annotations, and how it is asked for.

    Attributes:
        name: Name of the class.
        phrases: What is asked; each phrase's objects belong to the class.
        negatives: Phrases that the class must not be confused with.
        threshold: Probability above which a pixel belongs to a mask; None takes the model's.
        presence: Presence below which the class is absent from an image; None takes the model's.
        calibration: What `wordmask calibrate` fitted, kept as it is.
    """

    name: str
    phrases: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    threshold: float | None = None
    presence: float | None = None
    calibration: Mapping[str, Any] | None = None

    @property
    def prompts(self) -> tuple[TextPrompt, ...]:
        """The phrases as prompts, with the negatives."""
        return tuple(TextPrompt(phrase, negatives=self.negatives) for phrase in self.phrases)

    def to_json(self) -> dict[str, Any]:
        """Return the concept as its entry in a file; values that are not set are left out."""
        entry: dict[str, Any] = {"phrases": list(self.phrases)}
        if self.negatives:
            entry["negatives"] = list(self.negatives)
        for field in ("threshold", "presence"):
            if (value := getattr(self, field)) is not None:
                entry[field] = value
        if self.calibration:
            entry["calibration"] = dict(self.calibration)
        return entry


@dataclass(frozen=True)
class Ontology:
    """The classes of a job, in order; names differ in more than case and blanks."""

    concepts: tuple[Concept, ...]

    @classmethod
    def of(cls, concepts: Iterable[Concept]) -> Ontology:
        """Join concepts; those that share a name become one with the phrases of all.

        Raises:
            PromptError: If there is none, or a phrase is blank or too long.
        """
        joined: dict[str, Concept] = {}
        for concept in concepts:
            key = fold_phrase(concept.name)
            joined[key] = _join(joined[key], concept) if key in joined else concept
        if not joined:
            raise PromptError(sentence("no phrase", "at least one", 'name what to annotate, such as -p "face"'))
        for concept in joined.values():
            _ = concept.prompts  # raises for phrases that are none
        return cls(tuple(joined.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return tuple(concept.name for concept in self.concepts)

    def find(self, name: str) -> Concept | None:
        """Return the class of a name; upper and lower case are the same."""
        return next((one for one in self.concepts if fold_phrase(one.name) == fold_phrase(name)), None)

    def changed(self, name: str, **values: Any) -> Ontology:
        """Return a copy in which fields of one class have other values."""
        key = fold_phrase(name)
        return Ontology(tuple(replace(one, **values) if fold_phrase(one.name) == key else one for one in self.concepts))


def _join(first: Concept, second: Concept) -> Concept:
    return replace(
        first,
        phrases=tuple(dict.fromkeys((*first.phrases, *second.phrases))),
        negatives=tuple(dict.fromkeys((*first.negatives, *second.negatives))),
        threshold=first.threshold if second.threshold is None else second.threshold,
        presence=first.presence if second.presence is None else second.presence,
    )


def parse_prompt(text: str) -> Concept:
    """Return the concept of `-p "phrase=class"`; without a class, it is named by its phrase."""
    phrase, mark, name = text.rpartition("=")
    if not mark:
        return Concept(text.strip(), (text.strip(),))
    if not phrase.strip() or not name.strip():
        got = f"the prompt {quote(text)}"
        raise PromptError(sentence(got, "'phrase' or 'phrase=class'", 'write for example -p "left eye=eye"'))
    return Concept(name.strip(), (phrase.strip(),))


def read_ontology(path: Path) -> Ontology:
    """Read an ontology file.

    Raises:
        DataError: If it cannot be read, or an entry is not of the form above.
        PromptError: If a phrase is blank or too long.
    """
    content = _parsed(path)
    if isinstance(content, dict) and isinstance(content.get("classes"), dict):
        content = content["classes"]
    pairs = _pairs(content)
    if pairs is not None:
        return Ontology.of(Concept(str(name), (str(phrase),)) for phrase, name in pairs)
    if not isinstance(content, dict):
        raise DataError(sentence(f"a {type(content).__name__} in {quote(path)}", _SHAPE, _FIX))
    return Ontology.of(_concept(str(name), entry, path) for name, entry in content.items())


def _parsed(path: Path) -> Any:
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except OSError as error:
        got = f"the ontology {quote(path)}, which cannot be read ({error.strerror})"
        raise DataError(sentence(got, "a YAML or JSON file", "correct the path")) from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        got = f"the ontology {quote(path)}, which is damaged ({' '.join(str(error).split())[:120]})"
        raise DataError(sentence(got, "YAML or JSON", "correct the file")) from error


def _pairs(content: Any) -> list[tuple[Any, Any]] | None:
    """Return autodistill's pairs of phrase and class; None where the content has another shape."""
    if isinstance(content, dict):
        for key in ("ontology", "promptMap", "prompt_map"):
            if set(content) == {key}:
                content = list(content[key].items()) if isinstance(content[key], dict) else content[key]
                break
        else:
            return _reversed(content)
    if not isinstance(content, list) or not content:
        return None
    pairs = [(one.get("prompt"), one.get("class")) if isinstance(one, dict) else one for one in content]
    is_pair = [
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(p, str) for p in pair) for pair in pairs
    ]
    return [(pair[0], pair[1]) for pair in pairs] if all(is_pair) else None


def _reversed(content: dict[Any, Any]) -> list[tuple[Any, Any]] | None:
    """Pairs of a flat mapping in which several keys share a value: there the keys can only be phrases."""
    values = list(content.values())
    if all(isinstance(value, str) for value in values) and len(set(values)) < len(values):
        return list(content.items())
    return None


def _concept(name: str, entry: Any, path: Path) -> Concept:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {"phrases": name if entry is None else entry}
    unknown = sorted(set(map(str, fields)) - set(_FIELDS))
    if unknown:
        got = f"the field {quote(unknown[0])} of the class {quote(name)} in {quote(path)}"
        raise DataError(sentence(got, ", ".join(_FIELDS), _FIX))
    phrases = _texts(fields.get("phrases", fields.get("phrase", name)), name, path)
    calibration = fields.get("calibration")
    return Concept(
        name,
        phrases,
        _texts(fields.get("negatives", ()), name, path),
        _probability(fields.get("threshold"), name, path),
        _probability(fields.get("presence"), name, path),
        calibration if isinstance(calibration, dict) else None,
    )


def _texts(value: Any, name: str, path: Path) -> tuple[str, ...]:
    values: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str) for one in values):
        got = f"{quote(value)} in the class {quote(name)} of {quote(path)}"
        raise DataError(sentence(got, "a phrase or a list of phrases", "put it in quotes"))
    return tuple(values)


def _probability(value: Any, name: str, path: Path) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        got = f"the threshold {quote(value)} of the class {quote(name)} in {quote(path)}"
        raise DataError(sentence(got, "a number from 0 to 1", _FIX))
    return float(value)


def write_ontology(ontology: Ontology, path: Path) -> Path:
    """Write an ontology as YAML, or JSON by the suffix; a file that is there is kept beside it with `.bak` added.

    Raises:
        OutputError: If it cannot be written.
    """
    import yaml

    content = {concept.name: concept.to_json() for concept in ontology.concepts}
    if path.suffix.lower() == ".json":
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    else:
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    if path.is_file() and path.read_bytes() != text.encode():
        write(path.with_name(path.name + ".bak"), path.read_bytes())
    return write(path, text.encode())
