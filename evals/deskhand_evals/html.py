"""A report, or a sweep, as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from deskhand_evals.checks import Check, Outcome, Verdict
from deskhand_evals.figures import Figure
from deskhand_evals.markdown import changed_rows, number
from deskhand_evals.metrics import Interval
from deskhand_evals.plots import (
    MAX_CLASSES,
    PALETTE,
    PLOT_STYLE,
    bars_svg,
    confusion_svg,
    frontier_svg,
    interval_svg,
    reliability_svg,
)
from deskhand_evals.ranking import Ranked, choose, rank, shown
from deskhand_evals.report import Report
from deskhand_evals.summary import summarize

if TYPE_CHECKING:
    from jinja2 import Template

MAX_SLICES = 40
MAX_CHANGED = 40
MAX_HISTORY = 50
_URGENCY = (Outcome.failed, Outcome.inconclusive, Outcome.passed)


def html_page(report: Report, verdict: Verdict, baseline: Report | None = None, history: Sequence[Report] = ()) -> str:
    """Return the page, well under 500 kB whatever the size of the report: long lists are cut, and say so.

    Args:
        report: What is shown.
        verdict: The gate's, for its rules.
        baseline: For the cases that changed.
        history: Other runs of the suite, for the plot of cost against quality.
    """
    changed = changed_rows(report, baseline) if baseline else []
    ranked = _ranked_runs(report, history)
    return _template("report.html").render(
        report=report,
        verdict=verdict,
        checks=sorted(verdict.checks, key=lambda check: _URGENCY.index(check.outcome)),
        outcomes=[(outcome.value, _count(verdict, outcome)) for outcome in Outcome],
        summaries=summarize(report),
        shares={one.name for part in report.parts for s in part.scorers for one in s.measures if one.is_share},
        changed=changed[:MAX_CHANGED],
        n_changed=len(changed),
        max_slices=MAX_SLICES,
        max_classes=MAX_CLASSES,
        frontier=frontier_svg(ranked.rows, ranked.title, now=report.id) if len(ranked.rows) > 1 else "",
        n_history=len(ranked.rows),
        confusion_svg=confusion_svg,
        reliability_svg=reliability_svg,
        bars_svg=bars_svg,
        interval_svg=interval_svg,
        gate_svg=_gate_svg,
    )


def sweep_page(suite: str, title: str, rows: Sequence[Ranked]) -> str:
    """Return the page of a sweep, ranked by the measure ``title``."""
    return _template("sweep.html").render(
        suite=suite, title=title, rows=rows, plot=frontier_svg(rows, title), shown=shown, ranked_svg=_ranked_svg
    )


def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("deskhand_evals"), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    environment.filters |= {"number": number, "usd": _usd}
    style: dict[str, Any] = {"palette": PALETTE, "plot_style": PLOT_STYLE}
    environment.globals.update(style)
    return environment.get_template(name)


def _usd(amount: float) -> str:
    return f"{amount:.4f}" if amount else "0"


def _count(verdict: Verdict, outcome: Outcome) -> int:
    return sum(check.outcome is outcome for check in verdict.checks)


class _RankedRuns(NamedTuple):
    rows: list[Ranked]
    title: str


def _ranked_runs(report: Report, history: Sequence[Report]) -> _RankedRuns:
    """Return the report and the newest others of its suite, as far as they can be compared."""
    others = [other for other in history if other.suite == report.suite and other.id != report.id]
    chosen = choose(report, None, None)
    rows = rank([report, *others[:MAX_HISTORY]], chosen.part.name, chosen.measure.name)
    comparable = [row for row in rows if row.value is not None and not row.note]
    return _RankedRuns(comparable, f"{chosen.part.name} {chosen.measure.name}")


def _gate_svg(check: Check) -> str:
    """Return a rule's value; its interval where it is that of the value, and not of the change."""
    if check.value is None or not 0 <= check.value <= 1:
        return ""
    bar = float(check.rule.removeprefix("bar ")) if check.rule.startswith("bar ") else None
    shift = 0.0 if check.baseline is None else check.baseline
    ends = (check.value, check.value) if check.low is None or check.high is None else (check.low, check.high)
    interval = Interval(*(end + shift if check.low is not None else end for end in ends))
    return interval_svg(Figure(check.value, interval, 0), baseline=check.baseline, bar=bar)


def _ranked_svg(row: Ranked) -> str:
    value = row.value or 0.0
    low, high = row.value_low, row.value_high
    return interval_svg(Figure(value, Interval(value if low is None else low, value if high is None else high), 0))
