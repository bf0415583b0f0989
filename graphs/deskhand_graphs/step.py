"""Making a graph node from a plain function of state and context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from deskhand.context import RunContext
from deskhand.schema import Json

if TYPE_CHECKING:
    from langgraph.runtime import Runtime

NodeFunction = Callable[[Any, RunContext], Awaitable[dict[str, Any]]]


def step(name: str, function: NodeFunction) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return a LangGraph node that runs ``function(state, ctx)`` at its own place in the run.

    The node knows its path for recordings (``<name>#<round>``), has the vault of the whole run, and leaves a
    span in ``trace``. A function may put attributes of the span under the key ``span``.
    """

    async def node(state: dict[str, Any], runtime: Runtime[RunContext]) -> dict[str, Any]:
        ctx = runtime.context.at(f"{name}#{state.get('round', 0)}")
        ctx.vault.restore(state.get("vault", {}))
        with ctx.tracer.span(name) as attributes:
            update = dict(await function(state, ctx))
            shown: dict[str, Json] = update.pop("span", {})
            attributes.update(shown)
        return {**update, "vault": ctx.vault.export(), "trace": ctx.tracer.drain()}

    node.__annotations__ = {}  # LangGraph would take the state's annotation for the node's input schema
    node.__name__ = name
    return node
