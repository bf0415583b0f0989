"""A report as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from deskhand_evals.gate import Verdict
from deskhand_evals.markdown import changed_rows, number
from deskhand_evals.plots import bars_svg, confusion_svg, reliability_svg
from deskhand_evals.report import Report
from deskhand_evals.summary import summarize

MAX_SLICES = 40
MAX_CHANGED = 40


def html_page(report: Report, verdict: Verdict, baseline: Report | None = None) -> str:
    """Return the page, well under 500 kB whatever the size of the report: long lists are cut, and say so."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("deskhand_evals"), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    environment.filters["number"] = number
    changed = changed_rows(report, baseline) if baseline else []
    return environment.get_template("report.html").render(
        report=report,
        verdict=verdict,
        summaries=summarize(report),
        changed=changed[:MAX_CHANGED],
        n_changed=len(changed),
        max_slices=MAX_SLICES,
        confusion_svg=confusion_svg,
        reliability_svg=reliability_svg,
        bars_svg=bars_svg,
    )
