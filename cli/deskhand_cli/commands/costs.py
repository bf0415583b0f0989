"""``deskhand costs``: what models cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated, cast

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_models import CostRow
    from deskhand_models.ledger import GroupBy

GROUPS = ("day", "run", "ticket", "agent", "model", "tier", "category")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("costs")(costs)


def costs(
    ctx: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar=f"[{'|'.join(GROUPS)}]", help="What a row stands for.")] = "day",
    since: Annotated[str, typer.Option("--since", help="The first day, such as 2026-11-20.")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was spent on models, and what is reserved and not yet settled.

    Example: deskhand costs --by agent
    """
    from dataclasses import asdict

    from deskhand_models import Ledger

    folder = find_folder(ctx, workspace)
    ledger = Ledger(folder.ledger)
    try:
        rows = ledger.costs(_ledger_group(by), since=_first_day(since))
    finally:
        ledger.close()
    if by == "category":
        rows = _by_category(folder, rows)
    if as_json:
        for row in rows:
            print_json(asdict(row))
    elif rows:
        columns = (by, "attempts", "answers", "tokens in", "tokens out", "USD", "of it open")
        print_table(columns, (_cells(row) for row in map(asdict, rows)))
        total, cap = sum(row.cost_usd for row in rows), folder.config.models.budget.day_usd
        say(f"in all: USD {total:.6f}; at most USD {cap:g} a day")
    else:
        say("nothing was spent on models")


def _ledger_group(by: str) -> GroupBy:
    """Return what the ledger groups by. Raises InputError for a word that is none of the choices."""
    from deskhand.errors import InputError

    if by not in GROUPS:
        raise InputError(f"--by {by!r}: not a group of costs; choose one of {', '.join(GROUPS)}")
    return cast("GroupBy", "run" if by == "category" else by)


def _first_day(since: str) -> str:
    from datetime import date

    from deskhand.errors import InputError

    try:
        return date.fromisoformat(since).isoformat() if since else ""
    except ValueError as exc:
        raise InputError(f"--since {since!r}: not a day; write it as 2026-11-20") from exc


def _by_category(folder: WorkspaceFolder, rows: Sequence[CostRow]) -> list[CostRow]:
    """Return the costs of runs by the category of their tickets, dearest first; "-" where none was found."""
    from deskhand.errors import InputError
    from deskhand_models import CostRow
    from deskhand_runs import RunStore

    by_category: dict[str, CostRow] = {}
    with RunStore.open(folder) as store:
        for row in rows:
            try:
                result = store.load(row.key).result
            except InputError:  # not a run, such as an eval's, or one that is no longer kept
                result = None
            key = (result.triage.category if result and result.triage else None) or "-"
            so_far = by_category.get(key, CostRow(key, 0, 0, 0, 0, 0.0, 0.0))
            by_category[key] = CostRow(
                key, *(a + b for a, b in zip(astuple(so_far)[1:], astuple(row)[1:], strict=True))
            )
    return sorted(by_category.values(), key=lambda row: (-row.cost_usd, row.key))


def _cells(row: dict[str, object]) -> tuple[object, ...]:
    *counts, cost, still_open = row.values()
    return (*counts, f"{cost:.6f}", f"{still_open:.6f}")
