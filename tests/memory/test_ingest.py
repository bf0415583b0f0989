import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError
from deskhand.testing import DEFAULT_ARTICLES
from deskhand_memory import Knowledge, MiniLmEncoder
from deskhand_memory.ingest import IngestReport, file_state, ingest
from deskhand_memory.store import Store


class CountingEncoder:
    """The real encoder under a name of its own, with the texts it was given."""

    def __init__(self, encoder: MiniLmEncoder, name: str) -> None:
        self.inner, self.name, self.texts = encoder, name, []
        self.dim, self.max_tokens, self.languages = encoder.dim, encoder.max_tokens, encoder.languages

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    def encode(self, texts):
        self.texts += texts
        return self.inner.encode(texts)


@pytest.fixture
def counting(encoder: MiniLmEncoder) -> CountingEncoder:
    return CountingEncoder(encoder, "counting")


def open_exact(folder: WorkspaceFolder, encoder) -> Knowledge:
    return Knowledge.open(folder, encoder=lambda: encoder, index="exact")


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return (report.added, report.changed, report.unchanged, report.removed)


def test_first_ingest_adds_all_with_progress(folder: WorkspaceFolder, counting: CountingEncoder) -> None:
    steps = []
    with open_exact(folder, counting) as knowledge:
        report = knowledge.ingest(progress=lambda done, total: steps.append((done, total)))
    assert report == IngestReport(added=3, changed=0, unchanged=0, removed=0, n_articles=3, n_chunks=3)
    assert steps == [(0, 9), (9, 9)]  # three chunks with two sentences each


def test_second_ingest_embeds_nothing(folder: WorkspaceFolder, counting: CountingEncoder) -> None:
    with open_exact(folder, counting) as knowledge:
        knowledge.ingest()
        counting.texts.clear()
        assert counts(knowledge.ingest()) == (0, 0, 3, 0)
    assert counting.texts == []


def test_only_changed_text_is_embedded(folder: WorkspaceFolder, counting: CountingEncoder, write_article) -> None:
    with open_exact(folder, counting) as knowledge:
        knowledge.ingest()
        counting.texts.clear()
        write_article("returns", "You can return any product within 60 days.")
        before = knowledge.fingerprint()
        assert counts(knowledge.ingest()) == (0, 1, 2, 0)
        sentence = "You can return any product within 60 days."
        assert sorted(counting.texts) == [f"Returns\n{sentence}", f"Returns: {sentence}"]
        assert knowledge.fingerprint() != before


def test_changed_front_matter_keeps_the_vectors(folder, counting, write_article, today) -> None:
    with open_exact(folder, counting) as knowledge:
        knowledge.ingest()
        counting.texts.clear()
        write_article("delivery", DEFAULT_ARTICLES["delivery"], audience="internal")
        assert counts(knowledge.ingest()) == (0, 1, 2, 0)
        assert counting.texts == []
        assert knowledge.search("when does my parcel arrive", on=today, min_similarity=0.5) == []


def test_article_of_a_deleted_file_is_removed(folder, knowledge: Knowledge, today) -> None:
    (folder.knowledge / "returns.md").unlink()
    assert knowledge.is_stale()
    assert counts(knowledge.ingest()) == (0, 0, 2, 1)
    assert not knowledge.is_stale()
    assert all(passage.source_id != "returns" for passage in knowledge.search("return a product", on=today))


def test_deleted_knowledge_folder_removes_all(folder, knowledge: Knowledge, today) -> None:
    for path in folder.knowledge.iterdir():
        path.unlink()
    folder.knowledge.rmdir()
    assert knowledge.is_stale()
    assert counts(knowledge.ingest()) == (0, 0, 0, 3)
    assert knowledge.search("return a product", on=today) == []


def test_line_taken_out_of_a_jsonl_file_is_removed(folder, knowledge: Knowledge) -> None:
    path = folder.knowledge / "faq.jsonl"
    path.write_text('{"id":"a","title":"A","text":"One."}\n{"id":"b","title":"B","text":"Two."}\n')
    assert counts(knowledge.ingest([path])) == (2, 0, 0, 0)
    path.write_text('{"id":"a","title":"A","text":"One."}\n')
    assert counts(knowledge.ingest([path])) == (0, 0, 1, 1)


def test_explicit_paths_leave_other_articles(folder, knowledge: Knowledge, tmp_path: Path) -> None:
    outside = tmp_path / "export"
    outside.mkdir()
    (outside / "extra.md").write_text("Extra text.")
    assert counts(knowledge.ingest([outside])) == (1, 0, 0, 0)
    assert knowledge.ingest().n_articles == 4
    assert not knowledge.is_stale()
    (outside / "extra.md").unlink()
    assert counts(knowledge.ingest()) == (0, 0, 3, 1)


