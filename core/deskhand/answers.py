"""What agents decide: triage, summaries, findings, drafts, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from deskhand.schema import Json, Model
from deskhand.tickets import Priority

T = TypeVar("T")
Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number from 0 to 1."""


class Reason(Model):
    """Why a ticket needs a person. ``code`` is one of those in docs/reasons.md; ``detail`` is for people."""

    code: str
    detail: str = ""


class Usage(Model):
    """What an answer cost, summed over its calls. ``latency_ms`` is wall time and never replayed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    n_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            latency_ms=self.latency_ms + other.latency_ms,
            n_calls=self.n_calls + other.n_calls,
        )


class Evidence(Model):
    """One thing an answer rests on: a similar ticket, a passage, a record."""

    kind: str
    ref: str
    text: str = ""
    score: float | None = None


class Sentiment(StrEnum):
    """How the customer sounds."""

    positive = "positive"
    neutral = "neutral"
    negative = "negative"


class Triage(Model):
    """What a ticket is about. ``category`` is an id of the taxonomy, or None when no one can say.

    ``certified`` is true only when ``confidence`` passed a threshold with a statistical guarantee.
    """

    category: str | None
    priority: Priority | None = None
    sentiment: Sentiment | None = None
    language: str | None = None
    team: str | None = None
    flags: tuple[str, ...] = ()
    confidence: Share = 0.0
    certified: bool = False


class Summary(Model):
    """A short account of a thread. ``method`` says how it was made; "extractive" is verbatim."""

    text: str
    method: str
    language: str | None = None


class Passage(Model):
    """A piece of a knowledge article. ``id`` is ``<article>@<version>#<n>``; ``score`` is 0 to 1, best first.

    ``header`` is the header row of the table in whose middle ``text`` begins; ``products`` are the article's.
    """

    id: str
    source_id: str
    source_version: int
    title: str
    text: str
    score: float
    found_by: str
    valid_to: date | None = None
    header: str = ""
    products: tuple[str, ...] = ()


class Finding(Model):
    """A fact read from a system of record, with the tool call it came from."""

    tool: str
    subject: str
    facts: dict[str, Json]


class Citation(Model):
    """Where a sentence of a draft comes from. ``quote`` stands word for word in the passage."""

    sentence: str
    passage_id: str
    quote: str


class CommitmentKind(StrEnum):
    """What is promised."""

    price = "price"
    amount = "amount"
    date = "date"
    deadline = "deadline"
    percentage = "percentage"
    policy = "policy"
    promise = "promise"


class CommitmentStatus(StrEnum):
    """Whether knowledge stands behind a promise."""

    backed = "backed"
    unbacked = "unbacked"
    expired = "expired"


class Commitment(Model):
    """Something a draft promises, bound to the passage that backs it."""

    text: str
    kind: CommitmentKind
    passage_id: str | None = None
    valid_to: date | None = None
    status: CommitmentStatus


class Draft(Model):
    """A reply that a person may send. Every factual sentence has a citation."""

    text: str
    citations: tuple[Citation, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    language: str = "en"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a strategy returns: a value, how sure it is (0 to 1), what it cost and what it rests on."""

    value: T | None
    confidence: float
    strategy: str
    usage: Usage = field(default_factory=Usage)
    evidence: tuple[Evidence, ...] = ()
    needs_human: bool = False
    reasons: tuple[Reason, ...] = ()

    def marked(self, *reasons: Reason) -> Answer[T]:
        """Return the same answer, marked as one that a person must look at, with more reasons."""
        return replace(self, needs_human=True, reasons=(*self.reasons, *reasons))
