"""Recordings of suites: what cases asked of the outside, so that CI runs them again for nothing.

``recordings/<suite>/<part>.jsonl`` beside the suite file holds the rows of ``deskhand.recorder``, masked, to be put
under version control. What is ours (knowledge, the order database, local strategies) always runs; calls of models, of
tools of your own and of outside targets come from the recording. A call that is not there fails its case, loudly.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deskhand.context import RunContext
from deskhand.errors import InputError, ReplayMiss
from deskhand.jsonio import content_hash, write_atomic
from deskhand.recorder import (
    CallKind,
    FileRecorder,
    NoRecorder,
    Recorder,
    Row,
    load_recording,
    replay,
)
from deskhand.schema import Json
from deskhand.vault import PatternVault, map_strings
from deskhand_evals.scorers import Case, Output


class Mode(StrEnum):
    """Whether the outside is asked.

    ``auto`` answers a part from its recording where there is one and asks where there is none. ``replay`` never asks.
    ``record`` answers from the recording and asks, and keeps, what it does not hold. ``live`` asks and keeps all.
    """

    auto = "auto"
    replay = "replay"
    record = "record"
    live = "live"


def place_of(case: str, repeat: int) -> str:
    """Return the first part of the paths of a repeat of a case."""
    return f"{quote(case, safe='')}#{repeat}"


def is_outside(kind: CallKind, request: Json) -> bool:
    """Tell whether a call leaves the house: to a model, a tool of the workspace's own, or a target elsewhere."""
    if not isinstance(request, dict):
        return False
    if kind is CallKind.model:
        return "tier" in request  # the encoder's calls have none
    return kind is CallKind.tool and ("tool" not in request or request["tool"] not in _tools_of_ours())


@cache
def _tools_of_ours() -> frozenset[str]:
    from deskhand_tools import ORDER_TOOL_NAMES, helpdesk_tools

    return frozenset({*ORDER_TOOL_NAMES, *(tool.name for tool in helpdesk_tools())})


@dataclass
class Bill:
    """What models were paid, in USD, and the tokens they read and wrote.

    ``eval_usd`` and ``eval_tokens`` are of those that measure: judges and simulated customers. A replay has the
    figures of the calls that it answers.
    """

    cost_usd: float = 0.0
    n_tokens: int = 0
    eval_usd: float = 0.0
    eval_tokens: int = 0

    def add(self, response: Mapping[str, Any], *, is_eval: bool) -> None:
        """Add a model's answer as it stands in a recording."""
        usd = float(response.get("cost_usd", 0.0))
        n_tokens = int(response.get("prompt_tokens", 0)) + int(response.get("completion_tokens", 0))
        if is_eval:
            self.eval_usd, self.eval_tokens = self.eval_usd + usd, self.eval_tokens + n_tokens
        else:
            self.cost_usd, self.n_tokens = self.cost_usd + usd, self.n_tokens + n_tokens


CUSTOMER = "customer#"
"""Paths that begin so are those of a simulated customer."""


