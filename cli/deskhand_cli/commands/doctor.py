"""``deskhand doctor``: is everything here that deskhand needs?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder

_NEEDED_SQLITE = (3, 35)
_NEEDED_FREE_MB = 200


class Finding(NamedTuple):
    """What one check found; ``level`` is ok, note or wrong."""

    check: str
    level: str
    detail: str


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("doctor")(doctor)


def doctor(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check Python, SQLite, the encoder, the workspace and its helpdesks; exit code 1 when something is wrong.

    Example: deskhand doctor
    """
    findings = [_python(), _sqlite(), *_caught("encoder", _encoder), *_caught("languages", _languages)]
    findings += _caught("workspace", lambda: _workspace(find_folder(ctx, workspace)))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_table(("check", "", "detail"), findings)
    if any(finding.level == "wrong" for finding in findings):
        raise typer.Exit(1)


def _caught(check: str, run: Callable[[], list[Finding]]) -> list[Finding]:
    """Every check is an edge: whatever it raises is a finding, and the others go on."""
    from deskhand.errors import DeskhandError

    try:
        return run()
    except DeskhandError as exc:
        return [Finding(check, "wrong", str(exc))]
    except Exception as exc:
        return [Finding(check, "wrong", f"{type(exc).__name__}: {exc}")]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", "ok", f"{version} at {sys.prefix}")


def _sqlite() -> Finding:
    import sqlite3

    level = "ok" if sqlite3.sqlite_version_info >= _NEEDED_SQLITE else "wrong"
    return Finding("sqlite", level, f"{sqlite3.sqlite_version} (needs 3.35 with FTS5)")


def _encoder() -> list[Finding]:
    from deskhand_memory import load_encoder

    encoder = load_encoder()
    vector = encoder.encode(["a parcel has not arrived"])[0]
    return [Finding("encoder", "ok", f"{encoder.name}, {len(vector)} dimensions, files as expected")]


def _languages() -> list[Finding]:
    from deskhand_agents import detect_language

    found = detect_language("Where is my parcel? It should have arrived last week.").language
    return [Finding("languages", "ok" if found == "en" else "wrong", f"an English sentence is taken for {found!r}")]


def _workspace(folder: WorkspaceFolder) -> list[Finding]:
    from deskhand_graphs import check_workspace

    problems = check_workspace(folder)
    findings = [Finding("configuration", "wrong", problem) for problem in problems]
    findings = findings or [Finding("configuration", "ok", str(folder.root))]
    findings += _caught("knowledge", lambda: _knowledge(folder))
    findings += _caught("runs", lambda: _runs(folder))
    findings += asyncio.run(_helpdesks(folder))
    return [*findings, _disk(folder.root)]


def _knowledge(folder: WorkspaceFolder) -> list[Finding]:
    from deskhand_memory import Knowledge

    with Knowledge.open(folder) as knowledge:
        if knowledge.n_articles == 0:
            return [Finding("knowledge", "note", f"no articles read yet; put some into {folder.knowledge}")]
        problems = [Finding("knowledge", "wrong", problem) for problem in knowledge.check()]
        stale = " (files changed; the next run reads them)" if knowledge.is_stale() else ""
        return problems or [Finding("knowledge", "ok", f"{knowledge.n_articles} articles{stale}")]


def _runs(folder: WorkspaceFolder) -> list[Finding]:
    from deskhand_runs import GuardTables, RunStore, pauses

    with RunStore.open(folder) as store:
        counts = store.count()
        stopped = pauses.pauses(GuardTables(store))
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "none yet"
    paused = [
        Finding(
            "write-back", "note", f"{stop.source or 'all helpdesks'}: paused by {stop.by}; 'deskhand resume' ends it"
        )
        for stop in stopped
    ]
    return [Finding("runs", "ok", shown), *paused]


async def _helpdesks(folder: WorkspaceFolder) -> list[Finding]:
    """Ask each configured helpdesk, all at the same time: is it there, and does it take our credentials?"""
    names = sorted(folder.config.helpdesks)
    return list(await asyncio.gather(*(_helpdesk(folder, name) for name in names)))


async def _helpdesk(folder: WorkspaceFolder, name: str) -> Finding:
    from deskhand.errors import DeskhandError
    from deskhand_helpdesks import Checked, build_helpdesk, close_helpdesk

    helpdesk = build_helpdesk(name, folder.config.helpdesks[name], folder.root)
    check = f"helpdesk {name}"
    try:
        says = await helpdesk.check() if isinstance(helpdesk, Checked) else "there is no check for it"
        return Finding(check, "ok", says)
    except DeskhandError as exc:
        return Finding(check, "wrong", str(exc))
    except Exception as exc:  # every check is an edge
        return Finding(check, "wrong", f"{type(exc).__name__}: {exc}")
    finally:
        await close_helpdesk(helpdesk)


def _disk(root: Path) -> Finding:
    import shutil

    free_mb = shutil.disk_usage(root).free // 2**20
    return Finding("disk", "ok" if free_mb >= _NEEDED_FREE_MB else "wrong", f"{free_mb} MB free")
