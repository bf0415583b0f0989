"""The ledger of our own writes: by it their echoes are known, whoever the helpdesk says did them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from deskhand.tickets import Message, Role
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.rows import to_text

_MIN_MARKER_CHARS = 16  # a shorter key could stand in a text by chance


def remember(tables: GuardTables, source: str, ticket_id: str, key: str, ref: str, at: datetime) -> None:
    """Store that we write, or wrote, to a ticket.

    Call it before the write, with an empty ``ref``, so that a crash in between leaves no unknown write of ours; and
    after it with the id that the helpdesk gave. The first time is kept.

    Args:
        tables: Of the workspace.
        source: The helpdesk's name.
        ticket_id: The ticket.
        key: The action's key, which connectors put into what they write as its marker.
        ref: The id of what was written, in the helpdesk's words; '' while unknown.
        at: When.
    """
    with tables.changing() as connection:
        connection.execute(
            "INSERT INTO own_writes (source, ticket_id, key, ref, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (source, ticket_id, key) DO UPDATE SET ref = excluded.ref WHERE excluded.ref != ''",
            (source, ticket_id, key, ref, to_text(at)),
        )


def knows(tables: GuardTables, source: str, ticket_id: str, name: str) -> bool:
    """Tell whether ``name`` is the key or the ref of a write of ours to a ticket."""
    own = own_writes_of(tables, source, ticket_id)
    return name in own.keys or name in own.refs


@dataclass(frozen=True)
class OwnWrites:
    """What we are known by on one ticket: actor names, keys and refs of writes, and texts just sent."""

    actor_ids: Collection[str] = ()
    keys: Collection[str] = ()
    refs: Collection[str] = ()
    texts: Collection[str] = field(default=())

    def wrote(self, message: Message) -> bool:
        """Tell whether a message of the ticket is ours.

        A customer's message is ours only by an id that nothing else has, such as a Message-ID: a customer who quotes
        our mail repeats our text and marker, and a short ref may be the number of another thing.
        """
        is_marked = any(_marks(key, message.id) for key in self.keys)
        if message.role is Role.customer:
            return is_marked or (len(message.id) >= _MIN_MARKER_CHARS and message.id in self.refs)
        if is_marked or message.id in self.refs:
            return True
        if message.role is Role.bot or message.author in self.actor_ids:
            return True
        text = _folded(message.text)
        return any(_marks(key, message.text) for key in self.keys) or any(
            _folded(sent) in text for sent in self.texts if sent.strip()
        )


def own_writes_of(
    tables: GuardTables,
    source: str,
    ticket_id: str,
    *,
    actor_ids: Collection[str] = (),
    texts: Collection[str] = (),
) -> OwnWrites:
    """Return what our writes on one ticket are known by; ``texts`` adds replies whose echo may come unmarked."""
    with tables.reading() as connection:
        sql = "SELECT key, ref FROM own_writes WHERE source = ? AND ticket_id = ?"
        rows = connection.execute(sql, (source, ticket_id)).fetchall()
    keys = frozenset(row["key"] for row in rows)
    return OwnWrites(frozenset(actor_ids), keys, frozenset(row["ref"] for row in rows if row["ref"]), tuple(texts))


def _marks(key: str, text: str) -> bool:
    return key == text or (len(key) >= _MIN_MARKER_CHARS and key in text)


def _folded(text: str) -> str:
    return " ".join(text.split())
