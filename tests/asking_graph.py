"""A graph for the workspaces of tests: drafts without a model, fails or is slow when told to, and asks a person."""

from __future__ import annotations

import asyncio
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Draft
from deskhand.context import RunContext
from deskhand.tickets import Ticket
from deskhand_graphs import step


class State(TypedDict, total=False):
    ticket: Ticket
    draft: Draft
    vault: dict
    trace: tuple


async def draft(state, ctx):
    text = [m.text for m in state["ticket"].messages if m.role == "customer"][-1]
    if text.startswith("sleep"):
        await asyncio.sleep(float(text.split()[1]))
    if text == "fail":
        raise RuntimeError("the model caught fire")
    return {"draft": Draft(text=f"Re: {text}", language="en")}


async def review(state, ctx):
    request = ReviewRequest(run_id=ctx.run_id, ask_id=f"{ctx.run_id}:0", draft=state["draft"])
    Decision.model_validate(interrupt(request.model_dump(mode="json")))
    return {}


def build(workspace):
    graph = StateGraph(State, RunContext)
    graph.add_node("draft", step("draft", draft))
    graph.add_node("review", step("review", review))
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "review")
    graph.add_edge("review", END)
    return graph
