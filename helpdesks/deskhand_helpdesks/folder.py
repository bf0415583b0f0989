"""A helpdesk made of two folders: tickets come in as files, and actions go out as files."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from deskhand.actions import Action, Receipt, ReceiptStatus
from deskhand.errors import ConfigError, InputError, StoreError
from deskhand.interfaces import Page, Reply, Request
from deskhand.jsonio import canonical_json, content_hash
from deskhand.tickets import Event, EventKind, Ticket
from deskhand_helpdesks.files import LoadedTicket, load_tickets

SOURCE = "file"
"""The ``source`` of tickets and events of the workspace's own folder, which needs no configuration."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
# A poll looks back this far: files of one tick of the clock, or from a copy that took long, are not missed. Their
# events repeat, and are known by their delivery id.
_OVERLAP_NS = 2_000_000_000
_log = logging.getLogger(__name__)


class _Found(NamedTuple):
    changed_ns: int
    path: Path


@dataclass(frozen=True)
class FolderHelpdesk:
    """Reads tickets from ``incoming`` (``*.json``) and writes each action to ``outgoing`` as ``<key>.json``.

    An outgoing file ``{"ticket_id", "action"}`` appears whole or not at all, and is never written twice: its name
    is the marker. Something of yours takes the files from there. ``source`` is the name in ``deskhand.toml``.
    """

    incoming: Path
    outgoing: Path
    source: str = SOURCE
    watch_every_s: float = 5.0

    def verify(self, request: Request, now: datetime) -> None:
        """Raise InputError: a folder receives no requests."""
        raise self._no_webhook()

    def parse(self, request: Request) -> list[Event] | Reply:
        """Raise InputError: a folder receives no requests."""
        raise self._no_webhook()

    def _no_webhook(self) -> InputError:
        return InputError(f"a folder has no webhook; put tickets into {self.incoming} and run 'deskhand run' on it")

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return the ticket as its file is now: ``<id>.json``, or the file that holds this id.

        Raises:
            InputError: No file holds it, or the one named after it is no ticket.
        """
        ticket = await asyncio.to_thread(self._find, ticket_id)
        return ticket if self.source == SOURCE else ticket.model_copy(update={"source": self.source})

    def _find(self, ticket_id: str) -> Ticket:
        own = self.incoming / f"{ticket_id}.json"
        if _FILE_NAME.fullmatch(ticket_id) and own.is_file():
            for entry in load_tickets(own):
                if entry.error is not None:
                    raise entry.error
                if entry.ticket is not None and entry.ticket.id == ticket_id:
                    return entry.ticket
        for entry in load_tickets(self.incoming):
            if entry.ticket is not None and entry.ticket.id == ticket_id:
                return entry.ticket
        raise InputError(f"{self.incoming}: no ticket {ticket_id!r} in it; check the id")

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Write the action out, once for each key; ``ref`` is the name of its file.

        Raises:
            InputError: The key cannot be the name of a file.
            StoreError: The folder cannot be written; trying again is safe.
        """
        return await asyncio.to_thread(self._apply, action, ticket_id)

    def _apply(self, action: Action, ticket_id: str) -> Receipt:
        if not _FILE_NAME.fullmatch(action.key):
            raise InputError(f"action {action.id}: the key {action.key!r} cannot be a file name; propose it again")
        path = self.outgoing / f"{action.key}.json"
        text = canonical_json({"ticket_id": ticket_id, "action": action.model_dump(mode="json")})
        is_new = _write_once(path, f"{text}\n".encode())
        status = ReceiptStatus.done if is_new else ReceiptStatus.already
        return Receipt(action_id=action.id, status=status, ref=path.name)

    async def poll(self, cursor: str) -> Page:
        """Return a ``created`` event for every ticket whose file is new or changed since ``cursor``.

        The events of the last two seconds before the cursor come again, with the same delivery id. A file that
        is no ticket is logged and left out.

        Raises:
            InputError: The cursor is not one of a folder, or ``incoming`` cannot be read.
        """
        return await asyncio.to_thread(self._poll, cursor)

    def _poll(self, cursor: str) -> Page:
        if not re.fullmatch(r"\d{0,20}", cursor):
            raise InputError(f"cursor {cursor!r}: not one of a folder; begin again with an empty one")
        since = int(cursor or 0)
        found = sorted(file for file in self._files() if file.changed_ns > since - _OVERLAP_NS)
        entries = [entry for file in found for entry in load_tickets(file.path)]
        events = tuple(event for entry in entries if (event := _event(entry, self.source)) is not None)
        return Page(events, str(max([since, *(file.changed_ns for file in found)])))

    async def check(self) -> str:
        """Return that both folders can be used. Raises ConfigError."""
        return await asyncio.to_thread(self._check)

    def _check(self) -> str:
        if not os.access(self.incoming, os.R_OK | os.X_OK):
            raise ConfigError(f"{self.incoming}: no folder that can be read; make it, or correct incoming")
        there = next(path for path in (self.outgoing, *self.outgoing.parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise ConfigError(f"{self.outgoing}: cannot be written; correct outgoing or the permissions of {there}")
        return f"{self.incoming} can be read, {self.outgoing} written"

    async def watch(self) -> AsyncGenerator[None, None]:
        """Yield when a file came or changed, at once for the first time: then ``poll``. It never ends by itself.

        Raises:
            InputError: ``incoming`` cannot be read.
        """
        seen: list[_Found] | None = None
        while True:
            found = sorted(await asyncio.to_thread(self._files))
            if found != seen:
                yield
            seen = found
            await asyncio.sleep(self.watch_every_s)

    def _files(self) -> list[_Found]:
        """Return the files by the time of their last change of any kind: moving a file in counts, unlike its mtime."""
        try:
            paths = [path for path in self.incoming.iterdir() if path.suffix == ".json" and path.name[0] != "."]
        except OSError as exc:
            raise InputError(f"{self.incoming}: cannot be read ({exc.strerror}); make the folder") from exc
        found = []
        for path in paths:
            with suppress(FileNotFoundError):  # taken away since it was listed
                found.append(_Found(path.stat().st_ctime_ns, path))
        return found


def _event(entry: LoadedTicket, source: str) -> Event | None:
    ticket = entry.ticket
    if ticket is None:
        # the error's text may quote the ticket; a log must not
        _log.warning("%s is not a ticket; run 'deskhand run --ticket' on it to see why", entry.where)
        return None
    return Event(
        source=source,
        delivery_id=content_hash(ticket.model_dump(mode="json")),
        ticket_id=ticket.id,
        kind=EventKind.created,
        actor=ticket.requester.id,
        at=ticket.updated_at,
    )


def _write_once(path: Path, raw: bytes) -> bool:
    """Write a file that appears whole or not at all; return False when it is there. Raises StoreError."""
    scratch = path.with_name(f".{path.stem[:64]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return False
        _write_synced(scratch, raw)
        try:
            os.link(scratch, path)  # unlike a rename, it fails when the name is taken
        except FileExistsError:
            return False
        _sync_folder(path.parent)
    except OSError as exc:
        raise StoreError(
            f"{path}: cannot be written ({exc.strerror}); check the folder's permissions and free space"
        ) from exc
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
    return True


def _write_synced(path: Path, raw: bytes) -> None:
    with path.open("xb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
