import sqlite3
from pathlib import Path

import numpy as np
import pytest

from deskhand.errors import StoreError
from deskhand_memory import Article
from deskhand_memory.store import FileState, NewChunk, Store

ARTICLE = Article(id="a", title="Wi-Fi errors", text="E21 means HF-NK3 is refused.", products=("Nook",))


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "knowledge.db")
    yield opened
    opened.close()


def put(store: Store, article: Article = ARTICLE, *, n_chunks: int = 1) -> None:
    chunks = [NewChunk(f"{article.text} {n}", f"{n:064d}", np.full(4, n, np.float32)) for n in range(n_chunks)]
    with store.writing() as writer:
        writer.put_file("a.md", FileState(1, 2))
        writer.put_article(article, "a.md", "recipe", chunks)


def test_article_comes_back_whole(store: Store) -> None:
    put(store)
    assert store.load_article("a", 1) == ARTICLE
    (stored,) = store.articles().values()
    assert (stored.key, stored.products) == ("a@1", {"nook"})


def test_new_database_has_the_fingerprint_of_nothing(store: Store) -> None:
    empty = store.fingerprint()
    put(store)
    assert store.fingerprint() != empty
    with store.writing() as writer:
        writer.drop_article("a", 1)
    assert store.fingerprint() == empty


def test_replaced_chunks_get_keys_that_were_never_used(store: Store) -> None:
    put(store, n_chunks=2)
    first = store.chunk_ids()
    put(store, n_chunks=2)
    assert not first.keys() & store.chunk_ids().keys()


def test_vectors_come_in_the_order_of_their_keys(store: Store) -> None:
    put(store, n_chunks=3)
    vectors = store.vectors()
    assert vectors.matrix[:, 0].tolist() == [0, 1, 2]
    assert store.vectors([int(vectors.pks[2])]).matrix.tolist() == [[2] * 4]
    assert store.vectors([]).matrix.shape == (0, 0)


@pytest.mark.parametrize("phrase", ["E21", "e21", "HF-NK3", "hf nk3"])
def test_phrase_is_found_without_case_and_punctuation(store: Store, phrase: str) -> None:
    put(store)
    assert len(store.find_phrase(phrase, 5)) == 1


@pytest.mark.parametrize("phrase", ["E22", "HF-NK4", "NK3-HF", '"', 'a" OR "e21', "*", ""])
def test_other_phrase_is_not_found_and_never_an_error(store: Store, phrase: str) -> None:
    put(store)
    assert store.find_phrase(phrase, 5) == []


def test_phrase_in_the_text_comes_before_one_in_the_title(store: Store) -> None:
    put(store)
    assert len(store.find_phrase("Wi-Fi", 5)) == 1
    put(store, Article(id="b", title="E40", text="Pump."))
    put(store, Article(id="c", title="Codes", text="E40: pump."))
    (found,) = store.find_phrase("E40", 5)
    assert store.chunks([found])[0].text == "E40: pump. 0"


def test_failed_block_stores_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.writing() as writer:
        writer.put_file("a.md", FileState(1, 2))
        raise RuntimeError
    assert store.files() == {}


def test_lost_full_text_rows_are_noticed_and_mended(store: Store) -> None:
    put(store, n_chunks=2)
    with store.reading() as connection:
        connection.execute("DELETE FROM chunks_text WHERE rowid = 1")
    assert store.problems() == ["1 of 2 chunks are not in the full-text index"]
    store.rebuild_text()
    assert store.problems() == []


def test_garbage_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "knowledge.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=r"is damaged or not a database .*; restore it"):
        Store(tmp_path / "knowledge.db")


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "knowledge.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="has knowledge schema 99, this deskhand knows up to 4; upgrade"):
        Store(tmp_path / "knowledge.db")


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot be opened .*; check"):
        Store(tmp_path / "file" / "knowledge.db")


def test_damage_inside_is_reported_in_words(tmp_path: Path) -> None:
    path = tmp_path / "knowledge.db"
    store = Store(path)
    put(store, n_chunks=200)
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xff" * (40960 - 8192)
    path.write_bytes(content)
    again = Store(path)
    assert again.problems()
    with pytest.raises(StoreError, match="is damaged"):
        again.vectors()
    again.close()
