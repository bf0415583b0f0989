"""The knowledge of a workspace behind one object: ingest, search, check."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Literal

from deskhand.answers import Passage
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError
from deskhand.interfaces import Encoder
from deskhand_memory.articles import Audience, find_files
from deskhand_memory.cases import Cases, build_cases
from deskhand_memory.coverage import cut_parts
from deskhand_memory.encoder import load_encoder
from deskhand_memory.index import ChromaIndex, ExactIndex, Index, IndexFailed
from deskhand_memory.ingest import IngestReport, Progress, case_files, file_name, file_state, ingest, recipe_of
from deskhand_memory.remembered import RememberedTexts
from deskhand_memory.search import DEFAULT_PER_ARTICLE, Wanted, build_passage, eligible, has_quote, rank
from deskhand_memory.store import Store, StoredArticle

IndexKind = Literal["chroma", "exact"]


@dataclass(frozen=True)
class _Loaded:
    """What was read of the store when its fingerprint was ``stamp``."""

    stamp: str
    articles: Mapping[int, StoredArticle]
    index: Index
    cases: Cases


class Knowledge:
    """The articles of one workspace. May be used from many threads, and by many processes at once.

    One process owns the Chroma index; the others search the same vectors exactly, with the same results.
    """

    def __init__(self, folder: WorkspaceFolder, store: Store, encoder: Callable[[], Encoder], index: IndexKind) -> None:
        """Use ``open`` instead."""
        self._root = Path(os.path.abspath(folder.root))  # noqa: PTH100 - a link keeps its name
        self._articles_folder = self._root / folder.knowledge.relative_to(folder.root)
        self._chroma_folder = folder.state / "chroma"
        self._store = store
        self._encoder = encoder
        self._kind = index
        self._lock = threading.RLock()
        self._chroma: ChromaIndex | None = None
        self._without_chroma = ""
        self._loaded: _Loaded | None = None
        self._remembered: RememberedTexts | None = None

    @classmethod
    def open(
        cls, folder: WorkspaceFolder, *, encoder: Callable[[], Encoder] = load_encoder, index: IndexKind = "chroma"
    ) -> Knowledge:
        """Open the knowledge of a workspace; nothing need be ingested yet.

        Args:
            folder: The workspace.
            encoder: Called at the first search or ingest, so that opening costs nothing.
            index: ``"chroma"`` or ``"exact"``, with the same results. Chroma costs its import, 0.4 s CPU a process.

        Raises:
            StoreError: ``knowledge.db`` is damaged, newer than this deskhand, or cannot be written.
        """
        return cls(folder, Store(folder.state / "knowledge.db"), encoder, index)

    def __enter__(self) -> Knowledge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the index and the database. A second call does nothing."""
        with self._lock:
            if self._chroma is not None:
                self._chroma.close()
                self._chroma = None
            self._store.close()

    def ingest(self, paths: Sequence[Path] | None = None, *, progress: Progress | None = None) -> IngestReport:
        """Bring articles in: only what changed is embedded, and all of it is stored at once or not at all.

        Args:
            paths: Files and folders; what other files hold stays. By default the workspace's ``knowledge`` folder, and
                then articles whose files are gone are removed.
            progress: Called with the number of texts (chunks and their sentences) embedded so far and the number to
                embed.

        Raises:
            InputError: An article is wrong, or two have the same id and version.
            StoreError: ``knowledge.db`` cannot be written.
        """
        default = [self._articles_folder] if self._articles_folder.exists() else []
        report = ingest(
            self._store,
            self._encoder,
            default if paths is None else list(paths),
            root=self._root,
            prune=paths is None,
            progress=progress,
        )
        with self._lock:
            self._load()
        return report

    def is_stale(self) -> bool:
        """Return whether articles or earlier tickets differ from what was ingested, by names, times and sizes."""
        stored = {name: state for name, state in self._store.files().items() if not Path(name).is_absolute()}
        files = find_files([self._articles_folder]) if self._articles_folder.exists() else []
        files += case_files(self._root)
        try:
            return stored != {file_name(path, self._root): file_state(path) for path in files}
        except InputError:  # a file vanished between the two looks
            return True

    def search(
        self,
        query: str,
        *,
        top_k: int = 5,
        min_similarity: float = 0.35,
        on: date,
        audience: Audience = "public",
        language: str | None = None,
        products: Sequence[str] = (),
        per_article: int = DEFAULT_PER_ARTICLE,
        parts: Sequence[str] | None = None,
    ) -> list[Passage]:
        """Return the passages that answer ``query``, best first.

        Passages that have an identifier of the query to the letter (at most three) come first, whatever their
        similarity; the others follow by score: half the passage's cosine, half its article's, and a little for words
        that they share with the query. Articles that answered solved tickets like it move up in the order, and so does
        what is nearest to one of its sentences, so that each of several questions gets its place. Equal ones have a
        fixed order.

        Args:
            query: Plain text; one longer than the encoder reads is read in windows.
            top_k: Upper bound.
            min_similarity: Least score, -1 to 1, except of passages with an identifier.
            on: The day for which articles must be valid. Of several valid versions only the highest counts.
            audience: ``"public"`` never returns internal articles; ``"internal"`` returns both.
            language: Only articles in this language; None for any.
            products: Only articles about one of these, or about no product in particular; without case.
            per_article: Most passages of one article.
            parts: What is asked, one by one; by default the sentences of ``query``, and ``()`` for a single question,
                which saves the encoder a run for each.

        Raises:
            StoreError: The vectors are of another encoder, or ``knowledge.db`` is damaged.
        """
        if not query.strip() or not self._store.count_chunks():
            return []
        encoder = self.encoder
        vectors = encoder.encode([query, *(cut_parts(query) if parts is None else parts)])
        names = frozenset(product.casefold() for product in products)
        wanted = Wanted(on, audience, language, names, top_k, per_article, min_similarity)
        with self._lock, self._store.snapshot():
            self._store.check_recipe(recipe_of(encoder))
            loaded = self._load()
            articles = eligible(loaded.articles, wanted)
            try:
                return rank(self._store, loaded.index, articles, query, vectors, wanted, loaded.cases)
            except IndexFailed as exc:
                self._without_chroma, self._loaded = str(exc), None
                return rank(self._store, self._load().index, articles, query, vectors, wanted, loaded.cases)

    def passages(self, source_id: str, version: int | None = None) -> list[Passage]:
        """Return all passages of an article in its order, whoever may read it, with score 1.

        ``version`` None is the highest. Empty when there is no such article.
        """
        with self._store.snapshot():
            versions = [article for article in self._store.articles().values() if article.id == source_id]
            wanted = max((a.version for a in versions), default=None) if version is None else version
            return [
                build_passage(chunk, article, 1.0, "id")
                for article in versions
                if article.version == wanted
                for chunk in self._store.chunks_of(article.pk)
            ]

    def find_quote(self, passage_id: str, quote: str) -> bool:
        """Return whether the passage contains ``quote`` word for word; only white space may differ."""
        key, _, _ = passage_id.rpartition("#")
        source_id, _, version = key.rpartition("@")
        passages = self.passages(source_id, int(version)) if version.isdecimal() else []
        return any(passage.id == passage_id and has_quote(passage.text, quote) for passage in passages)

    def fingerprint(self) -> str:
        """Return a hash of all articles, the encoder and the way of cutting: equal hash, equal search results."""
        return self._store.fingerprint()

    @property
    def encoder(self) -> Encoder:
        """The encoder, with the vectors of all chunks and their units at hand: for these it need not run."""
        with self._lock:
            if self._remembered is None:
                self._remembered = RememberedTexts(self._encoder(), self._store)
            return self._remembered

    @property
    def n_articles(self) -> int:
        """How many articles are stored, each version counted."""
        return len(self._store.article_states())

    @property
    def index_in_use(self) -> str:
        """``"chroma"`` or ``"exact"``, and why not Chroma where it was wanted."""
        with self._lock, self._store.snapshot():
            is_chroma = isinstance(self._load().index, ChromaIndex)
            reason = f" ({self._without_chroma})" if self._without_chroma else ""
            return "chroma" if is_chroma else f"exact{reason}"

    def rebuild(self) -> None:
        """Make the full-text index and, where it is used, the Chroma index again from ``knowledge.db``.

        Raises:
            OwnedElsewhere: Another process has the Chroma index.
            StoreError: Chroma failed, or ``knowledge.db`` cannot be written.
        """
        with self._lock:
            self._store.rebuild_text()
            self._loaded = None
            if self._kind == "chroma":
                self._own_chroma().rebuild(self._store)
                self._without_chroma = ""

    def check(self) -> list[str]:
        """Return what is wrong with the database, the index and the files, in words; empty when nothing is."""
        with self._lock:
            problems = self._store.problems()
            if not problems and self.is_stale():
                problems.append("the knowledge folder has changed; run 'deskhand memory ingest'")
            try:
                if self._store.count_chunks():
                    self._store.check_recipe(recipe_of(self._encoder()))
                if self._kind == "chroma":
                    chroma = self._own_chroma()
                    chroma.sync(self._store)
                    problems += chroma.problems(self._store)
            except StoreError as exc:
                problems.append(str(exc))
            return problems

    def _load(self) -> _Loaded:
        """Return the articles and the index of what the store holds now."""
        stamp = self._store.fingerprint()
        if self._loaded is None or self._loaded.stamp != stamp:
            cases = build_cases([*self._store.cases().values()])
            self._loaded = _Loaded(stamp, self._store.articles(), self._index(), cases)
        return self._loaded

    def _index(self) -> Index:
        if self._kind == "chroma" and not self._without_chroma:
            try:
                chroma = self._own_chroma()
                chroma.sync(self._store)
                return chroma
            except StoreError as exc:  # the exact scan gives the same results
                self._without_chroma = str(exc)
        return ExactIndex(self._store.vectors())

    def _own_chroma(self) -> ChromaIndex:
        if self._chroma is None:
            self._chroma = ChromaIndex(self._chroma_folder)
        return self._chroma
