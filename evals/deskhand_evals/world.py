"""A copy of the world that one case may change: the helpdesk's folder and the order database."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.actions import Action, ActionVerdict, Decision, Effect, Receipt, ReceiptStatus, Verdict
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import DeskhandError, InputError
from deskhand.jsonio import canonical_json, content_hash
from deskhand.records import RunResult
from deskhand.schema import Json
from deskhand.tickets import Ticket
from deskhand_tools import REPLY, Scope, helpdesk_tools

if TYPE_CHECKING:
    from deskhand_graphs import Workspace
    from deskhand_graphs.drive import End
    from deskhand_tools import Tool

Tables = dict[str, dict[str, Json]]
"""The rows of each table by their key."""

BuildTools = Callable[[WorkspaceFolder], "Sequence[Tool]"]
"""Makes tools over the order database of a folder."""

_SHARED = ("knowledge", "models", "labelled", "examples", "triage", "summarizer", "drafter")
"""What the workspaces of all cases share: nothing of it writes to the world."""


@dataclass(frozen=True)
class World:
    """One case's copy: a workspace over it, and how its order database was before.

    A tool of the workspace's own would act on the real world: only those that ``build_tools`` makes over the copy are
    carried out.
    """

    workspace: Workspace
    outgoing: Path
    _before: Tables
    _tools: frozenset[str]

    @classmethod
    @contextmanager
    def copy(cls, workspace: Workspace, build_tools: BuildTools | None = None) -> Iterator[World]:
        """Yield a copy of the world of ``workspace``; it is thrown away afterwards."""
        with tempfile.TemporaryDirectory(prefix="deskhand-eval-") as scratch:
            folder = Path(scratch)
            own = _with_orders(workspace.folder, folder)
            copied = type(workspace)(own)
            vars(copied).update({name: getattr(workspace, name) for name in _SHARED})
            made = _put_tools(copied, build_tools(own)) if build_tools else frozenset()
            yield cls(copied, folder / "outgoing", read_tables(own.orders) if own.orders else {}, made)

    def database(self) -> Json:
        """Return the rows of the order database that changed, by table and key; a row that is gone is null."""
        orders = self.workspace.folder.orders
        after = read_tables(orders) if orders else {}
        return {
            table: changed
            for table in sorted({*self._before, *after})
            if (changed := _changed(self._before.get(table, {}), after.get(table, {})))
        }

    async def carry_out(self, result: RunResult, ticket: Ticket, ctx: RunContext, decision: Decision) -> list[Receipt]:
        """Do what a person approved, as write-back does: the reply first, every action judged again by the policy."""
        from deskhand_helpdesks import FolderHelpdesk

        helpdesk = FolderHelpdesk(self.workspace.folder.incoming, self.outgoing)
        receipts = []
        for action in _approved(result, decision):
            judged = self.workspace.policy.judge(action.name, self._effect(action), action.args, action.provenance)
            if judged.verdict is ActionVerdict.refused:
                receipts.append(_skipped(action, judged.reason))
            elif action.kind == "helpdesk":
                receipts.append(await helpdesk.apply(action, ticket.id))
            elif action.name not in self._tools:
                why = "a tool of your own is not carried out in an eval; name one over the copy with options.tools"
                receipts.append(_skipped(action, why))
            else:
                receipts.append(await self._by_tool(action, ticket, ctx))
        return receipts

    def _effect(self, action: Action) -> Effect:
        known = {tool.name: tool.effect for tool in (*helpdesk_tools(), *self.workspace.toolbox.tools)}
        return known.get(action.name, Effect.write if action.name == REPLY else Effect.money)

    async def _by_tool(self, action: Action, ticket: Ticket, ctx: RunContext) -> Receipt:
        scope = Scope(ticket.id, ticket.requester, ctx.now().date(), action_key=action.key)
        try:
            done = await self.workspace.toolbox.carry_out(action, scope)
        except DeskhandError as exc:
            return _skipped(action, str(exc))
        except Exception as exc:  # the edge to the user's own tools
            return Receipt(
                action_id=action.id, status=ReceiptStatus.uncertain, detail=f"{type(exc).__name__}: {exc}; look at it"
            )
        return Receipt(action_id=action.id, status=ReceiptStatus.done, ref=json.dumps(done, default=str)[:200])

    def ticket(self, ticket: Ticket) -> dict[str, Json]:
        """Return the ticket as the helpdesk would show it after the actions that went out for it."""
        state: dict[str, Any] = {
            "status": ticket.status, "priority": ticket.priority, "tags": list(ticket.tags),
            "replies": [], "refunds": [],
        }  # fmt: skip
        for action in self._sent(ticket.id):
            args = action["args"]
            if action["name"] == REPLY:
                state["replies"].append(args["text"])
            elif action["name"] == "add_tag":
                state["tags"].append(args["tag"])
            elif action["name"] == "set_priority":
                state["priority"] = args["priority"]
            elif action["name"] == "close_ticket":
                state["status"] = "closed"
            elif action["name"] == "refund_order":
                state["refunds"].append(args)
        plain: dict[str, Json] = json.loads(json.dumps(state | {"n_replies": len(state["replies"])}, default=str))
        return plain

    def _sent(self, ticket_id: str) -> list[dict[str, Any]]:
        files = sorted(self.outgoing.glob("*.json"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        sent = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return [entry["action"] for entry in sent if entry["ticket_id"] == ticket_id]


def _put_tools(workspace: Workspace, tools: Sequence[Tool]) -> frozenset[str]:
    """Put tools in the place of those of the same name, and return their names."""
    from deskhand_tools import Toolbox

    made = frozenset(tool.name for tool in tools)
    others = [tool for tool in workspace.toolbox.tools if tool.name not in made]
    vars(workspace)["toolbox"] = Toolbox([*others, *tools], workspace.policy)
    return made


def _with_orders(folder: WorkspaceFolder, scratch: Path) -> WorkspaceFolder:
    """Return the folder with its order database copied to ``scratch``."""
    own = WorkspaceFolder(folder.root)
    orders = folder.orders
    config = folder.config
    if orders is not None:
        shutil.copyfile(orders, scratch / "orders.db")
        settings = config.orders.model_copy(update={"database": str(scratch / "orders.db")})
        config = config.model_copy(update={"orders": settings})
    vars(own).update(config=config, taxonomy=folder.taxonomy)
    return own


def read_tables(file: Path) -> Tables:
    """Return every row of a SQLite database, by table and key: the first column, or the whole row where it repeats.

    Raises:
        InputError: It is no SQLite database.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: _rows(connection, name) for name in names if not name.startswith("sqlite_")}
    except sqlite3.Error as exc:
        raise InputError(f"{file}: cannot be read as a SQLite database ({exc}); name the order database") from exc


