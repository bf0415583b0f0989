"""A scorer of the user's in a process of its own: where it hangs or crashes, its case fails and the rest goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from deskhand.schema import Json
from deskhand_evals import scorer_worker
from deskhand_evals.scorers import Unscored

MAX_ANSWER_BYTES = 1024 * 1024
MAX_HANGS = 3
"""After so many calls that hung the scorer is not asked any more: each costs its whole time."""


class ScorerProcess:
    """Calls ``function`` of the workspace ``folder``, one case after another, each for at most ``timeout_s``."""

    def __init__(self, function: str, folder: Path, timeout_s: float) -> None:
        self._first = [function, str(folder), sys.path]
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._n_hung = 0

    async def ask(self, case: dict[str, Json], output: Json) -> Any:
        """Return what the function says of an output. Raises Unscored when it fails, hangs or ends its process."""
        async with self._turn:
            if self._n_hung >= MAX_HANGS:
                raise Unscored(f"the scorer hung {MAX_HANGS} times and is not asked any more; correct it")
            process = self._process = self._process or await self._start()
            line = b""
            try:
                async with asyncio.timeout(self._timeout_s):
                    line = await _exchange(process, [case, output])
            except ValueError:
                raise Unscored(f"the scorer said more than {MAX_ANSWER_BYTES} bytes; return a score") from None
            except TimeoutError:
                self._n_hung += 1
                raise Unscored(
                    f"the scorer said nothing within {self._timeout_s:g} s; correct it, or raise its timeout_s"
                ) from None
            finally:
                if not line:
                    await self.close()
        if not line:
            raise Unscored(f"the scorer ended its process (exit code {process.returncode}); correct it")
        said = json.loads(line)
        if "error" in said:
            raise Unscored(said["error"])
        return said["said"]

    async def _start(self) -> Process:
        command = (sys.executable, "-P", scorer_worker.__file__)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, start_new_session=True, limit=MAX_ANSWER_BYTES
        )
        _send(process, self._first)
        return process

    async def close(self) -> None:
        """End the process, whatever it does; the next question starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _exchange(process: Process, request: list[Json]) -> bytes:
    """Return the line that answers a request, empty when the process has ended."""
    assert process.stdin is not None and process.stdout is not None, "both are pipes"
    with suppress(BrokenPipeError, ConnectionResetError):
        _send(process, request)
        await process.stdin.drain()
    return await process.stdout.readline()


def _send(process: Process, value: Any) -> None:
    assert process.stdin is not None, "it is a pipe"
    process.stdin.write(json.dumps(value).encode() + b"\n")
