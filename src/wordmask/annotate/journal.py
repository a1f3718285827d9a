"""The journal of a job: an SQLite file (WAL) that holds every answer, safe against kills at any moment.

Answers belong to the content of a file and to a question, not to a path: copies of a file share them, and a file that
moves keeps them. One transaction writes what is known about a batch of images, so that each image is there as a whole
or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.annotate.records import Answer, ImageRecord, Question
from wordmask.annotate.sources import JOURNAL_NAME
from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wordmask.annotate.sources import GivenLabel

__all__ = ["JOURNAL_NAME", "ImageRow", "Journal"]

FORMAT = "1"
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS methods (
    fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, presence REAL, joint INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    key TEXT PRIMARY KEY, phrase TEXT NOT NULL, negatives TEXT NOT NULL, method TEXT NOT NULL, threshold REAL,
    vocabulary TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (
    uri TEXT PRIMARY KEY, signature TEXT NOT NULL, content TEXT NOT NULL, height INTEGER NOT NULL,
    width INTEGER NOT NULL, error TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    content TEXT NOT NULL, question TEXT NOT NULL, presence REAL NOT NULL, floor REAL NOT NULL, objects TEXT NOT NULL,
    rest TEXT, PRIMARY KEY (content, question)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given (
    uri TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL, origin TEXT NOT NULL,
    PRIMARY KEY (uri, number)
) WITHOUT ROWID;
"""
_ASIDE = (
    "CREATE TABLE IF NOT EXISTS perceptual (content TEXT PRIMARY KEY, bits TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "INSERT OR IGNORE INTO notes VALUES ('changes', '0')",
)
CONTENT = ("questions", "images", "answers", "given", "meta")
"""Tables that hold the results; the others hold what was learned on the way and can be found again."""
_PATIENCE = 60.0  # seconds to wait for another process that writes


@dataclass(frozen=True)
class ImageRow:
    """An image as the journal knows it.

    Attributes:
        uri: Where it is.
        signature: Of its file when it was read.
        content: SHA-256 of the file; "" where it could not be read.
        size: `(H, W)`, upright.
        error: Why it was refused, or None.
    """

    uri: str
    signature: str
    content: str
    size: tuple[int, int]
    error: str | None


