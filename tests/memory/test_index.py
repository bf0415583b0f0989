import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deskhand.errors import OwnedElsewhere, StoreError
from deskhand.jsonio import content_hash
from deskhand_memory import Article
from deskhand_memory.index import ChromaIndex, ExactIndex, IndexFailed
from deskhand_memory.store import FileState, NewChunk, Store

DIM = 16


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def put(store: Store, article_id: str, seeds: range) -> None:
    chunks = [NewChunk(f"text {seed}", content_hash(seed), unit(seed)) for seed in seeds]
    with store.writing() as writer:
        writer.put_file("a.md", FileState(1, 1))
        writer.put_article(Article(id=article_id, title="T", text=f"{seeds}"), "a.md", "recipe", chunks)


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "knowledge.db")
    put(opened, "a", range(0, 60))
    put(opened, "b", range(60, 120))
    yield opened
    opened.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "chroma"


@pytest.fixture
def chroma(place: Path, store: Store):
    index = ChromaIndex(place)
    index.sync(store)
    yield index
    index.close()


def folder_of(place: Path) -> Path:
    (found,) = place.glob("index-*")
    return found


def assert_same_as_exact(chroma: ChromaIndex, store: Store) -> None:
    exact, articles = ExactIndex(store.vectors()), list(store.articles())
    for seed in range(1000, 1010):
        for allowed in (articles, articles[:1], []):
            assert chroma.nearest(unit(seed), 10, allowed) == exact.nearest(unit(seed), 10, allowed)


def test_chroma_and_the_exact_scan_agree(chroma: ChromaIndex, store: Store) -> None:
    assert_same_as_exact(chroma, store)
    assert chroma.problems(store) == []


def test_more_wanted_than_there_are_gives_all(chroma: ChromaIndex, store: Store) -> None:
    articles = list(store.articles())
    assert len(chroma.nearest(unit(1), 500, articles)) == 120
    assert len(ExactIndex(store.vectors()).nearest(unit(1), 500, articles)) == 120


def test_nearest_is_first(store: Store) -> None:
    (best,) = ExactIndex(store.vectors()).nearest(unit(7), 1, list(store.articles()))
    assert store.chunks([best])[0].text == "text 7"


def test_added_chunks_go_into_the_same_folder(chroma: ChromaIndex, store: Store, place: Path) -> None:
    before = folder_of(place)
    put(store, "c", range(120, 140))
    chroma.sync(store)
    assert folder_of(place) == before
    assert_same_as_exact(chroma, store)


def test_removed_chunks_mean_a_new_folder(chroma: ChromaIndex, store: Store, place: Path) -> None:
    before = folder_of(place)
    put(store, "a", range(200, 230))
    chroma.sync(store)
    assert folder_of(place) != before
    assert_same_as_exact(chroma, store)


def test_index_behind_the_store_is_brought_up_to_date_when_opened(
    chroma: ChromaIndex, store: Store, place: Path
) -> None:
    chroma.close()
    put(store, "c", range(120, 130))
    again = ChromaIndex(place)
    again.sync(store)
    assert again.problems(store) == []
    assert_same_as_exact(again, store)
    again.close()


def test_healthy_index_is_kept_when_opened_again(chroma: ChromaIndex, store: Store, place: Path) -> None:
    before = folder_of(place)
    chroma.close()
    again = ChromaIndex(place)
    again.sync(store)
    assert folder_of(place) == before
    assert_same_as_exact(again, store)
    again.close()


def test_last_vector_lost_means_a_new_folder_when_opened_again(chroma: ChromaIndex, store: Store, place: Path) -> None:
    before = folder_of(place)
    chroma._collection.update(ids=[list(store.chunk_ids())[-1]], embeddings=[unit(4242)])  # type: ignore[union-attr]
    chroma.close()
    again = ChromaIndex(place)
    again.sync(store)
    assert folder_of(place) != before
    again.close()


def test_index_of_another_database_is_not_trusted(chroma: ChromaIndex, place: Path, tmp_path: Path) -> None:
    chroma.close()
    other = Store(tmp_path / "other.db")
    put(other, "a", range(500, 620))
    again = ChromaIndex(place)
    again.sync(other)
    assert_same_as_exact(again, other)
    again.close()
    other.close()


def test_empty_store_gives_an_empty_index(tmp_path: Path, place: Path) -> None:
    store = Store(tmp_path / "empty.db")
    index = ChromaIndex(place)
    index.sync(store)
    assert index.problems(store) == []
    index.close()
    store.close()


