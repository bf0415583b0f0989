"""Any sender that signs as Standard Webhooks say: the ticket is in the payload, and actions go out the same way."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from deskhand.actions import Action, Receipt, ReceiptStatus
from deskhand.clock import Clock
from deskhand.errors import ConfigError, InputError
from deskhand.helpdesk_settings import StandardWebhooksSettings
from deskhand.interfaces import Page, Reply, Request
from deskhand.jsonio import M, canonical_json, decode, first_problem, parse_json
from deskhand.tickets import MAX_MESSAGE_CHARS, Event, EventKind, Id, ShortText, Ticket
from deskhand_helpdesks.calls import Calls
from deskhand_helpdesks.credentials import read_secret, read_secrets
from deskhand_helpdesks.files import parse_ticket
from deskhand_helpdesks.signatures import read_header, sign_webhook, verify_request
from deskhand_helpdesks.texts import fit_line

KINDS = {f"ticket.{kind.value}": kind for kind in EventKind}
"""The types of payloads that mean something to us; all others are taken and ignored."""

_ALREADY_REPORTED = 208
_log = logging.getLogger(__name__)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    ticket: dict[str, Any] | None = None
    ticket_id: Id | None = None
    actor: ShortText = ""


class _Payload(BaseModel):
    """``{"type": "ticket.created", "timestamp": "...", "data": {"ticket": {...}, "actor": "..."}}``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ShortText
    timestamp: AwareDatetime | None = None
    data: _Body = _Body()


