"""The service of ``chaos.py``: the real engine behind a small HTTP intake, with a graph that needs no model.

It is killed again and again; whatever it has answered with 200 must not be lost.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from deskhand.actions import Action, Decision, Receipt, ReceiptStatus
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError, Unavailable
from deskhand.interfaces import Page, Reply, Request
from deskhand.tickets import Event, Ticket
from deskhand_graphs import Workspace
from deskhand_runs import Engine, Pace, open_engine

TIMEOUT_S = 0.6
PACE = Pace(poll_s=0.05, tick_s=1.0, first_retry_s=0.2, longest_retry_s=2.0)


@dataclass
class Desk:
    """The connector to the double: it looks for its marker before it writes."""

    base: str
    session: aiohttp.ClientSession

    def verify(self, request: Request, now: Any) -> None:
        """Accept everything; the intake of this benchmark is not what is tested."""

    def parse(self, request: Request) -> list[Event] | Reply:
        """Return the event in the body."""
        return [Event.model_validate_json(request.body)]

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return a ticket. Raises InputError when there is none, Unavailable when asked in vain."""
        return Ticket.model_validate(await self._call("GET", f"/tickets/{ticket_id}"))

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Post a reply, unless it is there. Raises Unavailable when nobody knows."""
        path = f"/tickets/{ticket_id}/replies"
        if (await self._call("GET", path, params={"key": action.key}))["found"]:
            return Receipt(action_id=action.id, status=ReceiptStatus.already)
        posted = await self._call("POST", path, json={"key": action.key, "text": str(action.args["text"])})
        return Receipt(action_id=action.id, status=ReceiptStatus.done, ref=str(posted["ref"]))

    async def poll(self, cursor: str) -> Page:
        """Return nothing; the deliveries are what is tested."""
        return Page((), cursor)

    async def _call(self, method: str, path: str, **given: Any) -> Any:
        try:
            async with self.session.request(method, self.base + path, **given) as answer:
                if answer.status == 404:
                    raise InputError(f"{path}: no such ticket")
                if answer.status != 200:
                    after = float(answer.headers.get("Retry-After", 0)) or None
                    raise Unavailable(f"{path}: status {answer.status}; try again later", retry_after_s=after)
                return await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise Unavailable(f"{path}: {type(exc).__name__}; try again later") from exc


@dataclass
class Intake:
    """Answers 200 only for what is stored."""

    engine: Engine

    async def deliver(self, request: web.Request) -> web.Response:
        """Take in a delivery."""
        event = Event.model_validate_json(await request.read())
        try:
            accepted = await self.engine.accept(event)
        except StoreError as exc:
            return web.Response(status=503, text=str(exc))
        return web.json_response({"seq": accepted.seq, "is_new": accepted.is_new})

    async def decide(self, request: web.Request) -> web.Response:
        """Take in a decision."""
        decision = Decision.model_validate_json(await request.read())
        try:
            await self.engine.decide(request.match_info["run"], decision)
        except InputError as exc:
            return web.Response(status=409, text=str(exc))
        except StoreError as exc:
            return web.Response(status=503, text=str(exc))
        return web.json_response({})


async def serve(folder: Path, port: int, desk_port: int) -> None:
    """Serve until killed."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with Workspace.open(WorkspaceFolder(folder)) as workspace:
            desk = Desk(f"http://127.0.0.1:{desk_port}", session)
            workspace.helpdesk = lambda source: desk  # type: ignore[method-assign] # the double is no configured one
            async with open_engine(workspace, pace=PACE) as engine:
                intake = Intake(engine)
                app = web.Application()
                app.router.add_post("/deliveries", intake.deliver)
                app.router.add_post("/runs/{run}/decisions", intake.decide)
                runner = web.AppRunner(app, access_log=None)
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
                await asyncio.Event().wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--desk-port", type=int, required=True)
    args = parser.parse_args()
    asyncio.run(serve(args.workspace, args.port, args.desk_port))


if __name__ == "__main__":
    main()
