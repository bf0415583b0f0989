"""Comparison of a part with its baseline: what may be compared, and whether a drop is seen or ruled out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deskhand_evals.checks import Check, Outcome, Rated, unfit
from deskhand_evals.corrections import holm
from deskhand_evals.metrics import Interval
from deskhand_evals.power import seen_share
from deskhand_evals.report import (
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


def check_drops(rated: Sequence[Rated], report: Report, baseline: Report | None) -> list[Check]:
    """Compare with the baseline; the chances of all rules are adjusted together."""
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


def _compare(rated: Rated, report: Report, baseline: Report | None) -> Paired | Check:
    rows = report.rows_by_part.get(rated.part.name, [])
    stop = unfit(rated, rows) or _incomparable(rated, baseline)
    if stop:
        return stop
    assert baseline is not None
    before = baseline.rows_by_part.get(rated.part.name, [])
    if not before:
        return rated.check(Outcome.inconclusive, "the baseline has no rows of this part; save a new one")
    return _paired(rated, before, rows, report.gate.confidence)


def _incomparable(rated: Rated, baseline: Report | None) -> Check | None:
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


def _paired(rated: Rated, before: Sequence[Row], after: Sequence[Row], confidence: float) -> Paired | Check:
    from deskhand_evals.f1_statistics import paired_macro_f1
    from deskhand_evals.resampling import Bootstrap
    from deskhand_evals.statistics import paired_mean, paired_root_mean

    by = Bootstrap(confidence)
    is_root = rated.measure.name.endswith(f".{RMSE}") and not rated.measure.per_row
    if not rated.measure.per_row and not is_root:
        old, new = labels_of(before, rated.scorer.name), labels_of(after, rated.scorer.name)
        if not new.cases or set(old.cases) != set(new.cases):
            return rated.check(Outcome.inconclusive, "cases without an expected value cannot be paired; complete them")
        place = {case: number for number, case in enumerate(old.cases)}
        predicted = [old.predicted[place[case]] for case in new.cases]
        return paired_macro_f1(new.truth, predicted, new.predicted, new.clusters, by)
    name = f"{rated.scorer.name}.{SQUARED_ERROR}" if is_root else rated.measure.name
    was = column(before, name, is_share=rated.measure.is_share)
    now = column(after, name, is_share=rated.measure.is_share)
    if not now.cases or set(was.cases) != set(now.cases) or was.n_failed == was.n_rows:
        return rated.check(Outcome.inconclusive, "rows that were not scored cannot be paired; see their errors")
    sign = 1.0 if rated.measure.higher_is_better else -1.0
    old_values = dict(zip(was.cases, was.values, strict=True))
    if is_root:
        olds = [old_values[case] for case in now.cases]
        return paired_root_mean(olds, now.values, now.clusters, by)
    pairs = [(sign * old_values[case], sign * value) for case, value in zip(now.cases, now.values, strict=True)]
    return paired_mean([a for a, _ in pairs], [b for _, b in pairs], now.clusters, by)


def compare_measure(
    part: PartSpec, scorer: ScorerSpec, measure: MeasureSpec, report: Report, baseline: Report
) -> Paired | str:
    """Return the paired comparison of one measure, higher always better, or why there is none."""
    found = _compare(Rated(part, scorer, measure, Rule(max_drop=1.0)), report, baseline)
    return found.reason if isinstance(found, Check) else found


def _judge_drop(rated: Rated, paired: Paired, p_worse: float, gate: GateSettings, repeats: tuple[int, int]) -> Check:
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
