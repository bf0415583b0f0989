"""Running a graph on a ticket so that it ends, or goes on where it stopped."""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deskhand.actions import Decision, Verdict
from deskhand.answers import Draft
from deskhand.clock import Clock, SystemClock
from deskhand.context import RunContext
from deskhand.errors import DeskhandError, OwnedElsewhere, RunFailed, Unavailable
from deskhand.ids import Ids, RandomIds
from deskhand.recorder import FileRecorder, NoRecorder, Recorder
from deskhand.records import Outcome, RunRecord, RunResult, RunStatus
from deskhand.tickets import Ticket
from deskhand_graphs import Drive, End, begin
from deskhand_runs.store import RunStore
from deskhand_runs.write_back import WriteGuard, write_back

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from deskhand_graphs import Workspace


_log = logging.getLogger(__name__)


class Ran(NamedTuple):
    """A run's result; ``is_new`` is false when the ticket had been run before and nothing was done."""

    result: RunResult
    is_new: bool


@dataclass
class Executor:
    """Runs tickets of one workspace. One executor may run many tickets at once.

    Attributes:
        workspace: What the graphs work with.
        store: Where runs are kept. It is called in threads: a commit waits for the disk, the event loop must not.
        saver: Where checkpoints are kept.
        clock: The time.
        ids: Makes run ids.
        recordings: Where recordings go; the workspace's folder when left out.
        guard: Asked before each write to a helpdesk.
        deadline_s: A graph that takes longer is cut off, and may go on from its last checkpoint.
    """

    workspace: Workspace
    store: RunStore
    saver: BaseCheckpointSaver[str]
    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=RandomIds)
    recordings: Path | None = None
    guard: WriteGuard | None = None
    deadline_s: float | None = None
    _driven: dict[str, asyncio.Task[object]] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)

    def stop(self, run_id: str) -> None:
        """Cut off the graph of a run that was cancelled, if it is at work here. To be called on the event loop."""
        task = self._driven.get(run_id)
        if task is not None:
            self._stopped.add(run_id)
            task.cancel()

    async def run_ticket(self, ticket: Ticket, graph: str, *, again: bool = False, record: bool = False) -> Ran:
        """Run ``graph`` on ``ticket`` until it parks or ends, going on where an earlier try stopped.

        A ticket that has already parked or ended is not run again unless ``again``.

        Raises:
            RunFailed: A node failed; the same call goes on from the last checkpoint.
            OwnedElsewhere: Another process is at work on this run.
        """
        self.workspace.graph(graph)
        new_id = functools.partial(self.ids.new, "run")
        claim = await asyncio.to_thread(
            self.store.claim, ticket, graph, again=again, new_id=new_id, now=self.clock.now()
        )
        run = claim.record
        if run.status is RunStatus.done and run.result is None:
            raise RunFailed(f"{run.run_id}: {run.error}; run the ticket again with --again", run_id=run.run_id)
        if run.result is not None and (run.waits or run.status is RunStatus.done):
            return Ran(run.result, is_new=False)
        with self.store.lock(run.run_id):
            result = await self._go_on(run.run_id, record=record)
        if result is None:
            raise RunFailed(f"{run.run_id}: was cancelled; run the ticket again with --again", run_id=run.run_id)
        return Ran(result, is_new=True)

    async def go_on(self, run_id: str) -> RunRecord:
        """Take a run to its next stop, write back what that allows, and return it as it is then.

        Raises:
            RunFailed: A node failed, or the deadline passed; the same call goes on from the last checkpoint.
            Unavailable: A helpdesk gave no clear answer; the same call looks first whether it has done it.
            OwnedElsewhere: Another process is at work on this run.
        """
        with self.store.lock(run_id):
            await self._go_on(run_id)
        return await asyncio.to_thread(self.store.load, run_id)

    async def decide(self, run_id: str, decision: Decision) -> RunRecord:
        """Take a person's decision on a parked run, go on with it, and write back what was approved.

        The decision is stored before anything happens, so that a crash cannot lose it; deciding the same
        again is a no-op.

        Raises:
            InputError: The run is not parked, or was decided otherwise.
            OwnedElsewhere: Another process is at work on this run.
            Unavailable: The helpdesk gave no clear answer; deciding the same again looks first whether it has done it.
        """
        run = self.store.load(run_id)
        with self.store.lock(run.run_id):
            self.store.decide(run.run_id, decision, self.clock.now())
            await self._go_on(run.run_id)
        return self.store.load(run.run_id)

    async def finish_pending(self) -> int:
        """Write back what was approved before a process died, and return how many runs that were.

        A run at which another process is at work is left to it, and one that fails does not stop the others.
        """
        n_finished = 0
        for run in self.store.pending_write_back():
            try:
                with self.store.lock(run.run_id):
                    await self._go_on(run.run_id)
                    n_finished += 1
            except (OwnedElsewhere, RunFailed, Unavailable) as exc:
                _log.warning("%s: still to be written back: %s", run.run_id, exc)
        return n_finished

    async def _go_on(self, run_id: str, *, record: bool = False) -> RunResult | None:
        """Take a run, whose lock is held, to its next stop, and write back what that allows."""
        run = await asyncio.to_thread(self.store.load, run_id)
        if run.latest_decision is not None and not await self._has_checkpoint(run_id):
            self._end_as_shown(run, run.latest_decision)
        elif run.status is not RunStatus.done:
            await self._advance(run, run.latest_decision, record=record)
        run = await asyncio.to_thread(self.store.load, run_id)
        if run.status is RunStatus.done:
            await self._write_back(run)
        return run.result

    async def _has_checkpoint(self, run_id: str) -> bool:
        config: RunnableConfig = {"configurable": {"thread_id": run_id}}
        return await self.saver.aget_tuple(config) is not None

    def _end_as_shown(self, run: RunRecord, decision: Decision) -> None:
        """End a decided run whose checkpoints are gone, with the draft that the person saw.

        Running the graph again could give another draft than the one that was decided on.

        Raises:
            RunFailed: The person asked for another draft.
        """
        assert run.result is not None and run.review is not None, "only a parked run is decided"
        if run.status is RunStatus.done:
            return
        if decision.verdict is Verdict.retry:
            raise RunFailed(
                f"{run.run_id}: its checkpoints are gone; run ticket {run.ticket.id} again with --again",
                run_id=run.run_id,
            )
        shown = {"status": RunStatus.done, "needs_human": decision.verdict is Verdict.reject}
        if decision.verdict is Verdict.edit and decision.text is not None:
            language = run.review.draft.language if run.review.draft else "en"
            shown["draft"] = Draft(text=decision.text, language=language)
        self.store.finish(run.run_id, run.result.model_copy(update=shown), self.clock.now())

    async def _write_back(self, run: RunRecord) -> None:
        decision = run.latest_decision
        may_be_sent = run.result is not None and run.result.decision is Outcome.send
        if decision is None and not may_be_sent:
            return
        await write_back(
            run,
            decision,
            self.workspace.helpdesk(run.ticket.source),
            self.workspace.policy,
            self.store,
            self.clock,
            mode=self.workspace.folder.config.mode,
            toolbox=self.workspace.toolbox,
            guard=self.guard,
        )

    async def _advance(self, run: RunRecord, decision: Decision | None, *, record: bool) -> None:
        recorder = self._recorder(run.run_id, record=record)
        ctx = RunContext(run.run_id, clock=self.clock, ids=self.ids, recorder=recorder, ticket_id=run.ticket.id)
        deadline = asyncio.timeout(self.deadline_s)
        try:
            begin(ctx, run.graph, run.ticket)
            async with deadline:
                end = await self._drive(ctx, run, decision)
        except DeskhandError as exc:
            await self._fail(run, str(exc))
            raise
        except Exception as exc:
            is_late = deadline.expired()
            why = f"took longer than {self.deadline_s:g} s" if is_late else f"{type(exc).__name__}: {exc}"
            await self._fail(run, why)
            raise RunFailed(
                f"{run.run_id} on ticket {run.ticket.id} stopped: {why};"
                " run the same command to go on from its checkpoint, or add --debug",
                run_id=run.run_id,
            ) from exc
        finally:
            if isinstance(recorder, FileRecorder):
                recorder.close()
        if end is not None:
            await self._keep(run, end)

    async def _drive(self, ctx: RunContext, run: RunRecord, decision: Decision | None) -> End | None:
        """Return how the graph ended, None when ``stop`` cut it off."""
        task = asyncio.current_task()
        assert task is not None, "runs are coroutines"
        self._driven[run.run_id] = task
        try:
            return await Drive(self.workspace, self.saver, run.graph)(ctx, run.ticket, decision)
        except asyncio.CancelledError:
            if run.run_id not in self._stopped:
                raise
            task.uncancel()
            return None
        finally:
            del self._driven[run.run_id]
            self._stopped.discard(run.run_id)

    async def _fail(self, run: RunRecord, why: str) -> None:
        await asyncio.to_thread(self.store.fail, run.run_id, why, self.clock.now())

    async def _keep(self, run: RunRecord, end: End) -> None:
        now = self.clock.now()
        if end.review is not None:
            await asyncio.to_thread(self.store.park, run.run_id, end.result, end.review, now)
        else:
            await asyncio.to_thread(self.store.finish, run.run_id, end.result, now)

    def _recorder(self, run_id: str, *, record: bool) -> Recorder:
        """A run that was begun with a recording goes on with it."""
        folder = self.recordings or self.workspace.folder.recordings
        file = folder / f"{run_id}.jsonl"
        return FileRecorder(file) if record or file.exists() else NoRecorder()
