"""From what a target put out to a row of a report: scored, billed, and shown in short."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deskhand.errors import DeskhandError
from deskhand.schema import Json
from deskhand_evals.experiments import Place
from deskhand_evals.judging import Judging, judge_place
from deskhand_evals.recordings import Bill, Tape, place_of
from deskhand_evals.report import MeasureSpec, PartSpec, Row, RowStatus
from deskhand_evals.scorers import Case, Output, Scored, Scorer, Unscored, pick
from deskhand_evals.suite import LoadedPart, encodable

SHOWN_CHARS = 600
"""As much of inputs and outputs stands in reports; ``results.jsonl`` has outputs in full."""


class ReadyPart(NamedTuple):
    """A part with all that its cases need."""

    loaded: LoadedPart
    play: Callable[[Case, int], Awaitable[Output]]
    tape: Tape
    judging: Judging
    spec: PartSpec
    measures: dict[str, dict[str, MeasureSpec]]

    @property
    def tapes(self) -> tuple[Tape, Tape]:
        """That of the target and that of the judges."""
        return self.tape, self.judging.tape


class Job(NamedTuple):
    """One repeat of one case of a part."""

    part: ReadyPart
    case: Case
    repeat: int

    @property
    def place(self) -> Place:
        """Its place in the results."""
        return Place(self.part.spec.name, self.case.id, self.repeat)


def explain(exc: BaseException) -> str:
    """Return what went wrong in one line; where, for an error that is not ours."""
    if isinstance(exc, DeskhandError | Unscored):
        return encodable(str(exc))[:SHOWN_CHARS]
    last = traceback.extract_tb(exc.__traceback__)[-1] if exc.__traceback__ else None
    where = f" ({Path(last.filename).name}:{last.lineno})" if last else ""
    return encodable(f"{type(exc).__name__}: {exc}")[:SHOWN_CHARS] + where


def row_of(job: Job) -> Row:
    """Return the row of a case before it has run."""
    row, spec = job.case.row, job.part.spec
    given = row.get("text", row.get("input", row.get("ticket", row)))
    return Row(
        part=spec.name,
        case=job.case.id,
        repeat=job.repeat,
        cluster=job.case.cluster,
        slices=job.case.slices,
        input=shown(_thread(given)),
    )


def _thread(value: Any) -> Any:
    """Return a ticket as the text of its messages, anything else as it is."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        texts = [str(m.get("text", "")) for m in value["messages"] if isinstance(m, dict)]
        return "\n\n".join([str(value.get("subject", "")), *texts]).strip()
    return value


def shown(value: Any) -> str:
    """Return a value as a short text for people."""
    text = encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."


def failed_row(row: Row, job: Job, status: RowStatus, error: str) -> Row:
    """Return ``row`` without scores, with what was paid nevertheless."""
    labels = {scorer.name: scorer.failed_label(job.case) for scorer in job.part.loaded.part.scorer}
    known = {name: label for name, label in labels.items() if label is not None}
    return row.model_copy(update={"status": status, "error": error, "labels": known} | _billed(job))


async def score_row(job: Job, row: Row, output: Output) -> Row:
    """Return ``row`` with the scores of an output. A scorer that cannot score, or raises, marks the row."""
    case, scorers = job.case, job.part.loaded.part.scorer
    scores: dict[str, float] = {}
    labels, unscored, notes = {}, {}, {}
    for scorer in scorers:
        try:
            found = await _scored(job, scorer, output)
            _check_values(found.values, scorer, job.part.measures[scorer.name])
        except (Exception, SystemExit) as exc:  # a user's scorer, or a case that lacks what it needs
            unscored[scorer.name] = explain(exc)
            label = scorer.failed_label(case)
        else:
            scores |= {scorer.full_name(name): float(value) for name, value in found.values.items()}
            label = found.label
            if found.note:
                notes[scorer.name] = encodable(found.note)[:SHOWN_CHARS]
        if label is not None:
            labels[scorer.name] = label
    billed = _billed(job)
    return row.model_copy(
        update=billed
        | {
            "scores": scores,
            "labels": labels,
            "unscored": unscored,
            "notes": notes,
            "latency_ms": round(output.latency_ms, 3),
            "cost_usd": output.cost_usd or billed["cost_usd"],
            "n_tokens": output.n_tokens or billed["n_tokens"],
            "output": shown(_main(output.value, scorers)),
            "expected": shown(_wanted(case, scorers)),
        }
    )


async def _scored(job: Job, scorer: Scorer, output: Output) -> Scored:
    if not scorer.judge:
        return await scorer.score_async(job.case, output)
    place = judge_place(job.case.id, job.repeat, scorer.name)
    return await job.part.judging.score(place, scorer, job.case, output)


def _check_values(values: dict[str, float], scorer: Scorer, measures: dict[str, MeasureSpec]) -> None:
    """Raise Unscored unless there is one finite value for every measure, within [0, 1] where it is a share."""
    named = {scorer.full_name(name): value for name, value in values.items()}
    if named.keys() != measures.keys():
        wrong = sorted(named.keys() ^ measures.keys())[0]
        raise Unscored(f"the scorer gave {', '.join(named) or 'nothing'}, not {', '.join(measures)}; see to {wrong!r}")
    for name, value in named.items():
        if not math.isfinite(value):
            raise Unscored(f"the score {name} is {value}, not a number")
        if measures[name].is_share and not 0 <= value <= 1:
            raise Unscored(
                f"the score {name} is {value:g}, not within 0 and 1; correct the scorer, or set is_share = false"
            )


def _main(value: Json, scorers: Sequence[Scorer]) -> Any:
    """Return the part of an output that the first scorer looks at."""
    return _picked(value, scorers[0].output)


def _wanted(case: Case, scorers: Sequence[Scorer]) -> Any:
    found = _picked(dict(case.row), scorers[0].expected)
    return "" if found == dict(case.row) else found


def _picked(value: Any, path: str) -> Any:
    try:
        return pick(value, path, "value")
    except Unscored:
        return value


def _billed(job: Job) -> dict[str, Any]:
    """Return what the models of a case have cost, and those of its judges."""
    spent = job.part.tape.bills.get(place_of(job.case.id, job.repeat), Bill())
    names = [scorer.name for scorer in job.part.loaded.part.scorer if scorer.judge]
    judged = job.part.judging.bill(*(judge_place(job.case.id, job.repeat, name) for name in names))
    return {
        "cost_usd": spent.cost_usd,
        "n_tokens": spent.n_tokens,
        "eval_usd": spent.eval_usd + judged.eval_usd,
        "eval_tokens": spent.eval_tokens + judged.eval_tokens,
    }
