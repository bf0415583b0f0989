"""Golden sets: what a good answer is, written by people who did not see the code."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import Field

from deskhand.errors import InputError
from deskhand.jsonio import read_lines, validate
from deskhand.schema import Model
from deskhand.tickets import Priority, ShortText, Text, Ticket

S = TypeVar("S", bound="Sample")


class Sample(Model):
    """One case of a golden set."""

    id: ShortText


class TriageSample(Sample):
    """A ticket's text and what it is about; ``label`` is None when it fits no category."""

    text: Text
    label: str | None
    priority: Priority
    team: str | None
    language: str
    flags: tuple[str, ...] = ()


class RetrievalSample(Sample):
    """A question and the articles that answer it. ``kind`` says what makes it hard."""

    text: Text
    relevant: Annotated[tuple[str, ...], Field(min_length=1)]
    kind: str = "plain"


class Fact(Model):
    """Something a text must or must not say: it does when it contains any of the wordings in ``any``.

    Wordings are compared without case, punctuation at the ends, and with white space folded.
    """

    fact: ShortText
    any: Annotated[tuple[ShortText, ...], Field(min_length=1)]


class DraftSample(Sample):
    """A ticket, and the facts that a reply must and must not state."""

    ticket: Ticket
    must: tuple[Fact, ...]
    must_not: tuple[Fact, ...] = ()
    articles: tuple[str, ...] = ()


class SummarySample(Sample):
    """A thread, and the facts that its summary must and must not state."""

    ticket: Ticket
    must: Annotated[tuple[Fact, ...], Field(min_length=1)]
    must_not: tuple[Fact, ...] = ()


class GoldenSets(NamedTuple):
    """All golden sets of a workspace."""

    triage: list[TriageSample]
    retrieval: list[RetrievalSample]
    drafts: list[DraftSample]
    summaries: list[SummarySample]


def load_samples(path: Path, kind: type[S]) -> list[S]:
    """Return the samples of a JSONL file. Raises InputError for a bad row, a repeated id or an empty file."""
    samples = [validate(kind, value, where) for where, value in read_lines(path)]
    ids = [sample.id for sample in samples]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: id {repeated[0]!r} stands there twice; give each sample its own")
    if not samples:
        raise InputError(f"{path}: no samples; add one a line")
    return samples


def load_golden(folder: Path) -> GoldenSets:
    """Return the golden sets in ``folder``. Raises InputError."""
    return GoldenSets(
        load_samples(folder / "triage.jsonl", TriageSample),
        load_samples(folder / "retrieval.jsonl", RetrievalSample),
        load_samples(folder / "drafts.jsonl", DraftSample),
        load_samples(folder / "summaries.jsonl", SummarySample),
    )


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
