"""What one agent run costs: model -> tool -> model, ours beside peers and beside loops by hand, in one run.

    python benchmarks/agents.py                              # ours and the floors
    python benchmarks/agents.py --peers VENV --peers VENV2   # and the peers installed there
    python benchmarks/agents.py --only deskhand-direct aiohttp-by-hand

Ours is the shipped resolver with ledger, policy check and recording on. Each contestant runs in a process of its own
(see ``agent_contestants.py``) against a server in another one, which answers in 0.05 ms and counts for nobody. CPU is
that of the contestant's process. They take turns in many short rounds, so that whatever else the machine does falls on
all of them; a ratio is the median of the ratios of the rounds, with its quartiles.

Exit code 1 when a bar is missed: through the direct transport below every peer but Haystack, through LiteLLM at most
1.3 times the graph by hand, and 200 runs at 50 ms in at most 4 times the ideal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast

CONTESTANTS = Path(__file__).with_name("agent_contestants.py")
LATENCY_MS = 50.0
AT_ONCE = 50
N_WAITING = 200
OURS = ("deskhand-direct", "deskhand-litellm")
FLOORS = ("aiohttp-by-hand", "graph-litellm-by-hand")
AIMED = "haystack"
"""The peer that is an aim and not a bar."""

MAX_OVER_HAND_LOOP = 1.3
MAX_OVER_IDEAL = 4.0


def answer(body: bytes) -> bytes:
    """Return the completion that follows a request: a call of its first tool, then the tool's answer in words."""
    request = json.loads(body)
    names = [tool["function"]["name"] for tool in request.get("tools") or ()]
    # smolagents sends what tools return as plain text, and ends with a tool
    is_told = any(
        message["role"] == "tool" or "Observation:" in str(message.get("content"))
        for message in request["messages"][1:]
    )
    message: dict[str, Any] = {"role": "assistant", "content": "The answer is 5."}
    if names and not is_told:
        message = _call(next(name for name in names if name != "final_answer"), {"a": 2, "b": 3})
    elif "final_answer" in names:
        message = _call("final_answer", {"answer": "The answer is 5."})
    finish = "tool_calls" if "tool_calls" in message else "stop"
    return json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_800_000_000, "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
    }).encode()  # fmt: skip


def _call(name: str, args: dict[str, Any]) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


class Answering(asyncio.Protocol):
    """Answers POSTs of one connection, after ``latency_s``."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s, self._buffer = latency_s, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            reply = answer(body)
            reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
                len(reply), reply
            )  # fmt: skip
            asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, reply)


async def serve(latency_s: float) -> None:
    """Serve until killed; the first line on stdout is the base URL."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Answering(latency_s), "127.0.0.1", 0, backlog=1024
    )  # fmt: skip
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


@contextmanager
def server_process(latency_ms: float) -> Iterator[str]:
    """Start a server in a process of its own and yield its base URL."""
    command = [sys.executable, __file__, "--serve-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def contestants(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return who is measured: a Python and a name each."""
    found = [(sys.executable, name) for name in (*OURS, *FLOORS)]
    for folder in options.peers:
        python = str(folder / "bin" / "python")
        listed = subprocess.run(
            [python, "-P", str(CONTESTANTS), "installed"], capture_output=True, text=True, check=True
        )
        known = {name for _, name in found}
        found += [(python, name) for name in json.loads(listed.stdout) if name not in known]
    return [(python, name) for python, name in found if not options.only or name in options.only]


class Contestant:
    """A process that waits for its turns. Raises OSError when it ends before it is ready."""

    def __init__(self, python: str, name: str, fast: str, slow: str) -> None:
        command = [python, "-P", str(CONTESTANTS), name, "--fast", fast, "--slow", slow]
        self.name = name
        self.figures: dict[str, list[float]] = {"alone": [], "together": [], "wall": []}
        self._errors = TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self.version = str(self._hear()["version"])

    def turn(self, kind: str, n: int) -> None:
        """Let it do ``n`` runs and keep the figure."""
        self.figures[kind].append(float(self._ask(f"{kind} {n}")))

    def row(self, pace: Contestant | None) -> dict[str, Any]:
        """Return its figures, and how many times the CPU of ``pace`` it needed."""
        row: dict[str, Any] = {"name": self.name, "version": self.version, "rss_mb": self._ask("rss")}
        for kind, values in self.figures.items():
            row[kind] = round(statistics.median(values), 3)
        row["wall_best"] = round(min(self.figures["wall"]), 3)
        if pace is not None:
            for kind in ("alone", "together"):
                pairs = zip(self.figures[kind], pace.figures[kind], strict=True)
                row[f"{kind}_ratio"] = _quartiles([mine / its for mine, its in pairs])
        return row

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):  # some peers print
                return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        raise OSError((self._errors.read().strip() or "it ended").split("\n")[-1][:300])


