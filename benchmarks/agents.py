"""What one agent run costs: model -> tool -> model, ours beside peers and beside loops by hand, in one run.

    python benchmarks/agents.py                              # ours and the floors
    python benchmarks/agents.py --peers VENV --peers VENV2   # and the peers installed there
    python benchmarks/agents.py --only deskhand-direct aiohttp-by-hand

Ours is the shipped resolver with ledger, policy check and recording on. Each contestant runs in a process of its own
(see ``agent_contestants.py``) against a server in another one, which answers in 0.05 ms and counts for nobody. CPU is
that of the contestant's process. Exit code 1 when a bar is missed: through the direct transport below every peer
but Haystack, through LiteLLM at most 1.3 times the graph by hand, and 200 runs at 50 ms in at most 4 times the ideal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

CONTESTANTS = Path(__file__).with_name("agent_contestants.py")
LATENCY_MS = 50.0
AT_ONCE = 50
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


def measure(python: str, name: str, fast: str, slow: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one contestant, or its error."""
    command = [python, "-P", str(CONTESTANTS), name, "--fast", fast, "--slow", slow, "--rounds", str(options.rounds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        return {"name": name, "error": (done.stderr or done.stdout).strip().split("\n")[-1][:300]}
    return cast(dict[str, Any], json.loads(done.stdout.strip().split("\n")[-1]))


def judge(rows: Sequence[dict[str, Any]], ideal_s: float) -> list[str]:
    """Return every bar that is missed; a peer that is not installed sets none."""
    by_name = {row["name"]: row for row in rows if "error" not in row}
    missed = [f"{row['name']}: {row['error']}" for row in rows if "error" in row and row["name"] in (*OURS, *FLOORS)]
    direct, through_litellm = (by_name.get(name) for name in OURS)
    peers = [row for name, row in by_name.items() if name not in (*OURS, *FLOORS, AIMED)]
    for kind in ("cpu_ms", "cpu_ms_at_once"):
        cheaper = [peer for peer in peers if direct and peer[kind] <= direct[kind]]
        missed += [f"{kind}: {peer['name']} needs {peer[kind]}, not more than ours" for peer in cheaper]
        by_hand = by_name.get(FLOORS[1])
        if through_litellm and by_hand and through_litellm[kind] > MAX_OVER_HAND_LOOP * by_hand[kind]:
            missed.append(f"{kind}: through LiteLLM {through_litellm[kind]}, by hand {by_hand[kind]}")
    if direct and direct["wall_s"] > MAX_OVER_IDEAL * ideal_s:
        missed.append(f"wall_s: {direct['wall_s']}, the ideal is {ideal_s}")
    return missed


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    if "error" in row:
        print(f"{row['name']:24} failed: {row['error']}", flush=True)
        return
    print(
        f"{row['name']:24} {row['version']:12} {row['cpu_ms']:8.2f} {row['cpu_ms_at_once']:8.2f}"
        f" {row['wall_s']:8.2f} {row['rss_mb']:5}",
        flush=True,
    )


def main() -> int:
    """Measure, print a table or JSON, and return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, action="append", default=[], metavar="VENV")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-ms", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_ms is not None:
        asyncio.run(serve(options.serve_ms / 1000))
    ideal_s = 200 / AT_ONCE * 2 * LATENCY_MS / 1000
    rows = []
    with server_process(0) as fast, server_process(LATENCY_MS) as slow:
        if not options.json:
            print(f"CPU ms a run; wall s of 200 runs at {LATENCY_MS:g} ms, {AT_ONCE} at once, ideal {ideal_s:g} s")
            print(f"{'':24} {'version':12} {'alone':>8} {'at once':>8} {'wall s':>8} {'MB':>5}")
        for python, name in contestants(options):
            rows.append(measure(python, name, fast, slow, options))
            if not options.json:
                show(rows[-1])
    missed = judge(rows, ideal_s)
    if options.json:
        print(json.dumps({"rows": rows, "ideal_s": ideal_s, "missed": missed}, indent=1))
    else:
        print("\n".join(f"missed: {line}" for line in missed) or "every bar is held")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
