"""The recipes of PhraseCut on every shape of data, and classes that they leave out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sets.test_phrasecut import task, write_phrasecut
from tests.data.sets.test_phrasecut_plus_classes import write_wordnet
from tests.training.inputs import open_samples, write_coco, write_labels, write_table
from wordmask.data.sampling.phrase_draws import PhraseDraws
from wordmask.data.sets.phrasecut_plus import PhraseCutPlus
from wordmask.errors import DataError
from wordmask.training.data import TrainingData
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes import find_recipe
from wordmask.training.recipes.finetune import finetune


def recipe(name: str = "phrasecut-plus", **changes: Any) -> Recipe:
    return with_changes(find_recipe(name), changes)


def opened(path: Path, chosen: Recipe | None = None, *, skip_bad: bool = False, **choice: Any) -> TrainingData:
    return open_samples(path, chosen or recipe(), skip_bad=skip_bad, **choice)


def draws_of(data: TrainingData) -> PhraseDraws:
    draws: PhraseDraws = data.train.draws  # type: ignore[attr-defined]
    return draws


def phrases(data: TrainingData) -> set[str]:
    return {task.phrase.text for task in draws_of(data).tasks}


def drawn(data: TrainingData, epochs: int = 8) -> list[Any]:
    draws = draws_of(data)
    return [draws.draw(index, epoch=epoch) for index in range(len(draws)) for epoch in range(epochs)]


def validated(data: TrainingData) -> tuple[int, ...]:
    assert data.validation is not None
    return data.validation.indices


@pytest.mark.parametrize("name", ["phrasecut", "phrasecut-plus"])
@pytest.mark.parametrize("shape", ["label maps", "COCO JSON", "CSV"])
def test_every_shape(name: str, shape: str, tmp_path: Path) -> None:
    writers: dict[str, Any] = {"label maps": write_labels, "COCO JSON": write_coco, "CSV": write_table}
    writers[shape](tmp_path / "my", 4)
    read = opened(tmp_path / "my", recipe(name))
    assert read.train.images == 8  # two phrases of each of four images
    assert read.validation is None
    assert all(draw.image.shape == (32, 32, 3) for draw in drawn(read, 1))
    assert any(draw.negative for draw in drawn(read)) == (name == "phrasecut-plus")
    assert all((draw.support is None) == (name == "phrasecut") for draw in drawn(read, 1))


def test_a_tables_negatives_are_its_own(tmp_path: Path) -> None:
    """Each image has a line that says which colour is absent."""
    read = opened(write_table(tmp_path / "my", 4), recipe(negatives=1.0))
    absent = {(draw.task.sample, draw.phrase) for draw in drawn(read, 3) if draw.negative}
    lines = (tmp_path / "my" / "pairs.csv").read_text().splitlines()[1:]
    stated = [line.split(",") for line in lines if line.split(",")[1] == ""]
    assert absent == {(int(image[7]), phrase) for image, _, phrase in stated}  # photos/0.png and so on
    assert len(absent) == 4


def test_a_folder_with_splits_brings_its_validation(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my", 6)
    (folder / "splits.json").write_text(json.dumps({"train": ["0", "1", "2"], "val": ["3", "4"]}))
    read = opened(folder)
    assert (read.train.images, validated(read)) == (6, (0, 1))
    assert read.validation is not None
    assert [read.validation.dataset[index].key for index in validated(read)] == ["3", "4"]
    assert not isinstance(read.validation.dataset, PhraseDraws)  # whole images, by text


def test_images_that_are_held_out_are_not_drawn(tmp_path: Path) -> None:
    read = opened(write_table(tmp_path / "my", 20), recipe(holdout=0.2))
    assert len(validated(read)) == 4
    trained = {one.sample for one in draws_of(read).tasks}  # type: ignore[attr-defined]
    assert sorted([*trained, *validated(read)]) == list(range(20))


def test_what_is_wrong_is_left_out_of_the_draws(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 3)
    (table.parent / "photos" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"photos/1\.png"):
        opened(table.parent)
    read = opened(table.parent, skip_bad=True)
    assert {one.key.split("/")[1] for one in draws_of(read).tasks} == {"0.png", "2.png"}


@pytest.fixture
def phrasecut(tmp_path: Path) -> Path:
    square = [[[1, 1], [20, 1], [20, 20], [1, 20]]]
    words = (("1__1", 1, "dog"), ("1__2", 1, "two corgis"), ("2__1", 2, "cat"), ("2__2", 2, "dog"), ("2__3", 2, "wall"))
    tasks = [task(key, image, phrase, square) for key, image, phrase in words]
    images = [{"image_id": number, "width": 40, "height": 36, "split": "train", "url": ""} for number in (1, 2)]
    return write_phrasecut(tmp_path, {"train": tasks, "val": tasks[:3]}, images)


def test_phrasecuts_own_files(phrasecut: Path, tmp_path: Path) -> None:
    for choice in ({}, {"dataset": "phrasecut"}):
        read = opened(phrasecut, **choice)
        assert isinstance(draws_of(read), PhraseCutPlus)
        assert (read.train.images, validated(read)) == (5, (0, 1))
    other = opened(phrasecut, valid=write_labels(tmp_path / "other", 3))
    assert validated(other) == (0, 1, 2)


def test_the_recipe_says_how_it_is_drawn(phrasecut: Path) -> None:
    chosen = recipe(only_visual=True, negatives=0.0, text_weight=1.0, engineering="crop", prefixes="fixed")
    read = opened(phrasecut, chosen)
    assert phrases(read) == {"dog"}
    weights = [draw.text_weight for draw in drawn(read, 40)]
    assert max(weights) > 0.9
    assert min(weights) < 0.1
    assert {draw.text for draw in drawn(read, 1)} == {"a photo of a dog."}
    prompt: Any = draws_of(read)[0].queries[0].prompt
    assert prompt.visual.mode == "crop"


def test_classes_are_left_out_of_training_and_validation(phrasecut: Path, tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    read = opened(phrasecut, recipe(avoid="dog.n.01", wordnet=wordnet))
    assert phrases(read) == {"cat", "wall"}
    assert read.validation is not None
    asked = [read.validation.dataset[index].queries for index in validated(read)]
    assert [query.prompt.text for queries in asked for query in queries] == ["cat"]  # type: ignore[union-attr]
    folder = tmp_path / "plain"
    write_labels(folder, 8)
    (folder / "classes.json").write_text(json.dumps({"0": "background", "1": "corgi", "2": "cat", "3": "x", "4": "y"}))
    assert phrases(opened(folder, recipe(avoid="dog.n.01", wordnet=wordnet))) == {"cat", "x", "y"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"avoid": "dog"}, "the class to avoid 'dog'"),
        ({"avoid": "wolf.n.01"}, "the class to avoid 'wolf.n.01', expected the name of a synset"),
        ({"sizes": "0:32,5:64"}, "sizes=.* for phrases that are drawn"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    changes: dict[str, Any], said: str, phrasecut: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nltk")
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    with pytest.raises(DataError, match=said):
        opened(phrasecut, recipe(**changes, wordnet=wordnet))


def test_finetune_has_no_classes_to_avoid() -> None:
    with pytest.raises(DataError, match="the value 'avoid' of finetune"):
        with_changes(finetune(), {"avoid": "dog.n.01"})
