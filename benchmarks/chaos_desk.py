"""The django-helpdesk of ``chaos_django.py``: a process with its own database, its customers, and what it holds."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import aiohttp
from chaos_counts import Sent

SITE = Path(__file__).resolve().parents[1] / "tests" / "helpdesks" / "desk_site.py"
"""The small Django project around django-helpdesk that the tests use too."""


class Books(NamedTuple):
    """What stands in the helpdesk's own tables.

    Attributes:
        written: The message ids of the customers of each ticket, as our connector names them.
        replies: Ours, in the order of their ids.
        texts: What the customers wrote.
    """

    written: dict[str, list[str]]
    replies: list[Sent]
    texts: frozenset[str]


@dataclass(frozen=True)
class Desk:
    """A django-helpdesk at work. ``bot_id`` and ``token`` are those of the user that deskhand has there."""

    database: Path
    port: int
    bot_id: int
    token: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def write_mail(self, session: aiohttp.ClientSession, subject: str, text: str) -> int | None:
        """Have a customer's mail read in; return its ticket's number, None when the helpdesk failed."""
        raw = f"From: Eve <eve@customer.test>\r\nTo: support@desk.test\r\nSubject: {subject}\r\n\r\n{text}\r\n"
        try:
            async with session.post(f"{self.url}/mail", data=raw.encode()) as answer:
                return int(await answer.text()) if answer.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None

    def read(self) -> Books:
        """Return what it holds, read from its database and not through its API."""
        written: dict[str, list[str]] = defaultdict(list)
        replies, texts = [], set()
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            tickets = connection.execute("SELECT id, description FROM helpdesk_ticket ORDER BY id").fetchall()
            rows = connection.execute("SELECT id, ticket_id, user_id, comment FROM helpdesk_followup ORDER BY id")
            followups = rows.fetchall()
        for ticket_id, description in tickets:
            written[str(ticket_id)].append(f"ticket-{ticket_id}")
            texts.add(description.strip())
        openings = {ticket_id: min(row[0] for row in followups if row[1] == ticket_id) for ticket_id, _ in tickets}
        for number, ticket_id, user_id, comment in followups:
            if user_id == self.bot_id:
                replies.append(Sent(str(ticket_id), int(re.match(r"\d+", comment or "0")[0])))  # type: ignore[index] # each of our replies begins with a number
            elif number != openings[ticket_id]:  # which repeats the ticket's description
                written[str(ticket_id)].append(f"followup-{number}")
                texts.add((comment or "").strip())
        return Books(dict(written), replies, frozenset(texts))


@contextmanager
def run_desk(folder: Path, hook: str, log: IO[bytes]) -> Iterator[Desk]:
    """Yield a new django-helpdesk in ``folder`` that sends its webhooks to ``hook``; it ends with the block."""
    folder.mkdir()
    environment = {**os.environ, "DESK_FOLDER": str(folder)}
    environment |= {"HELPDESK_NEW_TICKET_WEBHOOK_URLS": hook, "HELPDESK_FOLLOWUP_WEBHOOK_URLS": hook}
    command = [sys.executable, str(SITE)]
    made = subprocess.run([*command, "migrate"], env=environment, check=True, stdout=subprocess.PIPE, stderr=log)
    bot = json.loads(made.stdout.splitlines()[-1])["users"]["bot"]
    with subprocess.Popen([*command, "serve"], env=environment, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None, "it is a pipe"
            port = json.loads(process.stdout.readline())["port"]
            yield Desk(folder / "desk.sqlite3", port, bot["id"], bot["token"])
        finally:
            process.terminate()
