"""A ticket as agents see it: made plain to read, and with personal data masked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime

from deskhand.fencing import fold, normalise
from deskhand.schema import Model
from deskhand.tickets import Role, Ticket
from deskhand.vault import PLACEHOLDER, Vault


class Turn(Model):
    """One message, masked and normalised."""

    message_id: str
    role: Role
    text: str
    at: datetime
    is_public: bool = True


class TicketView(Model):
    """What an agent may read of a ticket. ``requester_name`` is as the helpdesk has it, masked too."""

    ticket_id: str
    subject: str
    turns: tuple[Turn, ...]
    requester_name: str
    attachments: tuple[str, ...] = ()

    @property
    def customer_text(self) -> str:
        """The subject and every message of the customer, oldest first, separated by blank lines."""
        parts = (self.subject, *(turn.text for turn in self.turns if turn.role is Role.customer))
        return "\n\n".join(part for part in parts if part)

    @property
    def last_customer_text(self) -> str:
        """The customer's newest message; the subject when there is none."""
        texts = [turn.text for turn in self.turns if turn.role is Role.customer and turn.text]
        return texts[-1] if texts else self.subject


class SentReply(Model):
    """A reply that an earlier run of the same ticket sent."""

    run_id: str
    text: str
    at: AwareDatetime


def view_ticket(ticket: Ticket, vault: Vault, *, sent: Sequence[SentReply] = ()) -> TicketView:
    """Return ``ticket`` as agents see it. Internal notes are left out: they are ours, not the customer's.

    Args:
        ticket: The ticket as its helpdesk has it now.
        vault: Masks personal data.
        sent: Replies of earlier runs. Each stands in the thread at its time, as a message of ours, unless the
            helpdesk shows it there already, or the customer has written nothing since.
    """
    turns = [
        Turn(message_id=message.id, role=message.role, text=_plain(message.text, vault), at=message.at)
        for message in ticket.messages
        if message.is_public
    ]
    newest = max((turn.at for turn in turns if turn.role is Role.customer), default=None)
    ours = {fold(turn.text) for turn in turns if turn.role is not Role.customer}
    for reply in sent:
        text = _plain(reply.text, vault)
        if newest is not None and reply.at < newest and fold(text) not in ours:
            turns.append(Turn(message_id=f"sent:{reply.run_id}", role=Role.agent, text=text, at=reply.at))
    if sent:
        turns.sort(key=lambda turn: turn.at)
    return TicketView(
        ticket_id=ticket.id,
        subject=_plain(ticket.subject, vault),
        turns=tuple(turns),
        requester_name=_plain(ticket.requester.name, vault),
        attachments=tuple(
            _plain(f"{a.name} ({a.media_type}, {a.size_bytes} bytes)", vault) for a in ticket.attachments
        ),
    )


def _plain(text: str, vault: Vault) -> str:
    """Return text from outside as agents may see it. A placeholder that stands in it is not ours: it loses its form."""
    return vault.mask(PLACEHOLDER.sub(lambda match: f"({match[0][1:-1]})", normalise(text)))
