"""The gate: PASS, FAIL or INCONCLUSIVE, computed from stored reports and from nothing else.

It fails only where the result lies outside the uncertainty, passes only where the drop that it looks for is ruled
out, and says INCONCLUSIVE otherwise. Nothing passes by accident: failed rows, a missing or incomparable baseline, an
unproven judge and an empty part all keep it from passing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from deskhand.schema import Model
from deskhand_evals.metrics import Interval
from deskhand_evals.power import seen_share
from deskhand_evals.report import (
    MACRO_F1,
    RMSE,
    SQUARED_ERROR,
    GateSettings,
    MeasureSpec,
    PartSpec,
    Report,
    Row,
    Rule,
    ScorerSpec,
    column,
    labels_of,
)

if TYPE_CHECKING:
    from deskhand_evals.statistics import Paired


class Outcome(StrEnum):
    """What a gate says."""

    passed = "PASS"
    failed = "FAIL"
    inconclusive = "INCONCLUSIVE"


EXIT_CODES = {Outcome.passed: 0, Outcome.failed: 1, Outcome.inconclusive: 3}


class Check(Model):
    """One rule and what came of it. ``difference`` and ``p_worse`` (adjusted) are set where a baseline was used."""

    part: str
    measure: str
    rule: str
    outcome: Outcome
    reason: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    difference: float | None = None
    p_worse: float | None = None


class Verdict(Model):
    """What a gate says about a report, and why. ``changed`` names what is not as it was in the baseline."""

    outcome: Outcome
    checks: tuple[Check, ...]
    n_rows: int
    n_failed: int
    changed: tuple[str, ...] = ()
    baseline_id: str | None = None

    @property
    def exit_code(self) -> int:
        """0, 1 or 3."""
        return EXIT_CODES[self.outcome]


class _Rated(NamedTuple):
    """A rule on a measure of a scorer of a part."""

    part: PartSpec
    scorer: ScorerSpec
    measure: MeasureSpec
    rule: Rule

    def check(self, outcome: Outcome, reason: str, **figures: float | None) -> Check:
        return Check(
            part=self.part.name, measure=self.measure.name, rule=_rule_text(self.rule), outcome=outcome,
            reason=reason, **figures,
        )  # fmt: skip


def verdict(report: Report, baseline: Report | None = None) -> Verdict:
    """Return what the gate says. The same reports give the same verdict, to the digit.

    Several rules that look for drops share the chance of a false alarm (Holm).
    """
    rated = [
        _Rated(part, scorer, measure, rule)
        for part in report.parts
        for scorer in part.scorers
        for rule in scorer.rules
        for measure in _measures(scorer, rule)
    ]
    checks = [_check(entry, report, baseline) for entry in rated if entry.rule.max_drop is None]
    checks += _drops([entry for entry in rated if entry.rule.max_drop is not None], report, baseline)
    checks += _of_run(report)
    checks += _gone(report, baseline) if baseline else []
    return Verdict(
        outcome=_worst(checks, bool(rated)),
        checks=tuple(checks),
        n_rows=len(report.rows),
        n_failed=report.n_failed,
        changed=_changes(report, baseline) if baseline else (),
        baseline_id=baseline.id if baseline else None,
    )


def _measures(scorer: ScorerSpec, rule: Rule) -> list[MeasureSpec]:
    wanted = f"{scorer.name}.{rule.measure}" if rule.measure else scorer.measures[0].name
    return [measure for measure in scorer.measures if measure.name == wanted] or [MeasureSpec(name=wanted)]


def _worst(checks: Sequence[Check], has_rules: bool) -> Outcome:
    outcomes = {check.outcome for check in checks}
    for outcome in (Outcome.failed, Outcome.inconclusive):
        if outcome in outcomes:
            return outcome
    return Outcome.passed if has_rules else Outcome.inconclusive


def _rule_text(rule: Rule) -> str:
    if rule.invariant:
        return "every row"
    return f"bar {rule.bar:g}" if rule.bar is not None else f"drop < {rule.max_drop:g}"


def _check(rated: _Rated, report: Report, baseline: Report | None) -> Check:
    rows = report.rows_by_part.get(rated.part.name, [])
    stop = _unfit(rated, rows)
    if rated.rule.invariant and rows and not _judge_problem(rated.scorer):
        return _invariant(rated, rows)
    return stop or _bar(rated, rows, report.gate)


def _unfit(rated: _Rated, rows: Sequence[Row]) -> Check | None:
    """Return why the rule cannot be applied at all, or None."""
    if rated.part.problem:
        return rated.check(Outcome.inconclusive, rated.part.problem)
    if not rows:
        return rated.check(Outcome.inconclusive, "there are no rows; add cases to the dataset")
    if len({(row.case, row.repeat) for row in rows}) < len(rated.part.case_ids) * rated.part.repeats:
        return rated.check(Outcome.inconclusive, "rows are missing; run the suite again, it goes on where it stopped")
    problem = _judge_problem(rated.scorer)
    return rated.check(Outcome.inconclusive, problem) if problem else None


def _judge_problem(scorer: ScorerSpec) -> str:
    """Return why a judge may not gate, or an empty text."""
    if not scorer.is_judge:
        return ""
    if scorer.problem or not scorer.pairs:
        return f"the judge may not gate: {scorer.problem or 'it was never compared with people; name human labels'}"
    from deskhand_evals.agreement import MIN_LABELS, agreement

    if len(scorer.pairs) < MIN_LABELS:
        return f"the judge may not gate: {len(scorer.pairs)} human labels are too few; label {MIN_LABELS} or more"
    found = agreement([human for human, _ in scorer.pairs], [judge for _, judge in scorer.pairs])
    if found.kappa is None or found.interval is None:
        return "the judge may not gate: kappa is not defined where only one label occurs; label both kinds"
    if found.interval.low < scorer.min_kappa:
        low, high = found.interval
        return (
            f"the judge may not gate: kappa with people is {found.kappa:.2f} [{low:.2f}, {high:.2f}] over"
            f" {found.n}, not surely {scorer.min_kappa:g}; label more answers or improve the judge"
        )
    return ""


def _invariant(rated: _Rated, rows: Sequence[Row]) -> Check:
    """Fail on one row that was scored and is not 1; a row that could not be scored leaves it open."""
    name, known = rated.measure.name, set(rated.rule.known)
    broken = [row for row in rows if name in row.scores and row.scores[name] < 1]
    new = [row for row in broken if row.case not in known]
    unknown = [row for row in rows if name not in row.scores]
    value = 1 - len(broken) / len(rows)
    if new:
        shown = ", ".join(dict.fromkeys(row.case for row in new[:5]))
        return rated.check(Outcome.failed, f"{len(new)} of {len(rows)} rows break it: {shown}", value=value)
    stop = _unfit(rated, rows)
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


class Figure(NamedTuple):
    """A measure over a part; without an interval when it cannot be computed."""

    value: float
    interval: Interval
    n_failed: int


def figure(
    part: PartSpec, scorer: ScorerSpec, measure: MeasureSpec, rows: Sequence[Row], confidence: float
) -> Figure | None:
    """Return a measure with its interval, failed rows at the worst value; None when nothing was scored."""
    from deskhand_evals.statistics import macro_f1_interval, mean_interval, paired_macro_f1

    if measure.name.endswith(f".{RMSE}") and not measure.per_row:
        return _root_figure(scorer, rows, confidence)
    if not measure.per_row:
        found = labels_of(rows, scorer.name)
        if not found.cases or not measure.name.endswith(MACRO_F1):
            return None
        value = paired_macro_f1(found.truth, found.predicted, found.predicted, n_resamples=1).candidate
        interval = macro_f1_interval(found.truth, found.predicted, found.clusters, confidence=confidence)
        return Figure(value, interval, len({row.case for row in rows}) - len(found.cases))
    values = column(rows, measure.name, is_share=measure.is_share)
    if not values.values or values.n_failed == values.n_rows:
        return None
    interval = mean_interval(values.values, values.clusters, confidence=confidence, is_share=measure.is_share)
    return Figure(sum(values.values) / len(values.values), interval, values.n_failed)


def _root_figure(scorer: ScorerSpec, rows: Sequence[Row], confidence: float) -> Figure | None:
    from deskhand_evals.statistics import mean_interval

    squares = column(rows, f"{scorer.name}.{SQUARED_ERROR}", is_share=False)
    if not squares.values:
        return None
    low, high = mean_interval(squares.values, squares.clusters, confidence=confidence, is_share=False)
    ends = Interval(max(0.0, low) ** 0.5, max(0.0, high) ** 0.5)
    return Figure((sum(squares.values) / len(squares.values)) ** 0.5, ends, squares.n_failed)


def _bar(rated: _Rated, rows: Sequence[Row], gate: GateSettings) -> Check:
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


def _drops(rated: Sequence[_Rated], report: Report, baseline: Report | None) -> list[Check]:
    """Compare with the baseline; the chances of all rules are adjusted together."""
    from deskhand_evals.statistics import holm

    compared = [_compare(entry, report, baseline) for entry in rated]
    adjusted = iter(holm([found.p_worse for found in compared if not isinstance(found, Check)]))
    return [
        found
        if isinstance(found, Check)
        else _judge_drop(entry, found, next(adjusted), report.gate, _repeats(entry.part, baseline))
        for entry, found in zip(rated, compared, strict=True)
    ]


def _repeats(part: PartSpec, baseline: Report | None) -> tuple[int, int]:
    old = baseline.part(part.name) if baseline else None
    return (old.repeats if old else part.repeats, part.repeats)


def _compare(rated: _Rated, report: Report, baseline: Report | None) -> Paired | Check:
    rows = report.rows_by_part.get(rated.part.name, [])
    stop = _unfit(rated, rows) or _incomparable(rated, baseline)
    if stop:
        return stop
    assert baseline is not None
    before = baseline.rows_by_part.get(rated.part.name, [])
    if not before:
        return rated.check(Outcome.inconclusive, "the baseline has no rows of this part; save a new one")
    return _paired(rated, before, rows, report.gate.confidence)


def _incomparable(rated: _Rated, baseline: Report | None) -> Check | None:
    """Return why a baseline cannot be compared with, or None. Versions are never mixed silently."""
    if baseline is None:
        return rated.check(Outcome.inconclusive, "there is no baseline; save one with --save-baseline")
    old = baseline.part(rated.part.name)
    if old is None or old.problem:
        return rated.check(Outcome.inconclusive, "the baseline does not have this part; save a new one")
    if old.dataset_version != rated.part.dataset_version or old.case_ids != rated.part.case_ids:
        return rated.check(
            Outcome.inconclusive,
            f"the baseline is of another version of the dataset ({old.dataset_version[:8]}, now"
            f" {rated.part.dataset_version[:8]}); save a new one",
        )
    if old.simulator != rated.part.simulator:
        return rated.check(
            Outcome.inconclusive,
            f"the baseline was played by another customer ({old.simulator or 'none'}, now"
            f" {rated.part.simulator or 'none'}); save a new one",
        )
    scorer = next((scorer for scorer in old.scorers if scorer.name == rated.scorer.name), None)
    if scorer is None or scorer.version != rated.scorer.version:
        was = scorer.version[:8] if scorer else "none"
        return rated.check(
            Outcome.inconclusive,
            f"the baseline was scored by another version of the scorer ({was}, now {rated.scorer.version[:8]});"
            " score it again or save a new one",
        )
    return None


def _paired(rated: _Rated, before: Sequence[Row], after: Sequence[Row], confidence: float) -> Paired | Check:
    from deskhand_evals.statistics import paired_macro_f1, paired_mean, paired_root_mean

    is_root = rated.measure.name.endswith(f".{RMSE}") and not rated.measure.per_row
    if not rated.measure.per_row and not is_root:
        old, new = labels_of(before, rated.scorer.name), labels_of(after, rated.scorer.name)
        if not new.cases or set(old.cases) != set(new.cases):
            return rated.check(Outcome.inconclusive, "cases without an expected value cannot be paired; complete them")
        place = {case: number for number, case in enumerate(old.cases)}
        predicted = [old.predicted[place[case]] for case in new.cases]
        return paired_macro_f1(new.truth, predicted, new.predicted, new.clusters, confidence=confidence)
    name = f"{rated.scorer.name}.{SQUARED_ERROR}" if is_root else rated.measure.name
    was = column(before, name, is_share=rated.measure.is_share)
    now = column(after, name, is_share=rated.measure.is_share)
    if not now.cases or set(was.cases) != set(now.cases) or was.n_failed == was.n_rows:
        return rated.check(Outcome.inconclusive, "rows that were not scored cannot be paired; see their errors")
    sign = 1.0 if rated.measure.higher_is_better else -1.0
    old_values = dict(zip(was.cases, was.values, strict=True))
    if is_root:
        olds = [old_values[case] for case in now.cases]
        return paired_root_mean(olds, now.values, now.clusters, confidence=confidence)
    pairs = [(sign * old_values[case], sign * value) for case, value in zip(now.cases, now.values, strict=True)]
    return paired_mean([a for a, _ in pairs], [b for _, b in pairs], now.clusters, confidence=confidence)


def compare_measure(
    part: PartSpec, scorer: ScorerSpec, measure: MeasureSpec, report: Report, baseline: Report
) -> Paired | str:
    """Return the paired comparison of one measure, higher always better, or why there is none."""
    found = _compare(_Rated(part, scorer, measure, Rule(max_drop=1.0)), report, baseline)
    return found.reason if isinstance(found, Check) else found


def _judge_drop(rated: _Rated, paired: Paired, p_worse: float, gate: GateSettings, repeats: tuple[int, int]) -> Check:
    sign = 1.0 if rated.measure.higher_is_better else -1.0
    max_drop = rated.rule.max_drop
    assert max_drop is not None
    low, high = paired.interval
    seen = seen_share(paired.mean_square, repeats) if rated.measure.is_share else 1.0
    outcome = drop_outcome(paired.interval, p_worse, max_drop * seen, gate.confidence)
    reason = {
        Outcome.failed: "surely worse than the baseline",
        Outcome.passed: f"no drop as large as {max_drop:g} since the baseline",
        Outcome.inconclusive: f"a drop as large as {max_drop:g} cannot be ruled out; add repeats or cases"
        " ('deskhand eval aa' says how many)",
    }[outcome]
    ends = (low, high) if sign > 0 else (-high, -low)
    return rated.check(
        outcome, reason, value=sign * paired.candidate, baseline=sign * paired.baseline,
        difference=sign * paired.difference, low=ends[0], high=ends[1], p_worse=p_worse,
    )  # fmt: skip


def drop_outcome(interval: Interval, p_worse: float, max_drop: float, confidence: float) -> Outcome:
    """Return FAIL for a difference that is surely below 0, PASS for one surely above ``-max_drop``.

    Args:
        interval: Of candidate minus baseline, more being better.
        p_worse: The chance of a difference as low as this when nothing changed, adjusted for all rules.
        max_drop: The drop that must be ruled out, at least 0, as far as noise leaves it to be seen.
        confidence: Of the interval, both sides; (1 - confidence) / 2 bounds the chance of a false FAIL.
    """
    if p_worse <= (1 - confidence) / 2 + 1e-12 and interval.high < 0:
        return Outcome.failed
    return Outcome.passed if interval.low > -max_drop else Outcome.inconclusive


def _of_run(report: Report) -> list[Check]:
    """Check what every run must hold: rows that work, and the budget."""
    checks = []
    n, n_failed = len(report.rows), report.n_failed
    if n_failed:
        from deskhand_evals.statistics import share_interval

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


def _changes(report: Report, baseline: Report) -> tuple[str, ...]:
    """Return what differs from the baseline besides the scores, one line each."""
    lines = []
    for part in report.parts:
        old = baseline.part(part.name)
        if old is None:
            lines.append(f"{part.name}: new")
            continue
        if old.dataset_version != part.dataset_version:
            lines.append(f"{part.name}: dataset {old.dataset_version[:8]} -> {part.dataset_version[:8]}")
        elif old.case_ids != part.case_ids:
            lines.append(f"{part.name}: other cases")
        if (old.target, old.target_version) != (part.target, part.target_version):
            was, now = (f"{p.target} {p.target_version[:8]}".strip() for p in (old, part))
            lines.append(f"{part.name}: target {was} -> {now}")
        if old.simulator != part.simulator:
            lines.append(f"{part.name}: customer {old.simulator or 'none'} -> {part.simulator or 'none'}")
        lines += _prompt_changes(part, old)
        if old.mode != part.mode:
            lines.append(f"{part.name}: {old.mode} -> {part.mode}")
        versions = {scorer.name: scorer.version for scorer in old.scorers}
        lines += [
            f"{part.name}: scorer {scorer.name} {versions.get(scorer.name, 'none')[:8]} -> {scorer.version[:8]}"
            for scorer in part.scorers
            if versions.get(scorer.name) != scorer.version
        ]
        lines += _rule_changes(part, old)
    lines += [
        f"gate: {name} {getattr(baseline.gate, name)} -> {getattr(report.gate, name)}"
        for name in type(report.gate).model_fields
        if getattr(baseline.gate, name) != getattr(report.gate, name)
    ]
    lines += [f"{old.name}: gone" for old in baseline.parts if report.part(old.name) is None]
    return tuple(lines)


def _rule_changes(part: PartSpec, old: PartSpec) -> list[str]:
    now = {scorer.name: scorer for scorer in part.scorers}
    gone = [f"{part.name}: scorer {scorer.name} is gone" for scorer in old.scorers if scorer.name not in now]
    return gone + [
        f"{part.name}: rules of {was.name}: {_rules_text(was)} -> {_rules_text(now[was.name])}"
        for was in old.scorers
        if was.name in now and was.rules != now[was.name].rules
    ]


def _rules_text(scorer: ScorerSpec) -> str:
    return ", ".join(f"{rule.measure or ''} {_rule_text(rule)}".strip() for rule in scorer.rules) or "none"


def _prompt_changes(part: PartSpec, old: PartSpec) -> list[str]:
    names = sorted({*part.prompts, *old.prompts})
    return [
        f"{part.name}: prompt {name} {old.prompts.get(name, 'none')[:8]} -> {part.prompts.get(name, 'none')[:8]}"
        for name in names
        if old.prompts.get(name) != part.prompts.get(name)
    ]
