"""Running a graph on a ticket so that it ends, or goes on where it stopped."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deskhand.actions import Decision, Verdict
from deskhand.answers import Draft
from deskhand.clock import Clock, SystemClock
from deskhand.context import RunContext
from deskhand.errors import DeskhandError, OwnedElsewhere, RunFailed
from deskhand.ids import Ids, RandomIds
from deskhand.recorder import FileRecorder, NoRecorder, Recorder
from deskhand.records import Outcome, RunRecord, RunResult, RunStatus
from deskhand.tickets import Ticket
from deskhand_graphs import Drive, End, begin
from deskhand_runs.store import RunStore
from deskhand_runs.write_back import write_back

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
    """Runs tickets of one workspace. One executor may run many tickets at once."""

    workspace: Workspace
    store: RunStore
    saver: BaseCheckpointSaver[str]
    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=RandomIds)
    recordings: Path | None = None

    async def run_ticket(self, ticket: Ticket, graph: str, *, again: bool = False, record: bool = False) -> Ran:
        """Run ``graph`` on ``ticket`` until it parks or ends, going on where an earlier try stopped.

        A ticket that has already parked or ended is not run again unless ``again``.

        Raises:
            RunFailed: A node failed; the same call goes on from the last checkpoint.
            OwnedElsewhere: Another process is at work on this run.
        """
        self.workspace.graph(graph)
        claim = self.store.claim(
            ticket, graph, again=again, new_id=functools.partial(self.ids.new, "run"), now=self.clock.now()
        )
        run = claim.record
        if run.result is not None and (run.waits or run.status is RunStatus.done):
            return Ran(run.result, is_new=False)
        with self.store.lock(run.run_id):
            return Ran(await self._go_on(run.run_id, record=record), is_new=True)

    async def decide(self, run_id: str, decision: Decision) -> RunRecord:
        """Take a person's decision on a parked run, go on with it, and write back what was approved.

        The decision is stored before anything happens, so that a crash cannot lose it; deciding the same
        again is a no-op.

        Raises:
            InputError: The run is not parked, or was decided otherwise.
            OwnedElsewhere: Another process is at work on this run.
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
            except (OwnedElsewhere, RunFailed) as exc:
                _log.warning("%s: still to be written back: %s", run.run_id, exc)
        return n_finished

    async def _go_on(self, run_id: str, *, record: bool = False) -> RunResult:
        """Take a run, whose lock is held, to its next stop, and write back what that allows."""
        run = self.store.load(run_id)
        if run.latest_decision is not None and not await self._has_checkpoint(run_id):
            self._end_as_shown(run, run.latest_decision)
        elif run.status is not RunStatus.done:
            await self._advance(run, run.latest_decision, record=record)
        run = self.store.load(run_id)
        if run.status is RunStatus.done:
            await self._write_back(run)
        assert run.result is not None, "a run that parked or ended has a result"
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
        )

    async def _advance(self, run: RunRecord, decision: Decision | None, *, record: bool) -> None:
        recorder = self._recorder(run.run_id, record=record)
        ctx = RunContext(run.run_id, clock=self.clock, ids=self.ids, recorder=recorder, ticket_id=run.ticket.id)
        try:
            begin(ctx, run.graph, run.ticket)
            drive = Drive(self.workspace, self.saver, run.graph)
            end = await drive(ctx, run.ticket, decision)
        except DeskhandError as exc:
            self.store.fail(run.run_id, str(exc), self.clock.now())
            raise
        except Exception as exc:
            self.store.fail(run.run_id, f"{type(exc).__name__}: {exc}", self.clock.now())
            raise RunFailed(
                f"{run.run_id} on ticket {run.ticket.id} stopped: {type(exc).__name__}: {exc};"
                " run the same command to go on from its checkpoint, or add --debug",
                run_id=run.run_id,
            ) from exc
        finally:
            if isinstance(recorder, FileRecorder):
                recorder.close()
        self._keep(run, end)

    def _keep(self, run: RunRecord, end: End) -> None:
        if end.review is not None:
            self.store.park(run.run_id, end.result, end.review, self.clock.now())
        else:
            self.store.finish(run.run_id, end.result, self.clock.now())

    def _recorder(self, run_id: str, *, record: bool) -> Recorder:
        """A run that was begun with a recording goes on with it."""
        folder = self.recordings or self.workspace.folder.recordings
        file = folder / f"{run_id}.jsonl"
        return FileRecorder(file) if record or file.exists() else NoRecorder()
