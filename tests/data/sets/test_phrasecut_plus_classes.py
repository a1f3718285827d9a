"""Which phrases name a held-out class (golden check 16), and WordNet as a folder on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from wordmask.data.sampling.phrases import (
    PASCAL_SYNSETS,
    PERSON_WORDS,
    PREFIXES,
    ClassFilter,
    Lexicon,
    pascal_fold_synsets,
    read_wordnet,
    zero_shot_synsets,
)
from wordmask.data.sets.pascal_splits import CLASSES
from wordmask.errors import DataError, MissingExtraError

DOGS = {"dog.n.01": ("dog", "domestic_dog", "Canis_familiaris", "poodle", "Great_Dane")}
LEXICON = Lexicon(DOGS.__getitem__, lambda word: {"dogs": "dog", "poodles": "poodle"}.get(word, word))


@pytest.mark.parametrize(
    ("phrase", "kept"),
    [
        ("white poodle", False),  # a kind of dog
        ("two dogs", False),  # by its basic form
        ("dog house", False),  # a word of its own
        ("hotdog stand", True),  # words match whole
        ("great danes", False),  # lemmas of several words match anywhere
        ("the domestic dogwood", False),
        ("dog's ear", True),  # no word between blanks is a dog
        ("cat", True),
    ],
)
def test_phrases_that_name_a_dog(phrase: str, kept: bool) -> None:
    assert ClassFilter(["dog.n.01"], LEXICON).keep(phrase) is kept


def test_a_person_is_nine_words() -> None:
    assert PERSON_WORDS == ("person", "human", "man", "woman", "toddler", "baby", "body", "child", "infant")
    people = ClassFilter(["person.n.01"], LEXICON)  # the lexicon knows no person
    assert people.words == set(PERSON_WORDS)
    assert people.phrases == frozenset()
    assert not people.keep("tall man")
    assert people.keep("batter")


def test_nothing_to_avoid_keeps_all() -> None:
    assert ClassFilter([], LEXICON).keep("dog")


def test_synsets_of_the_protocols() -> None:
    assert list(PASCAL_SYNSETS) == list(CLASSES)
    assert PASCAL_SYNSETS["boat"] == "vessel.n.02"
    assert PASCAL_SYNSETS["tvmonitor"] == "television.n.03"
    assert pascal_fold_synsets(0) == ("aeroplane.n.01", "bicycle.n.01", "bird.n.01", "vessel.n.02", "bottle.n.01")
    assert pascal_fold_synsets(2) == ("table.n.02", "dog.n.01", "horse.n.01", "motorcycle.n.01", "person.n.01")
    assert zero_shot_synsets(2) == ("cattle.n.01", "motorcycle.n.01", "aeroplane.n.01", "sofa.n.01")
    assert len(zero_shot_synsets(5)) == len(set(zero_shot_synsets(5))) == 10
    assert set(zero_shot_synsets(5)) <= set(PASCAL_SYNSETS.values())


def test_lists_of_sentences() -> None:
    assert {name: len(prefixes) for name, prefixes in PREFIXES.items()} == {
        "plain": 1, "fixed": 1, "shuffle": 4, "shuffle+": 9
    }  # fmt: skip
    assert len(set(PREFIXES["shuffle+"])) == 9
    assert PREFIXES["shuffle+"][:4] == PREFIXES["shuffle"]
    assert all(prefix.count("{}") == 1 for prefixes in PREFIXES.values() for prefix in prefixes)


# --- WordNet in a folder -------------------------------------------------------------------------------------------

NOUNS = {  # synset: lemmas and its hyponyms
    "dog": (("dog", "domestic_dog"), ("poodle", "corgi")),
    "poodle": (("poodle", "poodle_dog"), ("toy",)),
    "toy": (("toy_poodle",), ()),
    "corgi": (("corgi", "Welsh_corgi"), ("toy",)),
    "cat": (("cat",), ()),
}
HEAD = "  1 made for a test; WordNet 3.0 Copyright\n"


def write_wordnet(folder: Path) -> Path:
    """Write the nouns above in WordNet's database format, wndb(5WN)."""
    lines, places, length = {}, {}, len(HEAD)
    for name, (lemmas, hyponyms) in NOUNS.items():
        words = " ".join(f"{lemma} 0" for lemma in lemmas)
        pointers = "".join(f" ~ {{{hyponym}}} n 0000" for hyponym in hyponyms)
        lines[name] = f"{{{name}}} 05 n {len(lemmas):02x} {words} {len(hyponyms):03d}{pointers} | a {name}\n"
        places[name] = f"{length:08d}"
        length += len(lines[name].format(**dict.fromkeys(NOUNS, "0" * 8)))
    folder.mkdir()
    (folder / "data.noun").write_text(HEAD + "".join(line.format(**places) for line in lines.values()))
    index = {lemma.lower(): places[name] for name, (lemmas, _) in NOUNS.items() for lemma in lemmas}
    entries = [f"{lemma} n 1 0 1 0 {place}\n" for lemma, place in sorted(index.items())]
    (folder / "index.noun").write_text(HEAD + "".join(entries))
    (folder / "noun.exc").write_text("doggies dog\n")
    for part in ("verb", "adj", "adv"):
        for name in (f"data.{part}", f"index.{part}"):
            (folder / name).write_text(HEAD)
        (folder / f"{part}.exc").write_text("")
    return folder