class Journal:
    """Opens a journal, making it where it is missing.

    Args:
        path: The file.
        create: Whether it may be made.

    Raises:
        OutputError: If it cannot be opened, is none, or is missing and may not be made.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if not create and not path.is_file():
            got = f"the folder {quote(path.parent)}, which holds no {path.name}"
            raise OutputError(sentence(got, "the --out of an earlier `wordmask annotate`", "correct the path"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            with self._transaction():
                for statement in (*_TABLES.split(";"), *_ASIDE):
                    self._db.execute(statement)
                self._db.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
        except (OSError, sqlite3.Error) as error:
            got = f"the journal {quote(path)}, which cannot be opened ({error})"
            remedy = "check the folder's permissions, or choose another --out"
            raise OutputError(sentence(got, "an SQLite file that may be written", remedy)) from error
        if self.meta("format") != FORMAT:
            got = f"the journal {quote(path)} of format {quote(self.meta('format'))}"
            raise OutputError(sentence(got, f"format {FORMAT}", "use the version of wordmask that wrote it"))

    def close(self) -> None:
        """Close the file; what the write-ahead log holds is moved into it."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction whose failure, such as a full disk, is told in a sentence."""
        try:
            with self._transaction():
                yield
                self._db.execute("UPDATE notes SET value = value + 1 WHERE name = 'changes'")
        except sqlite3.Error as error:
            got = f"the journal {quote(self.path)}, which cannot be written ({error})"
            remedy = "free some space, or check the permissions; then run the same command again"
            raise OutputError(sentence(got, "a file that can be written", remedy)) from error

    # --- meta ---

    def meta(self, name: str) -> str | None:
        """Return a value by name; None where there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        if self.meta(name) != value:
            with self._writing():
                self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @property
    def changes(self) -> int:
        """Number of times that something was written: tells whether exports are up to date."""
        return int(self.note("changes") or 0)

    def note(self, name: str) -> str | None:
        """Return what was noted about this file, which is no part of the results."""
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_note(self, name: str, value: str) -> None:
        """Note something about this file."""
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def method(self, fingerprint: str) -> tuple[str, float | None, bool] | None:
        """Return name, presence threshold and joint vocabulary of a model that was loaded once."""
        row = self._db.execute(
            "SELECT name, presence, joint FROM methods WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        return None if row is None else (str(row[0]), row[1], bool(row[2]))

    def add_method(self, fingerprint: str, name: str, *, presence: float | None, joint: bool) -> None:
        """Keep what is known of a model, so that it need not be loaded where nothing is left to do."""
        if self.method(fingerprint) != (name, presence, joint):
            with self._writing():
                self._db.execute(
                    "INSERT OR REPLACE INTO methods VALUES (?, ?, ?, ?)", (fingerprint, name, presence, int(joint))
                )

    def add_questions(self, questions: Iterable[Question]) -> None:
        """Keep what the keys of answers stand for."""
        rows = [
            (q.key, q.phrase, json.dumps(q.negatives), q.method, q.threshold, json.dumps(q.vocabulary))
            for q in questions
            if self.question(q.key) is None
        ]
        if rows:
            with self._writing():
                self._db.executemany("INSERT OR IGNORE INTO questions VALUES (?, ?, ?, ?, ?, ?)", rows)

    def question(self, key: str) -> Question | None:
        """Return a question by its key."""
        row = self._db.execute(
            "SELECT phrase, negatives, method, threshold, vocabulary FROM questions WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        return Question(row[0], tuple(json.loads(row[1])), row[2], row[3], tuple(json.loads(row[4])))

    def questions_about(self, phrase: str) -> list[str]:
        """Return the keys of all questions that ask a phrase."""
        return [row[0] for row in self._db.execute("SELECT key FROM questions WHERE phrase = ?", (phrase,))]

    # --- images and answers ---

    def image(self, uri: str) -> ImageRow | None:
        """Return an image by its uri."""
        row = self._db.execute("SELECT * FROM images WHERE uri = ?", (uri,)).fetchone()
        return None if row is None else _row(row)

    def images(self) -> Iterator[ImageRow]:
        """Yield every image, sorted by uri."""
        for row in self._db.execute("SELECT * FROM images ORDER BY uri"):
            yield _row(row)

    def counts(self) -> tuple[int, int]:
        """Return how many images are done and how many were refused."""
        done, bad = self._db.execute("SELECT COUNT(*) - COUNT(error), COUNT(error) FROM images").fetchone()
        return int(done), int(bad)

    def answer(self, content: str, question: str) -> Answer | None:
        """Return an answer."""
        row = self._db.execute(
            "SELECT presence, floor, objects, rest FROM answers WHERE content = ? AND question = ?", (content, question)
        ).fetchone()
        return None if row is None else Answer(question, row[0], row[1], tuple(json.loads(row[2])), row[3])

    def presences(self, content: str) -> dict[str, tuple[float, float]]:
        """Return presence and floor of every answer about a content, by question."""
        rows = self._db.execute("SELECT question, presence, floor FROM answers WHERE content = ?", (content,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def write(self, records: Sequence[ImageRecord]) -> None:
        """Write images and their answers in one transaction; answers that are there are replaced.

        Raises:
            OutputError: If it cannot be written.
        """
        new = [record for record in records if record.answers or self.image(record.uri) != _row_of(record)]
        if not new:
            return
        with self._writing():
            for record in new:
                height, width = record.size
                self._db.execute(
                    "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?)",
                    (record.uri, record.signature, record.content, height, width, record.error),
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (record.content, a.question, a.presence, a.floor, json.dumps(a.objects), a.rest)
                        for a in record.answers
                    ],
                )

    def perceptual(self, content: str) -> int | None:
        """Return the difference hash of a file's image, 64 bits; None where it is not known."""
        row = self._db.execute("SELECT bits FROM perceptual WHERE content = ?", (content,)).fetchone()
        return None if row is None else int(row[0], 16)

    def set_perceptual(self, hashes: Iterable[tuple[str, int]]) -> None:
        """Keep difference hashes by content."""
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO perceptual VALUES (?, ?)", [(c, f"{bits:016x}") for c, bits in hashes]
            )

    # --- labels that were there before, or were corrected ---

    def set_given(self, uri: str, labels: Sequence[GivenLabel], *, origin: str = "given") -> None:
        """Keep the labels that an image has from elsewhere, in the place of those of that origin."""
        with self._writing():
            self._db.execute("DELETE FROM given WHERE uri = ? AND origin = ?", (uri, origin))
            first = self._db.execute("SELECT COALESCE(MAX(number), 0) FROM given WHERE uri = ?", (uri,)).fetchone()[0]
            self._db.executemany(
                "INSERT INTO given VALUES (?, ?, ?, ?, ?)",
                [
                    (uri, first + n, one.name, json.dumps(dict(one.record), sort_keys=True), origin)
                    for n, one in enumerate(labels, start=1)
                ],
            )

    def given(self, uri: str) -> list[tuple[str, dict[str, Any], str]]:
        """Return class, record and origin of the labels that an image has from elsewhere."""
        rows = self._db.execute("SELECT name, record, origin FROM given WHERE uri = ? ORDER BY number", (uri,))
        return [(row[0], json.loads(row[1]), row[2]) for row in rows]

    def drop_given(self) -> None:
        """Remove all labels from elsewhere."""
        with self._writing():
            self._db.execute("DELETE FROM given")

    # --- all of it ---

    def digest(self) -> str:
        """Return a hash of everything that counts, in a fixed order: equal for journals with equal results."""
        state = hashlib.sha256()
        for line in self.dump():
            state.update(line.encode() + b"\n")
        return state.hexdigest()

    def dump(self) -> Iterator[str]:
        """Yield every row of the tables of results as JSON, in a fixed order."""
        for table in CONTENT:
            order = "uri, number" if table == "given" else "1, 2"
            for row in self._db.execute(f"SELECT * FROM {table} ORDER BY {order}"):  # a name of ours
                yield json.dumps([table, *row])

    def absorb(self, other: Path) -> None:
        """Add everything of another journal in one transaction; of two answers to a question the lower floor stays.

        Raises:
            OutputError: If the other cannot be read.
        """
        Journal(other, create=False).close()  # moves its log into it, and says so if it is none
        self._db.execute("ATTACH DATABASE ? AS other", (str(other),))
        try:
            with self._writing():
                for table in ("methods", "questions", "meta", "perceptual"):
                    self._db.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM other.{table}")
                self._db.execute(
                    "INSERT OR REPLACE INTO images SELECT * FROM other.images AS new WHERE new.error IS NULL"
                    " OR NOT EXISTS (SELECT 1 FROM main.images AS old WHERE old.uri = new.uri)"
                )
                self._db.execute(
                    "INSERT OR REPLACE INTO answers SELECT * FROM other.answers AS new WHERE NOT EXISTS (SELECT 1"
                    " FROM main.answers AS old WHERE old.content = new.content AND old.question = new.question"
                    " AND old.floor <= new.floor)"
                )
                self._db.execute("INSERT OR IGNORE INTO given SELECT * FROM other.given")
        finally:
            self._db.execute("DETACH DATABASE other")


def _row_of(record: ImageRecord) -> ImageRow:
    return ImageRow(record.uri, record.signature, record.content, record.size, record.error)


def _row(row: Sequence[Any]) -> ImageRow:
    uri, signature, content, height, width, error = row
    return ImageRow(uri, signature, content, (height, width), error)
