"""The review pages: the queue, one ticket, and what was done. They work without scripts."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from deskhand.errors import DeskhandError, InputError, OwnedElsewhere, StoreError
from deskhand.records import RunRecord
from deskhand_server.decisions import read_form
from deskhand_server.desk import Desk, desk_of
from deskhand_server.forms import Form, field, form_token, read_own_form, visitor_of
from deskhand_server.health import status_json
from deskhand_server.queue import Filter, around, build_row, choices, cut
from deskhand_server.rendering import page
from deskhand_server.sheets import build_sheet
from deskhand_server.shell import unavailable

router = APIRouter()

_N_RECENT = 100
_N_TROUBLES = 50
Short = Annotated[str, Query(max_length=200)]
Sheet = Annotated[int, Query(ge=1, le=1_000_000)]


@router.get("/")
async def show_queue(
    request: Request, q: Short = "", category: Short = "", reason: Short = "", after: Short = "", sheet: Sheet = 1
) -> Response:
    """Show what waits for a person, a hundred tickets on a page."""
    return await asyncio.to_thread(_queue_page, request, Filter(q.strip(), category, reason), after, sheet)


def _queue_page(
    request: Request, chosen: Filter, after: str, sheet: int = 1, *, alert: str = "", status: int = 200
) -> Response:
    desk = desk_of(request)
    rows = desk.queue.rows()
    shown = [row for row in rows if chosen(row)]
    return page(
        "queue.html",
        status,
        **_common(request, "queue"),
        sheet=cut(shown, sheet),
        n_shown=len(shown),
        n_all=len(rows),
        chosen=chosen,
        choices=choices(rows),
        dead=desk.engine.entries(state="dead", limit=_N_TROUBLES),
        held=desk.engine.entries(state="held", limit=_N_TROUBLES),
        decided=_decided(desk, after),
        alert=alert,
    )


@router.get("/queue/state")
async def queue_state(request: Request) -> Response:
    """Return the counts that an open page looks at from time to time."""
    return JSONResponse(status_json(await asyncio.to_thread(desk_of(request).engine.status)))


@router.get("/recent")
async def show_recent(request: Request) -> Response:
    """Show the newest runs, whatever became of them."""
    return await asyncio.to_thread(_recent_page, request)


def _recent_page(request: Request) -> Response:
    records = desk_of(request).engine.store.list(limit=_N_RECENT)
    return page("recent.html", **_common(request, "recent"), runs=[(record, build_row(record)) for record in records])


@router.get("/runs/{run_id}")
async def show_run(request: Request, run_id: str, after: Short = "") -> Response:
    """Show one ticket with its draft and what it rests on."""
    try:
        return await asyncio.to_thread(_run_page, request, run_id, after)
    except InputError as exc:
        return error_page(request, 404, str(exc))


def _run_page(
    request: Request, run_id: str, after: str = "", *, alert: str = "", typed: Form | None = None, status: int = 200
) -> Response:
    desk = desk_of(request)
    record = desk.engine.store.load(run_id)
    return page(
        "run.html",
        status,
        **_common(request, "queue"),
        sheet=build_sheet(record),
        around=around(desk.queue.rows(), record.run_id),
        decided=_decided(desk, after),
        alert=alert,
        typed={name: field(typed or {}, name) for name in ("verdict", "text", "instruction")},
        approved=None if typed is None else frozenset(typed.get("action", ())),
    )


@router.get("/runs/{run_id}/state")
async def run_state(request: Request, run_id: str) -> Response:
    """Return whether a run still waits, for the page that shows it."""
    try:
        record = await asyncio.to_thread(desk_of(request).engine.store.load, run_id)
    except InputError as exc:
        return JSONResponse({"error": str(exc)}, 404)
    decision = record.latest_decision
    by = {"by": decision.by, "verdict": decision.verdict.value} if decision else {}
    return JSONResponse({"waits": record.waits, "status": record.status.value, "error": record.error, **by})


@router.post("/runs/{run_id}/decide")
async def decide(request: Request, run_id: str) -> Response:
    """Take a decision in and go on to the next ticket; show the page again with the reason when that cannot be."""
    desk = desk_of(request)
    fields = await read_own_form(request)
    try:
        record = await asyncio.to_thread(desk.engine.store.load, run_id)
    except InputError as exc:
        return error_page(request, 404, str(exc))
    try:
        wish = read_form(fields, record, visitor_of(request).name)
    except (InputError, ValueError) as exc:
        return await _again(request, record, fields, exc, 400)
    beside = around(await asyncio.to_thread(desk.queue.rows), record.run_id)
    try:
        await desk.engine.decide(record.run_id, wish.at(desk.clock.now()))
    except InputError as exc:
        return await _again(request, record, fields, exc, 409)
    except DeskhandError as exc:
        return await _again(request, record, fields, exc, 503)
    desk.queue.forget()
    desk.metrics.decisions.labels("page", wish.verdict.value).inc()
    next_id = beside.after or beside.before
    return RedirectResponse(f"{f'/runs/{next_id}' if next_id else '/'}?after={record.run_id}", 303)


async def _again(request: Request, record: RunRecord, fields: Form, exc: Exception, status: int) -> Response:
    """Show the page again with what was typed, so that nothing of it is lost."""
    desk_of(request).queue.forget()
    why = str(exc) if isinstance(exc, DeskhandError) else "the form is not whole; load the page again"
    return await asyncio.to_thread(_run_page, request, record.run_id, alert=why, typed=fields, status=status)


@router.post("/deliveries/{seq}/{what}")
async def settle(request: Request, seq: int, what: str) -> Response:
    """Put a dead or held delivery to work again, or give it up."""
    desk = desk_of(request)
    await read_own_form(request)
    try:
        if what == "retry":
            await desk.engine.retry(seq)
        elif what == "skip":
            await desk.engine.skip(seq, visitor_of(request).name)
        else:
            return error_page(request, 404, f"{what!r}: not one of retry, skip")
    except (InputError, OwnedElsewhere) as exc:
        return await asyncio.to_thread(_queue_page, request, Filter(), "", alert=str(exc), status=409)
    return RedirectResponse("/#troubles", 303)


def error_page(request: Request, status: int, why: str) -> Response:
    """Return an error for people."""
    return page("error.html", status, **_common(request, ""), code=status, why=why)


def store_failed(request: Request, exc: Exception) -> Response:
    """Return what is shown when the store cannot be read."""
    assert isinstance(exc, StoreError), "registered for it only"
    return unavailable(str(exc))


def _common(request: Request, here: str) -> dict[str, Any]:
    """Return what every page shows around its content."""
    desk = desk_of(request)
    config, taxonomy = desk.workspace.folder.config, desk.workspace.folder.taxonomy
    return {
        "here": here,
        "brand": config.brand.name,
        "mode": config.mode,
        "names": {category.id: category.name for category in taxonomy.category},
        "teams": {team.id: team.name for team in taxonomy.team},
        "now": desk.clock.now(),
        "reader": visitor_of(request).name,
        "csrf": form_token(request),
        "counts": desk.engine.status(),
    }


def _decided(desk: Desk, run_id: str) -> RunRecord | None:
    """Return the run that was just decided, when there is such a one."""
    if not run_id:
        return None
    try:
        record = desk.engine.store.load(run_id)
    except InputError:
        return None
    return record if record.decisions else None
