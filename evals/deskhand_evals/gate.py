"""The gate: PASS, FAIL or INCONCLUSIVE, computed from stored reports and from nothing else.

It fails only where the result lies outside the uncertainty, passes only where the drop that it looks for is ruled
out, and says INCONCLUSIVE otherwise. Nothing passes by accident: failed rows, a missing or incomparable baseline, an
unproven judge and an empty part all keep it from passing.
"""

from __future__ import annotations

from collections.abc import Sequence

from deskhand_evals.changes import changes
from deskhand_evals.checks import Check, Outcome, Rated, Verdict, judge_problem, unfit
from deskhand_evals.drops import check_drops
from deskhand_evals.figures import figure
from deskhand_evals.intervals import share_interval
from deskhand_evals.report import GateSettings, MeasureSpec, Report, Row, Rule, ScorerSpec


def verdict(report: Report, baseline: Report | None = None) -> Verdict:
    """Return what the gate says. The same reports give the same verdict, to the digit.

    Several rules that look for drops share the chance of a false alarm (Holm).
    """
    rated = [
        Rated(part, scorer, measure, rule)
        for part in report.parts
        for scorer in part.scorers
        for rule in scorer.rules
        for measure in _measures(scorer, rule)
    ]
    checks = [_check(entry, report, baseline) for entry in rated if entry.rule.max_drop is None]
    checks += check_drops([entry for entry in rated if entry.rule.max_drop is not None], report, baseline)
    checks += _of_run(report)
    checks += _gone(report, baseline) if baseline else []
    if not rated:
        checks.append(
            _run_check("rules", Outcome.inconclusive, "no scorer has a rule; add gate = { bar = 0.8 } to one")
        )
    return Verdict(
        outcome=_worst(checks),
        checks=tuple(checks),
        n_rows=len(report.rows),
        n_failed=report.n_failed,
        changed=changes(report, baseline) if baseline else (),
        baseline_id=baseline.id if baseline else None,
    )


def _measures(scorer: ScorerSpec, rule: Rule) -> list[MeasureSpec]:
    wanted = f"{scorer.name}.{rule.measure}" if rule.measure else scorer.measures[0].name
    return [measure for measure in scorer.measures if measure.name == wanted] or [MeasureSpec(name=wanted)]


def _worst(checks: Sequence[Check]) -> Outcome:
    outcomes = {check.outcome for check in checks}
    return next(found for found in (Outcome.failed, Outcome.inconclusive, Outcome.passed) if found in outcomes)


def _check(rated: Rated, report: Report, baseline: Report | None) -> Check:
    rows = report.rows_by_part.get(rated.part.name, [])
    stop = unfit(rated, rows)
    if rated.rule.invariant and rows and not judge_problem(rated.scorer):
        return _invariant(rated, rows)
    return stop or _bar(rated, rows, report.gate)


def _invariant(rated: Rated, rows: Sequence[Row]) -> Check:
    """Fail on one row that was scored and is not 1; a row that could not be scored leaves it open."""
    name, known = rated.measure.name, set(rated.rule.known)
    broken = [row for row in rows if name in row.scores and row.scores[name] < 1]
    new = [row for row in broken if row.case not in known]
    unknown = [row for row in rows if name not in row.scores]
    value = 1 - len(broken) / len(rows)
    if new:
        shown = ", ".join(dict.fromkeys(row.case for row in new[:5]))
        return rated.check(Outcome.failed, f"{len(new)} of {len(rows)} rows break it: {shown}", value=value)
    stop = unfit(rated, rows)
    if stop or unknown:
        reason = stop.reason if stop else f"{len(unknown)} of {len(rows)} rows were not scored: {unknown[0].case}"
        return rated.check(Outcome.inconclusive, reason, value=value)
    return rated.check(Outcome.passed, _held(rows, broken, known), value=value)


def _held(rows: Sequence[Row], broken: Sequence[Row], known: set[str]) -> str:
    """Say how many rows hold an invariant, and what of the known faults is left."""
    if not known:
        return f"all {len(rows)} rows hold"
    still = sorted({row.case for row in broken})
    gone = sorted(known - {*still})
    parts = [f"{len(rows) - len(broken)} of {len(rows)} rows hold"]
    parts += [f"known to break it: {', '.join(still)}"] if still else []
    parts += [f"no more: {', '.join(gone)}, take them out of 'known'"] if gone else []
    return "; ".join(parts)


def _bar(rated: Rated, rows: Sequence[Row], gate: GateSettings) -> Check:
    found = figure(rated.part, rated.scorer, rated.measure, rows, gate.confidence)
    bar = rated.rule.bar
    assert bar is not None
    if found is None:
        return rated.check(Outcome.inconclusive, "no row was scored; see their errors")
    (low, high), better = found.interval, rated.measure.higher_is_better
    figures = {"value": found.value, "low": low, "high": high}
    if (high < bar) if better else (low > bar):
        return rated.check(Outcome.failed, f"surely on the wrong side of {bar:g}", **figures)
    if found.n_failed and not rated.measure.is_share:
        return rated.check(Outcome.inconclusive, f"{found.n_failed} rows have no value", **figures)
    if (low >= bar) if better else (high <= bar):
        return rated.check(Outcome.passed, f"surely on the right side of {bar:g}", **figures)
    return rated.check(Outcome.inconclusive, f"{bar:g} lies within the interval; add cases", **figures)


def _of_run(report: Report) -> list[Check]:
    """Check what every run must hold: rows that work, and the budget."""
    checks = []
    n, n_failed = len(report.rows), report.n_failed
    if n_failed:
        low, high = share_interval(n_failed / n, n, report.gate.confidence)
        outcome = Outcome.failed if low > report.gate.max_failed else Outcome.inconclusive
        reason = f"{n_failed} of {n} rows failed or could not be scored; they count as 0 where a score is a share"
        checks.append(_run_check("failed rows", outcome, reason, value=n_failed / n, low=low, high=high))
    for part in report.parts:
        if part.problem:
            checks.append(_run_check(f"part {part.name}", Outcome.inconclusive, part.problem))
    if report.gate.budget_usd is not None and not report.cost_usd <= report.gate.budget_usd:
        reason = f"{report.cost_usd:.4f} USD were spent, {report.gate.budget_usd:g} are allowed"
        checks.append(_run_check("budget", Outcome.failed, reason, value=report.cost_usd))
    return checks


def _gone(report: Report, baseline: Report) -> list[Check]:
    """Return a check for each part with rules that the baseline has and this run should have had."""
    chosen = report.parameters.get("parts")
    gone = [part for part in baseline.parts if report.part(part.name) is None and any(s.rules for s in part.scorers)]
    reason = "the baseline has this part, with rules, and the run does not; save a new one if that is meant"
    return [_run_check(f"part {part.name}", Outcome.inconclusive, reason) for part in gone if not chosen]


def _run_check(measure: str, outcome: Outcome, reason: str, **figures: float) -> Check:
    return Check(part="", measure=measure, rule="the run", outcome=outcome, reason=reason, **figures)
