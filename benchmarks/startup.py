"""CPU of starting: ``deskhand --help`` beside ``import typer``, and a second ``deskhand run`` beside the
imports it cannot do without. Run it with ``python benchmarks/startup.py``; it exits 1 when a ratio is too high.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "hollowfern"
HELP_BAR, RUN_BAR = 3.0, 2.5
FORBIDDEN = ("litellm", "sklearn", "scipy")


class Figures(TypedDict):
    """Medians in CPU seconds, their ratios, and what was imported that must not be."""

    help_s: float
    help_ratio: float
    run_s: float
    run_ratio: float
    stored_s: float
    forbidden: list[str]


def cpu_s(command: list[str], environment: dict[str, str]) -> float:
    """Return the user and system CPU seconds of one process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def main() -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Path(scratch) / "workspace"
        shutil.copytree(EXAMPLE, workspace, ignore=shutil.ignore_patterns(".deskhand"))
        ticket = str(sorted((workspace / "tickets" / "incoming").glob("*.json"))[0])
        figures = measure(options.rounds, environment, workspace, ticket)
    passed = figures["help_ratio"] <= HELP_BAR and figures["run_ratio"] <= RUN_BAR and not figures["forbidden"]
    if options.json:
        print(json.dumps(figures))
    else:
        ratios = (figures["help_ratio"], figures["run_ratio"])
        print(f"deskhand --help  {figures['help_s']:.3f} s CPU, {ratios[0]:.2f} x import typer (bar {HELP_BAR})")
        print(f"run --again      {figures['run_s']:.3f} s CPU, {ratios[1]:.2f} x the imports (bar {RUN_BAR})")
        print(f"run, stored      {figures['stored_s']:.3f} s CPU (the ticket is not run again)")
        print(f"imported of {', '.join(FORBIDDEN)}: {', '.join(figures['forbidden']) or 'none'}")
    return 0 if passed else 1


def measure(rounds: int, environment: dict[str, str], workspace: Path, ticket: str) -> Figures:
    """Return medians of ``rounds`` interleaved rounds, after one that is thrown away."""
    python = sys.executable
    deskhand = [python, "-m", "deskhand_cli.main"]
    run = [*deskhand, "run", "--ticket", ticket, "--json", "--workspace", str(workspace)]
    commands = {
        "typer": [python, "-c", "import typer"],
        "help": [*deskhand, "--help"],
        "imports": [python, "-c", "import langgraph.graph, onnxruntime"],
        "run": [*run, "--again"],
        "stored": run,
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            seconds[name].append(cpu_s(command, environment))
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    return {
        "help_s": medians["help"],
        "help_ratio": medians["help"] / medians["typer"],
        "run_s": medians["run"],
        "run_ratio": medians["run"] / medians["imports"],
        "stored_s": medians["stored"],
        "forbidden": imported([*run[1:], "--again"], environment),
    }


def imported(arguments: list[str], environment: dict[str, str]) -> list[str]:
    """Return which of the forbidden modules a run imports."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = {arguments[1:]!r}\n"
        "try:\n    runpy.run_module('deskhand_cli.main', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    found: list[str] = json.loads(done.stderr.strip().splitlines()[-1].replace("'", '"'))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