def test_a_small_wordnet_is_read(tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    lexicon = read_wordnet(write_wordnet(tmp_path / "wordnet"))
    everything = {"dog", "domestic_dog", "poodle", "poodle_dog", "toy_poodle", "corgi", "Welsh_corgi"}
    assert set(lexicon.lemmas("dog.n.01")) == everything
    assert set(lexicon.lemmas("cat.n.01")) == {"cat"}
    assert [lexicon.lemmatise(word) for word in ("dogs", "doggies", "cat", "xyzzy")] == ["dog", "dog", "cat", "xyzzy"]
    dogs = ClassFilter(["dog.n.01"], lexicon)
    assert dogs.words == {"dog", "poodle", "corgi"}
    assert dogs.phrases == {"domestic dog", "poodle dog", "toy poodle", "welsh corgi"}
    for unknown in ("wolf.n.01", "dog.n.07", "dog"):
        with pytest.raises(DataError, match="name of a synset"):
            ClassFilter([unknown], lexicon)


def test_a_missing_wordnet_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no-such.*NLTK's data package 'wordnet'.*wordnet-base"):
        read_wordnet(tmp_path / "no-such")
    (write_wordnet(tmp_path / "wordnet") / "noun.exc").unlink()
    with pytest.raises(DataError, match=r"noun\.exc"):
        read_wordnet(tmp_path / "wordnet")


def test_a_damaged_wordnet_is_said_so(tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    folder = write_wordnet(tmp_path / "wordnet")
    (folder / "index.noun").write_text("dog n two\n")
    with pytest.raises(DataError, match="damaged files"):
        read_wordnet(folder)


def test_without_nltk_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_wordnet(tmp_path / "wordnet")
    monkeypatch.setitem(sys.modules, "nltk", None)
    monkeypatch.setitem(sys.modules, "nltk.data", None)
    with pytest.raises(MissingExtraError, match="wordnet"):
        read_wordnet(folder)


@pytest.mark.slow
@pytest.mark.skipif("WORDNET" not in os.environ, reason="WORDNET names no folder with WordNet 3.0")
def test_the_real_wordnet() -> None:
    """Golden check 16 on WordNet 3.0 itself."""
    lexicon = read_wordnet(os.environ["WORDNET"])
    dogs = ClassFilter(["dog.n.01"], lexicon)
    phrases = ("white poodle", "two dogs", "dog house", "hotdog stand", "cat")
    assert [dogs.keep(phrase) for phrase in phrases] == [False, False, False, True, True]
    for synset in PASCAL_SYNSETS.values():
        found = ClassFilter([synset], lexicon)
        assert found.words | found.phrases
