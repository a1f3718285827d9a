"""Prompt templates, and the filter that leaves out phrases naming a held-out class.

Both follow CLIPSeg (arXiv 2112.10003, section 4, and its published training code). A phrase names a class if it holds
a word of WordNet for the class or for anything that is a kind of it: with "dog" held out, so is "white poodle".

WordNet 3.0 is read from a folder that the user names, by NLTK (the extra `wordnet`); nothing is
downloaded. It is had in any of these ways, on a machine with a network, and copied from there:

- NLTK's data package "wordnet" (`python -m nltk.downloader wordnet`): unpack `corpora/wordnet.zip`, give `wordnet/`;
- the Debian or Ubuntu package `wordnet-base`: give `/usr/share/wordnet`;
- Princeton University's home page "WordNet", the database files: give `dict/`.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.data.reading import require_file, require_folder, show
from wordmask.data.sets.pascal_splits import CLASSES, PASCAL_5I
from wordmask.errors import DataError, MissingExtraError, installing, quote, sentence

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = [
    "PASCAL_SYNSETS",
    "PERSON_WORDS",
    "PREFIXES",
    "ZERO_SHOT_GROUPS",
    "ClassFilter",
    "Lexicon",
    "pascal_fold_synsets",
    "read_wordnet",
    "zero_shot_synsets",
]

_SHUFFLED = ("a photo of a {}.", "a photograph of a {}.", "an image of a {}.", "{}.")

PREFIXES: Mapping[str, tuple[str, ...]] = {
    "plain": ("{}",),
    "fixed": ("a photo of a {}.",),
    "shuffle": _SHUFFLED,
    "shuffle+": (
        *_SHUFFLED,
        "a cropped photo of a {}.",
        "a good photo of a {}.",
        "a photo of one {}.",
        "a bad photo of a {}.",
        "a photo of the {}.",
    ),
}
"""Prompt templates by CLIPSeg's name for the list; one is drawn at random for each phrase."""

PASCAL_SYNSETS: Mapping[str, str] = dict(
    zip(
        CLASSES,
        "aeroplane.n.01 bicycle.n.01 bird.n.01 vessel.n.02 bottle.n.01 bus.n.01 car.n.01 cat.n.01 chair.n.01 "
        "cattle.n.01 table.n.02 dog.n.01 horse.n.01 motorcycle.n.01 person.n.01 pot_plant.n.01 sheep.n.01 sofa.n.01 "
        "train.n.01 television.n.03".split(),
        strict=True,
    )
)
"""The synset of each PASCAL class, in the order of the classes."""

ZERO_SHOT_GROUPS = (
    ("cattle.n.01", "motorcycle.n.01"),
    ("aeroplane.n.01", "sofa.n.01"),
    ("cat.n.01", "television.n.03"),
    ("train.n.01", "bottle.n.01"),
    ("chair.n.01", "pot_plant.n.01"),
)
"""The held-out classes of generalised zero-shot segmentation, two at a time."""

PERSON_WORDS = ("person", "human", "man", "woman", "toddler", "baby", "body", "child", "infant")
"""What stands for a person: WordNet's thousands of kinds of person hold words such as "batter" and "plant"."""

_PERSON = "person.n.01"
_NEEDED = tuple(f"{kind}.{part}" for kind in ("index", "data") for part in ("noun", "verb", "adj", "adv"))
_EXCEPTIONS = tuple(f"{part}.exc" for part in ("noun", "verb", "adj", "adv"))
_WHAT = "WordNet 3.0's database"
_REMEDY = "unpack NLTK's data package 'wordnet' and name its folder, or '/usr/share/wordnet' of Debian's wordnet-base"


def pascal_fold_synsets(fold: int) -> tuple[str, ...]:
    """Return the synsets that training must avoid when fold 0 to 3 of PASCAL-5i is tested."""
    return tuple(PASCAL_SYNSETS[name] for name in PASCAL_5I[fold])


def zero_shot_synsets(groups: int) -> tuple[str, ...]:
    """Return the synsets that training must avoid in generalised zero-shot segmentation.

    Args:
        groups: How many groups are held out, 1 to 5; each has two classes, so 5 holds out 10 classes.
    """
    return tuple(name for group in ZERO_SHOT_GROUPS[:groups] for name in group)


@dataclass(frozen=True)
class Lexicon:
    """What a filter asks of WordNet.

    Attributes:
        lemmas: Synset such as "dog.n.01" -> the names of its lemmas and of those of all its hyponyms, at any depth.
        lemmatise: Word -> the noun it is a form of, or the word itself: "dogs" -> "dog".
    """

    lemmas: Callable[[str], Iterable[str]]
    lemmatise: Callable[[str], str]


