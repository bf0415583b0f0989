"""Running a suite: every case through its target and its scorers, each result kept as soon as it is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from deskhand import __version__
from deskhand.clock import Clock, SystemClock
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import InputError
from deskhand.jsonio import content_hash
from deskhand.libraries import loaded_for_good
from deskhand.schema import Json
from deskhand_evals.environment import environment, parameters
from deskhand_evals.experiments import Experiments, Journal, Place, Stored
from deskhand_evals.judging import Judging, judge_place, label_place, with_pairs
from deskhand_evals.overrides import of_config
from deskhand_evals.recordings import Mode, Player, Tape, place_of
from deskhand_evals.report import PartSpec, Report, RowStatus
from deskhand_evals.scorers import Case, Output
from deskhand_evals.scoring import Job, ReadyPart, explain, failed_row, row_of, score_row
from deskhand_evals.suite import LoadedPart, Part, Suite, load_cases, prepare_scorers
from deskhand_evals.targets import Target, Targets


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


class _Stored(NamedTuple):
    """What an experiment stored, in the place of a target."""

    target: Target
    play: Callable[[Case, int], Awaitable[Output]]
    old: PartSpec | None


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
        options = _with_stored_parts(experiments, options)
        parts = [await _ready(suite, part, targets, experiments, options) for part in _chosen(suite, options)]
        with experiments.journal(_plan(suite, parts, options), fresh=options.fresh) as journal:
            jobs = [job for part in parts for job in _jobs(part)]
            if journal.finished:
                options.say(f"going on with {journal.id}: {len(journal.finished)} of {len(jobs)} are finished")
            for part in parts:
                part.tape.sink = journal.folder / "recordings" / f"{part.spec.name}.jsonl"
                part.judging.go_on(journal.folder / "recordings" / f"{part.spec.name}.judges.jsonl")
            try:
                with loaded_for_good():
                    await _work(jobs, journal, suite, options)
                parts = [await _compared(part, suite.path.parent) for part in parts]
            finally:
                await _close(parts)
            report = _report(suite, parts, jobs, journal, options)
    _keep_recordings(parts, options)
    experiments.save(report)
    return report


def _with_stored_parts(experiments: Experiments, options: RunOptions) -> RunOptions:
    """Score again only the parts that an experiment of some parts has; where it has all, nothing is named."""
    stored = experiments.load(options.rescore).parameters.get("parts") if options.rescore else None
    return replace(options, only=tuple(map(str, stored))) if isinstance(stored, list) and not options.only else options


def _chosen(suite: Suite, options: RunOptions) -> list[Part]:
    names = [part.name for part in suite.file.part]
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        raise InputError(f"{suite.path}: no part {unknown[0]!r}; it has {', '.join(names)}")
    return [part for part in suite.file.part if not options.only or part.name in options.only]


async def _close(parts: Sequence[ReadyPart]) -> None:
    for part in parts:
        for tape in part.tapes:
            tape.close()
        for scorer in part.loaded.part.scorer:
            await scorer.aclose()


def _keep_recordings(parts: Sequence[ReadyPart], options: RunOptions) -> None:
    """Put what was recorded beside the suite, now that the whole run is through."""
    for part in parts:
        n_new = part.tape.keep([place_of(job.case.id, job.repeat) for job in _jobs(part)])
        if n_new:
            options.say(f"recorded {n_new} cases of {part.spec.name}: {part.tape.file}")
        n_judged = part.judging.tape.keep(_judge_places(part))
        if n_judged:
            options.say(f"recorded {n_judged} answers of judges of {part.spec.name}: {part.judging.tape.file}")


def _judge_places(part: ReadyPart) -> list[str]:
    judges = [scorer.name for scorer in part.loaded.part.scorer if scorer.judge]
    places = [judge_place(job.case.id, job.repeat, name) for job in _jobs(part) for name in judges]
    pairs = {scorer.name: len(scorer.pairs) for scorer in part.spec.scorers}
    return places + [label_place(number, name) for name in judges for number in range(pairs[name])]


async def _ready(
    suite: Suite, part: Part, targets: Targets, experiments: Experiments, options: RunOptions
) -> ReadyPart:
    prepare_scorers(part, targets.folder.root)
    problem = ""
    try:
        loaded = load_cases(suite, part)
    except InputError as exc:
        loaded, problem = LoadedPart(part, (), ""), str(exc)
    if not loaded.cases and not problem:
        problem = f"{part.dataset}: no cases; add some, or correct 'where'"
    tape = Tape.open(options.mode, suite.recording_path(part.name), suite.path)
    judging = Judging.open(tape, suite.recording_path(f"{part.name}.judges"), options.clock)
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
        scorers=tuple(scorer.spec() for scorer in part.scorer),
        prompts=target.prompts,
        simulator=target.simulator,
        mode=old.mode if old else "",
        recording=_recording(tape, judging.tape, options),
        problem=problem or tape.problem or judging.tape.problem,
    )
    measures = {scorer.name: {m.name: m for m in scorer.measures if m.per_row} for scorer in spec.scorers}
    return ReadyPart(loaded, play, tape, judging, spec, measures)


def _recording(tape: Tape, judges: Tape, options: RunOptions) -> str:
    """Return the version of what is replayed; stored outputs are scored without the tape of the target."""
    versions = ["" if options.rescore else tape.version, judges.version if judges.kept else ""]
    return content_hash(versions) if all(versions) else "".join(versions)


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
        row = stored.row
        return Output(stored.output, cost_usd=row.cost_usd, latency_ms=row.latency_ms, n_tokens=row.n_tokens)

    target = Target(_unused, old.target_version, old.prompts, old.simulator) if old else Target(_unused)
    return _Stored(target, play, old)


async def _unused(case: Case, repeat: int, ctx: RunContext) -> Output:
    raise AssertionError("stored outputs are scored, no target is called")


async def _compared(part: ReadyPart, folder: Path) -> ReadyPart:
    """Return the part with what its judges and people said of the same answers, and what asking them cost."""
    specs = [
        await with_pairs(*pair, part.judging, folder)
        for pair in zip(part.loaded.part.scorer, part.spec.scorers, strict=True)
    ]
    places = [label_place(number, spec.name) for spec in specs for number in range(len(spec.pairs))]
    bill = part.judging.bill(*places)
    found = {"scorers": tuple(specs), "eval_usd": bill.eval_usd, "eval_tokens": bill.eval_tokens}
    return part._replace(spec=part.spec.model_copy(update=found))


_PLANNED = {"name", "target", "target_version", "dataset_version", "repeats", "simulator", "recording"}


def _plan(suite: Suite, parts: Sequence[ReadyPart], options: RunOptions) -> dict[str, Any]:
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


def _jobs(part: ReadyPart) -> Iterator[Job]:
    for case in part.loaded.cases:
        for repeat in range(part.spec.repeats):
            yield Job(part, case, repeat)


async def _work(jobs: Sequence[Job], journal: Journal, suite: Suite, options: RunOptions) -> None:
    open_jobs = iter([job for job in jobs if job.place not in journal.finished])
    options.progress(len(journal.finished), len(jobs))

    async def worker() -> None:
        for job in open_jobs:
            journal.append(await _run_job(job, suite.file.timeout_s))
            options.progress(len(journal.finished), len(jobs))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(options.concurrency or suite.file.concurrency, len(jobs))):
            group.create_task(worker())


async def _run_job(job: Job, timeout_s: float) -> Stored:
    start = time.perf_counter()
    row = row_of(job)
    try:
        output = await _within(job, timeout_s)
    except TimeoutError:
        return Stored(failed_row(row, job, RowStatus.timeout, f"no answer within {timeout_s:g} s"), None)
    except (Exception, SystemExit, asyncio.CancelledError) as exc:  # the edge to whatever is measured
        if isinstance(exc, asyncio.CancelledError) and _is_to_stop():
            raise
        return Stored(failed_row(row, job, RowStatus.error, explain(exc)), None)
    if not output.latency_ms:
        output = replace(output, latency_ms=(time.perf_counter() - start) * 1000)
    return Stored(await score_row(job, row, output), output.value)


def _is_to_stop() -> bool:
    """Tell whether this run is cancelled, and not only something that a target waited for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _within(job: Job, timeout_s: float) -> Output:
    """Return the output in time. A TimeoutError of the target's own is an error like any other."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
            return await job.part.play(job.case, job.repeat)
    except TimeoutError as exc:
        if limit.expired():
            raise
        raise RuntimeError(f"TimeoutError: {exc}") from exc


def _report(
    suite: Suite, parts: Sequence[ReadyPart], jobs: Sequence[Job], journal: Journal, options: RunOptions
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


def _as_run(part: ReadyPart) -> PartSpec:
    """Return the part's spec with the way in which it was answered, known only now."""
    labels = {tape.label for tape in part.tapes}
    label = next((label for label in ("live", "replay") if label in labels), "local")
    return part.spec if part.spec.mode else part.spec.model_copy(update={"mode": label})
