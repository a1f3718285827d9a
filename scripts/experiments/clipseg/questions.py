"""What every run is asked: the same phrases of the same pictures, and the same examples of the same things."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from scripts.experiments.clipseg.pooling import evenly, set_of
from wordmask.errors import DataError, sentence
from wordmask.formats.files import write

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Dataset


@dataclass(frozen=True, kw_only=True)
class Question:
    """One phrase about one picture.

    Attributes:
        index, key: Of the picture, in the validation part.
        source: Its set.
        name: The phrase.
        example: Index of a picture of the training part that has the thing, too.
    """

    index: int
    key: str
    source: str
    name: str
    example: int


def choose(valid: Dataset, train: Dataset, *, each: int, most: int, seed: int = 0) -> list[Question]:
    """Choose questions, the same for the same data and seed.

    Args:
        valid: Pictures to ask about.
        train: Pictures that examples are drawn from, one for each question.
        each: Most questions about one picture, drawn among the names that have an example.
        most: Most questions in all, taken evenly.
        seed: Of the draws.

    Raises:
        DataError: If no name of one part is in the other.
    """
    having: dict[str, list[int]] = defaultdict(list)
    for index in range(len(train)):
        for query in train[index].queries:
            having[query.label].append(index)
    random, questions = np.random.default_rng(seed), []
    for index in range(len(valid)):
        sample = valid[index]
        names = [query.label for query in sample.queries if query.label in having]
        for place in random.permutation(len(names))[:each].tolist():
            others = having[names[place]]
            example = others[int(random.integers(len(others)))]
            source = set_of(sample.key)
            questions.append(Question(index=index, key=sample.key, source=source, name=names[place], example=example))
    if not questions:
        raise DataError(sentence("no name that both parts have", "at least one", "pool more pictures"))
    return [questions[place] for place in evenly(len(questions), most)]


def keep(path: Path, questions: list[Question]) -> list[Question]:
    """Write the questions down, or return those that were written down before: all runs are asked the same."""
    if path.is_file():
        return [Question(**record) for record in json.loads(path.read_bytes())]
    write(path, json.dumps([asdict(question) for question in questions], indent=1).encode())
    return questions