class ClassFilter:
    """Tells phrases that name a class to be avoided from those that may stay.

    A phrase goes if a lemma of several words is a part of it, letter by letter, or if a lemma of one word is the basic
    form of one of the words between its blanks.
    """

    def __init__(self, avoid: Iterable[str], lexicon: Lexicon) -> None:
        """Look up the words to avoid.

        Args:
            avoid: Names of synsets, such as those of `pascal_fold_synsets(0)`.
            lexicon: WordNet, such as `read_wordnet(folder)`.

        Raises:
            DataError: If there is no such synset.
        """
        names = {name for synset in avoid for name in _words(synset, lexicon)}
        lemmas = {name.replace("_", " ").lower() for name in names}
        self.phrases = frozenset(lemma for lemma in lemmas if " " in lemma)
        self.words = frozenset(lemmas - self.phrases)
        self._lemmatise = lexicon.lemmatise

    def keep(self, phrase: str) -> bool:
        """Return whether a phrase names none of the classes."""
        if any(lemma in phrase for lemma in self.phrases):
            return False
        return not any(self._lemmatise(word) in self.words for word in phrase.split(" "))


def _words(synset: str, lexicon: Lexicon) -> Iterable[str]:
    return PERSON_WORDS if synset == _PERSON else lexicon.lemmas(synset)


def read_wordnet(folder: str | os.PathLike[str]) -> Lexicon:
    """Open WordNet's database.

    Args:
        folder: Where `data.noun`, `index.noun`, `noun.exc` and the same files of verbs, adjectives and adverbs lie.

    Raises:
        MissingExtraError: If NLTK is not installed.
        DataError: If the folder or one of the files is missing or damaged.
    """
    root = require_folder(folder, _WHAT, _REMEDY)
    for name in (*_NEEDED, *_EXCEPTIONS):
        require_file(root / name, _WHAT, _REMEDY)
    reader = _reader(root)

    def lemmas(synset: str) -> Iterable[str]:
        return _lemmas(reader, synset)

    def lemmatise(word: str) -> str:
        # NLTK's lemmatiser does this, but only with the database that it finds by itself.
        return min(reader._morphy(word, "n"), key=len, default=word)

    return Lexicon(lemmas, lemmatise)


def _reader(root: Path) -> Any:
    """Return NLTK's reader of a database, without the parts of it that look for further files elsewhere."""
    try:
        import nltk.data  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from nltk.corpus.reader.wordnet import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
            WordNetCorpusReader,
            WordNetError,
        )
    except ImportError as error:
        remedy = f"{installing('wordnet')}, or pass a Lexicon of your own"
        raise MissingExtraError(sentence("classes to avoid", "NLTK to read WordNet with", remedy)) from error

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        def map_wn(self, version: str = "wordnet") -> None:
            """Map nothing: only translations need it, and it wants a second database."""

        def open(self, file: str) -> Any:
            """Return a file's contents as a stream that needs no closing, which NLTK would leave to chance.

            The names of subject fields, which some distributions lack and nothing here asks for, are blanks.
            """
            fields = "".join(f"{number:02d} unknown 1\n" for number in range(45))
            return io.StringIO(fields if file == "lexnames" else (root / file).read_bytes().decode("latin-1"))

    place = str(root.resolve())
    nltk.data.path.append(place)  # NLTK accepts no other folder than those in this list
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there are no translations
            return Reader(place, None)
    except (OSError, ValueError, LookupError, AssertionError, WordNetError) as error:
        got = f"the folder {show(root)} with damaged files ({quote(error, limit=60)})"
        raise DataError(sentence(got, _WHAT, _REMEDY)) from error
    finally:
        nltk.data.path.remove(place)


def _lemmas(reader: Any, synset: str) -> set[str]:
    """Return the names of the lemmas of a synset and all its hyponyms."""
    from nltk.corpus.reader.wordnet import WordNetError  # type: ignore[import-not-found, import-untyped, unused-ignore]

    try:
        found, waiting = set(), [reader.synset(synset)]
    except (WordNetError, ValueError) as error:
        expected = "the name of a synset of WordNet such as 'dog.n.01'"
        raise DataError(sentence(f"the class to avoid {quote(synset)}", expected, "correct the name")) from error
    names: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            names.update(current.lemma_names())
            waiting.extend(current.hyponyms())
    return names
