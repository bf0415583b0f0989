"""What ``chaos.py`` counts at the end: is anything lost, doubled, or out of order?"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deskhand.records import RunRecord
from deskhand.tickets import Role
from deskhand_runs import Door


@dataclass(frozen=True)
class Sent:
    """A reply in a helpdesk, which says how many messages of the customer it had seen."""

    ticket_id: str
    n_seen: int


@dataclass(frozen=True)
class Findings:
    """What is wrong at the end; nothing should be. ``echoes`` are runs that no customer had written for."""

    lost: Sequence[str]
    doubled: Sequence[str]
    out_of_order: Sequence[str]
    echoes: Sequence[str]

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.out_of_order or self.echoes)

    def report(self) -> dict[str, object]:
        """Return the counts, and the first of each."""
        found = (self.lost, self.doubled, self.out_of_order, self.echoes)
        return {
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "out_of_order": len(self.out_of_order),
            "echoes": len(self.echoes),
            "examples": [example for kind in found for example in kind[:5]],
        }


def examine(
    door: Door, acknowledged: Iterable[str], written: Mapping[str, Sequence[str]], replies: Sequence[Sent]
) -> Findings:
    """Compare what customers wrote and what was acknowledged with what was done.

    Args:
        door: Of the workspace.
        acknowledged: The delivery ids of the customers' messages that were answered with 2xx, or known otherwise
            to be in the helpdesk.
        written: The ids of the customers' messages of each ticket, as the helpdesk has them.
        replies: In the order in which the helpdesk took them.
    """
    runs = list(reversed(door.store.list(limit=10_000_000)))
    by_ticket: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        by_ticket[run.ticket.id].append(run)
    return Findings(
        [*_lost_deliveries(door, acknowledged), *_unanswered(written, by_ticket, replies), *_unsent(runs, replies)],
        [*_doubled_replies(replies), *_doubled_runs(runs)],
        [*_disordered_replies(replies), *_disordered_runs(by_ticket)],
        _echoes(by_ticket),
    )


def _lost_deliveries(door: Door, acknowledged: Iterable[str]) -> list[str]:
    """Name the deliveries that did not come to an end."""
    entries = {entry.delivery_id: entry for entry in door.entries(limit=10_000_000)}
    lost = []
    for delivery in sorted(acknowledged):
        entry = entries.get(delivery)
        if entry is None or entry.state not in ("done", "skipped"):
            lost.append(f"{delivery}: {entry.state if entry else 'not in the inbox'} {entry.reason if entry else ''}")
    return lost


def _unanswered(
    written: Mapping[str, Sequence[str]], by_ticket: Mapping[str, Sequence[RunRecord]], replies: Sequence[Sent]
) -> list[str]:
    """Name the messages that the newest run of their ticket has not seen, and those that no reply covers."""
    last = {reply.ticket_id: reply.n_seen for reply in replies}
    lost = []
    for ticket_id, message_ids in written.items():
        seen = {message.id for run in by_ticket.get(ticket_id, ())[-1:] for message in run.ticket.messages}
        lost += [f"{ticket_id}: {message} is not in the newest run" for message in message_ids if message not in seen]
        if last.get(ticket_id, 0) != len(message_ids):
            lost.append(f"{ticket_id}: the last reply saw {last.get(ticket_id, 0)} of {len(message_ids)} messages")
    return lost


def _unsent(runs: Sequence[RunRecord], replies: Sequence[Sent]) -> list[str]:
    sent = Counter(reply.ticket_id for reply in replies)
    wanted = Counter(run.ticket.id for run in runs if run.latest_decision is not None)
    lost = [f"{ticket}: {n} decided, {sent[ticket]} sent" for ticket, n in wanted.items() if sent[ticket] != n]
    unsure = [f"{run.run_id}: {r.status}" for run in runs for r in run.receipts if r.status not in ("done", "already")]
    return [*lost, *unsure]


def _doubled_replies(replies: Sequence[Sent]) -> list[str]:
    """Name what was answered twice: a reply that was posted again, or a second one to the same messages."""
    states = Counter(replies)
    return [f"{sent.ticket_id}: {n} replies to {sent.n_seen} messages" for sent, n in states.items() if n > 1]


def _doubled_runs(runs: Sequence[RunRecord]) -> list[str]:
    states = Counter((run.ticket.id, run.ticket_hash) for run in runs)
    return [f"{ticket}: {n} runs of one state" for (ticket, _), n in states.items() if n > 1]


def _disordered_replies(replies: Sequence[Sent]) -> list[str]:
    """Name the tickets in which a reply that had seen less came after one that had seen more."""
    seen: dict[str, int] = {}
    wrong = []
    for reply in replies:
        before = seen.get(reply.ticket_id, 0)
        if reply.n_seen < before:
            wrong.append(f"{reply.ticket_id}: a reply to {reply.n_seen} messages after one to {before}")
        seen[reply.ticket_id] = max(reply.n_seen, before)
    return wrong


def _disordered_runs(by_ticket: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    sizes = {ticket: [len(run.ticket.messages) for run in runs] for ticket, runs in by_ticket.items()}
    return [f"{ticket}: runs saw {seen} messages" for ticket, seen in sizes.items() if seen != sorted(seen)]


def _echoes(by_ticket: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """Name the runs that saw no more of the customer than the run before: an answer to a reply of our own."""
    found = []
    for ticket, runs in by_ticket.items():
        seen = [sum(message.role is Role.customer for message in run.ticket.messages) for run in runs]
        found += [f"{ticket}: a run without a new message, {seen}" for a, b in itertools.pairwise(seen) if b <= a]
    return found
