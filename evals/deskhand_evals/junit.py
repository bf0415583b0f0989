"""JUnit XML: a test suite for each part, a test case for each row, and the gate's rules as tests of their own."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from deskhand_evals.checks import Check, Outcome, Verdict
from deskhand_evals.report import Report, Row, RowStatus

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Report, verdict: Verdict) -> str:
    """Return the XML text. Rows that failed are errors; rules are failures, or skipped when inconclusive."""
    root = ET.Element("testsuites", name=report.suite)
    for part in report.parts:
        rows = report.rows_by_part.get(part.name, [])
        n_errors = sum(row.has_failed for row in rows)
        seconds = f"{sum(row.latency_ms for row in rows) / 1000:.3f}"
        suite = ET.SubElement(
            root, "testsuite", name=part.name, tests=str(len(rows)), errors=str(n_errors), failures="0", time=seconds
        )
        for row in rows:
            _add_row(suite, report, row)
    _add_gate(root, report, verdict)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_row(suite: ET.Element, report: Report, row: Row) -> None:
    name = row.case if row.repeat == 0 else f"{row.case} #{row.repeat + 1}"
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"{report.suite}.{row.part}",
        name=_clean(name),
        time=f"{row.latency_ms / 1000:.3f}",
    )
    if row.has_failed:
        problem = row.error or "; ".join(f"{scorer}: {why}" for scorer, why in row.unscored.items())
        kind = row.status if row.status is not RowStatus.ok else "unscored"
        ET.SubElement(case, "error", type=str(kind), message=_clean(problem))
    shown = ", ".join(f"{name} {score:.3g}" for name, score in row.scores.items())
    if shown:
        ET.SubElement(case, "system-out").text = _clean(shown)


def _add_gate(root: ET.Element, report: Report, verdict: Verdict) -> None:
    counts = [check.outcome for check in verdict.checks]
    suite = ET.SubElement(
        root, "testsuite", name="gate", tests=str(len(counts)), errors="0",
        failures=str(counts.count(Outcome.failed)), skipped=str(counts.count(Outcome.inconclusive)),
    )  # fmt: skip
    for check in verdict.checks:
        _add_check(suite, report, check)


def _add_check(suite: ET.Element, report: Report, check: Check) -> None:
    name = f"{check.part} {check.measure}: {check.rule}".strip()
    case = ET.SubElement(suite, "testcase", classname=f"{report.suite}.gate", name=_clean(name), time="0")
    if check.outcome is Outcome.failed:
        ET.SubElement(case, "failure", message=_clean(check.reason))
    elif check.outcome is Outcome.inconclusive:
        ET.SubElement(case, "skipped", message=_clean(f"inconclusive: {check.reason}"))


def _clean(text: str) -> str:
    """Return text without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
