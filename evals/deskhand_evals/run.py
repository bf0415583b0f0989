"""Running a suite: every case through its target and its scorers, each result kept as soon as it is there."""

from __future__ import annotations

import asyncio
import json
import math
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from deskhand import __version__
from deskhand.clock import Clock, SystemClock
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import DeskhandError, InputError
from deskhand.jsonio import read_lines
from deskhand.schema import Json
from deskhand_evals.environment import environment, parameters
from deskhand_evals.experiments import Experiments, Journal, Place, Stored
from deskhand_evals.overrides import of_config
from deskhand_evals.recordings import Mode, Player, Tape, place_of
from deskhand_evals.report import PartSpec, Report, Row, RowStatus, ScorerSpec
from deskhand_evals.scorers import Case, Output, Scorer, Unscored, pick
from deskhand_evals.suite import LoadedPart, Part, Suite, encodable, load_cases, prepare_scorers
from deskhand_evals.targets import Target, Targets

SHOWN_CHARS = 600
"""As much of inputs and outputs stands in reports; ``results.jsonl`` has outputs in full."""


class Progress(Protocol):
    """Told how far a run has come."""

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` is done."""
        ...


def _silent(done: int, total: int) -> None:
    return None


@dataclass(frozen=True)
class RunOptions:
    """How a suite is run.

    ``repeats`` and ``concurrency`` go before the suite's own. ``fresh`` starts anew where an unfinished run of the
    same plan would go on. ``rescore`` names an experiment whose stored outputs are scored instead of calling targets.
    ``mode`` says whether the outside is asked. ``settings`` are keys of ``deskhand.toml`` with other values; they go
    before the suite's own. ``only`` names the parts to run.
    """

    repeats: int | None = None
    concurrency: int | None = None
    fresh: bool = False
    rescore: str | None = None
    mode: Mode = Mode.auto
    settings: Mapping[str, Json] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    clock: Clock = field(default_factory=SystemClock)
    progress: Progress = _silent
    say: Callable[[str], None] = lambda line: None


class _Ready(NamedTuple):
    """A part with all that its cases need."""

    loaded: LoadedPart
    play: Callable[[Case, int], Awaitable[Output]]
    tape: Tape
    spec: PartSpec


class _Stored(NamedTuple):
    """What an experiment stored, in the place of a target."""

    target: Target
    play: Callable[[Case, int], Awaitable[Output]]
    old: PartSpec | None


class _Job(NamedTuple):
    part: _Ready
    case: Case
    repeat: int

    @property
    def place(self) -> Place:
        return Place(self.part.spec.name, self.case.id, self.repeat)


async def run_suite(suite: Suite, folder: WorkspaceFolder, options: RunOptions = RunOptions()) -> Report:
    """Run a suite and store its report.

    A case that raises or hangs is marked and the rest goes on; so is a part whose dataset cannot be read.

    Raises:
        ConfigError: The suite names a target or a scorer that does not exist.
        InputError: ``options.rescore`` names no experiment.
        StoreError: Results cannot be written.
    """
    experiments = Experiments.of(folder)
    async with Targets.open(folder, options.say) as targets:
        parts = [await _ready(suite, part, targets, experiments, options) for part in _chosen(suite, options)]
        with experiments.journal(_plan(suite, parts, options), fresh=options.fresh) as journal:
            jobs = [job for part in parts for job in _jobs(part)]
            if journal.finished:
                options.say(f"going on with {journal.id}: {len(journal.finished)} of {len(jobs)} are finished")
            for part in parts:
                part.tape.sink = journal.folder / "recordings" / f"{part.spec.name}.jsonl"
            try:
                await _work(jobs, journal, suite, options)
            finally:
                await _close(parts)
            report = _report(suite, parts, jobs, journal, options)
    _keep_recordings(parts, options)
    experiments.save(report)
    return report


def _chosen(suite: Suite, options: RunOptions) -> list[Part]:
    names = [part.name for part in suite.file.part]
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        raise InputError(f"{suite.path}: no part {unknown[0]!r}; it has {', '.join(names)}")
    return [part for part in suite.file.part if not options.only or part.name in options.only]


async def _close(parts: Sequence[_Ready]) -> None:
    for part in parts:
        part.tape.close()
        for scorer in part.loaded.part.scorer:
            await scorer.aclose()


def _keep_recordings(parts: Sequence[_Ready], options: RunOptions) -> None:
    """Put what was recorded beside the suite, now that the whole run is through."""
    for part in parts:
        places = [place_of(job.case.id, job.repeat) for job in _jobs(part)]
        n_new = part.tape.keep(places)
        if n_new:
            options.say(f"recorded {n_new} cases of {part.spec.name}: {part.tape.file}")


async def _ready(suite: Suite, part: Part, targets: Targets, experiments: Experiments, options: RunOptions) -> _Ready:
    prepare_scorers(part, targets.folder.root)
    problem = ""
    try:
        loaded = load_cases(suite, part)
    except InputError as exc:
        loaded, problem = LoadedPart(part, (), ""), str(exc)
    if not loaded.cases and not problem:
        problem = f"{part.dataset}: no cases; add some, or correct 'where'"
    tape = Tape.open(options.mode, suite.recording_path(part.name), suite.path)
    if options.rescore:
        target, play, old = _stored_target(part, experiments, options.rescore)
    else:
        target = targets.build(part, {**suite.file.settings, **of_config(options.settings)})
        play, old = Player(tape, target.answer, lambda: suite.file.now or options.clock.now()), None
    spec = PartSpec(
        name=part.name,
        target=part.target,
        target_version=target.version,
        dataset=part.dataset,
        dataset_version=loaded.version,
        case_ids=tuple(case.id for case in loaded.cases),
        repeats=options.repeats or part.repeats or suite.file.repeats,
        scorers=tuple([await _spec(scorer, suite.path.parent) for scorer in part.scorer]),
        prompts=target.prompts,
        simulator=target.simulator,
        mode=old.mode if old else "",
        recording=tape.version if not options.rescore else "",
        problem=problem or tape.problem,
    )
    return _Ready(loaded, play, tape, spec)


def _stored_target(part: Part, experiments: Experiments, name: str) -> _Stored:
    """Return a target that gives what an experiment stored, at its cost and latency."""
    report = experiments.load(name)
    outputs = experiments.outputs(report.id)
    old = report.part(part.name)

    async def play(case: Case, repeat: int) -> Output:
        stored = outputs.get(Place(part.name, case.id, repeat))
        if stored is None or stored.row.status is not RowStatus.ok:
            reason = stored.row.error if stored else "it was not run"
            raise InputError(f"{report.id} has no output for this case ({reason}); run the suite without --rescore")
        return Output(stored.output, cost_usd=stored.row.cost_usd, latency_ms=stored.row.latency_ms)

    target = Target(_unused, old.target_version, old.prompts, old.simulator) if old else Target(_unused)
    return _Stored(target, play, old)


async def _unused(case: Case, repeat: int, ctx: RunContext) -> Output:
    raise AssertionError("stored outputs are scored, no target is called")


async def _spec(scorer: Scorer, folder: Path) -> ScorerSpec:
    """Return a scorer as the report keeps it; a judge with what it and people said of the same answers."""
    spec = scorer.spec()
    if not scorer.judge or not scorer.human:
        return spec
    try:
        pairs = tuple([await _pair(scorer, where, row) for where, row in read_lines(folder / scorer.human)])
    except (InputError, Unscored) as exc:
        return spec.model_copy(update={"problem": f"{scorer.human}: {exc}"})
    except Exception as exc:  # the edge to the user's own code
        return spec.model_copy(update={"problem": f"{scorer.human}: the judge raised {type(exc).__name__}: {exc}"})
    return spec.model_copy(update={"pairs": pairs})


async def _pair(scorer: Scorer, where: str, row: Any) -> tuple[str, str]:
    if not isinstance(row, dict) or not {"output", "human"} <= set(row):
        raise InputError(f"{where}: a human label is an object with 'output' and 'human'; add them")
    scored = await scorer.score_async(Case(str(row.get("id", where)), row), Output(row["output"]))
    human = row["human"]
    judge = scored.label.predicted if scored.label else scored.values[""] >= 0.5
    return _said(human), _said(judge)


def _said(label: Any) -> str:
    return str(int(label)) if isinstance(label, bool) else str(label)


_PLANNED = {"name", "target", "target_version", "dataset_version", "repeats", "simulator", "recording"}


def _plan(suite: Suite, parts: Sequence[_Ready], options: RunOptions) -> dict[str, Any]:
    """Return what makes two runs the same one."""
    return {
        "suite": suite.file.name,
        "suite_version": suite.version,
        "deskhand": __version__,
        "rescore": options.rescore,
        "mode": options.mode,
        "settings": dict(options.settings),
        "parts": [
            p.spec.model_dump(include=_PLANNED) | {"scorers": [scorer.version for scorer in p.spec.scorers]}
            for p in parts
        ],
    }


def _jobs(part: _Ready) -> Iterator[_Job]:
    for case in part.loaded.cases:
        for repeat in range(part.spec.repeats):
            yield _Job(part, case, repeat)


async def _work(jobs: Sequence[_Job], journal: Journal, suite: Suite, options: RunOptions) -> None:
    open_jobs = iter([job for job in jobs if job.place not in journal.finished])
    options.progress(len(journal.finished), len(jobs))

    async def worker() -> None:
        for job in open_jobs:
            journal.append(await _run_job(job, suite.file.timeout_s))
            options.progress(len(journal.finished), len(jobs))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(options.concurrency or suite.file.concurrency, len(jobs))):
            group.create_task(worker())


async def _run_job(job: _Job, timeout_s: float) -> Stored:
    start = time.perf_counter()
    row = _row_of(job)
    try:
        output = await _within(job, timeout_s)
    except TimeoutError:
        return Stored(_failed(row, job, RowStatus.timeout, f"no answer within {timeout_s:g} s"), None)
    except Exception as exc:  # the edge to whatever is measured
        return Stored(_failed(row, job, RowStatus.error, _explain(exc)), None)
    if not output.latency_ms:
        output = replace(output, latency_ms=(time.perf_counter() - start) * 1000)
    return Stored(await score_row(row, job.case, output, job.part.loaded.part.scorer), output.value)


async def _within(job: _Job, timeout_s: float) -> Output:
    """Return the output in time. A TimeoutError of the target's own is an error like any other."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
            return await job.part.play(job.case, job.repeat)
    except TimeoutError as exc:
        if limit.expired():
            raise
        raise RuntimeError(f"TimeoutError: {exc}") from exc


def _explain(exc: Exception) -> str:
    if isinstance(exc, DeskhandError | Unscored):
        return encodable(str(exc))[:SHOWN_CHARS]
    last = traceback.extract_tb(exc.__traceback__)[-1] if exc.__traceback__ else None
    where = f" ({Path(last.filename).name}:{last.lineno})" if last else ""
    return encodable(f"{type(exc).__name__}: {exc}")[:SHOWN_CHARS] + where


def _row_of(job: _Job) -> Row:
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


def _failed(row: Row, job: _Job, status: RowStatus, error: str) -> Row:
    labels = {scorer.name: scorer.failed_label(job.case) for scorer in job.part.loaded.part.scorer}
    known = {name: label for name, label in labels.items() if label is not None}
    return row.model_copy(update={"status": status, "error": error, "labels": known})


async def score_row(row: Row, case: Case, output: Output, scorers: Sequence[Scorer]) -> Row:
    """Return ``row`` with the scores of an output. A scorer that cannot score, or raises, marks the row."""
    scores: dict[str, float] = {}
    labels, unscored, notes = {}, {}, {}
    for scorer in scorers:
        try:
            found = await scorer.score_async(case, output)
            _check_finite(found.values)
        except Exception as exc:  # a user's scorer, or a case that lacks what it needs
            unscored[scorer.name] = _explain(exc)
            label = scorer.failed_label(case)
        else:
            scores |= {scorer.full_name(name): float(value) for name, value in found.values.items()}
            label = found.label
            if found.note:
                notes[scorer.name] = encodable(found.note)[:SHOWN_CHARS]
        if label is not None:
            labels[scorer.name] = label
    return row.model_copy(
        update={
            "scores": scores,
            "labels": labels,
            "unscored": unscored,
            "notes": notes,
            "latency_ms": round(output.latency_ms, 3),
            "cost_usd": output.cost_usd,
            "output": shown(_main(output.value, scorers)),
            "expected": shown(_wanted(case, scorers)),
        }
    )


def _check_finite(values: dict[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise Unscored(f"the score {name or 'of the case'} is {value}, not a number")


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


def _report(
    suite: Suite, parts: Sequence[_Ready], jobs: Sequence[_Job], journal: Journal, options: RunOptions
) -> Report:
    return Report(
        schema=1,
        id=journal.id,
        suite=suite.file.name,
        suite_version=suite.version,
        created_at=options.clock.now().isoformat(timespec="seconds"),
        seed=suite.file.seed,
        environment=environment(suite.path.parent),
        parameters=parameters(suite, options),
        gate=suite.file.gate,
        parts=tuple(_as_run(part) for part in parts),
        rows=tuple(journal.finished[job.place].row for job in jobs),
    )


def _as_run(part: _Ready) -> PartSpec:
    """Return the part's spec with the way in which it was answered, known only now."""
    return part.spec if part.spec.mode else part.spec.model_copy(update={"mode": part.tape.label})
