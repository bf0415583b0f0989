"""What waits for a person, in the order in which it should be answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from deskhand.records import RunRecord
from deskhand.tickets import Priority, Role
from deskhand_agents.reasons import REASONS

if TYPE_CHECKING:
    from deskhand_runs import RunStore

MAX_NEW = 2_000
"""Most runs that one reading adds to the queue, the oldest first; the next reading goes on, and the page says so."""

PAGE_ROWS = 100
"""Rows on one page."""

ALARMS = frozenset({"safety", "threat", "fraud_sign", "injection"})
"""Reasons that a person should see first."""

_RANK = {Priority.urgent: 0, Priority.high: 1, Priority.normal: 2, None: 2, Priority.low: 3}
_FRESH_S = 2.0


class Why(NamedTuple):
    """A reason: its code, and what it means in plain words."""

    code: str
    words: str
    detail: str
    is_alarm: bool


@dataclass(frozen=True)
class Row:
    """One waiting run. ``since`` is when its customer last wrote, or the run began."""

    run_id: str
    ticket_id: str
    subject: str
    requester: str
    category: str
    confidence: float | None
    is_certified: bool
    priority: Priority | None
    language: str
    reasons: tuple[Why, ...]
    since: datetime
    n_citations: int
    n_actions: int
    has_draft: bool

    @property
    def is_alarm(self) -> bool:
        """Whether a person should see it before others of its priority."""
        return any(why.is_alarm for why in self.reasons)

    @property
    def order(self) -> tuple[int, bool, datetime, str]:
        """Urgent ones first, then alarms, then who has waited longest."""
        return (_RANK[self.priority], not self.is_alarm, self.since, self.run_id)


@dataclass(frozen=True)
class Filter:
    """What of the queue is shown; empty fields let everything through."""

    text: str = ""
    category: str = ""
    reason: str = ""

    def __call__(self, row: Row) -> bool:
        """Tell whether a row is shown."""
        hay = " ".join((row.ticket_id, row.subject, row.requester, row.run_id)).casefold()
        return (
            self.text.casefold() in hay
            and self.category in ("", row.category)
            and (not self.reason or any(why.code == self.reason for why in row.reasons))
        )

    @property
    def query(self) -> str:
        """The filter as the query of a URL."""
        return urlencode({"q": self.text, "category": self.category, "reason": self.reason})

    @property
    def is_set(self) -> bool:
        """Whether anything is left out."""
        return bool(self.text or self.category or self.reason)


class Queue:
    """Reads the queue; a reading serves for two seconds, so that many open pages cost no more than one.

    A run that waits does not change, so that only what is new is read. May be used from several threads.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._known: dict[tuple[str, str], Row] = {}
        self._rows: list[Row] = []
        self._read_at = float("-inf")

    def rows(self) -> list[Row]:
        """Return what waits, first what should be answered first. Raises StoreError."""
        with self._guard:
            if time.monotonic() - self._read_at > _FRESH_S:
                self._read()
                self._rows = sorted(self._known.values(), key=lambda row: row.order)
                self._read_at = time.monotonic()
            return self._rows

    def _read(self) -> None:
        asks = self._store.waiting_asks()
        self._known = {key: row for key, row in self._known.items() if asks.get(key[0]) == key[1]}
        unknown = [run_id for run_id, ask_id in asks.items() if (run_id, ask_id) not in self._known]
        for record in self._store.load_all(unknown[:MAX_NEW]):
            if record.waits and record.review is not None:
                self._known[record.run_id, record.review.ask_id] = build_row(record)

    def forget(self) -> None:
        """Read anew the next time: something was decided."""
        with self._guard:
            self._read_at = float("-inf")


def build_row(record: RunRecord) -> Row:
    """Return the row of a run."""
    ticket, result, review = record.ticket, record.result, record.review
    triage = result.triage if result else None
    draft = review.draft if review else None
    wrote = [message.at for message in ticket.messages if message.role is Role.customer and message.is_public]
    return Row(
        run_id=record.run_id,
        ticket_id=ticket.id,
        subject=ticket.subject or _first_words(record),
        requester=ticket.requester.name or ticket.requester.id,
        category=(triage.category if triage else None) or "",
        confidence=triage.confidence if triage and triage.category else None,
        is_certified=bool(triage and triage.certified),
        priority=(triage.priority if triage else None) or ticket.priority,
        language=(triage.language if triage else None) or "",
        reasons=explain(record),
        since=max(wrote, default=record.created_at),
        n_citations=len(draft.citations) if draft else 0,
        n_actions=len(review.actions) if review else 0,
        has_draft=bool(draft and draft.text.strip()),
    )


def explain(record: RunRecord) -> tuple[Why, ...]:
    """Return why a person must look, each reason once, in plain words."""
    reasons = record.review.reasons if record.review else record.result.reasons if record.result else ()
    seen = {(reason.code, reason.detail): reason for reason in reasons}
    return tuple(
        Why(reason.code, REASONS.get(reason.code, reason.code.replace("_", " ")), reason.detail, reason.code in ALARMS)
        for reason in seen.values()
    )


def _first_words(record: RunRecord) -> str:
    texts = [message.text for message in record.ticket.messages if message.text.strip()]
    return " ".join(texts[0].split()[:12]) if texts else "(no subject)"


class Sheet(NamedTuple):
    """One page of rows; ``number`` counts from 1."""

    rows: Sequence[Row]
    number: int
    n_sheets: int


def cut(rows: Sequence[Row], number: int) -> Sheet:
    """Return page ``number`` of the rows; the last one when there are not so many."""
    n_sheets = max(1, -(-len(rows) // PAGE_ROWS))
    number = min(max(1, number), n_sheets)
    return Sheet(rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS], number, n_sheets)


class Choice(NamedTuple):
    """One value of a filter and how many rows have it."""

    value: str
    n: int


def choices(rows: Sequence[Row]) -> dict[str, list[Choice]]:
    """Return the categories and reasons to filter by, the most frequent first."""
    categories = Counter(row.category for row in rows if row.category)
    reasons = Counter(code for row in rows for code in {why.code for why in row.reasons})
    return {
        "category": [Choice(*item) for item in categories.most_common()],
        "reason": [Choice(*item) for item in reasons.most_common()],
    }


class Around(NamedTuple):
    """The runs before and after one in the queue, and its place from 1; None where there is none."""

    before: str | None
    after: str | None
    place: int | None
    n_rows: int


def around(rows: Sequence[Row], run_id: str) -> Around:
    """Return the neighbours of a run in the queue; for one that is not in it, the first is next."""
    ids = [row.run_id for row in rows]
    if run_id not in ids:
        return Around(None, ids[0] if ids else None, None, len(ids))
    at = ids.index(run_id)
    return Around(ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None, at + 1, len(ids))


def age(since: datetime, now: datetime) -> str:
    """Return how long ago something was, in the largest unit that fits: ``5 min``, ``3 h``, ``12 d``."""
    passed = max(now - since, timedelta(0))
    minutes = int(passed.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
