"""What a run carries with it. It is passed down, never global."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from deskhand.clock import Clock, SystemClock
from deskhand.ids import Ids, RandomIds
from deskhand.recorder import CallKind, NoRecorder, Recorder
from deskhand.schema import Json
from deskhand.telemetry import Tracer
from deskhand.vault import PatternVault, Vault


@dataclass(frozen=True)
class RunContext:
    """One run's identity and its only ways to time, ids, recordings and personal data.

    ``path`` is the place in the run that is at work, such as ``draft#0``; recordings count per path. Costs are booked
    on ``ticket_id`` and ``agent``.
    """

    run_id: str
    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=RandomIds)
    recorder: Recorder = field(default_factory=NoRecorder)
    vault: Vault = field(default_factory=PatternVault)
    tracer: Tracer = field(default_factory=Tracer)
    path: str = ""
    ticket_id: str = ""
    agent: str = ""

    def at(self, path: str) -> RunContext:
        """Return the same context for another place in the run."""
        return replace(self, path=path)

    def now(self) -> datetime:
        """Return the current time; on replay, the time that was recorded here."""
        text = self.recorder.call_now(CallKind.time, self.path, None, lambda: self.clock.now().isoformat())
        return datetime.fromisoformat(str(text))

    def new_id(self, prefix: str) -> str:
        """Return a new identifier; on replay, the one that was recorded here."""
        return str(self.recorder.call_now(CallKind.id, self.path, prefix, lambda: self.ids.new(prefix)))

    async def call(self, kind: CallKind, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Perform a call to the world through the recorder. ``request`` and the response must be masked."""
        return await self.recorder.call(kind, self.path, request, perform)
