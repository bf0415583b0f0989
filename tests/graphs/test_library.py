"""The articles that triage compares with."""

from __future__ import annotations

import pytest

from deskhand.config import WorkspaceFolder
from deskhand_graphs import library
from deskhand_graphs.library import triage_library

ENGLISH = frozenset({"en"})
ARTICLE = "---\nid: {id}\ntitle: {id}\n{more}---\nThe pump hums when it is dry.\n\nToo short.\n\n{long}\n"


@pytest.fixture
def folder(tmp_path) -> WorkspaceFolder:
    return WorkspaceFolder(tmp_path)


def write(folder: WorkspaceFolder, name: str, more: str = "") -> None:
    folder.knowledge.mkdir(exist_ok=True)
    text = ARTICLE.format(id=name, more=more, long="water " * 100)
    (folder.knowledge / f"{name}.md").write_text(text, encoding="utf-8")


def test_public_current_english_paragraphs_are_references(folder):
    write(folder, "pump")
    write(folder, "secret", "audience: internal\n")
    write(folder, "old", "valid_to: 2020-01-01\n")
    write(folder, "pumpe", "language: de\n")
    references = triage_library(folder, ENGLISH).load()
    assert [reference.group for reference in references] == ["pump", "pump"]
    assert references[0].text == "pump. The pump hums when it is dry."
    assert len(references[1].text) <= len("pump. ") + library.MAX_CHARS


def test_key_follows_the_files(folder):
    keys = {triage_library(folder, ENGLISH).key}
    write(folder, "pump")
    keys.add(triage_library(folder, ENGLISH).key)
    assert triage_library(folder, ENGLISH).key in keys
    write(folder, "pump", "language: de\n")
    keys.add(triage_library(folder, ENGLISH).key)
    assert len(keys) == 3


def test_many_articles_are_thinned_evenly(folder, monkeypatch):
    monkeypatch.setattr(library, "MAX_ARTICLES", 2)
    for name in "abcd":
        write(folder, name)
    assert [r.group for r in triage_library(folder, ENGLISH).load()] == ["a", "a", "c", "c"]


def test_workspace_without_knowledge_has_no_references(folder):
    assert triage_library(folder, ENGLISH).load() == []
