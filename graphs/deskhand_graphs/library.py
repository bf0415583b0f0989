"""What triage compares a ticket's sentences with: the workspace's articles, by their files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deskhand.config import WorkspaceFolder
from deskhand.jsonio import content_hash

if TYPE_CHECKING:
    from deskhand_agents import Library, Reference

MAX_ARTICLES = 100
"""Evenly spaced ones stand for more: each article is two features, and takes about 0.05 s to encode."""

MAX_CHARS = 200
"""Of a paragraph; 150 to 250 were as good as all of it, and the encoder's time goes with the length."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_MIN_WORDS = 5


def triage_library(folder: WorkspaceFolder, languages: frozenset[str]) -> Library:
    """Return the library of a workspace; the key is a hash of the files' names and contents.

    Reading needs no index and no encoder, so a replay on another machine has the same key.
    """
    from deskhand_agents import Library
    from deskhand_memory.articles import find_files

    files = find_files([folder.knowledge]) if folder.knowledge.is_dir() else []
    names = [file.name for file in files]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    key = content_hash([names, hashes, sorted(languages)])
    return Library(key, lambda: read_references(files, languages))


def read_references(files: Sequence[Path], languages: frozenset[str]) -> list[Reference]:
    """Return the paragraphs of public articles that are not out of date, each with its title, in these languages.

    Raises:
        InputError: An article is wrong.
    """
    from deskhand_agents import Reference
    from deskhand_memory import load_articles

    articles = [
        article
        for file in files
        for article in load_articles(file)
        if article.audience == "public" and article.valid_to is None and article.language in languages
    ]
    step = max(1.0, len(articles) / MAX_ARTICLES)
    chosen = [articles[int(n * step)] for n in range(min(len(articles), MAX_ARTICLES))]
    return [
        Reference(article.id, f"{article.title}. {paragraph.strip()[:MAX_CHARS]}")
        for article in chosen
        for paragraph in _PARAGRAPH.split(article.text)
        if len(paragraph.split()) >= _MIN_WORDS
    ]