def _quartiles(ratios: Sequence[float]) -> list[float]:
    if len(ratios) == 1:
        return [round(ratios[0], 2)] * 3
    return [round(value, 2) for value in statistics.quantiles(ratios, n=4, method="inclusive")]


def compete(options: argparse.Namespace, fast: str, slow: str) -> list[dict[str, Any]]:
    """Let everybody take turns, and return a row each: figures, or the error that ended it."""
    racing: dict[str, Contestant] = {}
    failed: dict[str, str] = {}
    for python, name in contestants(options):
        try:
            racing[name] = Contestant(python, name, fast, slow)
        except OSError as exc:
            failed[name] = str(exc)
    for number in range(options.rounds):
        for name in list(racing):
            try:
                racing[name].turn("alone", 20)
                racing[name].turn("together", AT_ONCE)
                if number % 5 == 0:
                    racing[name].turn("wall", N_WAITING)
            except OSError as exc:
                failed[name] = str(exc)
                racing.pop(name).close()
    rows = [contestant.row(racing.get(FLOORS[1])) for contestant in racing.values()]
    for contestant in racing.values():
        contestant.close()
    return rows + [{"name": name, "error": error} for name, error in failed.items()]


def judge(rows: Sequence[dict[str, Any]], ideal_s: float) -> list[str]:
    """Return every bar that is missed; a peer that is not installed sets none."""
    by_name = {row["name"]: row for row in rows if "error" not in row}
    missed = [f"{row['name']}: {row['error']}" for row in rows if "error" in row and row["name"] in (*OURS, *FLOORS)]
    direct, through_litellm = (by_name.get(name) for name in OURS)
    peers = [row for name, row in by_name.items() if name not in (*OURS, *FLOORS, AIMED)]
    for kind in ("alone", "together"):
        cheaper = [peer for peer in peers if direct and peer[kind] <= direct[kind]]
        missed += [f"{kind}: {peer['name']} needs {peer[kind]}, not more than ours" for peer in cheaper]
        ratio = through_litellm.get(f"{kind}_ratio") if through_litellm else None
        if ratio and ratio[1] > MAX_OVER_HAND_LOOP:
            missed.append(f"{kind}: through LiteLLM {ratio[1]} times the graph by hand")
    if direct and direct["wall"] > MAX_OVER_IDEAL * ideal_s:
        missed.append(f"wall: {direct['wall']} s, the ideal is {ideal_s} s")
    return missed


def show(rows: Sequence[dict[str, Any]], ideal_s: float) -> None:
    """Print the table."""
    print(f"CPU ms a run, and times that of {FLOORS[1]} (median, quartiles);")
    print(f"wall s of {N_WAITING} runs at {LATENCY_MS:g} ms, {AT_ONCE} at once, ideal {ideal_s:g} s (median, best)")
    print(f"{'':24} {'version':10} {'alone':>7} {'times':16} {'at once':>7} {'times':16}  wall  best    MB")
    for row in rows:
        if "error" in row:
            print(f"{row['name']:24} failed: {row['error']}")
            continue
        alone, together = (_times(row.get(f"{kind}_ratio")) for kind in ("alone", "together"))
        print(
            f"{row['name']:24} {row['version'][:10]:10} {row['alone']:7.2f} {alone:16} {row['together']:7.2f}"
            f" {together:16} {row['wall']:5.2f} {row['wall_best']:5.2f} {row['rss_mb']:5}"
        )


def _times(quartiles: Sequence[float] | None) -> str:
    return f"{quartiles[1]:.2f} ({quartiles[0]:.2f}-{quartiles[2]:.2f})" if quartiles else "-"


def main() -> int:
    """Measure, print a table or JSON, and return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, action="append", default=[], metavar="VENV")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-ms", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_ms is not None:
        asyncio.run(serve(options.serve_ms / 1000))
    ideal_s = N_WAITING / AT_ONCE * 2 * LATENCY_MS / 1000
    with server_process(0) as fast, server_process(LATENCY_MS) as slow:
        rows = compete(options, fast, slow)
    missed = judge(rows, ideal_s)
    if options.json:
        print(json.dumps({"rows": rows, "ideal_s": ideal_s, "missed": missed}, indent=1))
    else:
        show(rows, ideal_s)
        print("\n".join(f"missed: {line}" for line in missed) or "every bar is held")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
