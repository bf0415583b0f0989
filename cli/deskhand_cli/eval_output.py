"""What the eval commands print and write: tables, JSON, and the files that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deskhand_cli.output import one_line, print_json, print_table, say

if TYPE_CHECKING:
    from deskhand_cli.eval_options import Bench, Forms
    from deskhand_evals import Report, Verdict
    from deskhand_evals.comparison import Comparison
    from deskhand_evals.figures import Figure
    from deskhand_evals.ranking import Ranked
    from deskhand_evals.selftest import RuleTest

MAX_REASONS = 5
"""As many reasons for failed rows are said; all stand in the files that may be written."""


def write_forms(
    bench: Bench,
    forms: Forms,
    report: Report,
    verdict: Verdict,
    baseline: Report | None = None,
    suite: Path | None = None,
) -> None:
    """Write the forms of a report that were asked for. ``suite`` is the file that annotations stand beside."""
    from deskhand.jsonio import write_atomic
    from deskhand_evals import reports

    if forms.junit:
        write_atomic(forms.junit, reports.junit_xml(report, verdict))
    if forms.markdown:
        write_atomic(forms.markdown, reports.markdown(report, verdict, baseline))
    if forms.html:
        write_atomic(forms.html, reports.html_page(report, verdict, baseline, bench.experiments.list()))
    if forms.github:
        place = _in_repository(suite, bench.folder.root) if suite else ""
        typer.echo(reports.github_annotations(report, verdict, file=place), nl=False, err=True)


def _in_repository(suite: Path, root: Path) -> str:
    """Return the path of a suite in its repository, as GitHub names files; as it was given outside of one."""
    path = (suite if suite.is_file() else root / suite).resolve()
    repository = next((above for above in path.parents if (above / ".git").exists()), None)
    return path.relative_to(repository).as_posix() if repository else str(suite)


def finish(bench: Bench, report: Report, baseline: Report | None, forms: Forms, suite: Path, as_json: bool) -> None:
    """Print a report and its verdict, and end with the verdict's exit code."""
    from deskhand_evals import verdict

    judged = verdict(report, baseline)
    write_forms(bench, forms, report, judged, baseline, suite)
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
    _say_failures(report)
    if report.n_tokens or report.cost_usd:
        judged = f", {report.eval_usd:.4f} of it for judges and customers" if report.eval_usd else ""
        say(f"models: {report.cost_usd:.4f} USD, {report.n_tokens:,} tokens{judged}")


def _say_failures(report: Report) -> None:
    """Say why rows failed: a few reasons, each with the first of its cases."""
    from deskhand_evals.summary import failures

    found = failures(report)
    for failure in found[:MAX_REASONS]:
        more = f" (and {failure.n - 1} more)" if failure.n > 1 else ""
        say(one_line(f"failed: {failure.part} {failure.case}{more}: {failure.why}"))
    if len(found) > MAX_REASONS:
        say(
            f"{len(found) - MAX_REASONS} more reasons; 'deskhand eval gate {report.id} --junit FILE' writes all of them"
        )


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


def print_rules(rules: Sequence[RuleTest]) -> None:
    """Print the tests of a gate's rules."""
    print_table(
        ("measure", "cases", "noise", "false FAIL", "a drop of", "is seen", "sees", "needs"),
        (
            (
                f"{r.part} {r.measure}", f"{r.n_cases} x {r.repeats}", f"{r.noise:.1%}{'*' if r.is_assumed else ''}",
                f"{r.same.failed:.1%}", f"{r.max_drop:.1%}", f"{r.planted.failed:.0%}" if r.planted else "",
                f"{r.detectable_drop:.1%}" if r.detectable_drop else "nothing",
                f"{r.needed_repeats} repeats" if r.needed_repeats else "more cases",
            )
            for r in rules
        ),
        whole=("cases", "needs"),
    )  # fmt: skip
    if any(rule.is_assumed for rule in rules):
        say("* assumed; run the suite with --repeats 3 to measure it, or name it with --noise")


def print_changes(changes: Sequence[Comparison]) -> None:
    """Print how the measures of two experiments differ."""
    print_table(
        ("measure", "before", "after", "change", "interval", "q", ""),
        (
            (f"{c.part} {c.measure}", f"{c.before:.3f}", f"{c.after:.3f}", f"{c.after - c.before:+.3f}",
             f"{c.low:+.3f} to {c.high:+.3f}", f"{c.q:.3f}", c.note)
            if c.q is not None and c.before is not None and c.after is not None
            else (f"{c.part} {c.measure}", "", "", "", "", "", c.note)
            for c in changes
        ),
    )  # fmt: skip


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