def _rows(connection: sqlite3.Connection, table: str) -> dict[str, Json]:
    quoted = table.replace('"', '""')
    rows = [dict(row) for row in connection.execute(f'SELECT * FROM "{quoted}"')]  # noqa: S608 - a name of the schema
    firsts = [str(next(iter(row.values()), "")) for row in rows]
    are_keys = len({*firsts}) == len(firsts)
    return {first if are_keys else canonical_json(row): row for first, row in zip(firsts, rows, strict=True)}


def _changed(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    return {key: after.get(key) for key in sorted({*before, *after}) if before.get(key) != after.get(key)}


def _approved(result: RunResult, decision: Decision) -> Iterator[Action]:
    if decision.verdict is not Verdict.approve:
        return
    text = result.draft.text if result.draft else ""
    if text.strip():
        yield Action(
            id=REPLY, kind="helpdesk", name=REPLY, args={"text": text}, provenance={"text": "draft"},
            key=content_hash([result.run_id, REPLY]), verdict=ActionVerdict.needs_approval,
        )  # fmt: skip
    yield from (action for action in result.actions if action.verdict is not ActionVerdict.refused)


def _skipped(action: Action, why: str) -> Receipt:
    return Receipt(action_id=action.id, status=ReceiptStatus.skipped, detail=why)


async def settle(world: World, end: End, ticket: Ticket, ctx: RunContext) -> list[Receipt]:
    """Approve what a run asks for, or take what it may send by itself, and carry it out."""
    if end.review is None and end.result.decision != "send":
        return []
    ask_id = end.review.ask_id if end.review else ctx.run_id
    yes = Decision(ask_id=ask_id, verdict=Verdict.approve, by="eval", at=ctx.now())
    receipts = await world.carry_out(end.result, ticket, ctx, yes)
    await asyncio.sleep(0)  # many cases share the loop, and a folder's writes are quick
    return receipts