def test_renamed_file_changes_nothing(folder, knowledge: Knowledge) -> None:
    before = knowledge.fingerprint()
    (folder.knowledge / "returns.md").rename(folder.knowledge / "returns-policy.md")
    assert knowledge.is_stale()
    assert counts(knowledge.ingest()) == (0, 0, 3, 0)
    assert not knowledge.is_stale()
    assert knowledge.fingerprint() == before


def test_moved_workspace_is_not_stale(folder, knowledge: Knowledge, tmp_path: Path) -> None:
    knowledge.close()
    moved = WorkspaceFolder(folder.root.rename(tmp_path / "elsewhere"))
    with Knowledge.open(moved, index="exact") as again:
        assert not again.is_stale()
        assert counts(again.ingest()) == (0, 0, 3, 0)


def test_touched_file_is_stale_until_the_next_ingest(folder, knowledge: Knowledge) -> None:
    os.utime(folder.knowledge / "returns.md", ns=(1, 1))
    assert knowledge.is_stale()
    assert counts(knowledge.ingest()) == (0, 0, 3, 0)
    assert not knowledge.is_stale()


def test_same_id_and_version_in_two_files_is_refused(folder, knowledge: Knowledge, write_article) -> None:
    write_article("returns", "Another text.", name="copy")
    with pytest.raises(InputError, match=r"returns@1: .* in knowledge/copy.md and in knowledge/returns.md; give one"):
        knowledge.ingest()
    with pytest.raises(InputError, match=r"returns@1: .*; give one"):
        knowledge.ingest([folder.knowledge / "copy.md"])


def test_same_id_and_version_twice_in_a_file_is_refused(folder, knowledge: Knowledge) -> None:
    path = folder.knowledge / "faq.jsonl"
    path.write_text('{"id":"a","title":"A","text":"One."}\n' * 2)
    with pytest.raises(InputError, match=r"a@1: .* twice in .*faq.jsonl; give one"):
        knowledge.ingest()


def test_one_wrong_article_stores_nothing(folder, knowledge: Knowledge, write_article) -> None:
    before = knowledge.fingerprint()
    write_article("good", "Good text.")
    (folder.knowledge / "bad.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bad.md: not UTF-8"):
        knowledge.ingest()
    assert knowledge.fingerprint() == before


def test_other_encoder_embeds_everything_again(folder, knowledge: Knowledge, counting, today) -> None:
    knowledge.close()
    with open_exact(folder, counting) as other:
        with pytest.raises(StoreError, match=r"has vectors of minilm.*; run 'deskhand memory ingest'"):
            other.search("return", on=today)
        assert "has vectors of minilm" in other.check()[0]
        counting.texts.clear()
        assert counts(other.ingest([folder.knowledge / "returns.md"])) == (0, 3, 0, 0)
        assert len(counting.texts) == 9
        assert other.search("return a product", on=today)


def test_article_changed_by_another_process_meanwhile_is_refused(folder, encoder, tmp_path: Path) -> None:
    store = Store(folder.state / "knowledge.db")
    ingest(store, lambda: encoder, [folder.knowledge], root=folder.root, prune=True)
    stale_states = store.article_states()
    with store.writing() as writer:
        writer.drop_article("returns", 1)
    store.article_states = lambda: stale_states  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="returns@1: another process changed it meanwhile; run the command again"):
        ingest(store, lambda: encoder, [folder.knowledge], root=folder.root, prune=True)
    store.close()


def test_kill_during_ingest_leaves_the_old_knowledge(folder, knowledge: Knowledge, write_article, today) -> None:
    before, found = knowledge.fingerprint(), knowledge.search("return a product", on=today)
    for number in range(40):
        write_article(f"new-{number}", f"New text number {number}.")
    (folder.knowledge / "returns.md").unlink()
    script = f"""
        from pathlib import Path
        from deskhand.config import WorkspaceFolder
        from deskhand_memory import Knowledge
        from deskhand_memory.store import Writer
        put, calls = Writer.put_article, []
        def slow(*args):
            put(*args)
            calls.append(1)
            if len(calls) == 20:
                print("half", flush=True)
                input()
        Writer.put_article = slow
        Knowledge.open(WorkspaceFolder(Path({str(folder.root)!r})), index="exact").ingest()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert knowledge.fingerprint() == before
    assert knowledge.search("return a product", on=today) == found
    assert counts(knowledge.ingest()) == (40, 0, 2, 1)
    assert knowledge.check() == []


def test_state_of_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read .*; check the path"):
        file_state(tmp_path / "gone")
