"""kill -9 at random points of ``deskhand run`` over eight tickets: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deskhand.testing import build_ticket, build_workspace

N_TICKETS, N_KILLS = 8, 20
TEXTS = (
    "How long do I have to return a product?",
    "Where is my parcel?",
    "When do parcels arrive, and is a label free?",
)


# Each command is a process of its own, forked from one that has imported what commands import: that takes longer than
# the tickets. Reads a command a line; says the process id, and then how it ended.
FORKS = """
import json, os, sys
import chromadb, onnxruntime, tokenizers
import langgraph.checkpoint.sqlite.aio, langgraph.graph
import deskhand_agents, deskhand_graphs, deskhand_memory, deskhand_runs
from deskhand_cli.main import main

for line in iter(sys.stdin.readline, ""):
    given = json.loads(line)
    pid = os.fork()
    if pid == 0:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(given[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["deskhand", *given["arguments"]]
        code = 1
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Forks:
    """Runs ``deskhand run`` over a workspace's tickets, again and again."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"

    def begin(self, workspace: Path) -> int:
        """Start the command and return its process id."""
        arguments = ["run", "--ticket", str(workspace / "tickets" / "incoming"), "--json"]
        given = {"arguments": [*arguments, "--workspace", str(workspace)]}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(given | {"stdout": str(self.stdout), "stderr": str(self.stderr)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> int:
        """Wait for the command and return its exit code."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    command = [sys.executable, "-c", FORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Forks(process, tmp_path_factory.mktemp("forks"))


@pytest.fixture(scope="module")
def prepared(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose knowledge and examples are read, with tickets that have not been run."""
    tickets = [build_ticket(TEXTS[n % 3], ticket_id=f"T-{n:02d}") for n in range(N_TICKETS)]
    folder = build_workspace(tmp_path_factory.mktemp("kill") / "workspace", tickets=tickets)
    forks.begin(folder)
    assert forks.end() == 0, forks.stderr.read_text()
    for name in ("runs.db", "checkpoints.db"):
        for extra in ("", "-wal", "-shm"):
            (folder / ".deskhand" / f"{name}{extra}").unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def times(forks: Forks, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, float]:
    """When the first run is claimed and when the whole command ends, in seconds from its start."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("times") / "workspace")
    started = time.monotonic()
    forks.begin(folder)
    while not (folder / ".deskhand" / "runs.db").exists():
        time.sleep(0.01)
    first = time.monotonic() - started
    assert forks.end() == 0, forks.stderr.read_text()
    return first, time.monotonic() - started


@pytest.mark.parametrize("seed", range(N_KILLS))
def test_a_killed_run_is_finished_by_the_same_command(
    forks: Forks, prepared: Path, times: tuple[float, float], tmp_path: Path, seed: int
) -> None:
    folder = shutil.copytree(prepared, tmp_path / "workspace")
    process_id = forks.begin(folder)
    time.sleep(random.Random(seed).uniform(*times))
    with suppress(ProcessLookupError):  # it was faster than the first one
        os.kill(process_id, signal.SIGKILL)
    forks.end()
    forks.begin(folder)
    assert forks.end() == 0, forks.stderr.read_text()
    results = [json.loads(line) for line in forks.stdout.read_text().splitlines()]
    assert [result["ticket_id"] for result in results] == [f"T-{n:02d}" for n in range(N_TICKETS)]
    assert {result["status"] for result in results} == {"parked"}
    for result in results:
        nodes = [span["name"] for span in result["trace"] if "." not in span["name"]]
        assert nodes == ["screen", "triage", "gather", "summarize", "draft", "check", "decide"]
    with sqlite3.connect(folder / ".deskhand" / "runs.db") as connection:
        runs = connection.execute("SELECT ticket_id, status FROM runs ORDER BY ticket_id").fetchall()
    connection.close()
    assert runs == [(f"T-{n:02d}", "parked") for n in range(N_TICKETS)]
