"""A pytest plug-in: a test function that is run on every case of a dataset and passes or fails by the gate.

    @pytest.mark.deskhand_eval("golden/triage.jsonl", bar=0.8)
    def test_triage(case):
        return my_triage(case["text"]) == case["label"]

The function gives a score in [0, 1], a bool, or a dict of them (``""`` is the main one); or nothing, and asserts.
``async`` functions run with ``concurrency`` cases at once. One test item is one gate: FAIL and INCONCLUSIVE fail it.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from deskhand_evals.checks import Verdict
    from deskhand_evals.report import Report, Row, Rule

MARK = "deskhand_eval"
SAVE = "--deskhand-save-baselines"
_MEASURE = "score"
_SHOWN = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that keeps baselines."""
    parser.getgroup("deskhand").addoption(SAVE, action="store_true", help="keep these runs as the baselines of evals")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(dataset, bar=None, max_drop=None, baseline=None, invariant=False, repeats=1, limit=None,"
        " concurrency=8, allow_inconclusive=False): run the test on every case of a dataset and gate on its scores",
    )


@pytest.fixture
def case() -> Mapping[str, Any]:
    """The row of the case at work, in a test marked with ``deskhand_eval``."""
    return {}


@dataclass(frozen=True)
class _Settings:
    """The arguments of the mark."""

    dataset: str
    bar: float | None = None
    max_drop: float | None = None
    baseline: str | None = None
    invariant: bool = False
    repeats: int = 1
    limit: int | None = None
    concurrency: int = 8
    allow_inconclusive: bool = False

    def rules(self) -> tuple[Rule, ...]:
        from deskhand_evals.report import Rule

        rules = [Rule(bar=self.bar)] if self.bar is not None else []
        rules += [Rule(max_drop=self.max_drop)] if self.max_drop is not None else []
        return (*rules, Rule(invariant=True)) if self.invariant else tuple(rules)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test on all cases; leave the others to pytest."""
    mark = pyfuncitem.get_closest_marker(MARK)
    if mark is None:
        return None
    settings = _settings(mark, pyfuncitem)
    report = _run(pyfuncitem, settings)
    judged = _judge(report, settings, pyfuncitem)
    figures = {"outcome": str(judged.outcome), "rows": judged.n_rows, "failed": judged.n_failed}
    figures |= {"dataset_version": report.parts[0].dataset_version}
    figures |= {check.rule: check.reason for check in judged.checks}
    pyfuncitem.user_properties += [(f"deskhand.{name}", value) for name, value in figures.items()]
    allowed = ("PASS", "INCONCLUSIVE") if settings.allow_inconclusive else ("PASS",)
    if judged.outcome not in allowed:
        pytest.fail(_told(report, judged), pytrace=False)
    return True


def _settings(mark: pytest.Mark, item: pytest.Function) -> _Settings:
    try:
        settings = _Settings(*mark.args, **mark.kwargs)
        rules = settings.rules()
    except (TypeError, ValueError) as exc:
        raise pytest.UsageError(f"{item.nodeid}: deskhand_eval: {exc}; correct the mark") from exc
    if not rules:
        raise pytest.UsageError(f"{item.nodeid}: deskhand_eval: give bar, max_drop or invariant=True, nothing gates")
    if "case" not in item.funcargs:
        raise pytest.UsageError(f"{item.nodeid}: deskhand_eval: the test takes no argument 'case'; add it")
    return settings


def _beside(item: pytest.Function, name: str) -> Path:
    """Return a path relative to the root of the tests, or else to the test's file."""
    path = item.config.rootpath / name
    return path if path.exists() else item.path.parent / name


def _run(item: pytest.Function, settings: _Settings) -> Report:
    from deskhand.errors import InputError
    from deskhand_evals.rows import read_rows, rows_version

    path = _beside(item, settings.dataset)
    try:
        rows = [value for _, value in read_rows(path)][: settings.limit]
    except InputError as exc:
        pytest.fail(f"{item.nodeid}: {exc}", pytrace=False)
    wrong = [row for row in rows if not isinstance(row, dict) or not isinstance(row.get("id"), str)]
    names = [row["id"] for row in rows if row not in wrong]
    if wrong or len(set(names)) < len(names):
        pytest.fail(f"{path}: every case is an object with an 'id' of its own; correct it", pytrace=False)
    jobs = [(row, repeat) for row in rows for repeat in range(settings.repeats)]
    return _report(item, settings, names, rows_version(rows), _results(item, jobs, settings.concurrency))


