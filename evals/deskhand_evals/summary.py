"""The figures of a report, as tables and pages show them. Nothing here decides anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import NamedTuple

from deskhand_evals.calibration import Bin, Confusion, calibration_error, confusion, reliability
from deskhand_evals.figures import Figure, figure
from deskhand_evals.metrics import ClassScore, per_class, wilson
from deskhand_evals.power import pass_hat_k, within_variance
from deskhand_evals.report import Label, MeasureSpec, PartSpec, Report, Row, ScorerSpec

N_WORST = 8


class Line(NamedTuple):
    """One measure of a part; without a figure when nothing was scored."""

    measure: MeasureSpec
    figure: Figure | None


class Slice(NamedTuple):
    """The first measure of a part on the cases whose field has one value; with the interval of a share (Wilson)."""

    field: str
    value: str
    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Classes:
    """What a classification did, failed rows as a class of their own. ``ece`` needs confidences."""

    scorer: str
    confusion: Confusion
    scores: dict[str, ClassScore]
    ece: float | None
    bins: list[Bin]


@dataclass(frozen=True)
class PartSummary:
    """A part in figures. Latencies are in milliseconds; ``pass_hat_k`` is that of the first measure.

    ``cost_usd`` is the target's alone; ``eval_usd`` that of judges and simulated customers.
    """

    spec: PartSpec
    n_rows: int
    n_failed: int
    lines: list[Line]
    classes: list[Classes]
    slices: list[Slice]
    worst: list[Row]
    cost_usd: float
    n_tokens: int
    eval_usd: float
    eval_tokens: int
    latency_p50_ms: float
    latency_p95_ms: float
    pass_hat_k: float | None
    noise_variance: float | None


class Failure(NamedTuple):
    """Rows of a part that failed for one reason; ``case`` is the first of them."""

    part: str
    case: str
    why: str
    n: int


def failures(report: Report) -> list[Failure]:
    """Return why rows failed or could not be scored, what befell most rows first."""
    found: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in report.rows:
        for why in [row.error] if row.error else [f"{name}: {why}" for name, why in row.unscored.items()]:
            found[row.part, why].append(row)
    reasons = [Failure(part, rows[0].case, why, len(rows)) for (part, why), rows in found.items()]
    return sorted(reasons, key=lambda failure: -failure.n)


def summarize(report: Report) -> list[PartSummary]:
    """Return the figures of every part, in the order of the suite."""
    return [part_summary(part, report.rows_by_part.get(part.name, []), report.gate.confidence) for part in report.parts]


def part_summary(part: PartSpec, rows: Sequence[Row], confidence: float) -> PartSummary:
    """Return the figures of one part from its rows."""
    main = part.scorers[0].measures[0]
    latencies = [row.latency_ms for row in rows if row.latency_ms] or [0.0]
    cuts = quantiles(latencies, n=20, method="inclusive") if len(latencies) > 1 else latencies * 19
    repeats = _repeats(rows, main.name)
    return PartSummary(
        spec=part,
        n_rows=len(rows),
        n_failed=sum(row.has_failed for row in rows),
        lines=[
            Line(measure, figure(part, scorer, measure, rows, confidence) if rows else None)
            for scorer in part.scorers
            for measure in scorer.measures
        ],
        classes=[found for scorer in part.scorers if (found := _classes(scorer, rows))],
        slices=_slices(rows, main.name),
        worst=_worst(rows, main),
        cost_usd=sum(row.cost_usd for row in rows),
        n_tokens=sum(row.n_tokens for row in rows),
        eval_usd=sum(row.eval_usd for row in rows) + part.eval_usd,
        eval_tokens=sum(row.eval_tokens for row in rows) + part.eval_tokens,
        latency_p50_ms=cuts[9],
        latency_p95_ms=cuts[18],
        pass_hat_k=_pass_hat(repeats) if main.is_share else None,
        noise_variance=within_variance(repeats),
    )


def _repeats(rows: Sequence[Row], measure: str) -> list[list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row.case].append(row.scores.get(measure, 0.0))
    return list(found.values())


def _pass_hat(repeats: list[list[float]]) -> float | None:
    """Return pass^k over all cases for as many repeats as all have; a repeat passes with a score of 1."""
    k = min(map(len, repeats), default=0)
    if k < 2:
        return None
    return fmean(pass_hat_k(len(scores), sum(score >= 1 for score in scores), k) for scores in repeats)


def _classes(scorer: ScorerSpec, rows: Sequence[Row]) -> Classes | None:
    labels = [row.labels[scorer.name] for row in rows if scorer.name in row.labels]
    if not labels:
        return None
    truth, predicted = [_name(label.truth) for label in labels], [_name(label.predicted) for label in labels]
    scores = {str(name): score for name, score in per_class(truth, predicted).items()}
    rated = [label for label in labels if label.confidence is not None]
    ece, bins = _calibration(rated) if rated else (None, [])
    return Classes(scorer.name, confusion(truth, predicted), scores, ece, bins)


def _calibration(labels: Sequence[Label]) -> tuple[float, list[Bin]]:
    confidences = [label.confidence or 0.0 for label in labels]
    hits = [label.truth == label.predicted for label in labels]
    return calibration_error(confidences, hits), reliability(confidences, hits)


def _name(label: str | None) -> str:
    return "none" if label is None else label


def _slices(rows: Sequence[Row], measure: str) -> list[Slice]:
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        for field, value in row.slices.items():
            found[field, value].append(row.scores.get(measure, 0.0))
    return [_slice(field, value, scores) for (field, value), scores in sorted(found.items())]


def _slice(field: str, value: str, scores: Sequence[float]) -> Slice:
    mean = fmean(scores)
    low, high = wilson(round(mean * len(scores)), len(scores)) if 0 <= mean <= 1 else (mean, mean)
    return Slice(field, value, len(scores), mean, min(low, mean), max(high, mean))


def _worst(rows: Sequence[Row], main: MeasureSpec) -> list[Row]:
    """Return failed rows first, then those with the worst scores that are not perfect."""
    sign = 1 if main.higher_is_better else -1

    def rank(row: Row) -> tuple[bool, float]:
        return (not row.has_failed, sign * row.scores.get(main.name, 0.0))

    flawed = [row for row in rows if row.has_failed or min(row.scores.values(), default=0.0) < 1]
    return sorted(flawed, key=rank)[:N_WORST]
