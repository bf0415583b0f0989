"""The graph `digest`: one account of many tickets.

read -> group

It takes ``tickets`` instead of one ticket, parks nothing and proposes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from deskhand.answers import Triage
from deskhand.context import RunContext
from deskhand.tickets import Ticket
from deskhand.view import view_ticket
from deskhand_agents import TriageTask, detect_language, neutral_text, screen
from deskhand_agents.themes import Digest, DigestItem, build_digest
from deskhand_graphs.step import step

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

    from deskhand_graphs.workspace import Workspace

_OPENING_CHARS = 160


class DigestState(TypedDict, total=False):
    """What flows through the graph."""

    tickets: tuple[Ticket, ...]  # given by the caller; read by read
    vault: dict[str, str]  # written by step(); nobody reads it, a digest shows masked text
    trace: tuple[Any, ...]  # written by step()
    items: tuple[DigestItem, ...]  # written by read; read by group
    digest: Digest  # written by group


def build_graph(workspace: Workspace) -> StateGraph[DigestState, RunContext]:
    """Return the graph, uncompiled, over the parts of ``workspace``."""
    from langgraph.graph import END, START, StateGraph

    async def read(state: DigestState, ctx: RunContext) -> dict[str, Any]:
        found = [await _read(workspace, ticket, ctx.at(f"read:{ticket.id}")) for ticket in state["tickets"]]
        return {"items": tuple(item for item in found if item is not None)}

    async def group(state: DigestState, ctx: RunContext) -> dict[str, Any]:
        return {"digest": build_digest(state["items"])}

    graph: StateGraph[DigestState, RunContext] = StateGraph(DigestState, RunContext)
    graph.add_node("read", step("read", read))
    graph.add_node("group", step("group", group))
    graph.add_edge(START, "read")
    graph.add_edge("read", "group")
    graph.add_edge("group", END)
    return graph


async def _read(workspace: Workspace, ticket: Ticket, ctx: RunContext) -> DigestItem | None:
    """Return what a digest keeps of a ticket; None for one that needs no answer, such as an automatic reply."""
    view = view_ticket(ticket, ctx.vault)
    screening = screen(ticket, view)
    if screening.decision == "nothing":
        return None
    language = detect_language(neutral_text(view)).language
    answer = await workspace.triage.run(TriageTask(view=view, flags=screening.flag_names, language=language), ctx)
    triage = answer.value or Triage(category=None)
    text = neutral_text(view)
    return DigestItem(
        ticket_id=ticket.id,
        category=triage.category,
        text=text,
        opening=" ".join(text.split())[:_OPENING_CHARS],
        language=language,
        priority=triage.priority,
        sentiment=triage.sentiment,
        confidence=triage.confidence,
    )


async def digest_tickets(workspace: Workspace, tickets: tuple[Ticket, ...], ctx: RunContext) -> Digest:
    """Return the digest of ``tickets``."""
    end = await build_graph(workspace).compile().ainvoke({"tickets": tickets}, context=ctx)
    digest = end["digest"]
    assert isinstance(digest, Digest)
    return digest
