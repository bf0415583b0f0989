"""The helpdesk of ``chaos.py``: it commits and then fails, answers late, says 429 and 412, and resets connections.

It has no idempotency of its own: a reply that is posted twice stands there twice. Only the look-up by key tells.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

CUSTOMER = {"id": "C-1", "name": "Ann Lee", "email": "ann@example.com", "is_verified": True}
REPLY_FAULTS = {"commit, then 503": 0.08, "commit, then late": 0.04, "commit, then reset": 0.08}
REPLY_FAULTS |= {"reset": 0.05, "429": 0.06, "412": 0.05, "503": 0.03}
READ_FAULTS = {"503": 0.02, "reset": 0.02}
LATE_S = 1.2
"""Longer than the client waits."""


@dataclass
class Double:
    """Tickets in memory, and a log of every reply that was committed, in its order."""

    log: Path
    chance: random.Random
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    replies: list[dict[str, str]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    victim: int | None = None
    n_killed: int = 0

    async def add_message(self, request: web.Request) -> web.Response:
        """A customer writes."""
        ticket = request.match_info["ticket"]
        body = await request.json()
        self._add(ticket, body["id"], "customer", body["text"])
        return web.json_response({})

    def _add(self, ticket: str, message_id: str, role: str, text: str) -> None:
        author = "Ann Lee" if role == "customer" else "deskhand"
        at = datetime.now(UTC).isoformat()
        message = {"id": message_id, "author": author, "role": role, "text": text, "at": at}
        self.messages.setdefault(ticket, []).append(message)

    async def read_ticket(self, request: web.Request) -> web.StreamResponse:
        """Return a ticket, or fail."""
        fault = self._draw(READ_FAULTS)
        if fault is not None:
            return self._fail(request, fault)
        ticket = request.match_info["ticket"]
        messages = self.messages.get(ticket)
        if messages is None:
            return web.json_response({}, status=404)
        body = {
            "id": ticket,
            "source": "double",
            "subject": f"Ticket {ticket}",
            "messages": messages,
            "requester": CUSTOMER,
            "created_at": messages[0]["at"],
            "updated_at": messages[-1]["at"],
        }
        return web.json_response(body)

    async def find_reply(self, request: web.Request) -> web.StreamResponse:
        """Return whether a reply with a key is there, or fail."""
        fault = self._draw(READ_FAULTS)
        if fault is not None:
            return self._fail(request, fault)
        key = request.query["key"]
        return web.json_response({"found": any(reply["key"] == key for reply in self.replies)})

    async def add_reply(self, request: web.Request) -> web.StreamResponse:
        """Take a reply, or fail before or after."""
        ticket, body = request.match_info["ticket"], await request.json()
        before = self.chance.random() < 0.5
        if before:
            self._kill()
        fault = self._draw(REPLY_FAULTS)
        if fault is not None and not fault.startswith("commit"):
            return self._fail(request, fault)
        self._commit(ticket, body)
        self._kill()
        if fault is None:
            return web.json_response({"ref": str(len(self.replies))})
        if fault == "commit, then late":
            await asyncio.sleep(LATE_S)
            return web.json_response({"ref": str(len(self.replies))})
        return self._fail(request, fault.removeprefix("commit, then "))

    def _commit(self, ticket: str, body: dict[str, str]) -> None:
        reply = {"ticket": ticket, "key": body["key"], "text": body["text"]}
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(reply) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.replies.append(reply)
        self._add(ticket, f"r{len(self.replies)}", "bot", body["text"])

    def _draw(self, faults: dict[str, float]) -> str | None:
        drawn, below = self.chance.random(), 0.0
        for fault, share in faults.items():
            below += share
            if drawn < below:
                self.faults[fault] += 1
                return fault
        return None

    def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault == "reset":
            assert request.transport is not None, "the request has just come"
            request.transport.abort()
            return web.Response()
        headers = {"Retry-After": "0.3"} if fault == "429" else {}
        return web.json_response({}, status=int(fault), headers=headers)

    def _kill(self) -> None:
        """Kill the service in the middle of its write, when the driver has asked for it."""
        if self.victim is not None:
            victim, self.victim = self.victim, None
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                self.n_killed += 1

    async def arm(self, request: web.Request) -> web.Response:
        """Kill this process at the next write; null takes it back."""
        self.victim = (await request.json())["pid"]
        return web.json_response({"n_killed": self.n_killed})

    async def report(self, request: web.Request) -> web.Response:
        """Return what was committed, and which faults there were."""
        return web.json_response({"replies": self.replies, "faults": self.faults, "n_killed": self.n_killed})


async def serve(double: Double) -> None:
    """Serve until killed, and print the port."""
    app = web.Application()
    app.router.add_post("/tickets/{ticket}/messages", double.add_message)
    app.router.add_get("/tickets/{ticket}", double.read_ticket)
    app.router.add_get("/tickets/{ticket}/replies", double.find_reply)
    app.router.add_post("/tickets/{ticket}/replies", double.add_reply)
    app.router.add_post("/arm", double.arm)
    app.router.add_get("/report", double.report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    asyncio.run(serve(Double(args.log, random.Random(args.seed))))


if __name__ == "__main__":
    main()
