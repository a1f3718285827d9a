"""Synonyms by WordNet's database files, read without a library.

Princeton WordNet 3.0 (George A. Miller, 1995; WordNet licence). The files come with Debian's package `wordnet-base`
(`/usr/share/wordnet`) and as NLTK's data package `wordnet` (`corpora/wordnet`, unpacked or as `corpora/wordnet.zip`).
Their format is described in wndb(5WN).
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from wordmask.errors import DataError, quote, sentence

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
PARITY = 3
"""Common synsets that two nouns need to be synonyms for the published TAS."""
_ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
_REMEDY = "install Debian's wordnet-base or NLTK's data package wordnet, or name its folder"


@dataclass(frozen=True, eq=False)
class WordNet:
    """Synsets of words.

    Attributes:
        synsets: For each part of speech, lemma -> offsets of its synsets.
        hypernyms: Offset of a noun synset -> offsets of its direct hypernyms.
        irregular: Irregular noun -> lemma; empty where the files have no exceptions.
    """

    synsets: dict[str, dict[str, tuple[int, ...]]]
    hypernyms: dict[int, tuple[int, ...]]
    irregular: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | os.PathLike[str] | None = None) -> WordNet:
        """Read the database, from the first place that has it unless one is named.

        Args:
            folder: The folder of `index.noun`, or NLTK's `wordnet.zip`.

        Raises:
            DataError: If it is nowhere, or damaged.
        """
        place = Path(folder) if folder is not None else find_wordnet()
        if place is None:
            raise DataError(sentence("no WordNet on this machine", "its database files", _REMEDY))
        return _read(str(place))

    def lemma(self, noun: str) -> str:
        """Return the dictionary form of a noun: "dogs" -> "dog"; a word that is unknown stays."""
        low, known = noun.lower(), self.synsets["noun"]
        if low in self.irregular:
            return self.irregular[low]
        if low in known:
            return low
        stems = (low.removesuffix(end) + stem for end, stem in _ENDINGS if low.endswith(end))
        return next((stem for stem in stems if stem in known), low)

    def all_synsets(self, noun: str) -> set[tuple[str, int]]:
        """Return the synsets of a word in all parts of speech, as (part of speech, offset)."""
        lemma = self.lemma(noun)
        return {(part, offset) for part, table in self.synsets.items() for offset in table.get(lemma, ())}

    def near_synonym(self, first: str, second: str, *, parity: bool = False) -> bool:
        """Return whether two nouns mean nearly the same.

        Args:
            first: A noun; "" is no synonym of anything.
            second: Another.
            parity: Whether to ask as the published TAS does: at least `PARITY` synsets in common, of any part of
                speech, so that a noun of fewer synsets is no synonym of itself. Otherwise: the same lemma, a noun
                synset in common, or a synset that is a direct hypernym of the other's.
        """
        if not first or not second:
            return False
        if parity:
            return len(self.all_synsets(first) & self.all_synsets(second)) >= PARITY
        one, other = self.lemma(first), self.lemma(second)
        own, others = (set(self.synsets["noun"].get(lemma, ())) for lemma in (one, other))
        above, above_others = ({up for o in group for up in self.hypernyms.get(o, ())} for group in (own, others))
        return one == other or bool(own & others or above & others or own & above_others)


def find_wordnet() -> Path | None:
    """Return the first WordNet: `$WORDMASK_WORDNET`, Debian's folder, NLTK's folders (unpacked or zipped), or None."""
    named = os.environ.get("WORDMASK_WORDNET")
    roots = [Path(named)] if named else []
    roots.append(Path("/usr/share/wordnet"))
    data = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    data += [Path.home() / "nltk_data", Path("/usr/share/nltk_data"), Path("/usr/local/share/nltk_data")]
    roots += [folder / "corpora" / name for folder in data for name in ("wordnet", "wordnet.zip")]
    return next((root for root in roots if root.is_file() or (root / "index.noun").is_file()), None)


@lru_cache(maxsize=2)
def _read(place: str) -> WordNet:
    try:
        files = _files(Path(place))
        synsets = {part: _index(files[f"index.{part}"]) for part in PARTS_OF_SPEECH if f"index.{part}" in files}
        exceptions = dict(line.split()[:2] for line in files.get("noun.exc", "").splitlines() if line.strip())
        return WordNet(synsets, _hypernyms(files["data.noun"]), exceptions)
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        got = f"the WordNet in {quote(place)} ({type(error).__name__}: {error})"
        raise DataError(sentence(got, "index.noun and data.noun of WordNet 3.0", _REMEDY)) from error


def _files(place: Path) -> dict[str, str]:
    """The database's files by name."""
    wanted = {f"index.{part}" for part in PARTS_OF_SPEECH} | {"data.noun", "noun.exc"}
    if place.is_file():
        with zipfile.ZipFile(place) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            return {name: archive.read(names[name]).decode("latin-1") for name in wanted & names.keys()}
    return {name: (place / name).read_text("latin-1") for name in wanted if (place / name).is_file()}


def _index(text: str) -> dict[str, tuple[int, ...]]:
    """Read lines `lemma pos synset_cnt p_cnt [symbols] sense_cnt tagsense_cnt offset...`; the licence is indented."""
    table: dict[str, tuple[int, ...]] = {}
    for line in text.splitlines():
        if line and not line.startswith(" "):
            fields = line.split()
            table[fields[0].replace("_", " ")] = tuple(int(offset) for offset in fields[-int(fields[2]) :])
    return table


def _hypernyms(text: str) -> dict[int, tuple[int, ...]]:
    """Lines `offset lex_filenum ss_type w_cnt word lex_id ... p_cnt [symbol offset pos source/target]... | gloss`."""
    table: dict[int, tuple[int, ...]] = {}
    for line in text.splitlines():
        if not line or line.startswith(" "):
            continue
        fields = line.split(" | ", 1)[0].split()
        start = 4 + 2 * int(fields[3], 16)
        pointers = fields[start + 1 : start + 1 + 4 * int(fields[start])]
        ups = [int(pointers[i + 1]) for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")]
        if ups:
            table[int(fields[0])] = tuple(ups)
    return table
