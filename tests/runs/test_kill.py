"""kill -9 at random points of ``deskhand run`` over twelve tickets: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deskhand.testing import build_ticket, build_workspace

N_TICKETS, N_KILLS = 12, 20
TEXTS = (
    "How long do I have to return a product?",
    "Where is my parcel?",
    "When do parcels arrive, and is a label free?",
)


def command(workspace: Path) -> list[str]:
    incoming = str(workspace / "tickets" / "incoming")
    return [
        sys.executable,
        "-m",
        "deskhand_cli.main",
        "run",
        "--ticket",
        incoming,
        "--json",
        "--workspace",
        str(workspace),
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose knowledge and examples are read, with twelve tickets that have not been run."""
    tickets = [build_ticket(TEXTS[n % 3], ticket_id=f"T-{n:02d}") for n in range(N_TICKETS)]
    folder = build_workspace(tmp_path_factory.mktemp("kill") / "workspace", tickets=tickets)
    subprocess.run(command(folder), check=True, capture_output=True)
    for name in ("runs.db", "checkpoints.db"):
        for extra in ("", "-wal", "-shm"):
            (folder / ".deskhand" / f"{name}{extra}").unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def times(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, float]:
    """When the first run is claimed and when the whole command ends, in seconds from its start."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("times") / "workspace")
    started = time.monotonic()
    process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = None
    while process.poll() is None:
        if first is None and (folder / ".deskhand" / "runs.db").exists():
            first = time.monotonic() - started
        time.sleep(0.01)
    assert first is not None
    return first, time.monotonic() - started


@pytest.mark.parametrize("seed", range(N_KILLS))
def test_a_killed_run_is_finished_by_the_same_command(
    prepared: Path, times: tuple[float, float], tmp_path: Path, seed: int
) -> None:
    folder = shutil.copytree(prepared, tmp_path / "workspace")
    delay_s = random.Random(seed).uniform(*times)
    process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay_s)
    process.kill()
    process.wait()
    done = subprocess.run(command(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["ticket_id"] for result in results] == [f"T-{n:02d}" for n in range(N_TICKETS)]
    assert {result["status"] for result in results} == {"parked"}
    for result in results:
        nodes = [span["name"] for span in result["trace"] if "." not in span["name"]]
        assert nodes == ["screen", "triage", "gather", "summarize", "draft", "check", "decide"]
    with sqlite3.connect(folder / ".deskhand" / "runs.db") as connection:
        runs = connection.execute("SELECT ticket_id, status FROM runs ORDER BY ticket_id").fetchall()
    connection.close()
    assert runs == [(f"T-{n:02d}", "parked") for n in range(N_TICKETS)]
