"""Targets: what is measured. A function from a case to an output, of the workspace, of yours, or a shell command."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.attributes import load_attribute
from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError, InputError, RunFailed, Unavailable
from deskhand.jsonio import content_hash
from deskhand.schema import Json
from deskhand_evals.scorers import Case, Output, source_of
from deskhand_evals.suite import Part

if TYPE_CHECKING:
    import aiohttp

    from deskhand_graphs import Workspace

Call = Callable[[Case, int], Awaitable[Output]]
"""Gives the output for a case and the number of the repeat."""

BUILT_IN = ("triage", "retrieval", "support", "approved")


@dataclass(frozen=True)
class Target:
    """What a part calls. ``version`` hashes what is known of its code and configuration."""

    call: Call
    version: str = ""


class Targets:
    """Makes targets; the workspace is opened when the first one needs it, and once for all."""

    def __init__(self, folder: WorkspaceFolder, progress: Callable[[str], None] = lambda line: None) -> None:
        self.folder = folder
        self._say = progress
        self._workspace: Workspace | None = None
        self._stack = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: WorkspaceFolder, progress: Callable[[str], None] = lambda line: None
    ) -> AsyncIterator[Targets]:
        """Yield the maker; connections and the workspace are closed afterwards."""
        targets = cls(folder, progress)
        try:
            async with targets._stack:
                yield targets
        finally:
            if targets._workspace is not None:
                targets._workspace.close()

    def workspace(self) -> Workspace:
        """Return the workspace with its knowledge and examples up to date."""
        if self._workspace is None:
            from deskhand_graphs import Workspace

            self._workspace = Workspace.open(self.folder)
            if self._workspace.knowledge.is_stale():
                self._say("reading knowledge")
                self._workspace.knowledge.ingest()
            self._workspace.learn()
        return self._workspace

    def build(self, part: Part) -> Target:
        """Return the target of a part. Raises ConfigError when there is none of that name."""
        kind, _, rest = part.target.partition(":")
        if part.target in BUILT_IN or kind == "graph":
            from deskhand_evals.workspace_targets import build_workspace_target

            return build_workspace_target(self.workspace(), part)
        if kind == "command" and rest.strip():
            return Target(_command(rest, self.folder.root), content_hash(part.target))
        if kind in ("http", "https"):
            return Target(_http(part.target, self._stack), content_hash([part.target, part.options]))
        if kind and rest:
            found = load_attribute(part.target, self.folder.root, key=f"part {part.name}: target")
            return _function(found, part)
        raise ConfigError(
            f"part {part.name}: target {part.target!r}: name one of {', '.join(BUILT_IN)}, graph:<name>,"
            " <module>:<attribute>, command:<shell command> or http://<address>"
        )


def _function(found: Any, part: Part) -> Target:
    """Return a function of the user's. It gets the case's row, and ``options`` as keywords."""
    if not callable(found):
        raise ConfigError(f"part {part.name}: target {part.target!r} is not a function; name one")
    is_async = inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004
    options: dict[str, Any] = dict(part.options)

    async def call(case: Case, repeat: int) -> Output:
        row = dict(case.row)
        return as_output(await found(row, **options) if is_async else await in_thread(found, row, **options))

    return Target(call, content_hash([source_of(found), part.options]))


def as_output(value: Any) -> Output:
    """Return what a function gave as an output: an Output, a pydantic model as its JSON, else JSON.

    Raises:
        InputError: It is none of these, or holds a number that JSON does not know.
    """
    if isinstance(value, Output):
        if not (math.isfinite(value.cost_usd) and math.isfinite(value.latency_ms)):
            raise InputError("the target's cost or latency is not a finite number; correct it")
        return replace(value, value=as_output(value.value).value)
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    try:
        plain: Json = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as exc:
        raise InputError(f"the target gave no JSON value ({exc}); return text, numbers, lists or objects") from exc
    return Output(plain)


async def in_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Return what a function that blocks returns. A thread that hangs does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def work() -> None:
        try:
            result = function(*args, **options)
        except BaseException as exc:  # handed to the one who waits
            answer = (future.set_exception, _raisable(exc))
        else:
            answer = (future.set_result, result)
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(settle, *answer)

    threading.Thread(target=work, daemon=True).start()
    return await future


def _raisable(exc: BaseException) -> Exception:
    """Return an error that a future takes: StopIteration and the end of the program are not among them."""
    usable = isinstance(exc, Exception) and not isinstance(exc, StopIteration)
    return exc if usable else RuntimeError(f"{type(exc).__name__}: {exc}")  # type: ignore[return-value]


def _command(command: str, folder: Path) -> Call:
    """Return a shell command: it reads the row as JSON and prints JSON, or text."""

    async def call(case: Case, repeat: int) -> Output:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_shell(
            command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, start_new_session=True
        )
        try:
            printed, complained = await process.communicate(json.dumps(dict(case.row)).encode())
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            last = complained.decode(errors="replace").strip()[-300:]
            raise RunFailed(f"the command ended with {process.returncode}: {last}; correct it", run_id=case.id)
        return as_output(_parsed(printed.decode(errors="replace").strip()))

    return call


def _http(url: str, stack: AsyncExitStack) -> Call:
    """Return an HTTP endpoint: the row is posted as JSON, the body of a 2xx answer is the output."""
    sessions: list[aiohttp.ClientSession] = []

    async def session() -> aiohttp.ClientSession:
        if not sessions:
            import aiohttp

            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            stack.push_async_callback(sessions[0].close)
        return sessions[0]

    async def call(case: Case, repeat: int) -> Output:
        client = await session()
        async with client.post(url, json=dict(case.row)) as answer:
            text = await answer.text(errors="replace")
            if not answer.ok:
                raise Unavailable(f"{url} answered {answer.status}: {text[:200]}; see its log")
            return as_output(_parsed(text))

    return call


def _parsed(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value
