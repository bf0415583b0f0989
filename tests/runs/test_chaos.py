"""A small run of ``benchmarks/chaos.py``: the real engine in a process of its own, killed five times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).resolve().parents[2] / "benchmarks" / "chaos.py"


def test_a_killed_service_loses_doubles_and_disorders_nothing(tmp_path: Path) -> None:
    options = ["--seed", "3", "--deliveries", "200", "--kills", "5", "--rate", "50", "--thinking-s", "2"]
    done = subprocess.run(
        [sys.executable, str(CHAOS), *options, "--keep", str(tmp_path)], capture_output=True, text=True, check=False
    )
    log = tmp_path / "workspace" / "service.log"
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()[-3000:]
    report = json.loads(done.stdout)
    assert (report["acknowledged"], report["kills"]) == (200, 5)
    assert (report["lost"], report["doubled"], report["out_of_order"]) == (0, 0, 0)
    assert report["recovered"] > 0
    assert report["replies"] == report["decided"] > 50
