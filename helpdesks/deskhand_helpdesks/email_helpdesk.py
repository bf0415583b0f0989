"""A mailbox as a helpdesk: a thread of mails is a ticket, and a reply is threaded below it."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from deskhand.actions import Action, Receipt, ReceiptStatus
from deskhand.clock import Clock
from deskhand.errors import DeskhandError, InputError, Unavailable
from deskhand.helpdesk_settings import EmailSettings
from deskhand.interfaces import Page, Reply, Request, Unreadable
from deskhand.tickets import Event, EventKind, Ticket
from deskhand_helpdesks.calls import NoAnswer
from deskhand_helpdesks.mail_parse import Mail, parse_mail
from deskhand_helpdesks.mail_sending import build_reply, check_login, send_mail
from deskhand_helpdesks.mail_threads import (
    Kept,
    answers_search,
    is_own_id,
    last_of_customer,
    message_id_of,
    own_message_id,
    reply_subject,
    subject_token,
    thread_search,
    ticket_from,
)
from deskhand_helpdesks.mailbox import Mailbox, Stored, open_mailbox, quoted

OVERLAP = 20
"""A poll looks this many uids back; a mail that is seen again is known by its delivery id."""

MAX_MAILS = 200
"""Most mails of one poll; the next one goes on."""

MAX_THREAD = 50
"""Most mails of a thread that are read: the newest, and the first."""

_MAX_DEPTH = 10
_DRAFT, _DELETED = "\\Draft", "\\Deleted"
_BY_HAND = "ask the customer, or look into the mail server's log; then send it by hand if it is missing"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmailHelpdesk:
    """A mailbox, by its name in ``deskhand.toml``. ``root`` is the workspace's folder."""

    name: str
    settings: EmailSettings
    root: Path
    clock: Clock

    def verify(self, request: Request, now: datetime) -> None:
        """Raise InputError: a mailbox receives no requests."""
        raise self._no_webhook()

    def parse(self, request: Request) -> list[Event] | Reply:
        """Raise InputError: a mailbox receives no requests."""
        raise self._no_webhook()

    def _no_webhook(self) -> InputError:
        return InputError(f"{self.name}: a mailbox has no webhook; mail is fetched from it by 'deskhand serve'")

    def _open(self) -> AbstractAsyncContextManager[Mailbox]:
        return open_mailbox(self.name, self.settings, self.root)

    async def poll(self, cursor: str) -> Page:
        """Return an event for each mail after ``cursor``, and for the ``OVERLAP`` uids before it.

        Mail that no person wrote, and our own, is logged and left out; what cannot be read is told apart.

        Raises:
            InputError: The cursor is not one of a mailbox.
            ConfigError: The login is refused.
            Unavailable: No answer.
        """
        validity, last = _parse_cursor(self.name, cursor)
        async with self._open() as box:
            folder = await box.select(self.settings.mailbox)
            if folder.validity != validity:
                last = 0  # the server counts anew: everything is read again, and known by its delivery id
            found = await box.search(f"UID {max(1, last - OVERLAP + 1)}:*")
            uids = [uid for uid in found if uid > last - OVERLAP][:MAX_MAILS]
            events, unreadable = [], []
            for stored in await box.fetch_headers(uids):
                try:
                    kept = self._parse(stored)
                except InputError as exc:
                    unreadable.append(self._unreadable(folder.validity, stored, exc))
                    continue
                if self._is_for_us(kept):
                    events.append(await self._event(box, folder.validity, kept))
        return Page(tuple(events), f"{folder.validity}:{max([last, *uids])}", tuple(unreadable))

    def _parse(self, stored: Stored) -> Kept:
        mail = parse_mail(stored.raw, size=stored.size, trusted_authserv=self.settings.trusted_authserv)
        return Kept(mail, stored.uid, stored.at, stored.flags)

    def _unreadable(self, validity: int, stored: Stored, exc: InputError) -> Unreadable:
        """Return a mail by its place in the mailbox, which is all that is known of it."""
        place = f"uid-{validity}-{stored.uid}"
        event = Event(source=self.name, delivery_id=place, ticket_id=place, kind=EventKind.created, at=stored.at)
        why = f"mail {stored.uid} of {self.settings.mailbox}: {exc}"
        _log.warning("%s: %s", self.name, why)
        return Unreadable(event, why)

    def _read(self, stored: Stored) -> Kept | None:
        try:
            return self._parse(stored)
        except InputError as exc:
            _log.warning("%s: mail %d is left out: %s", self.name, stored.uid, exc)
            return None

    def _is_for_us(self, kept: Kept) -> bool:
        mail = kept.mail
        if mail.from_address == self.settings.address.lower() or is_own_id(mail.message_id, self.settings.address):
            return False
        if mail.is_automatic:
            _log.info("%s: mail %d is an automatic one; it gets no answer", self.name, kept.uid)
            return False
        return True

    async def _event(self, box: Mailbox, validity: int, kept: Kept) -> Event:
        own = message_id_of(kept, validity)
        ticket_id = await self._ticket_id(box, kept.mail) or own
        return Event(
            source=self.name,
            delivery_id=own,
            ticket_id=ticket_id,
            kind=EventKind.created if ticket_id == own else EventKind.message,
            actor=kept.mail.from_address,
            at=kept.at,
        )

    async def _ticket_id(self, box: Mailbox, mail: Mail, depth: int = 0) -> str | None:
        """Return the ticket that a mail goes on with, or None when it begins one.

        Only what is in the mailbox counts: a newsletter's id is the same for all who answer it.
        """
        for reference in mail.references:
            if is_own_id(reference, self.settings.address) or depth >= _MAX_DEPTH:
                continue
            uids = await box.search(f"UNDELETED HEADER MESSAGE-ID {quoted(f'<{reference}>')}")
            for kept in map(self._read, await box.fetch_headers(uids[:1])):
                if kept and kept.mail.message_id == reference != mail.message_id:
                    # a mail program that names only the last mail leads to the first one step by step
                    return await self._ticket_id(box, kept.mail, depth + 1) or message_id_of(kept, 0)
        token = subject_token(mail.subject)
        sent = [reference for reference in mail.references if is_own_id(reference, self.settings.address)]
        return await self._ticket_of_sent(box, [*sent, *([f"dh.{token}."] if token else [])])

    async def _ticket_of_sent(self, box: Mailbox, ids: Sequence[str]) -> str | None:
        if not ids:
            return None
        await box.select(self.settings.sent_mailbox, create=True)
        try:
            for one in ids:
                uids = await box.search(f"UNDELETED HEADER MESSAGE-ID {quoted(f'<{one}')}")
                for stored in await box.fetch_headers(uids[:1]):
                    kept = self._read(stored)
                    if kept and kept.mail.ticket_id:
                        return kept.mail.ticket_id
        finally:
            await box.select(self.settings.mailbox)
        return None

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return a thread as it is now, our replies and those of colleagues in the sent folder included.

        Raises:
            InputError: No mail of it is there any more.
            ConfigError: The login is refused.
            Unavailable: No answer.
        """
        async with self._open() as box:
            thread = await self._thread(box, ticket_id)
        return ticket_from(thread, ticket_id, self.name, self.settings)

    async def _thread(self, box: Mailbox, ticket_id: str) -> list[Kept]:
        await box.select(self.settings.sent_mailbox, create=True)
        sent = await self._mails(box, f"UNDELETED UNDRAFT {thread_search(ticket_id)}")
        folder = await box.select(self.settings.mailbox)
        own_uid = re.fullmatch(rf"uid-{folder.validity}-(\d+)", ticket_id)
        first = f"OR UID {own_uid[1]} {thread_search(ticket_id)}" if own_uid else thread_search(ticket_id)
        found = await self._with_answers(box, await self._mails(box, f"UNDELETED {first}"))
        received = [kept for kept in found if not kept.mail.is_automatic]
        if not received:
            raise InputError(f"{self.name}: no mail of ticket {ticket_id[:80]!r} in {self.settings.mailbox}; check it")
        return sorted([*received, *sent], key=lambda kept: (kept.at, kept.uid))

    async def _with_answers(self, box: Mailbox, found: list[Kept]) -> list[Kept]:
        """Return also the mails that name only another mail of the thread, not its first."""
        thread, newest = {kept.uid: kept for kept in found}, found
        for _ in range(_MAX_DEPTH):
            ids = [kept.mail.message_id for kept in newest[-_MAX_DEPTH:] if kept.mail.message_id]
            if not ids:
                break
            answers = await box.search(f"UNDELETED {answers_search(ids)}")
            newest = await self._fetch_mails(box, [uid for uid in answers if uid not in thread])
            thread |= {kept.uid: kept for kept in newest}
        return list(thread.values())

    async def _mails(self, box: Mailbox, criteria: str) -> list[Kept]:
        uids = await box.search(criteria)
        return await self._fetch_mails(box, [*uids[:1], *uids[1:][-(MAX_THREAD - 1) :]])

    async def _fetch_mails(self, box: Mailbox, chosen: Sequence[int]) -> list[Kept]:
        found = [await box.fetch_mail(uid, self.settings.max_read_bytes) for uid in chosen]
        kept = [self._read_whole(stored) for stored in found if stored is not None]
        return [one for one in kept if one is not None]

    def _read_whole(self, stored: Stored) -> Kept | None:
        """Return a mail; when its body cannot be read, its message says so, because somebody wrote it."""
        try:
            return self._parse(stored)
        except InputError as exc:
            head, blank_line, _ = stored.raw.partition(b"\r\n\r\n")
            kept = self._read(replace(stored, raw=head + blank_line))
            return kept and kept._replace(mail=replace(kept.mail, text=f"[{exc}]", attachments=()))

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Send a ``reply`` to whoever began the thread. ``ref`` is its Message-ID, which is made from the key.

        A copy is put into the sent folder first, as a draft; it stops being one when the server has taken the mail.
        A draft that is found there later means that nobody knows, and the receipt says ``uncertain``.

        Raises:
            InputError: It was not sent, and trying again does not help.
            Unavailable: It was not sent; try again.
        """
        if action.name != "reply":
            raise InputError(f"{self.name}: a mailbox has no way to {action.name}; do it by hand")
        message_id = own_message_id(ticket_id, action.key, self.settings.address)
        async with self._open() as box:
            await box.select(self.settings.sent_mailbox, create=True)
            before = await self._copy(box, message_id)
            if before is not None:
                return _of_copy(action, before, message_id)
            thread = await self._thread(box, ticket_id)
            message = self._compose(action, ticket_id, message_id, thread)
            await box.append(self.settings.sent_mailbox, message.as_bytes(), f"({_DRAFT} \\Seen)")
            await box.select(self.settings.sent_mailbox)
            copy = await self._copy(box, message_id)
            if copy is None:  # without the copy nobody could tell later that it was sent
                raise Unavailable(f"{self.name}: the copy in {self.settings.sent_mailbox} is not there; try again")
            return await self._send(box, action, message, copy)

    def _compose(self, action: Action, ticket_id: str, message_id: str, thread: Sequence[Kept]) -> EmailMessage:
        ticket = ticket_from(thread, ticket_id, self.name, self.settings)
        last = last_of_customer(thread, self.settings.address)
        return build_reply(
            self.settings,
            to=ticket.requester.email or "",
            subject=reply_subject(ticket.subject, ticket_id),
            text=str(action.args.get("text", "")),
            message_id=message_id,
            references=[*last.references, *([last.message_id] if last.message_id else [])],
            ticket_id=ticket_id,
            at=self.clock.now(),
        )

    async def _send(self, box: Mailbox, action: Action, message: EmailMessage, copy: Stored) -> Receipt:
        ref = str(message["Message-ID"]).strip("<>")
        try:
            await send_mail(self.name, self.settings, self.root, message)
        except NoAnswer as exc:
            return Receipt(action_id=action.id, status=ReceiptStatus.uncertain, ref=ref, detail=f"{exc}; {_BY_HAND}")
        except DeskhandError:  # certainly not sent
            await box.change_flags(copy.uid, f"+FLAGS ({_DELETED})")
            raise
        try:
            await box.change_flags(copy.uid, f"-FLAGS ({_DRAFT})")
        except Unavailable as exc:  # sent all the same: this receipt is the proof of it
            _log.warning("%s: the reply %s was sent, and its copy still looks like a draft: %s", self.name, ref, exc)
        return Receipt(action_id=action.id, status=ReceiptStatus.done, ref=ref)

    async def _copy(self, box: Mailbox, message_id: str) -> Stored | None:
        uids = await box.search(f"UNDELETED HEADER MESSAGE-ID {quoted(f'<{message_id}>')}")
        found = await box.fetch_headers(uids[-1:])
        return found[0] if found else None

    async def check(self) -> str:
        """Return that both servers take the login and the mailbox is there. Raises ConfigError or Unavailable."""
        async with self._open() as box:
            await box.select(self.settings.mailbox)
            push = "tells of news" if box.can_push else "is only polled: no IDLE"
        await check_login(self.name, self.settings, self.root)
        return f"{self.settings.imap_host} has {self.settings.mailbox} and {push}; {self.settings.smtp_host} takes mail"

    async def watch(self) -> AsyncGenerator[None, None]:
        """Yield when there may be new mail, at once for the first time: then ``poll``. It ends without IDLE.

        Raises:
            ConfigError: The login is refused.
            Unavailable: The connection is lost; watch again after a while, and poll meanwhile.
        """
        async with self._open() as box:
            await box.select(self.settings.mailbox)
            yield
            while box.can_push:
                await box.wait_for_mail()
                yield


def _of_copy(action: Action, copy: Stored, ref: str) -> Receipt:
    if _DRAFT not in copy.flags:
        return Receipt(action_id=action.id, status=ReceiptStatus.already, ref=ref)
    detail = f"begun, and cut off before the mail server answered; {_BY_HAND}"
    return Receipt(action_id=action.id, status=ReceiptStatus.uncertain, ref=ref, detail=detail)


class _Cursor(NamedTuple):
    validity: int
    uid: int


def _parse_cursor(name: str, cursor: str) -> _Cursor:
    if not cursor:
        return _Cursor(0, 0)
    if not re.fullmatch(r"[0-9]{1,10}:[0-9]{1,10}", cursor):
        raise InputError(f"{name}: cursor {cursor[:40]!r} is not one of a mailbox; begin with an empty one")
    validity, _, uid = cursor.partition(":")
    return _Cursor(int(validity), int(uid))
