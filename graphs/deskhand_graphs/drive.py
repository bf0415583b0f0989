"""Taking a graph from where its checkpoints stand to its next stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from deskhand.actions import Decision, ReviewRequest
from deskhand.context import RunContext
from deskhand.errors import ReplayMiss
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.records import RunResult, RunStatus
from deskhand.tickets import Ticket
from deskhand.vault import PatternVault, map_strings
from deskhand_graphs.results import build_result, unmask
from deskhand_graphs.state import CHECKPOINT_TYPES
from deskhand_graphs.workspace import Workspace

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.types import Durability, StateSnapshot


def checkpoint_serializer() -> JsonPlusSerializer:
    """Return the serializer of every saver: it brings back our own types and no others."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(allowed_msgpack_modules=CHECKPOINT_TYPES)


def memory_saver() -> BaseCheckpointSaver[str]:
    """Return a saver that keeps checkpoints in memory, for replays and evals."""
    from langgraph.checkpoint.memory import InMemorySaver

    return InMemorySaver(serde=checkpoint_serializer())


def begin(ctx: RunContext, graph: str, ticket: Ticket) -> str:
    """Write, or on replay read, the row that names the run; return its id.

    Raises:
        ReplayMiss: The recording is of another ticket or graph.
    """
    asked = {"graph": graph, "ticket_hash": content_hash(ticket.model_dump(mode="json"))}
    try:
        return str(ctx.recorder.call_now(CallKind.run, "", dict(asked), lambda: ctx.run_id))
    except ReplayMiss as exc:
        raise ReplayMiss(f"ticket {ticket.id}: this recording is of another ticket or graph; {exc}") from exc


class End(NamedTuple):
    """How a graph stopped: with a question to a person, or at its end."""

    result: RunResult
    review: ReviewRequest | None


@dataclass(frozen=True)
class Drive:
    """Takes a graph from where its checkpoints stand to its next stop."""

    workspace: Workspace
    saver: BaseCheckpointSaver[str]
    graph: str

    async def __call__(self, ctx: RunContext, ticket: Ticket, decision: Decision | None) -> End:
        """Run until the graph parks or ends. Without a checkpoint it starts; a parked one takes ``decision``."""
        compiled = self.workspace.compiled(self.graph, self.saver)
        config: Any = {"configurable": {"thread_id": ctx.run_id}}
        given = await self._input(compiled, config, ctx, ticket, decision)
        await compiled.ainvoke(given, config, context=ctx, durability=self._durability())
        snapshot = await compiled.aget_state(config)
        parked = bool(snapshot.interrupts)
        status = RunStatus.parked if parked else RunStatus.done
        result = build_result(snapshot.values, run_id=ctx.run_id, graph=self.graph, status=status)
        if not parked:
            return End(result, None)
        asked = ReviewRequest.model_validate(snapshot.interrupts[0].value)
        return End(result, unmask(asked, PatternVault(snapshot.values.get("vault", {}))))

    def _durability(self) -> Durability:
        """Tell when checkpoints are written: after every node; in memory, which no crash outlives, at the stop."""
        from langgraph.checkpoint.memory import InMemorySaver

        return "exit" if isinstance(self.saver, InMemorySaver) else "sync"

    async def _input(
        self, compiled: Any, config: Any, ctx: RunContext, ticket: Ticket, decision: Decision | None
    ) -> Any:
        if await self.saver.aget_tuple(config) is None:
            return {"ticket": ticket}
        snapshot = await compiled.aget_state(config)
        if decision is None or not snapshot.interrupts:
            return None  # go on after a crash, park again, or nothing left to do
        open_question = snapshot.interrupts[0]
        if open_question.value.get("ask_id") != decision.ask_id:
            return None  # this decision was taken in before a crash
        from langgraph.types import Command

        said = decision.model_dump(mode="json")
        _record(ctx, snapshot, decision.ask_id, said)
        return Command(resume={open_question.id: said})


def _record(ctx: RunContext, snapshot: StateSnapshot, ask_id: str, said: dict[str, Any]) -> None:
    """Write, or on replay look for, the row of a decision, masked, at the place of the node that asked for it."""
    ctx.vault.restore(snapshot.values.get("vault", {}))
    masked = map_strings(said, ctx.vault.mask)
    node = next(task.name for task in snapshot.tasks if task.interrupts)
    place = f"{node}#{snapshot.values.get('round', 0)}"
    ctx.recorder.call_now(CallKind.decision, place, {"ask_id": ask_id}, lambda: masked)
