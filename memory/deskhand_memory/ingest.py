"""Bringing article files into the store: only what changed is embedded, and all of it is stored at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deskhand.errors import InputError, StoreError
from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash
from deskhand_memory.articles import Article, find_files, load_articles
from deskhand_memory.cases import LABELLED, SOLVED, Case, KnownCase, load_cases, load_labelled
from deskhand_memory.chunks import CUT, Chunk, cut_article
from deskhand_memory.store import ArticleState, FileState, NewChunk, Store, Vector, Writer
from deskhand_memory.units import cut_units

_BATCH = 32

Key = tuple[str, int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did to articles, and how many articles and chunks there are now."""

    added: int
    changed: int
    unchanged: int
    removed: int
    n_articles: int
    n_chunks: int


@dataclass(frozen=True)
class _Source:
    name: str
    state: FileState
    articles: Sequence[Article]


def recipe_of(encoder: Encoder) -> str:
    """Return what vectors depend on besides the text: the encoder and the way of cutting."""
    return f"{encoder.name}/cut-{CUT}"


def file_state(path: Path) -> FileState:
    """Return the state of a file. Raises InputError when it is gone."""
    try:
        stat = path.stat()
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror}); check the path") from exc
    return FileState(stat.st_mtime_ns, stat.st_size)


def file_name(path: Path, root: Path) -> str:
    """Return the name under which a file is stored: relative inside the workspace, so that it may be moved."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def ingest(
    store: Store,
    encoder: Callable[[], Encoder],
    paths: Sequence[Path],
    *,
    root: Path,
    prune: bool,
    progress: Progress | None = None,
) -> IngestReport:
    """Bring the articles in ``paths`` into ``store``, and out of it what no longer stands in those files.

    Args:
        store: Where to.
        encoder: Called only when there is something that it must embed or could have embedded.
        paths: Files, and folders that are searched for them.
        root: The workspace; absolute.
        prune: Also remove the articles of files inside ``root`` that are not among those of ``paths``, and of files
            anywhere that no longer exist; and bring in the workspace's solved and labelled tickets.
        progress: Called with the number of texts embedded and the number to embed, at the start and per batch.

    Raises:
        InputError: An article is wrong, or two have the same id and version. Nothing is stored then.
        StoreError: The database cannot be written.
    """
    sources = [_load_source(path, root) for path in find_files(paths)]
    gone = _gone_files(store, sources, root) if prune else set()
    stored = store.article_states()
    recipe = recipe_of(encoder()) if stored or any(source.articles for source in sources) else ""
    plan = _Plan(sources, _by_key(sources), gone, recipe, root)
    plan.keep_others(store, stored)
    stale = [article for key, (article, _) in plan.found.items() if not _is_current(stored.get(key), article, recipe)]
    chunks = _embed(store, encoder, stale, recipe, progress)
    # The states are taken first: a change while reading is then noticed as a change.
    tickets = {file_name(path, root): file_state(path) for path in case_files(root)} if prune else {}
    cases = _embed_cases(store, encoder, _load_all_cases(root, encoder()), recipe) if tickets and plan.found else {}
    with store.writing() as writer:
        counts = plan.apply(writer, chunks)
        if prune:
            writer.put_cases(cases)
        for name, state in tickets.items():
            writer.put_file(name, state)
    return IngestReport(*counts, n_articles=len(store.article_states()), n_chunks=store.count_chunks())


def case_files(root: Path) -> list[Path]:
    """Return the files of earlier tickets that an ingest reads: none without solved ones."""
    if not (root / SOLVED).is_file():
        return []
    return [path for path in (root / SOLVED, root / LABELLED) if path.is_file()]


def _load_all_cases(root: Path, encoder: Encoder) -> list[Case]:
    solved = load_cases(root / SOLVED)
    return [*solved, *load_labelled(root / LABELLED, encoder.languages)] if solved else []


def _load_source(path: Path, root: Path) -> _Source:
    # The state is taken first: a change while reading is then noticed as a change.
    state = file_state(path)
    return _Source(file_name(path, root), state, load_articles(path))


def _by_key(sources: Sequence[_Source]) -> dict[Key, tuple[Article, str]]:
    found: dict[Key, tuple[Article, str]] = {}
    for source in sources:
        for article in source.articles:
            key = (article.id, article.version)
            if key in found:
                raise InputError(_twice(article.key, found[key][1], source.name))
            found[key] = (article, source.name)
    return found


def _twice(key: str, first: str, second: str) -> str:
    places = f"twice in {first}" if first == second else f"in {first} and in {second}"
    return f"{key}: this id and version stands {places}; give one of them another version or id"


def _is_current(state: ArticleState | None, article: Article, recipe: str) -> bool:
    return state is not None and state.hash == article.content_hash and state.recipe == recipe


def _embed(
    store: Store, encoder: Callable[[], Encoder], articles: Sequence[Article], recipe: str, progress: Progress | None
) -> dict[Key, list[NewChunk]]:
    """Return the chunks of ``articles`` with vectors, computing only those that are not stored yet."""
    if not articles:
        return {}
    cut = {(a.id, a.version): [_read(a.title, chunk) for chunk in cut_article(a, encoder())] for a in articles}
    texts = {text_hash(recipe, text): text for chunks in cut.values() for _, read in chunks for text in read}
    vectors = store.known_vectors(texts)
    missing = sorted(texts.keys() - vectors.keys(), key=lambda hashed: (len(texts[hashed]), hashed))
    report = progress or (lambda done, total: None)
    report(0, len(missing))
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        vectors |= dict(zip(batch, encoder().encode([texts[hashed] for hashed in batch]), strict=True))
        report(start + len(batch), len(missing))
    return {key: [_new_chunk(*chunk, recipe, vectors) for chunk in chunks] for key, chunks in cut.items()}


def _embed_cases(
    store: Store, encoder: Callable[[], Encoder], cases: Sequence[Case], recipe: str
) -> dict[str, KnownCase]:
    """Return each case with its vector by its hash, computing only those that are not stored yet."""
    wanted = {content_hash([recipe, case.text, [*case.articles], case.category]): case for case in cases}
    known = {hashed: case for hashed, case in store.cases().items() if hashed in wanted}
    # Texts of about the same length share a batch: each is padded to the longest one.
    missing = sorted(wanted.keys() - known.keys(), key=lambda hashed: (len(wanted[hashed].text), hashed))
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        vectors = encoder().encode([wanted[hashed].text for hashed in batch])
        for hashed, vector in zip(batch, vectors, strict=True):
            known[hashed] = KnownCase(wanted[hashed].articles, vector, wanted[hashed].category)
    return known


def text_hash(recipe: str, text: str) -> str:
    """Return the key of a text's vector."""
    return content_hash([recipe, text])


