"""Runs and drafts as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deskhand.records import Outcome
from deskhand_cli.output import one_line, print_rich, print_table, printable

if TYPE_CHECKING:
    from rich.text import Text

    from deskhand.answers import Reason
    from deskhand.records import RunRecord, RunResult
    from deskhand.schema import Json
    from deskhand_cli.run_costs import AgentCost

_RUN_COLUMNS = ("ticket", "category", "conf.", "priority", "decision", "cites", "s", "why")
_QUOTE_CHARS = 200


def run_table(results: Sequence[RunResult]) -> None:
    """Print one row a run: what it is about, how sure, what was decided, how long it took and, if wide, why."""
    print_table(_RUN_COLUMNS, map(run_row, results), whole=_RUN_COLUMNS[:-1], spare=("why",))


def run_row(result: RunResult) -> tuple[object, ...]:
    """Return the cells of one run."""
    triage = result.triage
    citations = len(result.draft.citations) if result.draft else 0
    return (
        result.ticket_id,
        (triage.category if triage else None) or "-",
        _confidence(result),
        (triage.priority if triage else None) or "-",
        _decision(result),
        citations or "-",
        f"{sum(span.ms for span in result.trace if '.' not in span.name) / 1000:.2f}",
        ", ".join(dict.fromkeys(reason.code for reason in result.reasons)),
    )


def _confidence(result: RunResult) -> Text | str:
    from rich.text import Text

    if result.triage is None or result.triage.category is None:
        return "-"
    style = "green" if result.triage.certified else "yellow"
    return Text(f"{result.triage.confidence:.2f}", style=style)


def _decision(result: RunResult) -> Text | str:
    from rich.text import Text

    if result.decision is None:
        return str(result.status)
    colour = {Outcome.nothing: "dim", Outcome.review: "yellow", Outcome.send: "green"}[result.decision]
    return Text(str(result.decision), style=colour)


def print_run(result: RunResult) -> None:
    """Print one run in full: triage, summary, draft, where each sentence comes from, and why it waits."""
    run_table([result])
    if result.summary:
        section("summary", result.summary.text)
    print_findings(result)
    if result.draft:
        section("draft", result.draft.text)
        print_sources(result)
    if result.reasons:
        section("why a person must look", "\n".join(f"- {_why(reason)}" for reason in result.reasons))
    if result.values:
        section("values", "\n".join(f"- {key}: {value}" for key, value in result.values.items()))
    print_rich(f"run {result.run_id}: {result.status}", style="dim")


def _why(reason: Reason) -> str:
    """Return a reason's code, and what it means in plain words."""
    from deskhand_agents.reasons import REASONS

    words = " ".join(filter(None, (REASONS.get(reason.code), reason.detail)))
    return f"{reason.code}: {words}" if words else reason.code


def print_findings(result: RunResult) -> None:
    """Print what was read from systems of record."""
    lines = [
        f"- {finding.tool} {finding.subject}: "
        + ", ".join(f"{key} {_fact(value)}" for key, value in finding.facts.items())
        for finding in result.findings
    ]
    if lines:
        section("records", "\n".join(lines))


def _fact(value: Json) -> str:
    """Return a fact as people write it: an amount by its text, a list by its length."""
    if isinstance(value, dict):
        return str(value.get("text", value))
    return f"{len(value)} items" if isinstance(value, list) else str(value)


def print_sources(result: RunResult) -> None:
    """Print the draft's citations beside the passages they quote."""
    if result.draft is None or not result.draft.citations:
        return
    titles = {passage.id: passage.title for passage in result.passages}
    rows = [
        (number, cite.passage_id, titles.get(cite.passage_id, "-"), _cut(cite.quote))
        for number, cite in enumerate(result.draft.citations, start=1)
    ]
    print_table(("", "source", "title", "quote"), rows)


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTE_CHARS else f"{text[: _QUOTE_CHARS - 3]}..."


def section(title: str, text: str) -> None:
    """Print a titled block of text as it is, with nothing in it read as markup."""
    from rich.padding import Padding
    from rich.text import Text

    print_rich(one_line(title), style="bold")
    print_rich(Padding(Text(printable(text)), (0, 2, 1, 2)))


def record_table(records: Sequence[RunRecord]) -> None:
    """Print stored runs, newest first."""
    rows = [
        (
            record.run_id,
            record.ticket.id,
            record.graph,
            record.status,
            (record.result.triage.category if record.result and record.result.triage else None) or "-",
            f"{record.updated_at:%Y-%m-%d %H:%M}",
            record.error or "",
        )
        for record in records
    ]
    columns = ("run", "ticket", "graph", "status", "category", "updated (UTC)", "error")
    print_table(columns, rows, whole=("run",), spare=("graph", "updated (UTC)"))


def cost_table(costs: Sequence[AgentCost]) -> None:
    """Print what the models of one run took, a row for each agent and model, and with which prompt."""
    rows = [
        (
            cost.agent,
            cost.prompt or "-",
            cost.model or "-",
            f"{cost.n_answers}/{cost.n_attempts}",
            cost.prompt_tokens,
            cost.completion_tokens,
            f"{cost.cost_usd:.6f}",
        )
        for cost in costs
    ]
    print_table(("agent", "prompt", "model", "answers", "tokens in", "out", "USD"), rows)
