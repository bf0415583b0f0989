"""Making a graph node from a plain function of state and context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deskhand.context import RunContext
from deskhand.telemetry import Tracer

if TYPE_CHECKING:
    from langgraph.runtime import Runtime

NodeFunction = Callable[[Any, RunContext], Awaitable[dict[str, Any]]]


def step(name: str, function: NodeFunction) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return a LangGraph node that runs ``function(state, ctx)`` at its own place in the run.

    The node knows its path for recordings (``<name>#<round>``), has the vault of the whole run, and leaves its
    span, and those that its agents made, in ``trace``.
    """

    async def node(state: dict[str, Any], runtime: Runtime[RunContext]) -> dict[str, Any]:
        # A tracer of its own: a node that is interrupted or fails leaves no spans behind for the next.
        ctx = replace(runtime.context.at(f"{name}#{state.get('round', 0)}"), tracer=Tracer())
        ctx.vault.restore(state.get("vault", {}))
        with ctx.tracer.span(name):
            update = await function(state, ctx)
        return {**update, "vault": ctx.vault.export(), "trace": ctx.tracer.drain()}

    node.__annotations__ = {}  # LangGraph would take the state's annotation for the node's input schema
    node.__name__ = name
    return node
