"""Runs that wait for a person, put into a store without an engine."""

from __future__ import annotations

from deskhand.actions import Action, ActionVerdict, ReviewRequest
from deskhand.answers import (
    Citation,
    Commitment,
    CommitmentKind,
    CommitmentStatus,
    Draft,
    Finding,
    Passage,
    Reason,
    Summary,
    Triage,
)
from deskhand.records import Outcome, RunResult, RunStatus
from deskhand.testing import NOON, build_passage, build_ticket
from deskhand.tickets import Attachment, Message, Priority, Requester, Role
from deskhand_runs import RunStore

PASSAGE = build_passage("You can return any product within 30 days of delivery. Labels are free.", score=0.9)
REPLY = "Hello Ann,\n\nYou can return any product within 30 days of delivery.\n\nTestware support"


def park(
    store: RunStore,
    ticket_id: str = "T-1",
    *,
    run_id: str | None = None,
    text: str = "How long do I have to return a lamp?",
    subject: str = "Return a lamp",
    author: str = "Ann Lee",
    email: str = "ann@example.com",
    attachments: tuple[Attachment, ...] = (),
    findings: tuple[Finding, ...] = (),
    summary: Summary | None = None,
    draft: str | None = REPLY,
    reasons: tuple[Reason, ...] = (Reason(code="review_by_default"),),
    actions: tuple[Action, ...] = (),
    passage: Passage = PASSAGE,
    priority: Priority | None = None,
    category: str | None = "returns",
    quote: str = "within 30 days of delivery",
) -> str:
    """Store a run that waits for a person, and return its id."""
    run_id = run_id or f"run-{ticket_id.lower()}"
    ticket = build_ticket(
        text,
        ticket_id=ticket_id,
        subject=subject,
        messages=(
            Message(id="m1", author=author, role=Role.customer, text=text, at=NOON),
            *([Message(id="m2", author=author, role=Role.agent, text=text, at=NOON)] if summary else []),
        ),
        attachments=attachments,
        requester=Requester(id="C-1", name=author, email=email, is_verified=True),
    )
    sentence = "You can return any product within 30 days of delivery."
    made = (
        Draft(
            text=draft,
            citations=(Citation(sentence=sentence, passage_id=passage.id, quote=quote),),
            commitments=(
                Commitment(
                    text="within 30 days",
                    kind=CommitmentKind.deadline,
                    passage_id=passage.id,
                    status=CommitmentStatus.backed,
                ),
                Commitment(text="EUR 5", kind=CommitmentKind.price, status=CommitmentStatus.unbacked),
            ),
        )
        if draft
        else None
    )
    result = RunResult(
        run_id=run_id,
        ticket_id=ticket_id,
        graph="support",
        status=RunStatus.parked,
        triage=Triage(category=category, priority=priority, language="en", confidence=0.9, certified=False),
        draft=made,
        decision=Outcome.review,
        actions=actions,
        needs_human=True,
        reasons=reasons,
        passages=(passage,),
        findings=findings,
        summary=summary,
    )
    review = ReviewRequest(run_id=run_id, ask_id=f"{run_id}:0", draft=made, actions=actions, reasons=reasons)
    store.claim(ticket, "support", new_id=lambda: run_id, now=NOON)
    store.park(run_id, result, review, NOON)
    return run_id


def actions() -> tuple[Action, ...]:
    """Two that a person may approve, and one that the policy refuses."""
    verdicts = (ActionVerdict.needs_approval, ActionVerdict.allowed, ActionVerdict.refused)
    return tuple(
        Action(
            id=f"a{n}",
            kind="helpdesk",
            name=("set_priority", "add_tag", "change_email")[n],
            args={"value": f"value {n}"},
            provenance={"value": f"origin {n}"},
            key=f"k{n}",
            verdict=verdict,
            reason=f"because {n}",
        )
        for n, verdict in enumerate(verdicts)
    )


def park_everywhere(store: RunStore, ticket_id: str, words: str, *, passage_text: str, email: str) -> str:
    """Store a run that waits, with ``words`` wherever a customer, an article, a tool or a model writes."""
    given = {"name": words, "args": {words: words}, "provenance": {words: words}, "reason": words}
    return park(
        store,
        ticket_id,
        subject=words,
        text=words,
        author=words,
        email=email,
        attachments=(Attachment(name=words, media_type=words, size_bytes=1),),
        findings=(Finding(tool=words, subject=words, facts={words: words, "lines": [words, {words: words}]}),),
        summary=Summary(text=words, method=words),
        category=words,
        draft=f"{words}\nYou can return any product within 30 days of delivery.",
        passage=PASSAGE.model_copy(update={"title": words, "text": passage_text, "id": words}),
        reasons=(Reason(code="injection", detail=words), Reason(code=words[:50])),
        actions=tuple(one.model_copy(update=given) for one in actions()),
    )
