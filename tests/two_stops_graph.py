"""A graph of one's own that asks a person twice, and reads the clock and a record at each stop."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Draft
from deskhand.context import RunContext
from deskhand.recorder import CallKind
from deskhand.tickets import Ticket
from deskhand_graphs import step

ASKED = []


class State(TypedDict, total=False):
    ticket: Ticket
    draft: Draft
    said: list[str]
    vault: dict
    trace: tuple


async def draft(state, ctx):
    return {"draft": Draft(text=f"Begun {ctx.now():%H:%M}, {ctx.new_id('case')}", language="en")}


def stop(name):
    async def ask(state, ctx):
        async def look_up():
            ASKED.append(name)
            return {"stock": len(ASKED)}

        await ctx.call(CallKind.tool, {"stock_for": name}, look_up)
        request = ReviewRequest(run_id=ctx.run_id, ask_id=f"{ctx.run_id}:{name}", draft=state["draft"])
        decision = Decision.model_validate(interrupt(request.model_dump(mode="json")))
        found = await ctx.call(CallKind.tool, {"stock_after": name}, look_up)
        text = decision.text or state["draft"].text
        said = [*state.get("said", []), f"{decision.by} {decision.verdict.value} {found['stock']} {ctx.now():%H:%M}"]
        return {"draft": Draft(text=text, language="en"), "said": said}

    return step(name, ask)


def build(workspace):
    graph = StateGraph(State, RunContext)
    graph.add_node("draft", step("draft", draft))
    graph.add_node("first", stop("first"))
    graph.add_node("second", stop("second"))
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    return graph
