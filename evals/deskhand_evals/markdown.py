"""A report as Markdown for a pull request, and as annotations of a GitHub workflow."""

from __future__ import annotations

from deskhand_evals.gate import Check, Outcome, Verdict
from deskhand_evals.report import Report, Row
from deskhand_evals.summary import PartSummary, summarize

_SIGNS = {Outcome.passed: "✅", Outcome.failed: "❌", Outcome.inconclusive: "⚠️"}
MAX_CHANGED = 20


def markdown(report: Report, verdict: Verdict, baseline: Report | None = None) -> str:
    """Return a comment for a pull request: the verdict, its rules, the figures, and the cases that changed."""
    parts = [
        f"## {_SIGNS[verdict.outcome]} Evals `{report.suite}`: {verdict.outcome}",
        f"{verdict.n_rows} rows, {verdict.n_failed} failed. Run `{report.id}`"
        + (f", baseline `{verdict.baseline_id}`." if verdict.baseline_id else ", no baseline."),
        _rules(verdict.checks),
        *(_figures(summary) for summary in summarize(report)),
    ]
    if verdict.changed:
        parts.append("Changed since the baseline: " + "; ".join(f"`{_code(line)}`" for line in verdict.changed) + ".")
    if baseline is not None:
        parts.append(_flipped(report, baseline))
    return "\n\n".join(part for part in parts if part) + "\n"


def _rules(checks: tuple[Check, ...]) -> str:
    rows = ["| | rule | value | interval | baseline | change | why |", "|---|---|---|---|---|---|---|"]
    for check in checks:
        interval = f"{check.low:+.3f} to {check.high:+.3f}" if check.low is not None else ""
        cells = (
            _SIGNS[check.outcome], f"{check.part} {check.measure}: {check.rule}", number(check.value), interval,
            number(check.baseline), f"{check.difference:+.3f}" if check.difference is not None else "", check.reason,
        )  # fmt: skip
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(rows) if checks else "No rule gates."


def _figures(summary: PartSummary) -> str:
    head = f"**{summary.spec.name}** ({len(summary.spec.case_ids)} cases x {summary.spec.repeats})"
    lines = []
    for line in summary.lines:
        found = line.figure
        shown = f"{found.value:.3f} [{found.interval.low:.3f}, {found.interval.high:.3f}]" if found else "not scored"
        lines.append(f"`{line.measure.name}` {shown}")
    problem = f": {_cell(summary.spec.problem)}" if summary.spec.problem else ""
    return f"{head}{problem} " + " · ".join(lines)


def _flipped(report: Report, baseline: Report) -> str:
    """Return the cases whose first measure changed, losses first."""
    changes = changed_rows(report, baseline)
    if not changes:
        return ""
    rows = ["| case | before | now | output |", "|---|---|---|---|"]
    rows += [
        f"| {_cell(f'{now.part} {now.case}')} | {before:.3g} | {after:.3g} | {_cell(now.error or now.output)[:160]} |"
        for now, before, after in changes[:MAX_CHANGED]
    ]
    more = f"\n\n{len(changes) - MAX_CHANGED} more" if len(changes) > MAX_CHANGED else ""
    table = "\n".join(rows)
    return f"<details><summary>{len(changes)} cases changed</summary>\n\n{table}{more}\n\n</details>"


def changed_rows(report: Report, baseline: Report) -> list[tuple[Row, float, float]]:
    """Return rows whose part's first measure differs from the baseline's, with both values, losses first."""
    before = {(row.part, row.case, row.repeat): row for row in baseline.rows}
    found = []
    for part in report.parts:
        main = part.scorers[0].measures[0]
        for row in report.rows_by_part.get(part.name, []):
            old = before.get((row.part, row.case, row.repeat))
            was, now = (entry.scores.get(main.name, 0.0) if entry else 0.0 for entry in (old, row))
            if old is not None and was != now:
                found.append((row, was, now) if main.higher_is_better else (row, -was, -now))
    found.sort(key=lambda change: change[2] - change[1])
    return [(row, abs(was), abs(now)) for row, was, now in found]


def number(value: float | None) -> str:
    """Return a figure for people, empty for None."""
    return "" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """Return text that cannot leave its cell or become markup: it may be a customer's."""
    flat = " ".join(text.split())
    for sign in "\\|<>`*_[]@":
        flat = flat.replace(sign, {"|": "\\|", "<": "&lt;", ">": "&gt;", "@": "@\u200b"}.get(sign, f"\\{sign}"))
    return flat


def _code(text: str) -> str:
    return text.replace("`", "'")


def github_annotations(report: Report, verdict: Verdict, *, file: str = "") -> str:
    """Return GitHub workflow commands, one a line: an error for what failed, a warning for what is open."""
    lines = []
    for check in verdict.checks:
        if check.outcome is Outcome.passed:
            continue
        kind = "error" if check.outcome is Outcome.failed else "warning"
        title = _property(f"{report.suite}: {check.part} {check.measure}")
        place = f"file={_property(file)}," if file else ""
        lines.append(f"::{kind} {place}title={title}::{_escaped(check.reason)}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
