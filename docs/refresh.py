"""Write anew the generated parts of `docs/hollowfern.md`: the table of files, and what deskhand does with each ticket.

Run `python docs/refresh.py` from the repository after a change that a test of the docs complains about, and read the
difference. Time stands still at the noon of 20 November 2026, so that the page does not depend on the day.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from deskhand.config import WorkspaceFolder
from deskhand.records import RunResult
from deskhand.testing import FixedClock, copy_workspace
from deskhand.tickets import Ticket
from deskhand_graphs import Workspace
from deskhand_memory import load_articles
from deskhand_runs import open_runs

PAGE = Path(__file__).with_name("hollowfern.md")
EXAMPLE = PAGE.parents[1] / "examples" / "hollowfern"
_TICKET = re.compile(r"^### (HFT-\d+)", re.MULTILINE)
_SECTION = re.compile(r"^### (HFT-\d+)(.*?)^Today: [^\n]*$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"(?<=<!-- files -->\n).*?(?=<!-- end of files -->)", re.DOTALL)

_WHAT = {
    "tickets/labelled.jsonl": "tickets with their category, which the classifier learns from",
    "tickets/solved.jsonl": "tickets with the reply that solved them",
    "golden/triage.jsonl": "golden set of triage",
    "golden/retrieval.jsonl": "golden set of retrieval",
    "golden/drafts.jsonl": "golden set of drafts",
    "golden/summaries.jsonl": "golden set of summaries",
}


def refresh(text: str) -> str:
    """Return the page with its generated parts as they are today. Takes some ten seconds."""
    lines = {result.ticket_id: verdict(result) for result in run_tickets(_TICKET.findall(text))}
    with_table = _TABLE.sub(lambda _: f"\n{file_table(EXAMPLE)}\n", text)
    return _SECTION.sub(lambda found: f"### {found[1]}{found[2]}Today: {lines[found[1]]}", with_table)


def verdict(result: RunResult) -> str:
    """Return what came of a ticket in one line: category, decision, draft, reasons."""
    category = f"`{result.triage.category}`" if result.triage and result.triage.category else "no category"
    codes = ", ".join(f"`{code}`" for code in dict.fromkeys(reason.code for reason in result.reasons))
    draft = f"draft with {_count(len(result.draft.citations), 'citation')}" if result.draft else "no draft"
    return f"{category}; decision `{result.decision}`; {draft}; reasons: {codes}."


def run_tickets(ticket_ids: Sequence[str]) -> list[RunResult]:
    """Return what the graph `support` makes of tickets of the example, in a copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(WorkspaceFolder(copy_workspace(EXAMPLE, Path(folder) / "copy")), ticket_ids))


async def _run(folder: WorkspaceFolder, ticket_ids: Sequence[str]) -> list[RunResult]:
    tickets = [Ticket.model_validate_json((folder.incoming / f"{name}.json").read_text("utf-8")) for name in ticket_ids]
    with Workspace.open(folder) as workspace:
        workspace.knowledge.ingest()
        workspace.learn()
        async with open_runs(workspace, clock=FixedClock()) as executor:
            return [(await executor.run_ticket(ticket, "support")).result for ticket in tickets]


def file_table(root: Path) -> str:
    """Return a Markdown table of the files of a workspace with how much is in each."""
    rows = "".join(f"| {path} | {what} | {count} |\n" for path, what, count in _rows(root))
    return f"| Files | What | Count |\n|---|---|---|\n{rows}"


def _rows(root: Path) -> Iterator[tuple[str, str, str]]:
    folder = WorkspaceFolder(root)
    taxonomy = folder.taxonomy
    yield "`deskhand.toml`", "brand, retrieval, order database", "-"
    yield (
        "`taxonomy.toml`",
        "what a ticket may be about, and who answers",
        f"{len(taxonomy.category)} categories, {len(taxonomy.team)} teams",
    )
    yield "`policy.toml`", "what may be done", _count(_n_rules(root / "policy.toml"), "rule")
    yield "`knowledge/**/*.md`", "articles", _articles(folder.knowledge)
    yield "`orders.db`", "customers and what they bought", _tables(root / "orders.db")
    yield "`tickets/incoming/*.json`", "tickets to answer", _count(len(list(folder.incoming.glob("*.json"))), "ticket")
    for path in sorted([*root.glob("tickets/*.jsonl"), *root.glob("golden/*.jsonl")], reverse=True):
        name = path.relative_to(root).as_posix()
        yield f"`{name}`", _WHAT[name], _count(len(path.read_text("utf-8").splitlines()), "row")
    yield "`COMPANY.md`, `people.md`, `knowledge-notes.md`, `tickets/INCOMING.md`", "notes for people; not read", "-"


def _n_rules(path: Path) -> int:
    from deskhand_tools import Policy

    return len(Policy.load(path).rules)


def _articles(knowledge: Path) -> str:
    articles = [article for path in sorted(knowledge.rglob("*.md")) for article in load_articles(path)]
    n_internal = sum(article.audience == "internal" for article in articles)
    return f"{len(articles)} versions of {len({article.id for article in articles})} articles; {n_internal} internal"


def _tables(database: Path) -> str:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        # names come from the schema itself
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(names)}  # noqa: S608
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    PAGE.write_text(refresh(PAGE.read_text("utf-8")), encoding="utf-8")
