"""``deskhand demo``: the example company's tickets, answered in a workspace of your own to play with."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.output import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deskhand.records import RunResult

_MARKER = ".deskhand-demo"
_SHOWN_ROWS = 24
_UNFINISHED = frozenset({"no_knowledge", "partly_answered", "missing_fact", "injection"})


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to copy the example workspace to.")] = Path("deskhand-demo"),
) -> None:
    """Copy the example workspace, run all of its incoming tickets, and show what came of them.

    Example: deskhand demo
    """
    from deskhand.config import WorkspaceFolder
    from deskhand_cli.commands.run import Plan, run_all
    from deskhand_cli.render import print_run, run_table
    from deskhand_helpdesks import load_tickets

    copy_example(folder)
    workspace = WorkspaceFolder(folder.resolve())
    tickets = [entry.ticket for entry in load_tickets(str(workspace.incoming)) if entry.ticket is not None]
    say(f"{workspace.config.brand.name}: {len(tickets)} tickets, no API key, no network")
    started = time.perf_counter()
    kept: list[RunResult] = []
    plan = Plan(workspace.config.graphs.default, again=False, record=True, replay=None, concurrency=4)
    asyncio.run(run_all(workspace, tickets, plan, _Keeper(kept)))
    elapsed_s = time.perf_counter() - started
    best = _best(kept)
    print_run(best)
    run_table(kept[:_SHOWN_ROWS])
    n_drafts = sum(1 for result in kept if result.draft)
    say(f"{len(kept)} tickets in {elapsed_s:.1f} s: {n_drafts} drafts wait for a person, nothing was sent")
    command = _command()
    if len(kept) > _SHOWN_ROWS:
        say(f"the first {_SHOWN_ROWS} are shown; all of them: {command} runs list --limit 100 --workspace {folder}")
    say(f"next: {command} review show {best.run_id} --workspace {folder}")
    say(f"      {command} review approve {best.run_id} --workspace {folder}")
    say(f'      {command} memory search "how long is the warranty" --workspace {folder}')


def _command() -> str:
    """Return how this person calls deskhand: by name where the shell finds it, else by the path they used."""
    return "deskhand" if shutil.which("deskhand") else sys.argv[0]


class _Keeper:
    """Keeps results for the end."""

    def __init__(self, kept: list[RunResult]) -> None:
        self._kept = kept

    def __call__(self, result: RunResult) -> None:
        pass

    def finish(self, results: Sequence[RunResult]) -> None:
        self._kept.extend(results)


def _best(results: Sequence[RunResult]) -> RunResult:
    """Return the run that shows most in little room: answered in full, from records and articles both."""

    def rank(result: RunResult) -> tuple[int, int, int, int]:
        n_open = sum(reason.code in _UNFINISHED for reason in result.reasons)
        n_citations = len(result.draft.citations) if result.draft else 0
        length = len(result.draft.text) if result.draft else 0
        return (-n_open, min(len(result.findings), 1), min(n_citations, 3), -length)

    return max(results, key=rank)


def example_folder() -> Path:
    """Return the example workspace: in the installed package, or in the repository. Raises StoreError."""
    from deskhand.errors import StoreError

    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "example", here.parents[3] / "examples" / "hollowfern"):
        if (folder / "deskhand.toml").is_file():
            return folder
    raise StoreError("the example workspace is not installed; install deskhand again from its wheel or repository")


def copy_example(target: Path) -> None:
    """Copy the example into ``target``, replacing an earlier demo there.

    Raises:
        InputError: ``target`` holds something that is not a demo.
        StoreError: It cannot be written.
    """
    from deskhand.errors import InputError, StoreError

    if target.exists() and any(target.iterdir()) and not (target / _MARKER).exists():
        raise InputError(f"{target}: is not empty and not a demo; name another folder: deskhand demo FOLDER")
    try:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(example_folder(), target, ignore=shutil.ignore_patterns(".deskhand", "golden"))
        (target / _MARKER).write_text("made by 'deskhand demo'; it may be deleted at any time\n", encoding="utf-8")
    except OSError as exc:
        raise StoreError(f"{target}: cannot be written ({exc.strerror}); name a folder you may write to") from exc
