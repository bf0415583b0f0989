"""Reading knowledge articles: Markdown with front matter, and JSONL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from deskhand.config import Language
from deskhand.errors import InputError
from deskhand.fencing import normalise
from deskhand.jsonio import canonical_json, content_hash, first_problem, parse_lines, read_text
from deskhand.schema import Model
from deskhand_memory.markdown import first_heading

SUFFIXES = (".md", ".jsonl")
"""The files that are read as articles."""

Audience = Literal["public", "internal"]
_ABSENT = ("", "~", "null")


class Article(Model):
    """One version of one article. ``valid_from`` and ``valid_to`` are its first and last day; None means open.

    ``text`` is normalised: plain newlines, NFC, nothing invisible. An article without ``products`` is about every one.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    version: Annotated[int, Field(ge=1)] = 1
    valid_from: date | None = None
    valid_to: date | None = None
    language: Language = "en"
    audience: Audience = "public"
    products: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    text: Annotated[str, Field(min_length=1, max_length=2_000_000)]

    @model_validator(mode="after")
    def _order(self) -> Article:
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to {self.valid_to} is before valid_from {self.valid_from}")
        return self

    @property
    def key(self) -> str:
        """``<id>@<version>``, unique in a workspace."""
        return f"{self.id}@{self.version}"

    @property
    def content_hash(self) -> str:
        """The SHA-256 of everything in it."""
        return content_hash(self.model_dump(mode="json"))


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the article files among and below ``paths``, sorted. Hidden files and folders are skipped.

    Raises:
        InputError: A path does not exist, or a file named is neither Markdown nor JSONL.
    """
    # Not resolved: a link inside the workspace is a file of the workspace.
    return sorted({Path(os.path.abspath(file)) for path in paths for file in _files_below(path)})  # noqa: PTH100


def load_articles(path: Path) -> list[Article]:
    """Return the articles of one file: one for Markdown, one per line for JSONL.

    Raises:
        InputError: The file is not text, or a key is missing, unknown or wrong; the message names both.
    """
    text = read_text(path)
    if "\0" in text:
        raise InputError(f"{path}: holds NUL bytes, so it is not text; move it out of the knowledge folder")
    if path.suffix.lower() == ".jsonl":
        return [_article(line.value, line.where) for line in parse_lines(text, str(path))]
    return [parse_markdown(text, path)]


def parse_markdown(text: str, path: Path) -> Article:
    """Return the article in a Markdown text; what its front matter leaves out comes from ``path`` and the text.

    Without an ``id`` it is the file's name, without a ``title`` the first heading.

    Raises:
        InputError: The front matter is not closed, not YAML, or has a wrong key.
    """
    front, body = _split_front_matter(text.replace("\r\n", "\n"), path)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "article"
    title = first_heading(body) or name.replace("-", " ").replace("_", " ").capitalize()
    return _article({"id": name, "title": title} | front | {"text": body}, str(path))


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for file in path.rglob("*"):
            is_hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix.lower() in SUFFIXES and file.is_file() and not is_hidden:
                yield file
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    elif path.suffix.lower() in SUFFIXES:
        yield path
    else:
        raise InputError(f"{path}: not an article; name a .md or .jsonl file or a folder of them")


def _split_front_matter(text: str, path: Path) -> tuple[dict[str, Any], str]:
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    ends = [number for number, line in enumerate(lines[1:], start=1) if line.rstrip() in ("---", "...")]
    if not ends:
        raise InputError(f"{path}: the front matter has no end; close it with a line '---'")
    front = _load_front_matter("\n".join(lines[1 : ends[0]]), path)
    return front, "\n".join(lines[ends[0] + 1 :])


def _load_front_matter(text: str, path: Path) -> dict[str, Any]:
    import yaml

    # BaseLoader leaves every scalar a string: no 'language: no' that means False, no 'id: 012' that means 10.
    try:
        front = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader builds only strings, lists and maps
    except (yaml.YAMLError, RecursionError) as exc:
        detail = " ".join(str(exc).split())
        raise InputError(f"{path}: the front matter is not valid YAML ({detail}); correct it") from exc
    if front is None or front == "":
        return {}
    if not isinstance(front, dict):
        raise InputError(f"{path}: the front matter must be 'key: value' lines; correct it")
    if "text" in front:
        raise InputError(f"{path}: text: is not a key of front matter; write the text below it")
    return {key: value for key, value in front.items() if value not in _ABSENT}


def _article(value: object, where: str) -> Article:
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        value = value | {"text": normalise(value["text"])}
    try:
        return Article.model_validate_json(canonical_json(value))
    except ValidationError as exc:
        known = ", ".join(Article.model_fields)
        raise InputError(f"{where}: {first_problem(exc)}; correct it (the keys are {known})") from exc
