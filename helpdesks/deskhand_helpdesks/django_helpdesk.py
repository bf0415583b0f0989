"""django-helpdesk: webhooks with a secret in the path, its REST API, and a poll for what its webhooks lose."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from deskhand.actions import Action, Receipt, ReceiptStatus
from deskhand.clock import Clock
from deskhand.errors import InputError, Unavailable
from deskhand.helpdesk_settings import DjangoHelpdeskSettings
from deskhand.interfaces import Page, Reply, Request
from deskhand.jsonio import canonical_json, decode, parse_json, validate
from deskhand.tickets import Event, Priority, Ticket
from deskhand_helpdesks.calls import Answer, Calls, NoAnswer
from deskhand_helpdesks.credentials import read_secret, read_secrets
from deskhand_helpdesks.django_payloads import (
    PRIORITIES,
    FollowUpRow,
    Reader,
    TicketRow,
    WebhookRow,
    split_tags,
)
from deskhand_helpdesks.paging import PAGE_SIZE, Listing, Row, read_newer
from deskhand_helpdesks.signatures import verify_request
from deskhand_helpdesks.texts import marker_of

OVERLAP = 20
"""A poll looks this many ids back: a row that was committed late is not missed. Its delivery id makes it known."""

_NO_SUCH_ACTION = "django-helpdesk has no way to do it; do it by hand, or give the agent a tool of your own"
_MAYBE_DONE = (502, 504)  # from a proxy: what is behind it may still be at work
_log = logging.getLogger(__name__)
R = TypeVar("R", bound=BaseModel)


class _Cursor(NamedTuple):
    """The highest ids seen."""

    ticket_id: int
    followup_id: int


@dataclass(frozen=True)
class DjangoHelpdesk:
    """A django-helpdesk, by its name in ``deskhand.toml``."""

    name: str
    settings: DjangoHelpdeskSettings
    calls: Calls
    clock: Clock

    @property
    def _reader(self) -> Reader:
        return Reader(self.name, self.settings)

    def verify(self, request: Request, now: datetime) -> None:
        """Return when the last part of the path is one of the secrets. Raises InputError."""
        verify_request("django-helpdesk", request, read_secrets(self.name, self.settings.secret_envs), now)

    def parse(self, request: Request) -> list[Event] | Reply:
        """Return the one event of a webhook. Raises InputError when it is not one of a django-helpdesk."""
        where = f"{self.name}: webhook"
        row = validate(WebhookRow, parse_json(decode(request.body, where), where), where)
        now, ticket, opening = self.clock.now(), row.ticket, row.ticket.opening()
        if row.followup_id is None or (opening and opening.id == row.followup_id):
            return [self._reader.created(ticket, now)]
        found = next((one for one in ticket.followup_set if one.id == row.followup_id), None)
        if found is None:
            raise InputError(f"{where}: follow-up {row.followup_id} is not in followup_set; send the whole ticket")
        return [self._reader.followed_up(found, ticket.id, ticket.submitter_email, now)]

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return the ticket as it is now.

        Raises:
            InputError: It was deleted, or the token's user may not see its queue.
            ConfigError: The token is refused.
            Unavailable: No answer.
        """
        return self._reader.ticket(await self._row(ticket_id), self.clock.now())

    async def _row(self, ticket_id: str) -> TicketRow:
        return _read(TicketRow, await self._send("GET", f"tickets/{_number(self.name, ticket_id)}/"))

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        headers = {
            "Authorization": f"Token {read_secret(self.name, self.settings.token_env)}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        url = f"{self.settings.base_url.rstrip('/')}/api/{path}"
        raw = canonical_json(body).encode() if body is not None else None
        where = f"{self.name}: {method} {path.partition('?')[0]}"
        return await self.calls.send(method, url, headers=headers, body=raw, where=where)

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Do what ``action`` says: ``reply``, ``note``, ``add_tag``, ``set_priority`` or ``close_ticket``.

        A follow-up carries a mark made from the key, which is looked for before it is posted, and again when the
        post failed; ``ref`` is the delivery id under which it comes back as an event. Of the other changes
        django-helpdesk tells nobody: they have no ``ref``.

        Raises:
            InputError: It was not done, and trying again does not help.
            Unavailable: It was not done, or it may be repeated safely.
        """
        if action.name in ("reply", "note"):
            return await self._follow_up(action, ticket_id, is_public=action.name == "reply")
        row = await self._row(ticket_id)
        change = self._change(action, row)
        if not change:
            return Receipt(action_id=action.id, status=ReceiptStatus.already)
        (await self._send("PATCH", f"tickets/{row.id}/", change)).check()
        return Receipt(action_id=action.id, status=ReceiptStatus.done)

    def _change(self, action: Action, row: TicketRow) -> dict[str, Any]:
        """Return the fields to set; none when they are so already."""
        if action.name == "close_ticket":
            wanted: dict[str, Any] = {"status": self.settings.closed_status}
        elif action.name == "set_priority":
            wanted = {"priority": PRIORITIES[_priority(action)]}
        elif action.name == "add_tag":
            wanted = self._tags(str(action.args.get("tag", "")), row)
        else:
            raise InputError(f"{self.name}: {action.name}: {_NO_SUCH_ACTION}")
        now = {"status": row.status, "priority": row.priority}
        return {key: value for key, value in wanted.items() if now.get(key) != value}

    def _tags(self, tag: str, row: TicketRow) -> dict[str, Any]:
        field = f"custom_{self.settings.tag_field}"
        if field not in (row.model_extra or {}):
            raise InputError(
                f"{self.name}: the helpdesk has no custom field {self.settings.tag_field!r} for tags;"
                " add one of type text in its admin"
            )
        tags = split_tags(row.custom(self.settings.tag_field))
        return {} if tag in tags else {field: ", ".join([*tags, tag])}

    async def _follow_up(self, action: Action, ticket_id: str, *, is_public: bool) -> Receipt:
        marker = marker_of(action.key)
        there = _find(await self._row(ticket_id), marker)
        if there is not None:
            return _receipt(action, ReceiptStatus.already, there.id)
        comment = _escape(f"{action.args.get('text', '')}\n\n{marker}")
        # no title: a follow-up's title overwrites the ticket's
        body = {"ticket": _number(self.name, ticket_id), "comment": comment, "public": is_public}
        try:
            answer = await self._send("POST", "followups/", body)
        except NoAnswer as exc:
            return await self._look_again(action, ticket_id, str(exc), is_over=False)
        if answer.status < 500:
            return _receipt(action, ReceiptStatus.done, _id_of(answer.check()))
        is_over = answer.status not in _MAYBE_DONE
        return await self._look_again(action, ticket_id, f"it answered {answer.status}", is_over=is_over)

    async def _look_again(self, action: Action, ticket_id: str, why: str, *, is_over: bool) -> Receipt:
        """Return what became of a post that failed: it answers 500 when only the webhook's listener was down."""
        try:
            there = _find(await self._row(ticket_id), marker_of(action.key))
        except Unavailable as exc:
            return _uncertain(action, f"{why}, and then: {exc}")
        if there is not None:
            return _receipt(action, ReceiptStatus.done, there.id, f"{why}, but the follow-up is there")
        if is_over:
            raise Unavailable(f"{self.name}: {why}, and the follow-up is not there; try again later")
        return _uncertain(action, f"{why}, and the follow-up is not there yet")

    async def poll(self, cursor: str) -> Page:
        """Return events of the tickets and follow-ups after ``cursor``, and of the ``OVERLAP`` ids before it.

        At most 1,000 rows of each kind in one poll; the next one goes on. Tickets that are done are left out.

        Raises:
            InputError: The cursor is not one of ours.
            ConfigError: The token is refused.
            Unavailable: No answer.
        """
        since, now = _parse_cursor(self.name, cursor), self.clock.now()
        tickets = [_row(TicketRow, row, self.name) for row in await self._newer("tickets", since.ticket_id)]
        rows = [_row(FollowUpRow, row, self.name) for row in await self._newer("followups", since.followup_id)]
        openings = {opening.id for ticket in tickets if (opening := ticket.opening())}
        events = [
            self._reader.created(ticket, now) for ticket in tickets if ticket.status not in self.settings.done_statuses
        ]
        events += [
            self._reader.followed_up(row, row.ticket, None, now)
            for row in rows
            if row.ticket is not None and row.id not in openings
        ]
        last = _Cursor(
            max([since.ticket_id, *(ticket.id for ticket in tickets)]),
            max([since.followup_id, *(row.id for row in rows)]),
        )
        return Page(tuple(events), f"{last.ticket_id}:{last.followup_id}")

    async def check(self) -> str:
        """Return that the API takes the token. Raises ConfigError, InputError or Unavailable as ``fetch`` does."""
        n_secrets = len(read_secrets(self.name, self.settings.secret_envs))
        listing = _read(Listing, await self._send("GET", "tickets/?page=1&page_size=1"))
        return f"{self.settings.base_url} takes the token; {listing.count} tickets, {n_secrets} secrets for webhooks"

    async def _newer(self, what: str, since: int) -> list[Row]:
        async def list_page(page: str) -> Listing | None:
            answer = await self._send("GET", f"{what}/?page={page}&page_size={PAGE_SIZE}")
            if answer.status == 404 and page != "last":  # a page that is no longer there
                return None
            return _read(Listing, answer)

        return await read_newer(list_page, since - OVERLAP)


def _read(model: type[R], answer: Answer) -> R:
    return validate(model, answer.check().json(), answer.where)


def _row(model: type[R], row: Row, name: str) -> R:
    return validate(model, row.model_dump(), f"{name}: row {row.id}")


def _id_of(answer: Answer) -> int | None:
    """Return the new follow-up's id; what was done stays done, whatever the answer looks like."""
    try:
        return _read(FollowUpRow, answer).id
    except InputError as exc:
        _log.warning("%s; the follow-up was made, its id is not known", exc)
        return None


def _find(row: TicketRow, marker: str) -> FollowUpRow | None:
    """Return our own follow-up; a customer's mail that quotes it has no user."""
    return next((one for one in row.followup_set if one.user is not None and marker in one.text), None)


def _receipt(action: Action, status: ReceiptStatus, followup_id: int | None, detail: str = "") -> Receipt:
    ref = f"followup-{followup_id}" if followup_id is not None else ""
    return Receipt(action_id=action.id, status=status, ref=ref, detail=detail)


def _uncertain(action: Action, why: str) -> Receipt:
    detail = f"{why}; look at the ticket, and do by hand what is missing"
    return Receipt(action_id=action.id, status=ReceiptStatus.uncertain, detail=detail)


def _escape(text: str) -> str:
    """Return ``text`` so that it comes out as it is: django-helpdesk renders comments as Django templates."""
    return re.sub(r"[{}]", lambda brace: f"{{{{ '{brace[0]}' }}}}", text)


def _priority(action: Action) -> Priority:
    try:
        return Priority(str(action.args.get("priority")))
    except ValueError as exc:
        known = ", ".join(Priority)
        raise InputError(f"{action.name}: no such priority; it is one of {known}") from exc


def _number(name: str, ticket_id: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", ticket_id):
        raise InputError(f"{name}: a ticket's id is a number, not {ticket_id[:40]!r}; check the id")
    return int(ticket_id)


def _parse_cursor(name: str, cursor: str) -> _Cursor:
    if not cursor:
        return _Cursor(0, 0)
    if not re.fullmatch(r"[0-9]{1,18}:[0-9]{1,18}", cursor):
        raise InputError(f"{name}: cursor {cursor[:40]!r} is not one of a django-helpdesk; begin with an empty one")
    ticket_id, _, followup_id = cursor.partition(":")
    return _Cursor(int(ticket_id), int(followup_id))
