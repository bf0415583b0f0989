"""``knowledge.db``: articles, their chunks with vectors, and the full-text index. The record of truth."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deskhand.errors import StoreError
from deskhand.jsonio import content_hash
from deskhand.sqlite import Schema, open_database, store_error, transaction
from deskhand_memory.articles import Article, Audience
from deskhand_memory.cases import KnownCase

Vector = NDArray[np.float32]

_SCHEMA = Schema(
    "knowledge",
    (
        """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE articles (
    pk INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, title TEXT NOT NULL, language TEXT NOT NULL,
    audience TEXT NOT NULL, valid_from TEXT, valid_to TEXT, products TEXT NOT NULL, text TEXT NOT NULL,
    hash TEXT NOT NULL, recipe TEXT NOT NULL, path TEXT NOT NULL REFERENCES files (path), UNIQUE (id, version));
CREATE TABLE chunks (
    pk INTEGER PRIMARY KEY AUTOINCREMENT, article INTEGER NOT NULL REFERENCES articles (pk), n INTEGER NOT NULL,
    text TEXT NOT NULL, hash TEXT NOT NULL, vector BLOB NOT NULL, UNIQUE (article, n));
CREATE INDEX chunks_hash ON chunks (hash);
CREATE INDEX articles_path ON articles (path);
CREATE VIRTUAL TABLE chunks_text USING fts5 (title, text, tokenize = 'porter unicode61');
""",
        """
ALTER TABLE articles ADD COLUMN vector BLOB;
ALTER TABLE chunks ADD COLUMN header TEXT NOT NULL DEFAULT '';
CREATE TABLE units (
    hash TEXT NOT NULL, article INTEGER NOT NULL REFERENCES articles (pk), vector BLOB NOT NULL,
    PRIMARY KEY (hash, article)) WITHOUT ROWID;
CREATE INDEX units_article ON units (article);
""",
        """
CREATE TABLE cases (hash TEXT PRIMARY KEY, articles TEXT NOT NULL, vector BLOB NOT NULL) WITHOUT ROWID;
""",
        """
ALTER TABLE cases ADD COLUMN category TEXT NOT NULL DEFAULT '';
""",
    ),
)


class FileState(NamedTuple):
    """What tells cheaply whether a file has changed."""

    mtime_ns: int
    size: int


@dataclass(frozen=True)
class StoredArticle:
    """What search needs to know about an article without its text. ``vector`` is the mean of its chunks', length 1."""

    pk: int
    id: str
    version: int
    title: str
    language: str
    audience: Audience
    valid_from: date | None
    valid_to: date | None
    products: frozenset[str]
    vector: Vector | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """``<id>@<version>``."""
        return f"{self.id}@{self.version}"


@dataclass(frozen=True)
class StoredChunk:
    """A chunk as stored; ``pk`` is never used again for another one. ``header`` is its table's."""

    pk: int
    article: int
    n: int
    text: str
    vector: Vector
    header: str = ""


@dataclass(frozen=True)
class NewChunk:
    """A chunk to store. ``hash`` says what was embedded and how; ``units`` are the vectors of its units by hash."""

    text: str
    hash: str
    vector: Vector
    header: str = ""
    units: Mapping[str, Vector] = field(default_factory=dict)


class ArticleState(NamedTuple):
    """What an ingest compares. ``recipe`` names the encoder and the way of cutting."""

    path: str
    hash: str
    recipe: str


