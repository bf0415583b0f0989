"""The application: every route, and what surrounds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from deskhand.clock import Clock
from deskhand.errors import StoreError
from deskhand.service_settings import ServerSettings
from deskhand_server import api, doors, health, pages, webhooks
from deskhand_server.access import Access
from deskhand_server.bodies import Refused
from deskhand_server.desk import Desk, Service
from deskhand_server.metrics import Metrics
from deskhand_server.queue import Queue
from deskhand_server.rendering import STATIC
from deskhand_server.sessions import ClosedSessions, load_key
from deskhand_server.shell import VISITOR, Door, HeadAsGet, LastResort, SecurityHeaders, refuse

if TYPE_CHECKING:
    from deskhand_graphs import Workspace


def build_app(engine: Service, workspace: Workspace, settings: ServerSettings, clock: Clock) -> FastAPI:
    """Return the HTTP application over a running engine.

    Args:
        engine: Takes deliveries and decisions, and tells how it stands.
        workspace: For its helpdesks, its graphs and its name.
        settings: ``[server]`` of the workspace.
        clock: For signatures' time windows, logins and decisions.

    Raises:
        StoreError: The server's key cannot be kept in ``.deskhand``.
    """
    state = workspace.folder.state
    app = FastAPI(title="deskhand", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.desk = Desk(
        engine=engine,
        workspace=workspace,
        settings=settings,
        clock=clock,
        access=Access(load_key(state / "server.key"), settings, clock, ClosedSessions(state / "sessions.closed")),
        metrics=Metrics(),
        queue=Queue(engine.store),
    )
    for part in (webhooks, health, api, doors, pages):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(StoreError, pages.store_failed)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_value)
    app.add_middleware(Door, desk=lambda: app.state.desk, login=doors.login_page)  # the last one added is outermost
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(LastResort)
    return app


def _refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused), "registered for it only"
    return _error(request, exc.status, str(exc))


def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException), "registered for it only"
    return _error(request, exc.status_code, str(exc.detail), dict(exc.headers or {}))


def _bad_value(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError), "registered for it only"
    found = exc.errors()[0]
    return _error(request, 422, f"{found['loc'][-1]}: {found['msg'].lower()}; correct it in the address")


def _error(request: Request, status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    wants_page = "text/html" in request.headers.get("accept", "") and VISITOR in request.scope
    return pages.error_page(request, status, why) if wants_page else refuse(status, why, headers)
