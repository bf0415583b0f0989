"""What the eval commands print and write: tables, JSON, and the files that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deskhand_cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from deskhand_evals import Report, Verdict
    from deskhand_evals.gate import Figure
    from deskhand_evals.ranking import Ranked
    from deskhand_evals.selftest import RuleTest


@dataclass(frozen=True)
class Outputs:
    """Files and lines that were asked for. ``suite`` is the file that annotations stand beside, ``history``
    other runs of it for the page.
    """

    junit: Path | None = None
    markdown: Path | None = None
    html: Path | None = None
    github: bool = False
    suite: str = ""
    history: Sequence[Report] = ()

    def write(self, report: Report, verdict: Verdict, baseline: Report | None) -> None:
        """Write them."""
        from deskhand.jsonio import write_atomic
        from deskhand_evals import reports

        if self.junit:
            write_atomic(self.junit, reports.junit_xml(report, verdict))
        if self.markdown:
            write_atomic(self.markdown, reports.markdown(report, verdict, baseline))
        if self.html:
            write_atomic(self.html, reports.html_page(report, verdict, baseline, self.history))
        if self.github:
            typer.echo(reports.github_annotations(report, verdict, file=self.suite), nl=False, err=True)


def finish(report: Report, baseline: Report | None, outputs: Outputs, as_json: bool) -> None:
    """Print a report and its verdict, and end with the verdict's exit code."""
    from deskhand_evals import verdict

    judged = verdict(report, baseline)
    outputs.write(report, judged, baseline)
    if as_json:
        print_json(as_json_value(report, judged))
    else:
        print_report(report)
        _print_verdict(judged)
    if judged.exit_code:
        raise typer.Exit(judged.exit_code)


def as_json_value(report: Report, verdict: Verdict) -> dict[str, Any]:
    """Return a report and its verdict as the commands print them with ``--json``."""
    from deskhand_evals.summary import summarize

    parts = {}
    for found in summarize(report):
        measures = {line.measure.name: _figure_json(line.figure) for line in found.lines}
        ece = {classes.scorer: classes.ece for classes in found.classes if classes.ece is not None}
        parts[found.spec.name] = {
            "n_cases": len(found.spec.case_ids), "repeats": found.spec.repeats, "n_failed": found.n_failed,
            "cost_usd": found.cost_usd, "n_tokens": found.n_tokens, "eval_usd": found.eval_usd,
            "eval_tokens": found.eval_tokens, "latency_p50_ms": found.latency_p50_ms, "measures": measures, "ece": ece,
            "pass_hat_k": found.pass_hat_k, "problem": found.spec.problem or None,
        }  # fmt: skip
    head = {"id": report.id, "suite": report.suite, "outcome": verdict.outcome}
    return head | {"parts": parts, "verdict": verdict.model_dump(mode="json")}


def _figure_json(figure: Figure | None) -> dict[str, float] | None:
    if figure is None:
        return None
    return {"value": figure.value, "low": figure.interval.low, "high": figure.interval.high}


def print_report(report: Report) -> None:
    """Print the figures of a report."""
    from deskhand_evals.summary import summarize

    rows = []
    for found in summarize(report):
        for line in found.lines:
            name, figure = f"{found.spec.name} {line.measure.name}", line.figure
            size = f"{len(found.spec.case_ids)} x {found.spec.repeats}"
            if figure is None:
                rows.append((name, size, "not scored", "", found.n_failed))
            else:
                low, high = figure.interval
                rows.append((name, size, f"{figure.value:.3f}", f"{low:.3f} to {high:.3f}", found.n_failed))
    level = f"{report.gate.confidence:g}"
    say(f"{report.suite} {report.id}")
    print_table(("measure", "cases", "value", f"interval ({level})", "failed"), rows)
    if report.n_tokens or report.cost_usd:
        judged = f", {report.eval_usd:.4f} of it for judges and customers" if report.eval_usd else ""
        say(f"models: {report.cost_usd:.4f} USD, {report.n_tokens:,} tokens{judged}")


def _print_verdict(verdict: Verdict) -> None:
    print_table(
        ("gate", "rule", "verdict", "why"),
        ((f"{c.part} {c.measure}".strip(), c.rule, c.outcome, c.reason) for c in verdict.checks),
        whole=("rule", "verdict"),
    )
    for line in verdict.changed:
        say(f"changed since the baseline: {line}")
    typer.echo(f"{verdict.outcome}: {verdict.n_rows} rows, {verdict.n_failed} failed")


def rule_json(rule: RuleTest) -> dict[str, Any]:
    """Return the test of a gate's rule as JSON."""
    tests = {"same": rule.same._asdict(), "planted": rule.planted._asdict() if rule.planted else None}
    return rule._asdict() | tests


def print_ranked(rows: Sequence[Ranked], *, with_settings: bool = False) -> None:
    """Print experiments by a measure, best first."""
    first = "settings" if with_settings else "id"
    print_table(
        (first, "value", "to the best", "cost of a row", "failed", ""),
        (
            (
                _short(row) if with_settings else row.id,
                "" if row.value is None else f"{row.value:.3f} [{row.value_low:.3f}, {row.value_high:.3f}]",
                "" if row.difference is None else f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]",
                f"{row.cost_usd:.5f} USD {row.latency_ms:.0f} ms{_to_measure(row)}", row.n_failed,
                row.note or _mark(row),
            )
            for row in rows
        ),
        whole=("value", first),
    )  # fmt: skip


def _to_measure(row: Ranked) -> str:
    return f", and {row.eval_usd:.5f} USD to measure" if row.eval_usd else ""


def _short(row: Ranked) -> str:
    """Return the settings by the last part of their keys."""
    from deskhand_evals.ranking import shown

    return shown({key.rpartition(".")[2]: value for key, value in row.settings.items()})


def _mark(row: Ranked) -> str:
    return ", ".join(filter(None, ("Pareto" if row.is_pareto else "", "as good" if row.is_as_good else "worse")))
