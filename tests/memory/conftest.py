"""A workspace with articles that differ in what search must tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.testing import DEFAULT_ARTICLES, article, build_workspace
from deskhand_memory import Knowledge, MiniLmEncoder, load_encoder

ARTICLES = {
    **DEFAULT_ARTICLES,
    "error-codes": "| Code | Meaning |\n|---|---|\n| E21 | Wi-Fi password refused |\n| E40 | Pump blocked |",
}


@pytest.fixture(scope="session")
def encoder() -> MiniLmEncoder:
    """The real encoder."""
    return load_encoder()


@pytest.fixture
def folder(tmp_path: Path) -> WorkspaceFolder:
    """A workspace whose knowledge is not ingested yet."""
    return WorkspaceFolder(build_workspace(tmp_path / "ws", articles=ARTICLES))


@pytest.fixture
def knowledge(folder: WorkspaceFolder) -> Iterator[Knowledge]:
    """Its knowledge, ingested, searched exactly."""
    with Knowledge.open(folder, index="exact") as opened:
        opened.ingest()
        yield opened


@pytest.fixture
def today() -> date:
    """A day on which every article of the test kit is valid."""
    return date(2026, 11, 20)


@pytest.fixture
def write_article(folder: WorkspaceFolder):
    """Return a function that writes an article of the test kit into the workspace and returns its path."""

    def write(article_id: str, text: str, *, name: str | None = None, **front: object) -> Path:
        path = folder.knowledge / f"{name or article_id}.md"
        path.write_text(article(article_id, text, **front), encoding="utf-8")  # type: ignore[arg-type]
        return path

    return write