def garble_database(folder: Path) -> None:
    (folder / "chroma.sqlite3").write_bytes(b"garbage" * 1000)


def drop_database(folder: Path) -> None:
    (folder / "chroma.sqlite3").unlink()


def cut_database(folder: Path) -> None:
    content = (folder / "chroma.sqlite3").read_bytes()
    (folder / "chroma.sqlite3").write_bytes(content[: len(content) // 2])


def garble_note(folder: Path) -> None:
    (folder.parent / "current.json").write_text("{")


def drop_everything(folder: Path) -> None:
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize("damage", [garble_database, drop_database, cut_database, garble_note, drop_everything])
def test_damaged_index_is_built_again(chroma: ChromaIndex, store: Store, place: Path, damage) -> None:
    before = folder_of(place)
    chroma.close()
    damage(before)
    again = ChromaIndex(place)
    again.sync(store)
    assert folder_of(place) != before
    assert again.problems(store) == []
    assert_same_as_exact(again, store)
    again.close()


def test_record_lost_inside_chroma_is_noticed(chroma: ChromaIndex, store: Store, place: Path) -> None:
    lost = next(iter(store.chunk_ids()))
    chroma._collection.delete(ids=[lost])  # type: ignore[union-attr]
    assert chroma.problems(store) == ["the Chroma index has 119 of 120 chunks"]
    chroma.close()
    again = ChromaIndex(place)
    again.sync(store)
    assert again.problems(store) == []
    again.close()


def test_vector_hidden_by_chroma_is_noticed(chroma: ChromaIndex, store: Store) -> None:
    chunk_id = next(iter(store.chunk_ids()))
    chroma._collection.update(ids=[chunk_id], embeddings=[unit(4242)])  # type: ignore[union-attr]
    assert chroma.problems(store) == ["the Chroma index hides 1 of 120 chunks"]


def test_added_vector_that_chroma_hides_means_a_new_folder(chroma: ChromaIndex, store: Store, place: Path, monkeypatch):
    before = folder_of(place)
    put(store, "c", range(120, 130))
    hidden = ChromaIndex.hidden
    answers = iter([["1-lost"]])
    monkeypatch.setattr(ChromaIndex, "hidden", lambda *args: next(answers, None) or hidden(*args))
    chroma.sync(store)
    assert folder_of(place) != before


def test_fresh_index_that_hides_vectors_is_refused(store: Store, place: Path, monkeypatch) -> None:
    monkeypatch.setattr(ChromaIndex, "hidden", lambda *args: ["1-lost"])
    index = ChromaIndex(place)
    with pytest.raises(StoreError, match="hides 1 of 120 vectors; searches are exact"):
        index.sync(store)
    index.close()


def test_chunks_with_equal_vectors_stand_for_each_other(tmp_path: Path, place: Path) -> None:
    store = Store(tmp_path / "twins.db")
    put(store, "a", range(1, 5))
    put(store, "b", range(1, 5))
    index = ChromaIndex(place)
    index.sync(store)
    assert index.problems(store) == []
    index.close()
    store.close()


def test_failure_while_searching_has_its_own_error(chroma: ChromaIndex, monkeypatch) -> None:
    monkeypatch.setattr(chroma._collection, "query", lambda **kwargs: 1 / 0)
    with pytest.raises(IndexFailed, match=r"Chroma failed .*; run 'deskhand memory rebuild'"):
        chroma.nearest(unit(1), 5, [1])


def test_place_taken_by_a_file_is_refused(store: Store, place: Path) -> None:
    place.write_text("x")
    index = ChromaIndex(place)
    with pytest.raises(StoreError, match=r"cannot build its index .*; move that folder away"):
        index.sync(store)
    index.close()


def test_second_owner_is_refused_until_the_first_closes(chroma: ChromaIndex, place: Path) -> None:
    with pytest.raises(OwnedElsewhere, match=f"belongs to process {os.getpid()}; stop it") as caught:
        ChromaIndex(place)
    assert caught.value.owner == str(os.getpid())
    chroma.close()
    chroma.close()
    ChromaIndex(place).close()


def test_lock_of_a_killed_process_is_free(place: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from deskhand_memory.index import ChromaIndex\n"
        "index = ChromaIndex(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(place)], check=False).returncode == -9
    ChromaIndex(place).close()


def test_lock_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot be written .*; check"):
        ChromaIndex(tmp_path / "file" / "chroma")


def test_system_without_file_locks_is_refused(place: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(StoreError, match=r"no file locks .*; search exactly"):
        ChromaIndex(place)
