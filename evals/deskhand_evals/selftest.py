"""The gate's self-test: how often it fails when nothing changed, and how often it sees a drop that was planted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deskhand_evals.checks import Outcome
from deskhand_evals.drops import drop_outcome
from deskhand_evals.intervals import CONFIDENCE
from deskhand_evals.metrics import Interval, wilson
from deskhand_evals.power import detectable_drop, flip_variance, needed_repeats, seen_share, within_variance
from deskhand_evals.report import PartSpec, Report, column
from deskhand_evals.resampling import SEED, Bootstrap
from deskhand_evals.statistics import by_case, paired_mean

Floats = NDArray[np.float64]


class SelfTest(NamedTuple):
    """Shares of simulated comparisons, in [0, 1]. ``interval`` is that of ``failed`` (Wilson, 95 %)."""

    n: int
    passed: float
    failed: float
    inconclusive: float
    interval: Interval


def simulate(
    right: Sequence[float],
    noise: float | Sequence[float],
    *,
    repeats: int = 1,
    drop: float = 0.0,
    max_drop: float = 0.05,
    confidence: float = CONFIDENCE,
    n: int = 2_000,
    seed: int = SEED,
) -> SelfTest:
    """Compare ``n`` pairs of noisy runs and return what the gate's rule said.

    Args:
        right: For each case its score when nothing disturbs it: 1, 0, or a share in between.
        noise: The chance, in [0, 0.5], that a repeat turns a 0/1 score over; for all cases or for each. Scores in
            between get normal noise of the same variance, kept within [0, 1].
        repeats: Of each case, on both sides.
        drop: The share of all cases, at least 0, that go from 1 to 0 in the candidate. 0 is A/A.
        max_drop: The rule's.
        confidence: The gate's.
        n: Comparisons.
        seed: Of the noise.

    Raises:
        ValueError: There are fewer right cases than the drop needs.
    """
    truth = np.asarray(right, dtype=np.float64)
    n_dropped = round(drop * len(truth))
    where_right = np.flatnonzero(truth == 1)
    if n_dropped > len(where_right):
        raise ValueError(f"a drop of {n_dropped} cases needs as many right ones; there are {len(where_right)}")
    rng = np.random.default_rng(seed)
    flips = np.broadcast_to(np.asarray(noise, dtype=np.float64), truth.shape)
    outcomes: Counter[Outcome] = Counter()
    for _ in range(n):
        changed = truth.copy()
        changed[rng.permutation(where_right)[:n_dropped]] = 0
        before, after = (_noisy(scores, flips, repeats, rng) for scores in (truth, changed))
        paired = paired_mean(before.tolist(), after.tolist(), by=Bootstrap(confidence))
        left = max_drop * seen_share(paired.mean_square, (repeats, repeats))
        outcomes[drop_outcome(paired.interval, paired.p_worse, left, confidence)] += 1
    passed, failed, open_ones = (outcomes[kind] for kind in (Outcome.passed, Outcome.failed, Outcome.inconclusive))
    return SelfTest(n, passed / n, failed / n, open_ones / n, wilson(failed, n))


def _noisy(truth: Floats, noise: Floats, repeats: int, rng: np.random.Generator) -> Floats:
    """Return each case's mean over repeats that are turned over at random."""
    flipped = rng.binomial(repeats, truth * (1 - noise) + (1 - truth) * noise) / repeats
    shifted = truth + rng.normal(0, np.sqrt(noise * (1 - noise) / repeats))
    return np.asarray(np.where(np.isin(truth, (0.0, 1.0)), flipped, np.clip(shifted, 0, 1)), dtype=np.float64)


class RuleTest(NamedTuple):
    """What the gate's rule on one measure does: when nothing changed (``same``), and with its drop planted.

    ``noise`` is the chance that a score is turned over, measured between repeats unless ``is_assumed``;
    ``needed_repeats`` and ``detectable_drop`` are None where no number of them, or no drop, is enough.
    """

    part: str
    measure: str
    n_cases: int
    repeats: int
    noise: float
    is_assumed: bool
    max_drop: float
    same: SelfTest
    planted: SelfTest | None
    detectable_drop: float | None
    needed_repeats: int | None


def check_rules(
    report: Report,
    *,
    noise: float | None = None,
    repeats: int | None = None,
    n: int = 2_000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[RuleTest]:
    """Test every rule of a report that looks for a drop in the mean of a share.

    Args:
        report: Its scores are taken as the undisturbed ones.
        noise: The chance, in [0, 0.5], that a score is turned over; measured when left out and there are repeats.
        repeats: To test with; those of the report when left out.
        n: Comparisons for each figure.
        progress: Told how many of the rules are tested.
    """
    rules = [
        (part, measure.name, rule.max_drop)
        for part in report.parts
        for scorer in part.scorers
        for rule in scorer.rules
        if rule.max_drop is not None
        for measure in scorer.measures
        if measure.name == (f"{scorer.name}.{rule.measure}" if rule.measure else scorer.name)
        and measure.per_row
        and measure.is_share
        and report.rows_by_part.get(part.name)
    ]
    found = []
    for number, (part, measure_name, max_drop) in enumerate(rules):
        progress(number, len(rules))
        found.append(_check_rule(report, part, measure_name, max_drop, noise, repeats, n))
    return found


ASSUMED_NOISE = 0.02


def _check_rule(
    report: Report, part: PartSpec, measure: str, max_drop: float, noise: float | None, repeats: int | None, n: int
) -> RuleTest:
    rows = report.rows_by_part[part.name]
    values = column(rows, measure)
    measured = within_variance(
        by_case([row.case for row in rows], [row.scores.get(measure, 0.0) for row in rows]).values()
    )
    known = noise if noise is not None else None if measured is None else _flip_chance(measured)
    chance = ASSUMED_NOISE if known is None else known
    right = [round(value) if part.repeats > 1 else value for value in values.values]
    n_repeats, confidence = repeats or part.repeats, report.gate.confidence
    n_units, variance = len(set(values.clusters)), flip_variance(chance)
    can_drop = sum(score == 1 for score in right) >= round(max_drop * len(right))

    def run(drop: float) -> SelfTest:
        return simulate(
            right, chance, repeats=n_repeats, drop=drop, max_drop=max_drop, confidence=confidence, n=n, seed=report.seed
        )

    return RuleTest(
        part.name, measure, len(right), n_repeats, chance, known is None, max_drop, run(0.0),
        run(max_drop) if can_drop else None,
        detectable_drop(n_units, n_repeats, variance, confidence=confidence),
        needed_repeats(max_drop, n_units, variance, confidence=confidence),
    )  # fmt: skip


def _flip_chance(variance: float) -> float:
    """Return the chance p, at most 0.5, with p (1 - p) = ``variance``."""
    return 0.5 * (1 - math.sqrt(max(0.0, 1 - 4 * variance)))
