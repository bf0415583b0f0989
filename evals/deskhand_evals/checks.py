"""What a gate says: rules and what came of them, and why a rule cannot be applied at all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from deskhand.schema import Model
from deskhand_evals.report import MeasureSpec, PartSpec, Row, Rule, ScorerSpec


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


class Rated(NamedTuple):
    """A rule on a measure of a scorer of a part."""

    part: PartSpec
    scorer: ScorerSpec
    measure: MeasureSpec
    rule: Rule

    def check(self, outcome: Outcome, reason: str, **figures: float | None) -> Check:
        """Return what came of the rule."""
        return Check(
            part=self.part.name, measure=self.measure.name, rule=rule_text(self.rule), outcome=outcome,
            reason=reason, **figures,
        )  # fmt: skip


def rule_text(rule: Rule) -> str:
    """Return a rule for people."""
    if rule.invariant:
        return "every row"
    return f"bar {rule.bar:g}" if rule.bar is not None else f"drop < {rule.max_drop:g}"


def unfit(rated: Rated, rows: Sequence[Row]) -> Check | None:
    """Return why the rule cannot be applied at all, or None."""
    if rated.part.problem:
        return rated.check(Outcome.inconclusive, rated.part.problem)
    if not rows:
        return rated.check(Outcome.inconclusive, "there are no rows; add cases to the dataset")
    if len({(row.case, row.repeat) for row in rows}) < len(rated.part.case_ids) * rated.part.repeats:
        return rated.check(Outcome.inconclusive, "rows are missing; run the suite again, it goes on where it stopped")
    problem = judge_problem(rated.scorer)
    return rated.check(Outcome.inconclusive, problem) if problem else None


def judge_problem(scorer: ScorerSpec) -> str:
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
