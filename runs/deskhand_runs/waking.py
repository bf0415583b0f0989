"""Giving entries of the inbox their workflows: the inbox says what is to be done, a workflow only has it done."""

from __future__ import annotations

import json
from collections.abc import Sequence

from deskhand_runs.inbox import load_entry
from deskhand_runs.writer import Transaction

START = "start_run"
RESUME = "resume_run"
"""The two workflows: what a delivery starts, and what a decision starts."""

LOST = """
    state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM workflow_status w
        WHERE w.workflow_uuid >= printf('ev-%012d', inbox.seq) AND w.workflow_uuid < printf('ev-%012d~', inbox.seq)
        AND w.status IN ('ENQUEUED', 'PENDING', 'DELAYED'))"""
"""An entry is queued until it is at its end: one that is queued and has no live workflow waits for one, or lost it."""

# with those before them of the same tickets: DBOS works on a lane in the order in which it was told of the entries
_LOST_OF = f"""
    SELECT seq FROM inbox WHERE seq IN (
        SELECT earlier.seq FROM json_each(?) given JOIN inbox ON inbox.seq = given.value
        JOIN inbox earlier ON earlier.source = inbox.source AND earlier.ticket_id = inbox.ticket_id
        AND earlier.seq <= inbox.seq AND earlier.state = 'queued')
    AND {LOST} ORDER BY seq"""  # noqa: S608 - a text of ours


def wake(tx: Transaction, seqs: Sequence[int]) -> None:
    """Have these entries, and those before them of the same tickets, worked on, unless they are already."""
    for row in tx.execute(_LOST_OF, (json.dumps(seqs),)).fetchall():
        enqueue(tx, row["seq"])


def enqueue(tx: Transaction, seq: int, *, delay_s: float = 0.0) -> None:
    """Enqueue a workflow for an entry, whether it has one or not."""
    entry = load_entry(tx, seq)
    tx.enqueue(RESUME if entry.is_decision else START, seq, entry.lane, delay_s=delay_s)
