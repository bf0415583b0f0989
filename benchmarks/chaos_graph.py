"""The graph of ``chaos.py``: a draft that counts the customer's messages, and a person who decides.

It is copied into the workspaces that are made there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Draft
from deskhand.context import RunContext
from deskhand.tickets import Role, Ticket
from deskhand_graphs import step

if TYPE_CHECKING:
    from deskhand_graphs import Workspace


class State(TypedDict, total=False):
    """What the nodes hand on."""

    ticket: Ticket  # given
    first_word: str  # by triage, for nobody: it makes a step that may be cut off
    draft: Draft  # by write, for review and the write-back
    vault: dict[str, str]  # masked values
    trace: tuple[Any, ...]  # of the steps


async def triage(state: State, ctx: RunContext) -> dict[str, Any]:
    """Take the first word of the ticket for its category."""
    return {"first_word": state["ticket"].messages[0].text.split()[0]}


async def write(state: State, ctx: RunContext) -> dict[str, Any]:
    """Draft a reply that begins with the number of the messages that it answers."""
    n = sum(message.role is Role.customer for message in state["ticket"].messages)
    return {"draft": Draft(text=f"{n} messages seen", language="en")}


async def review(state: State, ctx: RunContext) -> dict[str, Any]:
    """Ask a person."""
    request = ReviewRequest(run_id=ctx.run_id, ask_id=f"{ctx.run_id}:0", draft=state["draft"])
    Decision.model_validate(interrupt(request.model_dump(mode="json")))
    return {}


def build(workspace: Workspace) -> StateGraph[State, RunContext]:
    """Return the graph."""
    graph = StateGraph(State, RunContext)
    for name, node in (("triage", triage), ("write", write), ("review", review)):
        graph.add_node(name, step(name, node))
    graph.add_edge(START, "triage")
    graph.add_edge("triage", "write")
    graph.add_edge("write", "review")
    graph.add_edge("review", END)
    return graph
