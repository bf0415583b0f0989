"""Experiments side by side: which is best by a measure, surely or not, and which no other beats in every respect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deskhand.errors import InputError
from deskhand.schema import Json
from deskhand_evals.drops import compare_measure
from deskhand_evals.figures import figure
from deskhand_evals.report import MeasureSpec, PartSpec, Report, ScorerSpec
from deskhand_evals.summary import part_summary

SAME_LATENCY = 1.1
"""Latencies within this factor count as equal: they are noise of the machine."""


class Ranked(NamedTuple):
    """One experiment by one measure. Figures are None where nothing was scored; ``note`` says why.

    ``difference`` to the best one, with its interval ``low`` to ``high`` from the paired comparison; ``is_as_good``
    unless it is surely worse. ``cost_usd`` and ``latency_ms`` (median) are of one row of the part; ``eval_usd`` is
    what measuring that row cost, which says nothing about the target.
    """

    id: str
    created_at: str
    settings: dict[str, Json]
    value: float | None = None
    value_low: float | None = None
    value_high: float | None = None
    cost_usd: float = 0.0
    eval_usd: float = 0.0
    latency_ms: float = 0.0
    n_failed: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    is_as_good: bool = False
    is_pareto: bool = False
    note: str = ""


def shown(settings: Mapping[str, Json]) -> str:
    """Return settings in one line."""
    return ", ".join(f"{key}={value}" for key, value in settings.items()) or "as configured"


class Chosen(NamedTuple):
    """The measure that experiments are ranked by."""

    part: PartSpec
    scorer: ScorerSpec
    measure: MeasureSpec


def choose(report: Report, part: str | None, measure: str | None) -> Chosen:
    """Return a measure of a report; the first of the first part where none is named. Raises InputError."""
    found = [
        Chosen(spec, scorer, one)
        for spec in report.parts
        for scorer in spec.scorers
        for one in scorer.measures
        if part in (None, spec.name) and measure in (None, one.name)
    ]
    if not found:
        known = ", ".join(
            f"{spec.name} {one.name}" for spec in report.parts for s in spec.scorers for one in s.measures
        )
        wanted = " ".join(filter(None, (part, measure)))
        raise InputError(f"{report.id} has no measure {wanted!r}; name one of: {known}")
    return found[0]


def rank(reports: Sequence[Report], part: str | None = None, measure: str | None = None) -> list[Ranked]:
    """Return experiments of one suite, the best first; those that cannot be compared with it come last and say why.

    Raises:
        InputError: There is none, or the first has no such measure.
    """
    if not reports:
        raise InputError("no experiments of this suite; run it with 'deskhand eval run'")
    having = (report for report in reports if part is None or report.part(part))
    chosen = choose(next(having, reports[0]), part, measure)  # the newest may be a run of other parts
    sign = 1 if chosen.measure.higher_is_better else -1
    rows = [_ranked(report, chosen) for report in reports]
    scored = [(row, report) for row, report in zip(rows, reports, strict=True) if row.value is not None]
    scored.sort(key=lambda entry: -sign * (entry[0].value or 0.0))
    if not scored:
        return rows
    best = scored[0][1]
    compared = [_against(row, report, best, chosen) for row, report in scored]
    fair = [row for row in compared if not row.note]
    fair = [row._replace(is_pareto=not any(_beats(other, row, sign) for other in fair)) for row in fair]
    return [*fair, *(row for row in compared if row.note), *(row for row in rows if row.value is None)]


def _ranked(report: Report, chosen: Chosen) -> Ranked:
    settings = report.parameters.get("settings")
    row = Ranked(report.id, report.created_at, settings if isinstance(settings, dict) else {})
    part = report.part(chosen.part.name)
    scorer = next((scorer for scorer in part.scorers if scorer.name == chosen.scorer.name), None) if part else None
    if part is None or scorer is None:
        return row._replace(note="it has no such measure")
    rows = report.rows_by_part.get(part.name, [])
    found = figure(part, scorer, chosen.measure, rows, report.gate.confidence) if rows else None
    if found is None:
        return row._replace(note=part.problem or "nothing was scored")
    summary = part_summary(part, rows, report.gate.confidence)
    return row._replace(
        value=found.value, value_low=found.interval.low, value_high=found.interval.high,
        cost_usd=summary.cost_usd / len(rows), eval_usd=summary.eval_usd / len(rows),
        latency_ms=summary.latency_p50_ms, n_failed=summary.n_failed,
    )  # fmt: skip


def _against(row: Ranked, report: Report, best: Report, chosen: Chosen) -> Ranked:
    """Return the row with its difference to the best one; other versions are never compared silently."""
    if report.id == best.id:
        return row._replace(difference=0.0, low=0.0, high=0.0, is_as_good=True)
    part = report.part(chosen.part.name)
    assert part is not None, "a value comes from a part"
    scorer = next(scorer for scorer in part.scorers if scorer.name == chosen.scorer.name)
    paired = compare_measure(part, scorer, chosen.measure, report, best)
    if isinstance(paired, str):
        return row._replace(note=paired.replace("the baseline", "the best one"))
    low, high = paired.interval
    ends = (low, high) if chosen.measure.higher_is_better else (-high, -low)
    sign = 1 if chosen.measure.higher_is_better else -1
    return row._replace(difference=sign * paired.difference, low=ends[0], high=ends[1], is_as_good=high >= 0)


def _beats(a: Ranked, b: Ranked, sign: int) -> bool:
    """Tell whether ``a`` is at least as good as ``b`` in quality, cost and latency, and better in one."""
    quality_a, quality_b = sign * (a.value or 0.0), sign * (b.value or 0.0)
    is_no_worse = quality_a >= quality_b and a.cost_usd <= b.cost_usd and a.latency_ms <= b.latency_ms * SAME_LATENCY
    is_better = quality_a > quality_b or a.cost_usd < b.cost_usd or a.latency_ms * SAME_LATENCY < b.latency_ms
    return is_no_worse and is_better