def _read(title: str, chunk: Chunk) -> tuple[Chunk, list[str]]:
    """Return a chunk with what the encoder reads of it: the whole of it, then its units."""
    return chunk, [chunk.embed_text, *(unit.embed_text(title) for unit in cut_units(chunk.text, chunk.header))]


def _new_chunk(chunk: Chunk, read: Sequence[str], recipe: str, vectors: Mapping[str, Vector]) -> NewChunk:
    whole, *units = [text_hash(recipe, text) for text in read]
    return NewChunk(chunk.text, whole, vectors[whole], chunk.header, {key: vectors[key] for key in units})


def _gone_files(store: Store, sources: Sequence[_Source], root: Path) -> set[str]:
    others = store.files().keys() - {source.name for source in sources}
    return {name for name in others if not Path(name).is_absolute() or not Path(name).exists()}


@dataclass(frozen=True)
class _Plan:
    """What the store shall hold for some files, and the files that it shall forget."""

    sources: Sequence[_Source]
    found: dict[Key, tuple[Article, str]]
    gone: set[str]
    recipe: str
    root: Path

    def keep_others(self, store: Store, stored: Mapping[Key, ArticleState]) -> None:
        """Take in the stored articles of other files that another encoder embedded, so that all vectors compare."""
        for key, state in stored.items():
            if state.recipe != self.recipe and state.path not in self._files and key not in self.found:
                self.found[key] = (store.load_article(*key), state.path)

    @property
    def _files(self) -> set[str]:
        return self.gone | {source.name for source in self.sources}

    def apply(self, writer: Writer, chunks: Mapping[Key, list[NewChunk]]) -> tuple[int, int, int, int]:
        """Change the store; return how many articles were added, changed, left and removed."""
        stored = writer.article_states()
        for source in self.sources:
            writer.put_file(source.name, source.state)
        dropped = [key for key, state in stored.items() if state.path in self._files and key not in self.found]
        for key in dropped:
            writer.drop_article(*key)
        added = changed = 0
        for key, (article, name) in self.found.items():
            state = stored.get(key)
            self._refuse_second_file(article, name, state)
            if _is_current(state, article, self.recipe):
                writer.move_article(*key, name)
                continue
            if key not in chunks:
                raise StoreError(f"{article.key}: another process changed it meanwhile; run the command again")
            writer.put_article(article, name, self.recipe, chunks[key])
            added, changed = added + (state is None), changed + (state is not None)
        writer.drop_files(self.gone)
        return added, changed, len(self.found) - added - changed, len(dropped)

    def _refuse_second_file(self, article: Article, name: str, state: ArticleState | None) -> None:
        """Raise InputError when the article also stands in an existing file that is no part of this ingest."""
        if state and state.path not in {name, *self._files} and (self.root / state.path).exists():
            raise InputError(_twice(article.key, state.path, name))
