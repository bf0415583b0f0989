"""Golden sets: what a good answer is, written by people who did not see the code."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import Field

from deskhand.errors import InputError
from deskhand.jsonio import validate
from deskhand.schema import Model
from deskhand.tickets import Priority, Role, ShortText, Text, Ticket
from deskhand_evals.rows import read_rows, rows_version
from deskhand_evals.splits import SEED, Fold, folds, slices, split

S = TypeVar("S", bound="Sample")


class Sample(Model):
    """One case of a golden set. ``customer`` groups cases that must not be cut apart by a split or by folds."""

    id: ShortText
    customer: ShortText | None = None

    @property
    def group(self) -> str | None:
        """The customer: the one that is named, or the requester of the ticket; None when nobody is known."""
        ticket: Ticket | None = getattr(self, "ticket", None)
        return self.customer or (ticket.requester.id if ticket else None)

    @property
    def customer_text(self) -> str:
        """What the customer wrote: all that a near duplicate is told by."""
        ticket: Ticket | None = getattr(self, "ticket", None)
        if ticket is None:
            return str(getattr(self, "text", ""))
        texts = [message.text for message in ticket.messages if message.role is Role.customer]
        return "\n\n".join([ticket.subject, *texts]).strip()


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
    """A ticket, and the facts that a reply must and must not state. ``reply`` is one that a person has sent."""

    ticket: Ticket
    must: tuple[Fact, ...]
    must_not: tuple[Fact, ...] = ()
    articles: tuple[str, ...] = ()
    reply: Text | None = None


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


KINDS: dict[str, type[Sample]] = {
    "triage": TriageSample,
    "retrieval": RetrievalSample,
    "drafts": DraftSample,
    "summaries": SummarySample,
}
"""The schema of every kind of golden set, by the name of its file in ``golden/``."""


def load_samples(path: Path, kind: type[S]) -> list[S]:
    """Return the samples of a dataset in any form that ``read_rows`` reads.

    Raises:
        InputError: A bad row, an id that stands there twice, or no row at all.
    """
    samples = [_sample(kind, value, where) for where, value in read_rows(path)]
    repeated = sorted(name for name, n in Counter(sample.id for sample in samples).items() if n > 1)
    if repeated:
        raise InputError(f"{path}: id {repeated[0]!r} stands there twice; give each sample its own")
    if not samples:
        raise InputError(f"{path}: no samples; add one a line")
    return samples


def _sample(kind: type[S], value: Any, where: str) -> S:
    try:
        return validate(kind, value, where)
    except InputError as exc:
        needed = ", ".join(name for name, field in kind.model_fields.items() if field.is_required())
        raise InputError(f"{exc}; correct it, a case here needs {needed}") from exc


@dataclass(frozen=True)
class Dataset(Generic[S]):
    """Samples of one kind. ``version`` hashes their content: the same in any form of file, another after any edit."""

    name: str
    samples: tuple[S, ...]
    version: str

    def split(self, shares: Mapping[str, float], *, seed: int = SEED) -> dict[str, Dataset[S]]:
        """Return a dataset for each share, such as ``{"train": 0.6, "dev": 0.2, "test": 0.2}``; no customer in two.

        Samples keep their part when others are added. Raises ValueError for shares that do not sum to 1.
        """
        ids, groups = [sample.id for sample in self.samples], [sample.group for sample in self.samples]
        parts = split(ids, shares, groups=groups, seed=seed)
        return {name: self._at(f"{self.name}/{name}", places) for name, places in parts.items()}

    def folds(self, n: int, *, stratify: str = "", seed: int = SEED) -> list[Fold]:
        """Return ``n`` folds of places, no customer in two, with even shares of each value of ``stratify``.

        Raises ValueError for fewer than 2 folds, or fewer customers than folds.
        """
        strata = [field_of(sample, stratify) for sample in self.samples] if stratify else None
        groups = [sample.group for sample in self.samples]
        return folds([sample.id for sample in self.samples], n, strata=strata, groups=groups, seed=seed)

    def slices(self, field: str) -> dict[Hashable, Dataset[S]]:
        """Return the samples of each value of a field, such as ``language`` or ``ticket.priority``."""
        found = slices(self.samples, lambda sample: field_of(sample, field))
        return {value: self._at(f"{self.name}/{field}={value}", places) for value, places in found}

    def _at(self, name: str, places: list[int]) -> Dataset[S]:
        return build_dataset(name, [self.samples[place] for place in places])


def field_of(sample: Sample, field: str) -> Hashable:
    """Return the value at a path of fields; a list as its items, joined. Raises InputError for an unknown field."""
    value: Any = sample.model_dump(mode="json")
    for key in field.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(
                f"{sample.id}: has no field {field!r}; its fields are {', '.join(type(sample).model_fields)}"
            )
        value = value[key]
    return (
        ", ".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, Hashable) else str(value)
    )


def build_dataset(name: str, samples: list[S]) -> Dataset[S]:
    """Return a dataset of samples, versioned by their content."""
    version = rows_version([sample.model_dump(mode="json", exclude_defaults=True) for sample in samples])
    return Dataset(name, tuple(samples), version)


def load_dataset(path: Path, kind: type[S]) -> Dataset[S]:
    """Return a dataset of one kind. Raises InputError as ``load_samples``."""
    return build_dataset(path.stem, load_samples(path, kind))


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
