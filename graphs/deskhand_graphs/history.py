"""What earlier runs of a ticket left behind."""

from __future__ import annotations

from deskhand.actions import ReceiptStatus
from deskhand.records import RunReader, RunRecord, RunStatus
from deskhand.tickets import Ticket
from deskhand.view import SentReply

_MOST_RUNS = 50
_SENT = (ReceiptStatus.done, ReceiptStatus.already)


def sent_replies(runs: RunReader, ticket: Ticket) -> list[SentReply]:
    """Return the replies that were really sent on ``ticket``, oldest first, from its newest 50 runs."""
    records = runs.list(status=RunStatus.done, ticket_id=ticket.id, limit=_MOST_RUNS)
    return [
        _reply(record) for record in reversed(records) if record.ticket.source == ticket.source and _is_sent(record)
    ]


def _is_sent(record: RunRecord) -> bool:
    has_draft = record.result is not None and record.result.draft is not None
    return has_draft and any(r.action_id == "reply" and r.status in _SENT for r in record.receipts)


def _reply(record: RunRecord) -> SentReply:
    assert record.result is not None and record.result.draft is not None
    decision = record.latest_decision
    return SentReply(
        run_id=record.run_id, text=record.result.draft.text, at=decision.at if decision else record.updated_at
    )
