"""Is it alive, may it get work, and how is it doing?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from deskhand.errors import StoreError
from deskhand_server.desk import desk_of

if TYPE_CHECKING:
    from deskhand_runs.doors import EngineStatus

router = APIRouter()


@router.get("/healthz")
async def healthz() -> Response:
    """Answer while the process lives; nothing is looked at."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Answer 200 when deliveries can be stored and worked on, else 503 with the reason."""
    desk = desk_of(request)
    if desk.is_draining:
        return JSONResponse({"status": "stopping"}, 503)
    if desk.is_refusing:
        return JSONResponse({"status": "store", "error": "a delivery could not be stored; see the log"}, 503)
    try:
        status = await asyncio.to_thread(desk.engine.status)
    except StoreError as exc:
        return JSONResponse({"status": "store", "error": str(exc)}, 503)
    if not status.owner:
        return JSONResponse({"status": "no owner", "error": "no process executes runs; see 'deskhand serve'"}, 503)
    return JSONResponse({"status": "ready", **status_json(status)})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return the figures for Prometheus."""
    desk = desk_of(request)
    body = await asyncio.to_thread(desk.metrics.render, desk.engine)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def status_json(status: EngineStatus) -> dict[str, Any]:
    """Return the engine's status as JSON."""
    return {
        "queued": status.n_queued,
        "at_work": status.n_at_work,
        "waiting": status.n_parked,
        "dead": status.n_dead,
        "held": status.n_held,
        "oldest_queued_s": status.oldest_queued_s,
        "paused": status.is_paused,
        "paused_sources": list(status.paused_sources),
    }
