"""Nearest vectors: a Chroma index derived from the store, and the exact scan that stands in for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from deskhand.errors import OwnedElsewhere, StoreError
from deskhand.jsonio import canonical_json, parse_json, read_text, write_atomic
from deskhand.libraries import prepare
from deskhand_memory.store import Store, Vector, Vectors

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection as ChromaCollection

_COLLECTION = "knowledge"
_CURRENT = "current.json"
_BATCH = 1_000
_SAME = 1e-4
"""Cosine distance below which two vectors are the same for a float32 index."""


class IndexFailed(StoreError):
    """Chroma failed in the middle of its work; the exact scan answers instead."""


class Index(Protocol):
    """Finds the chunks whose vectors are nearest to a query's."""

    def nearest(self, query: Vector, n: int, allowed: Collection[int]) -> list[int]:
        """Return the primary keys of at most ``n`` chunks of the articles ``allowed``, nearest first.

        Fewer than ``n`` come back only when there are no more. ``query`` has shape (dim,) and length 1.
        """
        ...


class ExactIndex:
    """Compares the query with every vector: exact, and what every other index is measured against."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def nearest(self, query: Vector, n: int, allowed: Collection[int]) -> list[int]:
        """See Index."""
        mask = np.isin(self._vectors.articles, np.fromiter(allowed, np.int64, len(allowed)))
        pks, similarity = self._vectors.pks[mask], (self._vectors.matrix @ query)[mask]
        if n < len(pks):
            best = np.argpartition(-similarity, n)[:n]
            pks, similarity = pks[best], similarity[best]
        return [int(pk) for pk in pks[np.lexsort((pks, -similarity))]]


class ChromaIndex:
    """A Chroma collection in ``folder`` that mirrors a store, owned by this object until it is closed.

    Two owners would lose vectors silently, so a lock file next to the folder says who it is; the kernel frees the lock
    when its process ends, however it ends. Damage is never fatal: the index is made again from the store, in a new
    folder, because Chroma cannot reopen a path whose files were replaced.
    """

    def __init__(self, folder: Path) -> None:
        """Become the owner. Raises OwnedElsewhere when there is one, StoreError when the folder cannot be written."""
        self._folder = folder
        self._lock: int | None = _take_lock(folder.with_name(f"{folder.name}.lock"))
        self._client: Client | None = None
        self._collection: ChromaCollection | None = None
        self._stamp: str | None = None

    def close(self) -> None:
        """Give the index back. A second call does nothing."""
        self._release()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def sync(self, store: Store) -> None:
        """Make the index equal to the store; nothing is done when it says that it is already.

        New chunks are added. Whenever one must go, the index is built anew: deletes followed by upserts can hide live
        vectors in Chroma 1.5, and building costs less than asking for every vector.

        Raises:
            StoreError: Chroma failed, also on a fresh folder.
        """
        stamp = store.fingerprint()
        if self._stamp == stamp:
            return
        try:
            is_current = self._update(store, stamp)
        except Exception:  # whatever is wrong with a derived index, it is built again
            is_current = False
        if not is_current:
            self.rebuild(store)

    def rebuild(self, store: Store) -> None:
        """Build the index from the store in a new folder. Raises StoreError when Chroma cannot."""
        self._release()
        stamp = store.fingerprint()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(prefix="index-", dir=self._folder))
            self._open(place)
            ids = store.chunk_ids()
            self._upsert(store, ids)
            hidden = self.hidden(store, ids)
        except Exception as exc:  # Chroma's errors have no common base, and Rust's panics come as many types
            self._release()
            raise StoreError(
                f"{self._folder}: Chroma cannot build its index ({exc}); move that folder away, or free disk space"
            ) from exc
        if hidden:
            self._release()
            raise StoreError(f"{self._folder}: Chroma hides {len(hidden)} of {len(ids)} vectors; searches are exact")
        self._note(place.name, stamp)
        self._remove_others(place)

    def nearest(self, query: Vector, n: int, allowed: Collection[int]) -> list[int]:
        """See Index. Other articles are dropped after the query: Chroma's own filter costs 5 to 50 times more."""
        try:
            return self._nearest(query, n, allowed)
        except Exception as exc:  # Chroma's errors have no common base
            raise IndexFailed(f"{self._folder}: Chroma failed ({exc}); run 'deskhand memory rebuild'") from exc

    def _nearest(self, query: Vector, n: int, allowed: Collection[int]) -> list[int]:
        assert self._collection is not None, "sync() comes first"
        total = self._collection.count()
        wanted = n
        while True:
            wanted = min(wanted * 2, total)
            found = self._collection.query(
                query_embeddings=_plain(query[None]), n_results=wanted, include=["metadatas"]
            )
            pairs = zip(found["ids"][0], found["metadatas"][0], strict=True) if found["metadatas"] else ()
            pks = [_pk(chunk_id) for chunk_id, metadata in pairs if metadata["article"] in allowed]
            if len(pks) >= n or wanted >= total:
                return pks[:n]

    def hidden(self, store: Store, ids: Collection[str]) -> list[str]:
        """Return those of ``ids`` that a query for their own vector does not find."""
        assert self._collection is not None, "sync() comes first"
        hidden: list[str] = []
        ordered = sorted(ids, key=_pk)
        for start in range(0, len(ordered), _BATCH):
            batch = ordered[start : start + _BATCH]
            vectors = store.vectors([_pk(chunk_id) for chunk_id in batch]).matrix
            found = self._collection.query(query_embeddings=_plain(vectors), n_results=1, include=["distances"])
            distances = found["distances"] or []
            # A chunk with the same vector is as good an answer.
            hidden += [
                chunk_id
                for chunk_id, nearest, distance in zip(batch, found["ids"], distances, strict=True)
                if nearest != [chunk_id] and (not distance or distance[0] > _SAME)
            ]
        return hidden

    def problems(self, store: Store) -> list[str]:
        """Return what is wrong with the index, in words; empty when nothing is."""
        ids = store.chunk_ids()
        assert self._collection is not None, "sync() comes first"
        n_indexed = self._collection.count()
        if n_indexed != len(ids):
            return [f"the Chroma index has {n_indexed} of {len(ids)} chunks"]
        hidden = self.hidden(store, ids)
        return [f"the Chroma index hides {len(hidden)} of {len(ids)} chunks"] if hidden else []

    def _update(self, store: Store, stamp: str) -> bool:
        """Bring the existing index up to date by adding; return whether that was enough."""
        place, noted = self._noted()
        ids = store.chunk_ids()
        if self._collection is None:
            if not (place / "chroma.sqlite3").is_file():
                return False
            self._open(place)
        assert self._collection is not None
        if noted == stamp:
            self._stamp = stamp
            return self._collection.count() == len(ids) and not self.hidden(store, _spread(ids))
        indexed = set(self._collection.get(include=[])["ids"])
        if indexed - ids.keys():
            return False
        added = {chunk_id: article for chunk_id, article in ids.items() if chunk_id not in indexed}
        self._upsert(store, added)
        if self.hidden(store, added):
            return False
        self._note(place.name, stamp)
        return True

    def _open(self, place: Path) -> None:
        prepare()
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        # The declared type has no close(), the object has.
        self._client = cast("Client", chromadb.PersistentClient(str(place), settings=settings))
        self._collection = self._client.get_or_create_collection(
            _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )

    def _upsert(self, store: Store, ids: dict[str, int]) -> None:
        assert self._collection is not None
        ordered = sorted(ids, key=_pk)
        for start in range(0, len(ordered), _BATCH):
            batch = ordered[start : start + _BATCH]
            vectors = store.vectors([_pk(chunk_id) for chunk_id in batch]).matrix
            metadatas: list[Any] = [{"article": ids[chunk_id]} for chunk_id in batch]
            self._collection.upsert(ids=batch, embeddings=_plain(vectors), metadatas=metadatas)

    def _noted(self) -> tuple[Path, str]:
        """Return the folder of the current index and the fingerprint of the store that it mirrors."""
        note = parse_json(read_text(self._folder / _CURRENT), _CURRENT)
        return self._folder / Path(note["folder"]).name, str(note["stamp"])

    def _note(self, name: str, stamp: str) -> None:
        write_atomic(self._folder / _CURRENT, canonical_json({"folder": name, "stamp": stamp}))
        self._stamp = stamp

    def _remove_others(self, place: Path) -> None:
        for other in self._folder.glob("index-*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)

    def _release(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._collection = self._stamp = None


def _plain(vectors: Vector) -> Any:
    """Return the rows of a matrix in the one form of many that Chroma's types let through."""
    return list(vectors)


def _spread(ids: Collection[str]) -> list[str]:
    """Return a few ids from the first to the last: enough to notice a file that was cut short."""
    ordered = sorted(ids, key=_pk)
    return ordered[:: max(1, len(ordered) // 4)] + ordered[-1:]


def _pk(chunk_id: str) -> int:
    return int(chunk_id.split("-", 1)[0])


def _take_lock(path: Path) -> int:
    """Return the descriptor of the lock file, locked for this process and with its id in it."""
    try:
        import fcntl
    except ImportError as exc:
        raise StoreError(f"{path}: this system has no file locks that end with their process; search exactly") from exc
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be written ({exc.strerror}); check the folder's permissions") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise OwnedElsewhere(
            f"{path}: the Chroma index belongs to process {owner or 'unknown'}; stop it, or search exactly", owner=owner
        ) from exc
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    return lock