class Store:
    """``knowledge.db``, opened. May be used from many threads; each method is one consistent view."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises StoreError when it is damaged, newer, or cannot be written."""
        self.path = path
        self._connection = open_database(path, _SCHEMA)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the database; further calls fail."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread. Raises StoreError for what SQLite reports."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as exc:
                raise store_error(self.path, exc) from exc

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Give a Writer whose changes are stored together at the end, or not at all."""
        with self.reading() as connection, transaction(connection):
            writer = Writer(connection)
            yield writer
            writer.stamp()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything read in the block by this thread come from one moment, whatever other processes write."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")

    def fingerprint(self) -> str:
        """Return the hash of all articles and cases and of how they were embedded; equal content, equal hash."""
        with self.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'fingerprint'").fetchone()
        return str(row[0]) if row else content_hash([])

    def files(self) -> dict[str, FileState]:
        """Return every file that was ingested, by its absolute path."""
        with self.reading() as connection:
            rows = connection.execute("SELECT path, mtime_ns, size FROM files").fetchall()
        return {path: FileState(mtime_ns, size) for path, mtime_ns, size in rows}

    def article_states(self) -> dict[tuple[str, int], ArticleState]:
        """Return what each stored article was made of, by id and version."""
        with self.reading() as connection:
            return article_states(connection)

    def recipes(self) -> set[str]:
        """Return the recipes that stored chunks were made by: one, or none when nothing is stored."""
        with self.reading() as connection:
            return {str(row[0]) for row in connection.execute("SELECT DISTINCT recipe FROM articles")}

    def check_recipe(self, recipe: str) -> None:
        """Return when all chunks were made by ``recipe``. Raises StoreError when vectors cannot be compared."""
        others = self.recipes() - {recipe}
        if others:
            raise StoreError(f"{self.path}: has vectors of {min(others)}, not {recipe}; run 'deskhand memory ingest'")

    def articles(self) -> dict[int, StoredArticle]:
        """Return all articles by primary key."""
        columns = "pk, id, version, title, language, audience, valid_from, valid_to, products, vector"
        with self.reading() as connection:
            rows = connection.execute(f"SELECT {columns} FROM articles").fetchall()  # noqa: S608 - a constant
        return {row[0]: _stored_article(row) for row in rows}

    def load_article(self, article_id: str, version: int) -> Article:
        """Return one article whole. It must exist."""
        sql = f"SELECT {', '.join(Article.model_fields)} FROM articles WHERE id = ? AND version = ?"  # noqa: S608
        with self.reading() as connection:
            row = connection.execute(sql, (article_id, version)).fetchone()
        values = dict(zip(Article.model_fields, row, strict=True))
        return Article.model_validate(values | {"products": json.loads(values["products"])})

    def count_chunks(self) -> int:
        """Return how many chunks are stored."""
        with self.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])

    def chunks(self, pks: Sequence[int]) -> list[StoredChunk]:
        """Return the chunks with these primary keys, in no particular order; unknown ones are left out."""
        sql = "SELECT pk, article, n, text, vector, header FROM chunks WHERE pk IN (SELECT value FROM json_each(?))"
        with self.reading() as connection:
            rows = connection.execute(sql, (json.dumps(list(pks)),)).fetchall()
        return [
            StoredChunk(pk, article, n, text, np.frombuffer(blob, np.float32), header)
            for pk, article, n, text, blob, header in rows
        ]

    def chunks_of(self, article: int) -> list[StoredChunk]:
        """Return the chunks of one article, in its order."""
        with self.reading() as connection:
            rows = connection.execute("SELECT pk FROM chunks WHERE article = ?", (article,)).fetchall()
        return sorted(self.chunks([row[0] for row in rows]), key=lambda chunk: chunk.n)

    def vectors(self, pks: Sequence[int] | None = None) -> Vectors:
        """Return vectors with their keys, of the chunks named or of all, ordered by primary key."""
        where = "" if pks is None else " WHERE pk IN (SELECT value FROM json_each(?))"
        args = () if pks is None else (json.dumps(list(pks)),)
        sql = f"SELECT pk, article, vector FROM chunks{where} ORDER BY pk"  # noqa: S608 - constants
        with self.reading() as connection:
            rows = connection.execute(sql, args).fetchall()
        matrix = np.frombuffer(b"".join(row[2] for row in rows), np.float32)
        return Vectors(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.int64),
            matrix.reshape(len(rows), -1) if rows else matrix.reshape(0, 0),
        )

    def chunk_ids(self) -> dict[str, int]:
        """Return, for each chunk, an id that changes when its vector does, and its article's primary key.

        The id is ``<pk>-<hash>``: unlike the primary key alone it stays unique when the database is made anew.
        """
        with self.reading() as connection:
            rows = connection.execute("SELECT pk, hash, article FROM chunks").fetchall()
        return {f"{pk}-{hashed[:16]}": article for pk, hashed, article in rows}

    def known_vectors(self, hashes: Collection[str]) -> dict[str, Vector]:
        """Return the vectors, of chunks or units, that are stored for these hashes already."""
        where = "hash IN (SELECT value FROM json_each(:hashes))"
        sql = f"SELECT hash, vector FROM chunks WHERE {where} UNION ALL SELECT hash, vector FROM units WHERE {where}"  # noqa: S608 - constants
        with self.reading() as connection:
            rows = connection.execute(sql, {"hashes": json.dumps(sorted(hashes))}).fetchall()
        return {hashed: np.frombuffer(vector, np.float32) for hashed, vector in rows}

    def cases(self) -> dict[str, KnownCase]:
        """Return each solved or labelled ticket by the hash of what it was made of, in the order of these."""
        with self.reading() as connection:
            rows = connection.execute("SELECT hash, articles, vector, category FROM cases ORDER BY hash").fetchall()
        return {row[0]: KnownCase(tuple(json.loads(row[1])), np.frombuffer(row[2], np.float32), row[3]) for row in rows}

    def find_phrase(self, phrase: str, limit: int) -> list[int]:
        """Return the primary keys of at most ``limit`` chunks that have ``phrase`` in their text, else in their title.

        Words are compared stemmed and without case; punctuation between them does not count.
        """
        quoted = '"' + phrase.replace('"', " ").replace("\0", " ") + '"'
        sql = "SELECT rowid FROM chunks_text WHERE chunks_text MATCH ? ORDER BY rowid LIMIT ?"
        with self.reading() as connection:
            for column in ("text", "title"):
                rows = connection.execute(sql, (f"{column} : {quoted}", limit)).fetchall()
                if rows:
                    return [int(row[0]) for row in rows]
        return []

    def match_words(self, words: Collection[str], limit: int) -> dict[int, float]:
        """Return the BM25 scores, above 0, of the at most ``limit`` chunks that match ``words`` best, by primary key.

        Words are compared stemmed and without case, in title and text alike; one is enough.
        """
        if not words:
            return {}
        quoted = " OR ".join('"' + word.replace('"', " ").replace("\0", " ") + '"' for word in sorted(words))
        sql = "SELECT rowid, rank FROM chunks_text WHERE chunks_text MATCH ? ORDER BY rank, rowid LIMIT ?"
        with self.reading() as connection:
            return {int(pk): -float(rank) for pk, rank in connection.execute(sql, (quoted, limit))}

    def rebuild_text(self) -> None:
        """Make the full-text index again from the chunks."""
        with self.writing() as writer:
            writer.rebuild_text()

    def problems(self) -> list[str]:
        """Return what is wrong inside the database, in words; empty when nothing is."""
        with self.reading() as connection:
            try:
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check") if row[0] != "ok"]
                n_chunks, n_text = connection.execute(
                    "SELECT (SELECT count(*) FROM chunks),"
                    " (SELECT count(*) FROM chunks JOIN chunks_text ON chunks_text.rowid = chunks.pk)"
                ).fetchone()
            except sqlite3.DatabaseError as exc:
                return [str(store_error(self.path, exc))]
        if n_text != n_chunks:
            found.append(f"{n_chunks - n_text} of {n_chunks} chunks are not in the full-text index")
        return found


class Vectors(NamedTuple):
    """Vectors of chunks: ``matrix`` has shape (n, dim), ``pks`` and ``articles`` have shape (n,)."""

    pks: NDArray[np.int64]
    articles: NDArray[np.int64]
    matrix: Vector


class Writer:
    """The changes that one transaction may make."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def article_states(self) -> dict[tuple[str, int], ArticleState]:
        """Return what each stored article was made of, as this transaction sees it."""
        return article_states(self._connection)

    def put_file(self, path: str, state: FileState) -> None:
        """Store or update a file."""
        self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, *state))

    def drop_files(self, paths: Collection[str]) -> None:
        """Forget files; their articles must be gone already."""
        self._connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in paths])

    def put_article(self, article: Article, path: str, recipe: str, chunks: Sequence[NewChunk]) -> None:
        """Store an article with its chunks in place of what was stored under its id and version."""
        self.drop_article(article.id, article.version)
        row = article.model_dump(mode="json") | {"hash": article.content_hash, "path": path, "recipe": recipe}
        row["products"] = json.dumps(row["products"])
        row["vector"] = _mean(chunks)
        columns = ", ".join(row)
        marks = ", ".join(f":{column}" for column in row)
        cursor = self._connection.execute(f"INSERT INTO articles ({columns}) VALUES ({marks})", row)  # noqa: S608
        for n, chunk in enumerate(chunks, start=1):
            key = self._connection.execute(
                "INSERT INTO chunks (article, n, text, hash, vector, header) VALUES (?, ?, ?, ?, ?, ?)",
                (cursor.lastrowid, n, chunk.text, chunk.hash, _blob(chunk.vector), chunk.header),
            ).lastrowid
            self._connection.executemany(
                "INSERT OR REPLACE INTO units (hash, article, vector) VALUES (?, ?, ?)",
                [(hashed, cursor.lastrowid, _blob(vector)) for hashed, vector in chunk.units.items()],
            )
            values = (key, article.title, chunk.text)
            self._connection.execute("INSERT INTO chunks_text (rowid, title, text) VALUES (?, ?, ?)", values)

    def move_article(self, article_id: str, version: int, path: str) -> None:
        """Note that an article, otherwise unchanged, now stands in another file."""
        self._connection.execute(
            "UPDATE articles SET path = ? WHERE id = ? AND version = ?", (path, article_id, version)
        )

    def drop_article(self, article_id: str, version: int) -> None:
        """Remove an article with its chunks; nothing happens when there is none."""
        same = "article = (SELECT pk FROM articles WHERE id = ? AND version = ?)"
        key = (article_id, version)
        self._connection.execute(
            f"DELETE FROM chunks_text WHERE rowid IN (SELECT pk FROM chunks WHERE {same})",  # noqa: S608
            key,
        )
        for table in ("chunks", "units"):
            self._connection.execute(f"DELETE FROM {table} WHERE {same}", key)  # noqa: S608 - constants
        self._connection.execute("DELETE FROM articles WHERE id = ? AND version = ?", key)

    def put_cases(self, cases: Mapping[str, KnownCase]) -> None:
        """Store these solved and labelled tickets in place of those that were stored."""
        self._connection.execute("DELETE FROM cases")
        rows = [
            (hashed, json.dumps(case.articles), _blob(case.vector), case.category) for hashed, case in cases.items()
        ]
        self._connection.executemany("INSERT INTO cases (hash, articles, vector, category) VALUES (?, ?, ?, ?)", rows)

    def rebuild_text(self) -> None:
        """Make the full-text index again."""
        self._connection.execute("DELETE FROM chunks_text")
        self._connection.execute(
            "INSERT INTO chunks_text (rowid, title, text)"
            " SELECT chunks.pk, title, chunks.text FROM chunks JOIN articles ON articles.pk = chunks.article"
        )

    def stamp(self) -> None:
        """Store the fingerprint of what is there now."""
        rows = self._connection.execute(
            "SELECT id, version, hash, recipe FROM articles ORDER BY id, version"
        ).fetchall()
        cases = self._connection.execute("SELECT hash FROM cases ORDER BY hash").fetchall()
        seen = [*rows, *cases]
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('fingerprint', ?)", (content_hash(seen),))