@dataclass(frozen=True)
class StandardWebhooksHelpdesk:
    """A sender of Standard Webhooks, by its name in ``deskhand.toml``."""

    name: str
    settings: StandardWebhooksSettings
    calls: Calls
    clock: Clock

    def verify(self, request: Request, now: datetime) -> None:
        """Return when one of the secrets signed the request within 300 s of ``now``. Raises InputError."""
        verify_request("standard-webhooks", request, read_secrets(self.name, self.settings.secret_envs), now)

    def parse(self, request: Request) -> list[Event] | Reply:
        """Return the event of a payload; none for a type that is not ours.

        ``Event.raw`` is the ticket as JSON: ``ticket_of`` reads it again.

        Raises:
            InputError: The payload or its ticket is wrong; the message says where.
        """
        where = f"{self.name}: webhook"
        payload = _checked(_Payload, parse_json(decode(request.body, where), where), where)
        kind = KINDS.get(payload.type)
        if kind is None:
            _log.info("%s: a payload of type %r is not for us; it is taken and ignored", self.name, payload.type[:80])
            return []
        return [self._event(request, payload, kind, where)]

    def _event(self, request: Request, payload: _Payload, kind: EventKind, where: str) -> Event:
        body, ticket = payload.data, None
        if body.ticket is not None:
            ticket = parse_ticket(body.ticket, where).model_copy(update={"source": self.name})
        ticket_id = ticket.id if ticket else body.ticket_id
        if ticket_id is None or (ticket is None and self.settings.ticket_url is None):
            raise InputError(f"{where}: there is no ticket in it; send data.ticket, or configure ticket_url")
        event = {
            "source": self.name,
            "delivery_id": read_header(request, "webhook-id") or read_header(request, "svix-id") or "",
            "ticket_id": ticket_id,
            "kind": kind,
            "actor": body.actor,
            "at": payload.timestamp or self.clock.now(),
            "raw": self._raw(ticket, where),
        }
        return _checked(Event, event, where)

    def _raw(self, ticket: Ticket | None, where: str) -> str:
        raw = ticket.model_dump_json() if ticket else ""
        if len(raw) <= MAX_MESSAGE_CHARS:
            return raw
        if self.settings.ticket_url is None:
            raise InputError(
                f"{where}: the ticket has {len(raw):,} characters, the limit is {MAX_MESSAGE_CHARS:,};"
                " send less of the thread, or configure ticket_url"
            )
        return ""

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return the ticket from ``ticket_url``.

        Raises:
            InputError: It is not there, or no ``ticket_url`` is configured: then the last payload is all there is.
            ConfigError: The token is refused.
            Unavailable: No answer.
        """
        if self.settings.ticket_url is None:
            raise InputError(f"{self.name}: no ticket_url is configured; the ticket is the one in the last webhook")
        url = self.settings.ticket_url.replace("{id}", quote(ticket_id, safe=""))
        headers = {"Accept": "application/json"}
        if self.settings.ticket_token_env:
            headers["Authorization"] = f"Bearer {read_secret(self.name, self.settings.ticket_token_env)}"
        answer = await self.calls.send("GET", url, headers=headers, where=f"{self.name}: ticket {ticket_id}")
        ticket = parse_ticket(answer.check().json(), answer.where)
        if ticket.id != ticket_id:
            raise InputError(f"{answer.where}: the answer is ticket {ticket.id!r}; correct ticket_url")
        return ticket.model_copy(update={"source": self.name})

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Send the action to ``reply_url``, signed, with its key as ``webhook-id`` and ``Idempotency-Key``.

        The receiver must do each key once; 208 says that it was done before. ``ref`` is ``ref`` in its answer.

        Raises:
            InputError: No ``reply_url`` is configured, or the receiver refuses the action: it was not done.
            Unavailable: Whether it was done is for the receiver to know: sending it again is safe.
        """
        url, secret_env = self.settings.reply_url, self.settings.reply_secret_env
        if url is None or secret_env is None:
            raise ConfigError(f"{self.name}: no reply_url is configured, so nothing can be written back; set it")
        now = self.clock.now()
        said = {"ticket_id": ticket_id, "action": action.model_dump(mode="json")}
        payload = {"type": f"action.{action.name}", "timestamp": now.isoformat(), "data": said}
        body = canonical_json(payload).encode()
        headers = sign_webhook(read_secret(self.name, secret_env), action.key, now, body)
        headers |= {"Idempotency-Key": action.key, "Content-Type": "application/json"}
        answer = await self.calls.send("POST", url, headers=headers, body=body, where=f"{self.name}: {action.name}")
        status = ReceiptStatus.already if answer.check().status == _ALREADY_REPORTED else ReceiptStatus.done
        return Receipt(action_id=action.id, status=status, ref=_ref(answer.body))

    async def check(self) -> str:
        """Return which secrets are there and can sign; nobody is called. Raises ConfigError."""
        secrets = read_secrets(self.name, self.settings.secret_envs)
        named = [name for name in (self.settings.reply_secret_env, self.settings.ticket_token_env) if name]
        others = {name: read_secret(self.name, name) for name in named}
        signing = [*secrets, *(secret for name, secret in others.items() if name == self.settings.reply_secret_env)]
        for secret in signing:
            sign_webhook(secret, "check", self.clock.now(), b"")
        back = "" if self.settings.reply_url else "; no reply_url: nothing is written back"
        return f"{len(secrets)} secrets for webhooks{back}"

    async def poll(self, cursor: str) -> Page:
        """Return nothing: a sender of webhooks cannot be asked. It repeats what was not answered with 2xx."""
        return Page((), cursor)


def _checked(model: type[M], value: object, where: str) -> M:
    """Return ``value`` as a ``model``, without a way through JSON: a sender waits. Raises InputError."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise InputError(f"{where}: {first_problem(exc)}") from exc


def ticket_of(event: Event) -> Ticket | None:
    """Return the ticket that came with an event, or None when there was none."""
    return Ticket.model_validate_json(event.raw) if event.raw else None


def _ref(body: bytes) -> str:
    """Return ``ref`` of an answer; an action that was done stays done, whatever its answer looks like."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return fit_line(answer.get("ref") or "", 200) if isinstance(answer, dict) else ""