class CaseRecorder:
    """Stands between one repeat of a case and the world.

    ``calls`` are the tool calls it saw, in order; ``n_outside`` counts the calls that leave the house. What models
    cost goes on ``bill``; all of it is the evaluation's own where ``is_judge``.
    """

    def __init__(self, place: str, outside: Recorder, bill: Bill | None = None, *, is_judge: bool = False) -> None:
        self._place, self._outside, self._is_judge = place, outside, is_judge
        self.bill = bill or Bill()
        self.keeps = not isinstance(outside, NoRecorder)
        self.calls: list[dict[str, Json]] = []
        self.n_outside = 0
        self.miss: ReplayMiss | None = None

    async def call(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Perform a call of ours, and have the others recorded or replayed. Raises ReplayMiss."""
        if kind is CallKind.tool and isinstance(request, dict) and "tool" in request:
            self.calls.append({"name": request["tool"], "args": request.get("args")})
        if not is_outside(kind, request):
            return await perform()
        self.n_outside += 1
        try:
            answer = await self._outside.call(kind, f"{self._place}/{path}", request, perform)
        except ReplayMiss as exc:
            self.miss = exc  # a strategy may take it for a model that is away, and go on without
            raise
        if kind is CallKind.model and isinstance(answer, dict):
            self.bill.add(answer, is_eval=self._is_judge or path.startswith(CUSTOMER))
        return answer

    def call_now(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Json]) -> Json:
        """Perform the call: time, ids and decisions of a case are fixed already."""
        return perform()


@dataclass
class Tape:
    """The recording of one part: ``kept`` holds its rows by place; ``sink`` takes new ones where the mode allows it.

    ``bills`` holds what each place has cost in this run, where a model was asked or its answer replayed.
    """

    mode: Mode
    file: Path
    sink: Path
    kept: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    problem: str = ""
    n_outside: int = 0
    bills: dict[str, Bill] = field(default_factory=dict)
    _writer: FileRecorder | None = None

    @classmethod
    def open(cls, mode: Mode, file: Path, sink: Path) -> Tape:
        """Return the recording in ``file``; one that cannot be read is a ``problem`` of its part."""
        if mode is Mode.live or not file.is_file():
            return cls(mode, file, sink)
        try:
            return cls(mode, file, sink, kept=by_place(load_recording(file)))
        except InputError as exc:
            return cls(mode, file, sink, problem=str(exc))

    @property
    def replays(self) -> bool:
        """Whether cases are answered from the recording first."""
        return self.mode in (Mode.replay, Mode.record) or (self.mode is Mode.auto and bool(self.kept or self.problem))

    @property
    def records(self) -> bool:
        """Whether new answers are kept."""
        return self.mode in (Mode.record, Mode.live)

    @property
    def label(self) -> str:
        """What the report calls the way in which the part was answered; ``local`` where nothing outside was asked."""
        if not self.n_outside:
            return "local"
        return "replay" if self.replays else "live"

    @property
    def version(self) -> str:
        """The hash of the recording; empty when nothing is replayed."""
        rows = ((row.place, row.response, row.error) for rows in self.kept.values() for row in rows)
        return content_hash([*rows]) if self.replays else ""

    def writer(self) -> FileRecorder:
        """Return the recorder of new rows. Raises StoreError."""
        if self._writer is None:
            self._writer = FileRecorder(self.sink)
        return self._writer

    def run_of(self, place: str) -> dict[str, Any]:
        """Return when a case was recorded and how long it took; empty when it was not, or asked nothing outside."""
        run = next((row.response for row in self.kept.get(place, ()) if row.kind is CallKind.run), None)
        return run if isinstance(run, dict) else {}

    def recorder(self, place: str, outside: Recorder, *, is_judge: bool = False) -> CaseRecorder:
        """Return what stands between a place and the world, with a new bill."""
        self.bills.pop(place, None)
        return CaseRecorder(place, outside, is_judge=is_judge)

    def settle(self, place: str, recorder: CaseRecorder) -> None:
        """Take over what a place has asked and cost."""
        self.n_outside += recorder.n_outside
        if recorder.n_outside:
            self.bills[place] = recorder.bill

    def close(self) -> None:
        """Close the file of new rows."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def keep(self, places: Sequence[str]) -> int:
        """Put the recording beside the suite: the rows of ``places``, new ones first; return how many are new."""
        self.close()
        if not self.records or not self.sink.is_file() or not self.sink.stat().st_size:
            return 0
        new = by_place(load_recording(self.sink))
        rows = [row for place in places for row in new.get(place, self.kept.get(place, ()))]
        write_atomic(self.file, "".join(f"{row.to_line()}\n" for row in rows))
        return sum(place in new for place in places)


def by_place(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of a recording by the first part of their paths."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.path.partition("/")[0]].append(row)
    return dict(found)


class StillClock:
    """A clock that stands still: a case sees one moment, so that its requests are the same when it runs again."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the moment."""
        return self._at


class CountedIds:
    """Identifiers that count, the same whenever a case runs: they stand in prompts."""

    def __init__(self) -> None:
        self._last = 0

    def new(self, prefix: str) -> str:
        """Return the next one."""
        self._last += 1
        return f"{prefix}-{self._last:04d}"


Answer = Callable[[Case, int, RunContext], Awaitable[Output]]
"""What gives the output of a case within a run's context."""


@dataclass(frozen=True)
class Player:
    """Runs the cases of one part, each with its own context, recorded or replayed as its tape says."""

    tape: Tape
    answer: Answer
    now: Callable[[], datetime]

    async def __call__(self, case: Case, repeat: int) -> Output:
        """Return the output of a case. Raises ReplayMiss, and whatever the target raises."""
        if not self.tape.replays:
            return await self._ask(case, repeat)
        try:
            return await self._replay(case, repeat)
        except ReplayMiss:
            if self.tape.mode is not Mode.record:
                raise
        return await self._ask(case, repeat)

    async def _replay(self, case: Case, repeat: int) -> Output:
        place = place_of(case.id, repeat)
        run = self.tape.run_of(place)
        recorder = self.tape.recorder(place, replay(list(self.tape.kept.get(place, ()))))
        at = datetime.fromisoformat(run["at"]) if run else self.now()
        output = await self._answer(case, repeat, at, recorder)
        if recorder.miss is not None:
            raise recorder.miss
        return replace(output, latency_ms=float(run["latency_ms"])) if run else output

    async def _ask(self, case: Case, repeat: int) -> Output:
        at, place = self.now(), place_of(case.id, repeat)
        if not self.tape.records:
            return await self._answer(case, repeat, at, self.tape.recorder(place, NoRecorder()))
        writer, started = self.tape.writer(), time.perf_counter()
        recorder, took = self.tape.recorder(place, writer), 0.0
        try:
            output = await self._answer(case, repeat, at, recorder)
            took = output.latency_ms
        finally:
            took = took or round((time.perf_counter() - started) * 1000, 3)
            if recorder.n_outside:
                run: Json = {"at": at.isoformat(), "latency_ms": took}
                writer.call_now(CallKind.run, place, {"case": case.id}, lambda: run)
        return replace(output, latency_ms=took)

    async def _answer(self, case: Case, repeat: int, at: datetime, recorder: CaseRecorder) -> Output:
        ctx = RunContext(
            f"eval-{case.id}-{repeat}", clock=StillClock(at), ids=CountedIds(), recorder=recorder, ticket_id=case.id
        )
        try:
            return await self.answer(case, repeat, ctx)
        finally:
            self.tape.settle(place_of(case.id, repeat), recorder)


def tool_calls(ctx: RunContext) -> list[dict[str, Json]]:
    """Return the tool calls that were made in a run so far, ``{name, args}``, masked."""
    return list(ctx.recorder.calls) if isinstance(ctx.recorder, CaseRecorder) else []


async def ask_outside(
    ctx: RunContext, what: dict[str, Json], row: Json, ask: Callable[[], Awaitable[Output]]
) -> Output:
    """Return the output of a target that is not ours, recorded or replayed, masked on disk.

    Personal data that only the target said is masked in the output too when it is recorded, so that a replay is
    scored as the live run was.
    """
    if isinstance(ctx.recorder, CaseRecorder) and not ctx.recorder.keeps:
        return await ask()
    vault = PatternVault()
    request: Json = {**what, "case": map_strings(row, vault.mask)}
    asked = PatternVault(vault.export())

    async def perform() -> Json:
        output = await ask()
        value = map_strings(output.value, vault.mask)
        return {"value": value, "cost_usd": output.cost_usd, "n_tokens": output.n_tokens}

    told: Any = await ctx.at("target").call(CallKind.tool, request, perform)
    value = map_strings(told["value"], asked.unmask)
    return Output(value, cost_usd=float(told["cost_usd"]), n_tokens=int(told.get("n_tokens", 0)))
