"""The graph `answer`: a question to the knowledge, answered with citations or not at all.

    screen -> gather -> draft -> check

The nodes are those of `support`; nobody is asked, nothing is proposed, and no record is read, since the one who
asks is nobody's verified customer.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from deskhand.answers import Citation
from deskhand.context import RunContext
from deskhand.records import RunResult
from deskhand.tickets import Message, Requester, Role, Ticket
from deskhand_graphs.state import SupportState
from deskhand_graphs.step import step
from deskhand_graphs.support import Support

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

    from deskhand_graphs.workspace import Workspace

_NODES = ("screen", "gather", "draft", "check")


def build_graph(workspace: Workspace) -> StateGraph[SupportState, RunContext]:
    """Return the graph, uncompiled, over the parts of ``workspace``."""
    from langgraph.graph import END, START, StateGraph

    nodes = Support(workspace)
    graph: StateGraph[SupportState, RunContext] = StateGraph(SupportState, RunContext)
    for name in _NODES:
        graph.add_node(name, step(name, getattr(nodes, name)))
    for before, after in zip((START, *_NODES), (*_NODES, END), strict=True):
        graph.add_edge(before, after)
    return graph


def question_ticket(text: str, at: datetime) -> Ticket:
    """Return a question as the ticket that the graph takes. Raises pydantic's ValidationError when it is too long."""
    asker = Requester(id="asker")
    message = Message(id="question", author="asker", role=Role.customer, text=text, at=at)
    return Ticket(id="question", source="ask", messages=(message,), requester=asker, created_at=at, updated_at=at)


def quoted(result: RunResult) -> list[Citation]:
    """Return the sentences of an answer that stand in the knowledge, in their order; none when it was not found."""
    return list(result.draft.citations) if result.draft else []