def article_states(connection: sqlite3.Connection) -> dict[tuple[str, int], ArticleState]:
    """Return what each stored article was made of, by id and version."""
    rows = connection.execute("SELECT id, version, path, hash, recipe FROM articles")
    return {(row[0], row[1]): ArticleState(*row[2:]) for row in rows}


def _blob(vector: Vector) -> bytes:
    return vector.astype(np.float32).tobytes()


def _mean(chunks: Sequence[NewChunk]) -> bytes | None:
    """Return the mean of the chunks' vectors, of length 1; None when there is no direction to speak of."""
    total = np.array([chunk.vector for chunk in chunks], np.float64).sum(axis=0)
    length = float(np.linalg.norm(total))
    return _blob(np.asarray(total / length, np.float32)) if length > 0 else None


_ArticleRow = tuple[int, str, int, str, str, Audience, str | None, str | None, str, bytes | None]


def _stored_article(row: _ArticleRow) -> StoredArticle:
    pk, article_id, version, title, language, audience, valid_from, valid_to, products, vector = row
    return StoredArticle(
        pk=pk,
        id=article_id,
        version=version,
        title=title,
        language=language,
        audience=audience,
        valid_from=date.fromisoformat(valid_from) if valid_from else None,
        valid_to=date.fromisoformat(valid_to) if valid_to else None,
        products=frozenset(str(product).casefold() for product in json.loads(products)),
        vector=np.frombuffer(vector, np.float32) if vector else None,
    )
