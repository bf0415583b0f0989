"""A measure over a part of a report, with its interval: failed rows stand at the worst value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deskhand_evals.intervals import single_interval
from deskhand_evals.metrics import Interval
from deskhand_evals.report import (
    MACRO_F1,
    RMSE,
    SQUARED_ERROR,
    MeasureSpec,
    PartSpec,
    Row,
    ScorerSpec,
    column,
    labels_of,
)


class Figure(NamedTuple):
    """A measure over a part; without an interval when it cannot be computed."""

    value: float
    interval: Interval
    n_failed: int


def figure(
    part: PartSpec, scorer: ScorerSpec, measure: MeasureSpec, rows: Sequence[Row], confidence: float
) -> Figure | None:
    """Return a measure with its interval, failed rows at the worst value; None when nothing was scored."""
    if measure.per_row:
        return _mean_figure(measure, rows, confidence)
    if measure.name.endswith(f".{RMSE}"):
        return _root_figure(scorer, rows, confidence)
    return _macro_f1_figure(scorer, rows, confidence) if measure.name.endswith(MACRO_F1) else None


def _mean_figure(measure: MeasureSpec, rows: Sequence[Row], confidence: float) -> Figure | None:
    found = column(rows, measure.name, is_share=measure.is_share)
    if not found.values or found.n_failed == found.n_rows:
        return None
    interval = single_interval(found.values, found.clusters, confidence) if measure.is_share else None
    if interval is None:  # the common case is through by now, and has not waited for numpy
        from deskhand_evals.resampling import Bootstrap
        from deskhand_evals.statistics import mean_interval

        interval = mean_interval(found.values, found.clusters, Bootstrap(confidence), is_share=measure.is_share)
    return Figure(sum(found.values) / len(found.values), interval, found.n_failed)


def _macro_f1_figure(scorer: ScorerSpec, rows: Sequence[Row], confidence: float) -> Figure | None:
    from deskhand_evals.f1_statistics import macro_f1_interval, macro_f1_of
    from deskhand_evals.resampling import Bootstrap

    found = labels_of(rows, scorer.name)
    if not found.cases:
        return None
    interval = macro_f1_interval(found.truth, found.predicted, found.clusters, Bootstrap(confidence))
    n_failed = len({row.case for row in rows}) - len(found.cases)
    return Figure(macro_f1_of(found.truth, found.predicted), interval, n_failed)


def _root_figure(scorer: ScorerSpec, rows: Sequence[Row], confidence: float) -> Figure | None:
    from deskhand_evals.resampling import Bootstrap
    from deskhand_evals.statistics import mean_interval

    squares = column(rows, f"{scorer.name}.{SQUARED_ERROR}", is_share=False)
    if not squares.values:
        return None
    low, high = mean_interval(squares.values, squares.clusters, Bootstrap(confidence), is_share=False)
    ends = Interval(max(0.0, low) ** 0.5, max(0.0, high) ** 0.5)
    return Figure((sum(squares.values) / len(squares.values)) ** 0.5, ends, squares.n_failed)
