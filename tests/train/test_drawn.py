"""The recipes of PhraseCut on every shape of data, and classes that they leave out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sets.test_phrasecut import task, write_phrasecut
from tests.data.sets.test_phrasecut_plus_classes import write_wordnet
from tests.train.pictures import write_coco, write_labels, write_table
from wordmask.data.sampling.phrase_draws import PhraseDraws
from wordmask.data.sets.phrasecut_plus import PhraseCutPlus
from wordmask.errors import DataError
from wordmask.train.data import DataChoice, Lessons, open_lessons
from wordmask.train.recipes import Recipe, find_recipe, finetune, with_changes


def recipe(name: str = "phrasecut-plus", **changes: Any) -> Recipe:
    return with_changes(find_recipe(name), {"size": 32, **changes})


def lessons(path: Path, chosen: Recipe | None = None, *, skip_bad: bool = False, **choice: Any) -> Lessons:
    return open_lessons(DataChoice(path, **choice), chosen or recipe(), skip_bad=skip_bad, scratch=path / "scratch")


def phrases(read: Lessons) -> set[str]:
    assert isinstance(read.train, PhraseDraws)
    return {task.phrase.text for task in read.train.tasks}


def drawn(read: Lessons, epochs: int = 8) -> list[Any]:
    assert isinstance(read.train, PhraseDraws)
    return [read.train.draw(index, epoch=epoch) for index in read.usable for epoch in range(epochs)]


@pytest.mark.parametrize("name", ["phrasecut", "phrasecut-plus"])
@pytest.mark.parametrize("shape", ["label maps", "COCO JSON", "CSV"])
def test_every_shape(name: str, shape: str, tmp_path: Path) -> None:
    writers: dict[str, Any] = {"label maps": write_labels, "COCO JSON": write_coco, "CSV": write_table}
    writers[shape](tmp_path / "my", 4)
    read = lessons(tmp_path / "my", recipe(name))
    assert read.usable == tuple(range(8))  # two things in each of four pictures
    assert read.valid is None
    assert all(draw.image.shape == (32, 32, 3) for draw in drawn(read, 1))
    assert any(draw.negative for draw in drawn(read)) == (name == "phrasecut-plus")
    assert all((draw.support is None) == (name == "phrasecut") for draw in drawn(read, 1))


def test_a_tables_negatives_are_its_own(tmp_path: Path) -> None:
    """Each picture has a line that says which colour it lacks."""
    read = lessons(write_table(tmp_path / "my", 4), recipe(negatives=1.0))
    absent = {(draw.task.sample, draw.phrase) for draw in drawn(read, 3) if draw.negative}
    lines = (tmp_path / "my" / "pairs.csv").read_text().splitlines()[1:]
    stated = [line.split(",") for line in lines if line.split(",")[1] == ""]
    assert absent == {(int(image[7]), phrase) for image, _, phrase in stated}  # photos/0.png and so on
    assert len(absent) == 4


def test_a_folder_with_splits_brings_its_validation(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my", 6)
    (folder / "splits.json").write_text(json.dumps({"train": ["0", "1", "2"], "val": ["3", "4"]}))
    read = lessons(folder)
    assert (len(read.usable), read.judged) == (6, (0, 1))
    assert read.valid is not None
    assert [read.valid[index].key for index in read.judged] == ["3", "4"]
    assert not isinstance(read.valid, PhraseDraws)  # measured by text, whole pictures


def test_pictures_that_are_held_out_are_not_drawn(tmp_path: Path) -> None:
    read = lessons(write_table(tmp_path / "my", 20), recipe(holdout=0.2))
    assert len(read.judged) == 4
    assert isinstance(read.train, PhraseDraws)
    trained = {one.sample for one in read.train.tasks}  # type: ignore[attr-defined]
    assert sorted([*trained, *read.judged]) == list(range(20))


def test_what_is_wrong_is_left_out_of_the_draws(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 3)
    (table.parent / "photos" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"photos/1\.png"):
        lessons(table.parent)
    read = lessons(table.parent, skip_bad=True)
    assert isinstance(read.train, PhraseDraws)
    assert {one.key.split("/")[1] for one in read.train.tasks} == {"0.png", "2.png"}


@pytest.fixture
def phrasecut(tmp_path: Path) -> Path:
    square = [[[1, 1], [20, 1], [20, 20], [1, 20]]]
    words = (("1__1", 1, "dog"), ("1__2", 1, "two corgis"), ("2__1", 2, "cat"), ("2__2", 2, "dog"), ("2__3", 2, "wall"))
    tasks = [task(key, image, phrase, square) for key, image, phrase in words]
    images = [{"image_id": number, "width": 40, "height": 36, "split": "train", "url": ""} for number in (1, 2)]
    return write_phrasecut(tmp_path, {"train": tasks, "val": tasks[:3]}, images)


def test_phrasecuts_own_files(phrasecut: Path, tmp_path: Path) -> None:
    for choice in ({}, {"dataset": "phrasecut"}):
        read = lessons(phrasecut, **choice)
        assert isinstance(read.train, PhraseCutPlus)
        assert (len(read.usable), read.judged) == (5, (0, 1))
    other = lessons(phrasecut, valid=write_labels(tmp_path / "other", 3))
    assert other.judged == (0, 1, 2)


def test_the_recipe_says_how_it_is_drawn(phrasecut: Path) -> None:
    chosen = recipe(only_visual=True, negatives=0.0, text_share=1.0, engineering="crop", prefixes="fixed")
    read = lessons(phrasecut, chosen)
    assert phrases(read) == {"dog"}
    weights = [draw.text_weight for draw in drawn(read, 40)]
    assert max(weights) > 0.9
    assert min(weights) < 0.1
    assert {draw.text for draw in drawn(read, 1)} == {"a photo of a dog."}
    prompt: Any = read.train[0].queries[0].prompt
    assert prompt.visual.mode == "crop"


def test_classes_are_left_out_of_training_and_validation(phrasecut: Path, tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    read = lessons(phrasecut, recipe(avoid="dog.n.01", wordnet=wordnet))
    assert phrases(read) == {"cat", "wall"}
    assert read.valid is not None
    assert [query.prompt.text for index in read.judged for query in read.valid[index].queries] == ["cat"]
    folder = tmp_path / "plain"
    write_labels(folder, 8)
    (folder / "classes.json").write_text(json.dumps({"0": "background", "1": "corgi", "2": "cat", "3": "x", "4": "y"}))
    assert phrases(lessons(folder, recipe(avoid="dog.n.01", wordnet=wordnet))) == {"cat", "x", "y"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"avoid": "dog"}, "the class to avoid 'dog'"),
        ({"avoid": "wolf.n.01"}, "the class to avoid 'wolf.n.01', expected the name of a synset"),
        ({"size": 0}, "size=0 for phrases that are drawn"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    changes: dict[str, Any], said: str, phrasecut: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nltk")
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    with pytest.raises(DataError, match=said):
        lessons(phrasecut, recipe(**changes, wordnet=wordnet))


def test_finetune_avoids_nothing(tmp_path: Path) -> None:
    chosen = with_changes(finetune(), {"avoid": "dog.n.01", "wordnet": "folder"})
    with pytest.raises(DataError, match="classes to avoid in the recipe finetune"):
        lessons(write_table(tmp_path / "my", 2), chosen)
