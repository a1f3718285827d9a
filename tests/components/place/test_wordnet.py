"""Near synonyms, on a small database in WordNet's format and on the real one where it is installed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from wordmask.components.place.wordnet import WordNet, find_wordnet
from wordmask.errors import DataError

LICENCE = "  1 This software and database is being provided to you, the LICENSEE\n"
FILES = {
    "index.noun": "dog n 2 1 @ 2 0 00000011 00000012\nhound n 1 1 @ 1 0 00000013\n"
    "man n 3 0 3 0 00000021 00000022 00000023\n"
    "cat n 1 0 1 0 00000031\n",
    "index.verb": "dog v 1 0 1 0 00000041\n",
    "index.adj": "",
    "index.adv": "",
    "data.noun": "00000011 05 n 01 dog 0 000 | an animal\n00000012 05 n 01 dog 1 000 | a person\n"
    "00000013 05 n 01 hound 0 001 @ 00000011 n 0000 | a hunting dog\n",
    "noun.exc": "men man\n",
}


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(LICENCE + text if name != "noun.exc" else text)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> WordNet:
    return WordNet.read(write(tmp_path / "wordnet"))


def test_the_published_rule_misses_words_of_few_senses(small: WordNet) -> None:
    assert small.near_synonym("man", "men", parity=True)
    assert small.near_synonym("dog", "dog", parity=True)  # two nouns and a verb
    assert not small.near_synonym("cat", "cat", parity=True)
    assert not small.near_synonym("", "man", parity=True)


def test_the_default_rule(small: WordNet) -> None:
    assert small.near_synonym("cats", "cat")
    assert small.near_synonym("hound", "dogs")
    assert small.near_synonym("dog", "hound")
    assert small.near_synonym("unknown", "unknown")
    assert not small.near_synonym("dog", "cat")
    assert not small.near_synonym("dog", "")


def test_nltks_archive_and_missing_or_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "a" / "wordnet")
    archive = tmp_path / "nltk" / "corpora" / "wordnet.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.iterdir():
            file.write(path, f"wordnet/{path.name}")
    monkeypatch.delenv("WORDMASK_WORDNET", raising=False)
    monkeypatch.setenv("NLTK_DATA", str(archive.parents[1]))
    assert find_wordnet() in (archive, Path("/usr/share/wordnet"))
    assert WordNet.read(archive).near_synonym("hound", "dog")
    with pytest.raises(DataError, match=r"wordnet-base"):
        WordNet.read(tmp_path / "nowhere")
    (folder / "data.noun").write_text("no database")
    with pytest.raises(DataError, match="expected"):
        WordNet.read(folder)


def test_the_real_database() -> None:
    if find_wordnet() is None:
        pytest.skip("no WordNet: Debian's wordnet-base, or NLTK's data package wordnet")
    real = WordNet.read()
    assert real.near_synonym("man", "man", parity=True)
    assert not real.near_synonym("zebra", "zebra", parity=True)
    assert not real.near_synonym("man", "woman", parity=True)
    assert real.near_synonym("puppy", "dog")
    assert real.near_synonym("zebras", "zebra")
    assert not real.near_synonym("dog", "table")
