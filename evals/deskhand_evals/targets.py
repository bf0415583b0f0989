"""Targets: what is measured. A function from a case to an output, of the workspace, of yours, or a shell command."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.attributes import load_attribute
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import ConfigError, InputError, RunFailed, Unavailable
from deskhand.jsonio import content_hash
from deskhand.schema import Json
from deskhand_evals.overrides import with_settings
from deskhand_evals.python_scorer import source_of
from deskhand_evals.recordings import Answer, ask_outside
from deskhand_evals.scorers import Case, Output
from deskhand_evals.suite import Part

if TYPE_CHECKING:
    import aiohttp

    from deskhand_graphs import Workspace

Ask = Callable[[dict[str, Json]], Awaitable[Output]]
"""Gives the output of something outside for what it is given of a case."""

BUILT_IN = ("triage", "retrieval", "support", "approved", "applied", "conversation")


@dataclass(frozen=True)
class Target:
    """What a part calls. ``version`` hashes what is known of its code and configuration.

    ``prompts`` are the versions of the prompts it may use, ``simulator`` that of who plays the customer.
    """

    answer: Answer
    version: str = ""
    prompts: dict[str, str] = field(default_factory=dict)
    simulator: str = ""


class Targets:
    """Makes targets; the workspace is opened when the first one needs it, and once for all."""

    def __init__(self, folder: WorkspaceFolder, progress: Callable[[str], None] = lambda line: None) -> None:
        self.folder = folder
        self._say = progress
        self._workspaces: dict[str, Workspace] = {}
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
            for workspace in targets._workspaces.values():
                await workspace.aclose()

    def workspace(self, settings: Mapping[str, Json]) -> Workspace:
        """Return the workspace with other settings, its knowledge and examples up to date; one for equal settings."""
        key = content_hash(dict(settings))
        if key not in self._workspaces:
            from deskhand_graphs import Workspace

            opened = Workspace.open(with_settings(self.folder, settings))
            if self._workspaces:  # an index has one owner
                vars(opened)["knowledge"] = next(iter(self._workspaces.values())).knowledge
            elif opened.knowledge.is_stale():
                self._say("reading knowledge")
                opened.knowledge.ingest()
            opened.learn()
            self._workspaces[key] = opened
        return self._workspaces[key]

    def build(self, part: Part, settings: Mapping[str, Json]) -> Target:
        """Return the target of a part. Raises ConfigError when there is none of that name."""
        kind, _, rest = part.target.partition(":")
        if part.target in BUILT_IN or kind in ("graph", "applied", "conversation"):
            from deskhand_evals.workspace_targets import build_workspace_target

            return build_workspace_target(self.workspace({**settings, **part.settings}), part)
        if kind == "command" and rest.strip():
            version = content_hash([part.target, part.options])
            return Target(_outside(_command(rest, self.folder.root), part, version), version)
        if kind in ("http", "https"):
            version = content_hash([part.target, part.options])
            return Target(_outside(_http(part.target, self._stack), part, version), version)
        if kind and rest:
            found = load_attribute(part.target, self.folder.root, key=f"part {part.name}: target")
            return _function(found, part)
        raise ConfigError(
            f"part {part.name}: target {part.target!r}: name one of {', '.join(BUILT_IN)}, graph:<name>,"
            " <module>:<attribute>, command:<shell command> or http://<address>"
        )


def _given(case: Case, part: Part) -> dict[str, Json]:
    """Return what a target is told of a case: its whole row, or the fields that the part names."""
    return {name: case.row[name] for name in part.inputs if name in case.row} if part.inputs else dict(case.row)


def _outside(ask: Ask, part: Part, version: str) -> Answer:
    """Return the answer of something that is not ours: recorded and replayed as a whole."""

    async def answer(case: Case, repeat: int, ctx: RunContext) -> Output:
        row = _given(case, part)
        return await ask_outside(ctx, {"target": part.target, "version": version[:16]}, row, lambda: ask(row))

    return answer


def _function(found: Any, part: Part) -> Target:
    """Return a function of the user's. It gets the case's row, and ``options`` as keywords.

    One that takes ``ctx`` is code of the house: it runs on a replay too, and what it asks through ``ctx`` is replayed.
    """
    if not callable(found):
        raise ConfigError(f"part {part.name}: target {part.target!r} is not a function; name one")
    is_async = inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004
    options: dict[str, Any] = dict(part.options)
    version = content_hash([source_of(found), part.options])

    async def call(row: dict[str, Json], **more: Any) -> Output:
        return as_output(await found(row, **options, **more) if is_async else await in_thread(found, row, **options))

    if is_async and _takes_ctx(found):
        return Target(lambda case, repeat, ctx: call(_given(case, part), ctx=ctx), version)
    return Target(_outside(call, part, version), version)


def _takes_ctx(found: Any) -> bool:
    try:
        return "ctx" in inspect.signature(found).parameters
    except (TypeError, ValueError):
        return False


def as_output(value: Any) -> Output:
    """Return what a function gave as an output: an Output, a pydantic model as its JSON, else JSON.

    Raises:
        InputError: It is none of these, or holds a number that JSON does not know.
    """
    if isinstance(value, Output):
        figures = (value.cost_usd, value.latency_ms, value.n_tokens)
        if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
            raise InputError("the target's cost, latency or tokens are not finite numbers from 0; correct them")
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


def _command(command: str, folder: Path) -> Ask:
    """Return a shell command: it reads the row as JSON and prints JSON, or text."""

    async def call(row: dict[str, Json]) -> Output:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_shell(
            command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, start_new_session=True
        )
        try:
            printed, complained = await process.communicate(json.dumps(row).encode())
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            last = complained.decode(errors="replace").strip()[-300:]
            raise RunFailed(
                f"the command ended with {process.returncode}: {last}; correct it", run_id=str(row.get("id", ""))
            )
        return as_output(_parsed(printed.decode(errors="replace").strip()))

    return call


def _http(url: str, stack: AsyncExitStack) -> Ask:
    """Return an HTTP endpoint: the row is posted as JSON, the body of a 2xx answer is the output."""
    sessions: list[aiohttp.ClientSession] = []

    async def session() -> aiohttp.ClientSession:
        if not sessions:
            import aiohttp

            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            stack.push_async_callback(sessions[0].close)
        return sessions[0]

    async def call(row: dict[str, Json]) -> Output:
        client = await session()
        async with client.post(url, json=row) as answer:
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