def _results(item: pytest.Function, jobs: Sequence[tuple[Any, int]], concurrency: int) -> list[Row]:
    function = inspect.unwrap(item.obj)
    names = inspect.signature(function).parameters
    given = {name: value for name, value in item.funcargs.items() if name in names}
    if item.instance is not None and not inspect.ismethod(function):
        given = {"self": item.instance} | given
    if not inspect.iscoroutinefunction(function):
        return [_row(row, repeat, partial(function, **given | {"case": row})) for row, repeat in jobs]

    async def all_of_them() -> list[Row]:
        limit = asyncio.Semaphore(concurrency)

        async def one(row: Any, repeat: int) -> Row:
            async with limit:
                try:
                    value = await function(**given | {"case": row})
                except Exception as exc:  # the edge to the user's own code
                    return _row(row, repeat, _raising(exc))
            return _row(row, repeat, lambda: value)

        return list(await asyncio.gather(*(one(row, repeat) for row, repeat in jobs)))

    with ThreadPoolExecutor(1) as pool:  # another plug-in may hold a loop in this thread
        return pool.submit(lambda: asyncio.run(all_of_them())).result()


def _raising(exc: Exception) -> Callable[[], Any]:
    def call() -> Any:
        raise exc

    return call


def _row(row: Mapping[str, Any], repeat: int, call: Callable[[], Any]) -> Row:
    """Return a scored row. A failed assertion is a score of 0; any other error marks the row as failed."""
    from deskhand_evals.report import Row, RowStatus
    from deskhand_evals.scoring import shown

    made = Row(part="pytest", case=row["id"], repeat=repeat, input=shown(dict(row)))
    try:
        scores = _scores(call())
    except AssertionError as exc:
        return made.model_copy(update={"scores": {_MEASURE: 0.0}, "notes": {_MEASURE: shown(str(exc))}})
    except _NoScore as exc:
        return made.model_copy(update={"unscored": {_MEASURE: shown(str(exc))}})
    except Exception as exc:  # the edge to the user's own code
        return made.model_copy(update={"status": RowStatus.error, "error": shown(f"{type(exc).__name__}: {exc}")})
    return made.model_copy(update={"scores": scores})


class _NoScore(Exception):
    """What a test gave is no score."""


def _scores(value: Any) -> dict[str, float]:
    """Return what a test gave as scores. Raises _NoScore where it is not a number in [0, 1]."""
    if value is None:
        return {_MEASURE: 1.0}
    values = value if isinstance(value, Mapping) else {"": value}
    for name, score in values.items():
        if not isinstance(score, int | float) or not math.isfinite(score) or not 0 <= score <= 1:
            raise _NoScore(f"the score {name or 'of the case'} is {score!r}, not a number from 0 to 1")
    if "" not in values:
        raise _NoScore('the scores have no main one; name it ""')
    return {f"{_MEASURE}.{name}" if name else _MEASURE: float(score) for name, score in values.items()}


def _report(item: pytest.Function, settings: _Settings, ids: list[str], version: str, rows: list[Row]) -> Report:
    from datetime import UTC, datetime

    from deskhand.jsonio import content_hash
    from deskhand_evals.environment import environment
    from deskhand_evals.python_scorer import source_of
    from deskhand_evals.report import GateSettings, MeasureSpec, PartSpec, Report, ScorerSpec

    names = list(dict.fromkeys([_MEASURE, *(name for row in rows for name in row.scores)]))
    measures = tuple(MeasureSpec(name=name) for name in names)
    # the test is the scorer and the target at once: its text may change without making the baseline worthless
    scorer = ScorerSpec(name=_MEASURE, kind="pytest", version=item.nodeid, measures=measures, rules=settings.rules())
    part = PartSpec(
        name="pytest", target=item.nodeid, target_version=content_hash(source_of(inspect.unwrap(item.obj))),
        dataset=settings.dataset, dataset_version=version, case_ids=tuple(ids), repeats=settings.repeats,
        scorers=(scorer,), problem="" if ids else f"{settings.dataset}: no cases; add some",
    )  # fmt: skip
    return Report(
        schema=1, id=f"pytest-{content_hash(item.nodeid)[:8]}", suite="pytest", suite_version="", seed=0,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"), environment=environment(item.config.rootpath),
        gate=GateSettings(), parts=(part,), rows=tuple(rows),
    )  # fmt: skip


def _judge(report: Report, settings: _Settings, item: pytest.Function) -> Verdict:
    from deskhand.jsonio import write_atomic
    from deskhand_evals.experiments import report_text
    from deskhand_evals.gate import verdict
    from deskhand_evals.report import load_report

    path = item.config.rootpath / settings.baseline if settings.baseline else None
    if path and item.config.getoption(SAVE) and not report.n_failed and report.rows:
        write_atomic(path, report_text(report))
    return verdict(report, load_report(path) if path and path.is_file() else None)


def _told(report: Report, judged: Verdict) -> str:
    lines = [f"{judged.outcome}: {judged.n_rows} rows, {judged.n_failed} failed"]
    lines += [f"  {check.rule}: {check.outcome}, {check.reason}" for check in judged.checks]
    bad = [row for row in report.rows if row.has_failed or row.scores.get(_MEASURE, 0.0) < 1]
    for row in bad[:_SHOWN]:
        why = row.error or row.unscored.get(_MEASURE) or row.notes.get(_MEASURE) or ""
        lines.append(f"  {row.case}: {row.scores.get(_MEASURE, 'failed')} {why}".rstrip())
    return "\n".join([*lines, *([f"  and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else [])])
