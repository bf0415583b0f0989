"""The state of the graph `support`, and which types may be read back from a checkpoint."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from deskhand.actions import Action, ActionVerdict, Decision, Verdict
from deskhand.answers import (
    Citation,
    Commitment,
    CommitmentKind,
    CommitmentStatus,
    Draft,
    Evidence,
    Finding,
    Passage,
    Reason,
    Sentiment,
    Summary,
    Triage,
    Usage,
)
from deskhand.records import Outcome, Span
from deskhand.tickets import Attachment, Message, Priority, Requester, Role, Ticket
from deskhand.view import TicketView, Turn


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return both dicts as one; a key that a node wrote again has its new value."""
    return {**old, **new}


def append(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the old items and then the new ones."""
    return (*old, *new)


class SupportState(TypedDict, total=False):
    """What flows through the graph. Only `ticket` is given; nodes add the rest.

    A graph of your own needs `ticket`; with `vault` and `trace` its nodes may be made by ``step``, and any
    other key it shares with this state is printed the same way.
    """

    ticket: Ticket  # given by the caller; read by screen and gather
    round: int  # how often a reviewer asked again; written by review, read by every node for its path
    instruction: str  # what the reviewer wants done differently; written by review, read by gather and draft
    vault: Annotated[dict[str, str], merge]  # placeholder -> value; kept by step() around every node
    trace: Annotated[tuple[Span, ...], append]  # written by step() around every node
    view: TicketView  # written by screen; what agents read instead of the ticket
    language: str | None  # written by screen; None when it cannot be told
    flags: tuple[str, ...]  # written by screen; read by triage
    triage: Triage  # written by triage; read by gather, draft, decide
    passages: tuple[Passage, ...]  # written by gather; read by draft, check
    findings: tuple[Finding, ...]  # written by gather; read by draft, check
    not_found: tuple[str, ...]  # written by gather; records that the requester does not have
    summary: Summary | None  # written by summarize; for the reviewer
    draft: Draft | None  # written by draft, check and review (an edit)
    actions: tuple[Action, ...]  # written by gather; read by decide, review
    reasons: Annotated[dict[str, tuple[Reason, ...]], merge]  # by node; why a person must look
    evidence: Annotated[dict[str, tuple[Evidence, ...]], merge]  # by node; what answers rest on
    usage: Annotated[dict[str, Usage], merge]  # by place in the run
    needs_human: bool  # written by decide
    decision: Outcome  # written by screen (nothing) and decide
    review: Decision  # written by review


CHECKPOINT_TYPES: tuple[type, ...] = (
    *(Ticket, Message, Requester, Attachment, Role, Priority, TicketView, Turn),
    *(Triage, Sentiment, Summary, Passage, Finding, Draft, Citation, Reason, Evidence, Usage, Span),
    *(Commitment, CommitmentKind, CommitmentStatus, Action, ActionVerdict, Decision, Verdict, Outcome),
)
"""The only types of ours that a checkpoint may bring back to life."""
