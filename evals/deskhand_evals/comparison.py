"""Two experiments side by side, measure by measure."""

from __future__ import annotations

from typing import NamedTuple

from deskhand_evals.corrections import benjamini_hochberg
from deskhand_evals.drops import compare_measure
from deskhand_evals.report import Report


class Comparison(NamedTuple):
    """One measure in two reports. ``q`` is the chance of so large a change by luck, adjusted over all measures.

    Figures are None where the two cannot be compared; ``note`` says why.
    """

    part: str
    measure: str
    before: float | None = None
    after: float | None = None
    low: float | None = None
    high: float | None = None
    q: float | None = None
    note: str = ""


def compare_reports(before: Report, after: Report) -> list[Comparison]:
    """Return every measure of ``after``, compared case by case with ``before`` where versions are the same."""
    compared = [
        (part.name, measure, compare_measure(part, scorer, measure, after, before))
        for part in after.parts
        for scorer in part.scorers
        for measure in scorer.measures
    ]
    adjusted = iter(benjamini_hochberg([found.p_different for _, _, found in compared if not isinstance(found, str)]))
    lines = []
    for part, measure, found in compared:
        if isinstance(found, str):
            lines.append(Comparison(part, measure.name, note=found))
            continue
        sign = 1 if measure.higher_is_better else -1
        ends = sorted(sign * end for end in found.interval)
        lines.append(
            Comparison(
                part, measure.name, sign * found.baseline, sign * found.candidate, ends[0], ends[1], next(adjusted)
            )
        )
    return lines
