"""A report as Markdown for a pull request, and as annotations of a GitHub workflow."""

from __future__ import annotations

from typing import NamedTuple

from deskhand_evals.checks import Check, Outcome, Verdict
from deskhand_evals.report import PartSpec, Report, Row
from deskhand_evals.summary import Line, summarize

_SIGNS = {Outcome.passed: "✅", Outcome.failed: "❌", Outcome.inconclusive: "⚠️"}
MAX_CHANGED = 20
MAX_SHOWN = 140


def markdown(report: Report, verdict: Verdict, baseline: Report | None = None) -> str:
    """Return a comment for a pull request: the verdict, its rules, the figures, and the cases that changed."""
    parts = [
        f"## {_SIGNS[verdict.outcome]} Evals `{report.suite}`: {verdict.outcome}",
        f"{verdict.n_rows} rows, {verdict.n_failed} failed{_cost(report)}. Run `{report.id}`"
        + (f", baseline `{verdict.baseline_id}`." if verdict.baseline_id else ", no baseline."),
        _rules(verdict.checks),
        _figures(report, baseline),
    ]
    if verdict.changed:
        parts.append("Changed since the baseline: " + "; ".join(f"`{_code(line)}`" for line in verdict.changed) + ".")
    if baseline is not None:
        parts.append(_flipped(report, baseline))
    return "\n\n".join(part for part in parts if part) + "\n"


def _cost(report: Report) -> str:
    """Return what models cost, where some were asked or replayed."""
    if not report.n_tokens and not report.cost_usd:
        return ""
    judged = f", {report.eval_usd:.4f} of it for judges and simulated customers" if report.eval_usd else ""
    return f", {report.cost_usd:.4f} USD ({report.n_tokens:,} tokens{judged})"


def _rules(checks: tuple[Check, ...]) -> str:
    rows = ["| | rule | value | interval | baseline | change | why |", "|---|---|---|---|---|---|---|"]
    for check in checks:
        sign = "+" if check.difference is not None else ""  # the interval is then that of the change
        interval = f"{check.low:{sign}.3f} to {check.high:{sign}.3f}" if check.low is not None else ""
        cells = (
            _SIGNS[check.outcome], f"{check.part} {check.measure}: {check.rule}", number(check.value), interval,
            number(check.baseline), f"{check.difference:+.3f}" if check.difference is not None else "", check.reason,
        )  # fmt: skip
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(rows) if checks else "No rule gates."


def _figures(report: Report, baseline: Report | None) -> str:
    """Return every measure, beside that of the baseline where the two may be compared."""
    before = {(part.name, line.measure.name): line for part, line in _lines(baseline)} if baseline else {}
    rows = ["| measure | value | interval | baseline | change | failed |", "|---|---|---|---|---|---|"]
    for part, line in _lines(report):
        found, old = line.figure, before.get((part.name, line.measure.name))
        was = old.figure.value if old and old.figure and not _versions_differ(part, baseline, line) else None
        cells = (
            f"{part.name} {line.measure.name}",
            number(found.value) if found else "not scored",
            f"{found.interval.low:.3f} to {found.interval.high:.3f}" if found else "",
            number(was) if was is not None else "another version" if old else "",
            f"{found.value - was:+.3f}" if found and was is not None else "",
            str(found.n_failed) if found else "",
        )
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    problems = [f"**{_cell(part.name)}**: {_cell(part.problem)}" for part in report.parts if part.problem]
    return "\n".join(rows) + "".join(f"\n\n{line}" for line in problems)


def _lines(report: Report) -> list[tuple[PartSpec, Line]]:
    return [(summary.spec, line) for summary in summarize(report) for line in summary.lines]


def _versions_differ(part: PartSpec, baseline: Report | None, line: Line) -> bool:
    old = baseline.part(part.name) if baseline else None
    if old is None or (old.dataset_version, old.simulator) != (part.dataset_version, part.simulator):
        return True
    versions = {scorer.name: scorer.version for scorer in old.scorers}
    return any(versions.get(s.name) != s.version for s in part.scorers if line.measure in s.measures)


def _flipped(report: Report, baseline: Report) -> str:
    """Return the cases whose first measure changed, losses first."""
    changes = changed_rows(report, baseline)
    if not changes:
        return ""
    rows = ["| case | before | now | output before | output now |", "|---|---|---|---|---|"]
    rows += [
        f"| {_cell(f'{c.row.part} {c.row.case}')} | {c.before:.3g} | {c.after:.3g}"
        f" | {_shown(c.old)} | {_shown(c.row)} |"
        for c in changes[:MAX_CHANGED]
    ]
    more = f"\n\n{len(changes) - MAX_CHANGED} more" if len(changes) > MAX_CHANGED else ""
    table = "\n".join(rows)
    n_lost = sum(change.is_loss for change in changes)
    head = f"{len(changes)} cases changed: {n_lost} lost, {len(changes) - n_lost} won"
    return f"<details><summary>{head}</summary>\n\n{table}{more}\n\n</details>"


def _shown(row: Row) -> str:
    text = row.error or row.output
    return _cell(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")


class Change(NamedTuple):
    """A row whose part's first measure is not as in the baseline, where it was ``old``."""

    row: Row
    old: Row
    before: float
    after: float
    is_loss: bool


def changed_rows(report: Report, baseline: Report) -> list[Change]:
    """Return rows whose part's first measure differs from the baseline's, with both values, losses first."""
    before = {(row.part, row.case, row.repeat): row for row in baseline.rows}
    found = []
    for part in report.parts:
        main = part.scorers[0].measures[0]
        for row in report.rows_by_part.get(part.name, []):
            old = before.get((row.part, row.case, row.repeat))
            was, now = (entry.scores.get(main.name, 0.0) if entry else 0.0 for entry in (old, row))
            if old is not None and was != now:
                found.append(Change(row, old, was, now, is_loss=(now < was) is main.higher_is_better))
    return sorted(found, key=lambda change: (not change.is_loss, -abs(change.after - change.before)))


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
    """Return GitHub workflow commands, one a line: an error for what failed, a warning for what is open, a notice."""
    lines = []
    for check in verdict.checks:
        if check.outcome is Outcome.passed:
            continue
        kind = "error" if check.outcome is Outcome.failed else "warning"
        title = _property(f"{report.suite}: {check.part} {check.measure}")
        place = f"file={_property(file)}," if file else ""
        lines.append(f"::{kind} {place}title={title}::{_escaped(check.reason)}")
    title = _property(f"Evals {report.suite}")
    lines.append(f"::notice title={title}::{verdict.outcome}: {verdict.n_rows} rows, {verdict.n_failed} failed")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
