"""Listening, and stopping so that nothing is lost."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import uvicorn

from deskhand.errors import InputError
from deskhand_server.connections import GuardedConnection

if TYPE_CHECKING:
    from fastapi import FastAPI

_log = logging.getLogger(__name__)

_MAX_CONNECTIONS = 768
_REQUESTS_S = 10


TURN_S = 0.001
"""How long a thread may hold the interpreter while others wait."""


def take_short_turns() -> None:
    """Have threads of this process take turns five times as often as Python's 5 ms.

    The event loop gives the interpreter up at every call to the system. While runs compute, it would wait 5 ms to get
    it back, several times for each delivery; in much shorter turns than 1 ms, a delivery takes several of its own.
    """
    sys.setswitchinterval(TURN_S)


class Engine(Protocol):
    """What is stopped at the end."""

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new, and wait at most ``grace_s`` for what is at work."""
        ...


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals: the engine must stop before the process does."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._on_started()


@dataclass(frozen=True)
class Serving:
    """A server that listens. ``stop`` may be called from signal handlers."""

    app: FastAPI
    host: str
    port: int
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises InputError when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as exc:
        raise InputError(f"{host} port {port}: cannot listen there ({exc}); choose another --host or --port") from exc


async def serve(
    app: FastAPI, engine: Engine, *, host: str, port: int, on_start: Callable[[Serving], None], work_s: float = 300
) -> None:
    """Answer requests until SIGTERM, SIGINT or ``stop``; then take nothing in, and wait for what is at work.

    Requests are answered on an event loop in a thread of its own: on the engine's, an acknowledgement would wait for
    every step of a run that computes.

    Args:
        app: What ``build_app`` returned.
        engine: Drained at the end.
        host: The address to listen on.
        port: The port; 0 for a free one.
        on_start: Called on this event loop when requests are answered.
        work_s: How long runs at work may take to end. What is cut off goes on at the next start.

    Raises:
        InputError: The address cannot be listened on.
    """
    with listen(host, port) as sock:

        def stop() -> None:
            server.force_exit = server.should_exit  # asked twice: do not wait
            server.should_exit = True
            app.state.desk.is_draining = True

        serving, loop = Serving(app, host, sock.getsockname()[1], stop), asyncio.get_running_loop()
        server = _Server(_config(app), lambda: loop.call_soon_threadsafe(on_start, serving))
        with ThreadPoolExecutor(1, "deskhand-http") as thread, _signals(stop):
            try:
                await loop.run_in_executor(thread, _answer, server, sock)
            finally:
                server.should_exit = True  # the thread is waited for, also when this is cancelled
            await _finish(engine, server, work_s)


def _answer(server: uvicorn.Server, sock: socket.socket) -> None:
    asyncio.run(server.serve(sockets=[sock]))


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedConnection,
        log_config=None,
        access_log=False,  # paths of webhooks hold secrets
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_REQUESTS_S,
    )


async def _finish(engine: Engine, server: _Server, work_s: float) -> None:
    """Wait for what is at work; a second signal ends the waiting, and what is cut off goes on at the next start."""
    draining = asyncio.create_task(engine.drain(work_s))
    while not draining.done() and not server.force_exit:
        await asyncio.wait([draining], timeout=0.1)
    if not draining.done():
        _log.warning("runs are cut off; they go on at the next start")
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining


@contextmanager
def _signals(stop: Callable[[], None]) -> Generator[None, None, None]:
    """Call ``stop`` on SIGTERM and SIGINT; a server in a thread gets none."""
    loop = asyncio.get_running_loop()
    caught = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError, RuntimeError, NotImplementedError):  # not the main thread
            loop.add_signal_handler(number, stop)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
