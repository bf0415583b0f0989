"""One ticket as the review page shows it: thread, findings, draft with its sources, actions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deskhand.actions import Action, ActionVerdict, Decision, Receipt
from deskhand.answers import Citation, Commitment, CommitmentStatus, Finding, Passage, Summary, Triage
from deskhand.records import RunRecord, RunStatus
from deskhand.schema import Json
from deskhand.tickets import Message, Ticket
from deskhand_server.decisions import can_approve
from deskhand_server.highlights import Segment, segments
from deskhand_server.queue import Row, Why, build_row, explain

_ISO_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)\S*$")


class Source(NamedTuple):
    """A passage that the draft quotes; ``quotes`` are the citations' numbers, ``parts`` its text with them marked."""

    passage: Passage
    quotes: tuple[int, ...]
    parts: list[Segment]
    missing: tuple[str, ...]
    """Quotes that do not stand in the passage."""

    @property
    def header(self) -> str:
        """The header row of the table in whose middle the passage begins, else ""."""
        return self.passage.header if self.passage.text.lstrip().startswith("|") else ""


class Argument(NamedTuple):
    """One argument of an action and where its value comes from."""

    name: str
    value: str
    provenance: str


class Proposal(NamedTuple):
    """An action as it is shown."""

    action: Action
    arguments: tuple[Argument, ...]
    may_be_approved: bool
    receipt: Receipt | None


@dataclass(frozen=True)
class Sheet:
    """Everything on the page of one run."""

    record: RunRecord
    row: Row
    why: tuple[Why, ...]
    draft: list[Segment]
    draft_text: str
    draft_language: str
    sources: list[Source]
    other_passages: tuple[Passage, ...]
    proposals: tuple[Proposal, ...]
    reply_receipt: Receipt | None

    @property
    def ticket(self) -> Ticket:
        """The ticket as it was when the run began."""
        return self.record.ticket

    @property
    def messages(self) -> Sequence[Message]:
        """The thread, oldest first."""
        return self.record.ticket.messages

    @property
    def triage(self) -> Triage | None:
        """What the ticket is about."""
        return self.record.result.triage if self.record.result else None

    @property
    def summary(self) -> Summary | None:
        """The thread in short."""
        return self.record.result.summary if self.record.result else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was read from systems of record and does not stand among the sources already."""
        shown = {source.passage.id for source in self.sources}
        findings = self.record.result.findings if self.record.result else ()
        return tuple(finding for finding in findings if record_id(finding) not in shown)

    @property
    def commitments(self) -> tuple[Commitment, ...]:
        """What the draft promises."""
        draft = self.record.review.draft if self.record.review else None
        return draft.commitments if draft else ()

    @property
    def broken_promises(self) -> list[Commitment]:
        """Promises behind which nothing stands, or nothing valid any more."""
        return [promise for promise in self.commitments if promise.status is not CommitmentStatus.backed]

    @property
    def kept_promises(self) -> list[Commitment]:
        """Promises with a source."""
        return [promise for promise in self.commitments if promise.status is CommitmentStatus.backed]

    @property
    def decision(self) -> Decision | None:
        """What was said to the open question."""
        return self.record.latest_decision

    @property
    def is_open(self) -> bool:
        """Whether it waits for a person."""
        return self.record.waits

    @property
    def can_send(self) -> bool:
        """Whether there is anything to approve as it is."""
        return bool(self.draft_text) or can_approve(self.record)

    @property
    def state(self) -> str:
        """Where the run stands, in words."""
        if self.is_open:
            return "waits for a decision"
        if self.decision is not None and self.record.status is RunStatus.parked:
            return "decided, being carried out"
        return {"running": "at work", "parked": "parked", "done": "done", "failed": "stopped"}[self.record.status.value]


def build_sheet(record: RunRecord) -> Sheet:
    """Return the page of a run."""
    asked = record.review.draft if record.review else None
    draft = asked or (record.result.draft if record.result else None)
    citations = draft.citations if draft else ()
    text = draft.text if draft else ""
    passages = record.result.passages if record.result else ()
    cited = {citation.passage_id for citation in citations}
    receipts = {receipt.action_id: receipt for receipt in record.receipts}
    actions = record.review.actions if record.review else record.result.actions if record.result else ()
    return Sheet(
        record=record,
        row=build_row(record),
        why=explain(record),
        draft=segments(text, ((number, cite.sentence) for number, cite in enumerate(citations, 1))),
        draft_text=text,
        draft_language=draft.language if draft else "en",
        sources=_sources((*passages, *_records(record)), citations),
        other_passages=tuple(passage for passage in passages if passage.id not in cited),
        proposals=tuple(_proposal(action, receipts.pop(action.id, None)) for action in actions),
        reply_receipt=next(iter(receipts.values()), None),
    )


def _sources(passages: Sequence[Passage], citations: Sequence[Citation]) -> list[Source]:
    """Return the quoted passages in the order in which the draft quotes them."""
    known = {passage.id: passage for passage in passages}
    order = dict.fromkeys(citation.passage_id for citation in citations)
    return [_source(known.get(id_) or _lost(id_), citations) for id_ in order]


def _source(passage: Passage, citations: Sequence[Citation]) -> Source:
    quotes = [(number, cite.quote) for number, cite in enumerate(citations, 1) if cite.passage_id == passage.id]
    parts = segments(passage.text, quotes)
    shown = {number for part in parts for number in part.numbers}
    missing = tuple(quote for number, quote in quotes if number not in shown)
    return Source(passage, tuple(number for number, _ in quotes), parts, missing)


def record_id(finding: Finding) -> str:
    """Return the id under which drafts cite a finding."""
    return f"record:{finding.tool}:{finding.subject}"


def _records(record: RunRecord) -> list[Passage]:
    """Return what was read from systems of record, in the form of passages; drafts cite them like those."""
    findings = record.result.findings if record.result else ()
    return [
        Passage(
            id=record_id(finding),
            source_id=finding.tool,
            source_version=0,
            title=f"Record {finding.subject}",
            text="\n".join([finding.subject, *(f"{name}: {fact(value)}" for name, value in finding.facts.items())]),
            score=1,
            found_by=finding.tool,
        )
        for finding in findings
    ]


def _lost(passage_id: str) -> Passage:
    """A passage that a draft names and the run does not have."""
    return Passage(
        id=passage_id, source_id=passage_id, source_version=0, title=passage_id, text="", score=0, found_by="nobody"
    )


def _proposal(action: Action, receipt: Receipt | None) -> Proposal:
    arguments = tuple(
        Argument(name, fact(value), action.provenance.get(name, "")) for name, value in action.args.items()
    )
    return Proposal(action, arguments, action.verdict is not ActionVerdict.refused, receipt)


def fact(value: Json) -> str:
    """Return a value as people write it: an amount by its text, a list by its entries."""
    if isinstance(value, dict):
        return str(value["text"]) if "text" in value else ", ".join(f"{key} {fact(val)}" for key, val in value.items())
    if isinstance(value, list):
        return "; ".join(fact(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else _ISO_TIME.sub(r"\1 \2", str(value))
