"""Where judges are asked: recorded, replayed and paid for as targets are.

``recordings/<suite>/<part>.judges.jsonl`` beside the suite holds what the judges of a part have said. Where a part is
replayed, its judges are not asked either: what they were not asked before leaves the case unscored, loudly.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deskhand.clock import Clock
from deskhand.errors import InputError, ReplayMiss
from deskhand.jsonio import read_lines
from deskhand.recorder import NoRecorder, Recorder, load_recording, replay
from deskhand_evals.judge import judge_context
from deskhand_evals.recordings import Bill, CaseRecorder, Mode, Tape, by_place, place_of
from deskhand_evals.report import ScorerSpec
from deskhand_evals.scorers import Case, Output, Scored, Scorer, Unscored

_LABELS = "human labels#"


def judge_place(case: str, repeat: int, scorer: str) -> str:
    """Return the first part of the paths of a judge at one answer."""
    return f"{place_of(case, repeat)}:{scorer}"


def label_place(number: int, scorer: str) -> str:
    """Return the first part of the paths of a judge at an answer that a person has labelled; no case has it."""
    return f"{_LABELS}{number}:{scorer}"


@dataclass(frozen=True)
class Judging:
    """The judges of one part, and the recording of what they say."""

    tape: Tape
    clock: Clock

    @classmethod
    def open(cls, target: Tape, file: Path, clock: Clock) -> Judging:
        """Return the judges of a part whose target is answered by the tape ``target``."""
        mode = Mode.replay if target.mode is Mode.auto and target.replays else target.mode
        return cls(Tape.open(mode, file, file), clock)

    async def score(self, place: str, scorer: Scorer, case: Case, output: Output) -> Scored:
        """Return what a judge says of an output. Raises Unscored, and ReplayMiss where it was not asked before."""
        if not self.tape.replays and place not in self.tape.kept:
            return await self._ask(place, scorer, case, output)
        recorder = self.tape.recorder(place, replay(list(self.tape.kept.get(place, ()))), is_judge=True)
        try:
            return await self._with(recorder, place, scorer, case, output)
        except Exception:
            if recorder.miss is None or not self.tape.records:
                raise
        return await self._ask(place, scorer, case, output)

    async def _ask(self, place: str, scorer: Scorer, case: Case, output: Output) -> Scored:
        outside: Recorder = self.tape.writer() if self.tape.records else NoRecorder()
        return await self._with(self.tape.recorder(place, outside, is_judge=True), place, scorer, case, output)

    async def _with(self, recorder: CaseRecorder, place: str, scorer: Scorer, case: Case, output: Output) -> Scored:
        try:
            return await scorer.score_async(case, output, judge_context(case.id, recorder, self.clock))
        finally:
            self.tape.settle(place, recorder)

    def go_on(self, sink: Path) -> None:
        """Record in ``sink`` from now on; what an interrupted run has asked there about labels is not asked again."""
        self.tape.sink = sink
        if not self.tape.records or not sink.is_file():
            return
        with suppress(InputError):  # it holds no whole row yet
            found = by_place(load_recording(sink))
            self.tape.kept = {**self.tape.kept, **{p: rows for p, rows in found.items() if p.startswith(_LABELS)}}

    def bill(self, *places: str) -> Bill:
        """Return what the judges at these places have cost together."""
        bills = [self.tape.bills[place] for place in places if place in self.tape.bills]
        return Bill(eval_usd=sum(b.eval_usd for b in bills), eval_tokens=sum(b.eval_tokens for b in bills))


async def with_pairs(scorer: Scorer, spec: ScorerSpec, judging: Judging, folder: Path) -> ScorerSpec:
    """Return the spec of a judge with what it and people said of the same answers; of another scorer as it is."""
    if not scorer.judge or not scorer.human:
        return spec
    try:
        lines = enumerate(read_lines(folder / scorer.human))
        pairs = tuple([await _pair(scorer, judging, number, where, row) for number, (where, row) in lines])
    except (InputError, Unscored, ReplayMiss) as exc:
        return spec.model_copy(update={"problem": f"{scorer.human}: {exc}"})
    except Exception as exc:  # the edge to the user's own code
        return spec.model_copy(update={"problem": f"{scorer.human}: the judge raised {type(exc).__name__}: {exc}"})
    return spec.model_copy(update={"pairs": pairs})


async def _pair(scorer: Scorer, judging: Judging, number: int, where: str, row: Any) -> tuple[str, str]:
    if not isinstance(row, dict) or not {"output", "human"} <= set(row):
        raise InputError(f"{where}: a human label is an object with 'output' and 'human'; add them")
    case, place = Case(str(row.get("id", where)), row), label_place(number, scorer.name)
    scored = await judging.score(place, scorer, case, Output(row["output"]))
    human = row["human"]
    judge = scored.label.predicted if scored.label else scored.values[""] >= 0.5
    return _said(human), _said(judge)


def _said(label: Any) -> str:
    return str(int(label)) if isinstance(label, bool) else str(label)
