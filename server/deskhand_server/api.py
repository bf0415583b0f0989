"""``/api/v1``: hand a ticket in, look at runs and deliveries, decide. What changes something needs an API key."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter, ValidationError

from deskhand.errors import ConfigError, DeskhandError, InputError, StoreError
from deskhand.jsonio import M, content_hash, decode, parse_json, validate
from deskhand.records import RunRecord, RunStatus
from deskhand.tickets import Event, EventKind, Id, Ticket
from deskhand_server.bodies import Refused, read_body
from deskhand_server.decisions import Wish
from deskhand_server.desk import Desk, desk_of
from deskhand_server.shell import refuse, unavailable

router = APIRouter(prefix="/api/v1")

_ID: TypeAdapter[str] = TypeAdapter(Id)
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/runs")
async def create(request: Request, graph: Annotated[str | None, Query(max_length=100)] = None) -> Response:
    """Take a ticket in and answer 202 when it is stored; the same ``Idempotency-Key`` again is answered with 200.

    Without that header the ticket's content is its key. ``graph`` names another graph than the workspace's default.
    """
    desk = desk_of(request)
    try:
        if desk.is_draining:
            raise Refused(503, "stopping", "the server stops; send it again")
        ticket = await _body(request, Ticket)
        event = _event(desk, request, ticket, graph)
        accepted = await desk.engine.accept(event, ticket, graph=graph)
        if not accepted.is_new and not await _is_same(desk, accepted.seq, ticket):
            raise Refused(409, "key_reused", "this Idempotency-Key came with another ticket before; send a new key")
    except Exception as exc:  # the edge to the store
        return error_answer(exc)
    answer = {
        "id": accepted.seq,
        "delivery_id": event.delivery_id,
        "ticket_id": ticket.id,
        "is_new": accepted.is_new,
        "delivery": f"/api/v1/deliveries/{accepted.seq}",
    }
    return JSONResponse(answer, 202 if accepted.is_new else 200)


async def _is_same(desk: Desk, seq: int, ticket: Ticket) -> bool:
    return (await asyncio.to_thread(desk.engine.entry, seq)).ticket == ticket


@router.get("/deliveries/{seq}")
async def show_delivery(request: Request, seq: int) -> Response:
    """Return how a delivery stands, and the run that it led to."""
    try:
        entry = await asyncio.to_thread(desk_of(request).engine.entry, seq)
    except Exception as exc:
        return error_answer(exc, input_status=404)
    answer = {
        "id": entry.seq,
        "source": entry.source,
        "delivery_id": entry.delivery_id,
        "ticket_id": entry.ticket_id,
        "state": str(entry.state),
        "reason": entry.reason,
        "run_id": entry.run_id,
        "n_attempts": entry.n_attempts,
        "received_at": entry.received_at.isoformat(),
        "updated_at": entry.updated_at.isoformat(),
    }
    return JSONResponse(answer)


@router.get("/runs")
async def list_runs(
    request: Request, status: RunStatus | None = None, ticket_id: str | None = None, limit: Limit = 50
) -> Response:
    """Return runs, the newest first, without their tickets' threads."""
    store = desk_of(request).engine.store
    try:
        records = await asyncio.to_thread(store.list, status=status, ticket_id=ticket_id, limit=limit)
    except StoreError as exc:
        return error_answer(exc)
    return JSONResponse({"runs": [_brief(record) for record in records]})


@router.get("/queue")
async def list_waiting(
    request: Request, after: Annotated[int, Query(ge=0, le=2**62)] = 0, limit: Limit = 50
) -> Response:
    """Return the runs that wait for a person, oldest first; ``next_after`` is the ``after`` of the next page."""
    store = desk_of(request).engine.store
    try:
        found = await asyncio.to_thread(store.waiting, after=after, limit=limit)
    except StoreError as exc:
        return error_answer(exc)
    return JSONResponse({"runs": [_brief(record) for record in found.records], "next_after": found.next_after})


@router.get("/runs/{run_id}")
async def show(request: Request, run_id: str) -> Response:
    """Return one run whole."""
    try:
        record = await asyncio.to_thread(desk_of(request).engine.store.load, run_id)
    except StoreError as exc:
        return error_answer(exc)
    except InputError as exc:
        return refuse(404, str(exc))
    return JSONResponse(record.model_dump(mode="json"))


@router.post("/runs/{run_id}/decisions")
async def decide(request: Request, run_id: str) -> Response:
    """Take a decision in and return the run; 409 when it was decided otherwise or asks something else now."""
    desk = desk_of(request)
    try:
        record = await asyncio.to_thread(desk.engine.store.load, run_id)
    except Exception as exc:
        return error_answer(exc, input_status=404)
    try:
        wish = await _body(request, Wish)
    except Exception as exc:
        return error_answer(exc)
    try:
        record = await desk.engine.decide(record.run_id, wish.at(desk.clock.now()))
    except Exception as exc:
        return error_answer(exc, input_status=409)
    desk.metrics.decisions.labels("api", wish.verdict.value).inc()
    return JSONResponse(record.model_dump(mode="json"))


async def _body(request: Request, model: type[M]) -> M:
    """Return the body as a ``model``. Raises InputError."""
    raw = await read_body(request, desk_of(request).settings.max_body_bytes)
    return validate(model, parse_json(decode(raw, "body"), "body"), "body")


def _event(desk: Desk, request: Request, ticket: Ticket, graph: str | None) -> Event:
    """Return the delivery that hands ``ticket`` in. Raises InputError for a key, source or graph that cannot be."""
    desk.workspace.helpdesk(ticket.source)
    if graph is not None:
        desk.workspace.graph(graph)
    given = request.headers.get("idempotency-key")
    try:
        key = _ID.validate_python(f"api:{given}" if given else f"api:{content_hash(ticket.model_dump(mode='json'))}")
    except ValidationError:
        raise InputError("Idempotency-Key: send 1 to 196 printable characters") from None
    now = desk.clock.now()
    return Event(
        source=ticket.source, delivery_id=key, ticket_id=ticket.id, kind=EventKind.created, actor="api", at=now
    )


def _brief(record: RunRecord) -> dict[str, Any]:
    triage = record.result.triage if record.result else None
    return {
        "run_id": record.run_id,
        "ticket_id": record.ticket.id,
        "source": record.ticket.source,
        "graph": record.graph,
        "status": record.status.value,
        "waits": record.waits,
        "ask_id": record.review.ask_id if record.review else None,
        "category": triage.category if triage else None,
        "reasons": [reason.code for reason in record.review.reasons] if record.review else [],
        "error": record.error,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
    }


def error_answer(exc: Exception, *, input_status: int = 400) -> Response:
    """Return what a caller of the API learns of an error. What is not of deskhand goes on to the last resort."""
    if isinstance(exc, Refused):
        return unavailable(str(exc)) if exc.status == 503 else refuse(exc.status, str(exc))
    if isinstance(exc, (InputError, ConfigError)):
        return refuse(input_status, str(exc))
    if isinstance(exc, DeskhandError):
        return unavailable(str(exc))
    raise exc
