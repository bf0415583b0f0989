"""``POST /webhooks/{source}``: verified over the raw bytes, stored, and only then acknowledged."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from deskhand.errors import ConfigError, InputError, StoreError
from deskhand.interfaces import Reply
from deskhand.interfaces import Request as HelpdeskRequest
from deskhand.tickets import Event, Ticket
from deskhand_helpdesks.standard_webhooks import ticket_of
from deskhand_server.bodies import Refused, read_body
from deskhand_server.desk import Desk, desk_of
from deskhand_server.shell import RETRY_AFTER_S

if TYPE_CHECKING:
    from deskhand.interfaces import Helpdesk

router = APIRouter()
_log = logging.getLogger(__name__)

_SMALL_BYTES = 65_536
"""Bodies up to here are read in the event loop; it takes less time than a change of threads."""

_ONCE = re.compile(r"signature|timestamp|secret|token|authorization|api-?key|webhook|svix|delivery|content-type")
"""Headers that must not be there twice: a proxy and a helpdesk might each believe another one."""

_UNKNOWN = "unknown"
_WHY_CHARS = 160


class Taken(NamedTuple):
    """What came of a delivery: how many events were in it, and how many of them were new."""

    n_events: int
    n_new: int


@router.post("/webhooks/{source}")
async def receive(request: Request, source: str) -> Response:
    """Take a delivery in."""
    return await _receive(request, source)


@router.post("/webhooks/{source}/{secret}")
async def receive_with_secret(request: Request, source: str, secret: str) -> Response:
    """Take a delivery in whose sender cannot sign and has a secret in its URL; the helpdesk compares it."""
    return await _receive(request, source)


async def _receive(request: Request, source: str) -> Response:
    desk = desk_of(request)
    began = time.perf_counter()
    label = source if desk.knows(source) else _UNKNOWN
    try:
        taken = await _take(desk, request, source)
    except Refused as exc:
        desk.metrics.deliveries.labels(label, exc.code).inc()
        _log_refusal(label, exc)
        return _refusal(exc)
    if isinstance(taken, Reply):
        desk.metrics.deliveries.labels(label, "challenge").inc()
        return Response(taken.body, taken.status, media_type=taken.content_type)
    outcome = "accepted" if taken.n_new else "repeated"
    desk.metrics.deliveries.labels(label, outcome).inc()
    desk.metrics.ack_seconds.labels(label).observe(time.perf_counter() - began)
    return JSONResponse({"events": taken.n_events, "new": taken.n_new}, 202 if taken.n_new else 200)


async def _take(desk: Desk, request: Request, source: str) -> Taken | Reply:
    """Take one delivery in. Raises Refused with the answer."""
    if not desk.knows(source):
        raise Refused(404, "unknown_source", "no helpdesk of this name; see [helpdesks] in deskhand.toml")
    if desk.is_draining:
        raise Refused(503, "stopping", "the server stops; send it again")
    body = await read_body(request, desk.settings.max_body_bytes)
    sent = HelpdeskRequest(request.method, public_url(desk, request), _headers(request), body)
    helpdesk = _helpdesk(desk, source)
    if len(body) <= _SMALL_BYTES:
        found = _understand(desk, helpdesk, sent)
    else:
        found = await asyncio.to_thread(_understand, desk, helpdesk, sent)
    return found if isinstance(found, Reply) else await _store(desk, found)


def public_url(desk: Desk, request: Request) -> str:
    """Return the URL as its sender wrote it: the configured address, then the path and query as they came."""
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw_path.partition(b"?")[0].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{desk.settings.public_url.rstrip('/')}{path}{f'?{query}' if query else ''}"


def _headers(request: Request) -> Mapping[str, str]:
    """Return the headers by their names in lower case; what is there more than once is joined by commas.

    Raises:
        Refused: One that counts is there twice.
    """
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        if name in found and _ONCE.search(name):
            raise Refused(403, "repeated_header", f"the header {name!r} is there twice; send it once")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _helpdesk(desk: Desk, source: str) -> Helpdesk:
    try:
        return desk.workspace.helpdesk(source)
    except (ConfigError, StoreError) as exc:
        raise Refused(503, "misconfigured", str(exc)) from exc


def _understand(desk: Desk, helpdesk: Helpdesk, sent: HelpdeskRequest) -> list[Event] | Reply:
    """Return the events in a request that is genuine."""
    try:
        helpdesk.verify(sent, desk.clock.now())
    except ConfigError as exc:  # a secret of ours is missing: the sender may be right
        raise Refused(503, "misconfigured", str(exc)) from exc
    except InputError as exc:
        raise Refused(403, "forged", str(exc)) from exc
    except Exception as exc:  # the edge to a connector
        raise Refused(503, "verifier_failed", type(exc).__name__) from exc
    try:
        return helpdesk.parse(sent)
    except (InputError, ValueError, RecursionError) as exc:
        raise Refused(400, "unparsable", str(exc)) from exc
    except Exception as exc:  # genuine, and we cannot read it: it must come again when we can
        raise Refused(503, "parser_failed", type(exc).__name__) from exc


async def _store(desk: Desk, events: list[Event]) -> Taken:
    n_new = 0
    for event in events:
        try:
            accepted = await desk.engine.accept(event, carried_ticket(desk, event))
        except Exception as exc:  # the edge to the store: whatever it was, the delivery is not safe yet
            why = str(exc) if isinstance(exc, StoreError) else type(exc).__name__
            desk.refused_at = desk.clock.now()
            raise Refused(503, "not_stored", why) from exc
        n_new += accepted.is_new
        desk.refused_at = None
    return Taken(len(events), n_new)


def carried_ticket(desk: Desk, event: Event) -> Ticket | None:
    """Return the ticket that came with an event, for the helpdesks that send all of it; None for the others."""
    settings = desk.workspace.folder.config.helpdesks.get(event.source)
    return ticket_of(event) if settings is not None and settings.kind == "standard-webhooks" else None


def _refusal(exc: Refused) -> Response:
    """Return the answer. Who is not known to be genuine learns only that it was refused."""
    why = "not verified" if exc.status == 403 else exc.code if exc.status == 503 else str(exc)
    headers = {"retry-after": str(RETRY_AFTER_S)} if exc.status == 503 else {}
    if exc.status in (408, 413):
        headers["connection"] = "close"
    return JSONResponse({"error": exc.code, "detail": why}, exc.status, headers=headers)


def _log_refusal(label: str, exc: Refused) -> None:
    """Write one line, without any word of a customer: what a parser says may quote the body."""
    why = type(exc.__cause__).__name__ if exc.code == "unparsable" else str(exc)
    plain = "".join(char if char.isprintable() else "?" for char in why)[:_WHY_CHARS]
    level = logging.ERROR if exc.status == 503 else logging.WARNING
    _log.log(level, "webhook refused: source=%s status=%d reason=%s (%s)", label, exc.status, exc.code, plain)
