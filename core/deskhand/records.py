"""What a run leaves behind: its printed result and its stored record."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import AwareDatetime, Field

from deskhand.actions import Action, Decision, Receipt, ReviewRequest
from deskhand.answers import Draft, Evidence, Finding, Passage, Reason, Summary, Triage, Usage
from deskhand.schema import Json, Model
from deskhand.tickets import Ticket


class RunStatus(StrEnum):
    """Where a run stands. ``running`` with no living owner means: interrupted, the same command goes on."""

    running = "running"
    parked = "parked"
    done = "done"
    failed = "failed"


class Outcome(StrEnum):
    """What a graph decided to do with its ticket."""

    nothing = "nothing"
    review = "review"
    send = "send"


class Span(Model):
    """One step of a run. ``ms`` is wall time and differs between a run and its replay."""

    name: str
    ms: Annotated[float, Field(ge=0)]
    attributes: dict[str, Json] = {}


class RunResult(Model):
    """What ``deskhand run --json`` prints. ``values`` holds what a graph of your own adds to its state."""

    run_id: str
    ticket_id: str
    graph: str
    status: RunStatus
    triage: Triage | None = None
    summary: Summary | None = None
    draft: Draft | None = None
    decision: Outcome | None = None
    actions: tuple[Action, ...] = ()
    needs_human: bool
    reasons: tuple[Reason, ...] = ()
    findings: tuple[Finding, ...] = ()
    passages: tuple[Passage, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    usage: Usage = Usage()
    trace: tuple[Span, ...] = ()
    values: dict[str, Json] = {}


class RunRecord(Model):
    """A run as the run store keeps it."""

    run_id: str
    ticket: Ticket
    ticket_hash: str
    graph: str
    status: RunStatus
    created_at: AwareDatetime
    updated_at: AwareDatetime
    result: RunResult | None = None
    review: ReviewRequest | None = None
    decisions: tuple[Decision, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    error: str = ""

    @property
    def latest_decision(self) -> Decision | None:
        """The decision on the question that was asked last, or None while it waits for one."""
        asked = self.review.ask_id if self.review else None
        return next((decision for decision in self.decisions if decision.ask_id == asked), None)

    @property
    def waits(self) -> bool:
        """Whether a person has to decide."""
        return self.status is RunStatus.parked and self.latest_decision is None


class RunReader(Protocol):
    """Read access to stored runs, for rooms that must not import the run store."""

    def load(self, run_id: str) -> RunRecord:
        """Return one run; ``run_id`` may be shortened to any unique beginning. Raises InputError."""
        ...

    def list(
        self, *, status: RunStatus | None = None, ticket_id: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """Return the newest runs first, at most ``limit``."""
        ...
