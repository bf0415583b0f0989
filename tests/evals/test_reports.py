from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from deskhand_evals import verdict
from deskhand_evals.report import Label, Row, Rule
from deskhand_evals.reports import github_annotations, html_page, junit_xml, markdown
from deskhand_evals.selftest import check_rules
from deskhand_evals.summary import summarize

NASTY = "<script>alert(1)</script> | `x` @team \x00 [link](http://a)\n::error::x"


@pytest.fixture
def reports(build_report):
    """A baseline, and a report that lost cases and has rows that failed, with nasty text."""
    before = build_report([1.0] * 100, Rule(max_drop=0.05))
    rows = [
        Row(part="p", case="c9", repeat=1, status="timeout", error=NASTY, slices={"language": NASTY}),
        Row(
            part="p", case="c8", repeat=1, scores={"right": 0.5}, output=NASTY, input=NASTY, notes={"right": NASTY},
            unscored={"right": NASTY}, labels={"right": Label(truth="a", predicted=NASTY, confidence=0.9)},
        ),
    ]  # fmt: skip
    return before, build_report([0.0] * 30 + [1.0] * 70, Rule(max_drop=0.05), Rule(bar=0.7), rows=rows, n_cases=100)


def test_junit_has_every_row_and_the_gate(reports) -> None:
    before, after = reports
    root = ET.fromstring(junit_xml(after, verdict(after, before)))
    part, gate = root.findall("testsuite")
    assert (part.get("tests"), part.get("errors")) == ("102", "2")
    assert len(part.findall("testcase/error")) == 2
    assert gate.get("failures") == "1"
    assert len(gate.findall("testcase/failure")) == 1
    assert len(gate.findall("testcase/skipped")) == int(gate.get("skipped"))


def test_markdown_shows_the_losses_and_no_markup_of_others(reports) -> None:
    before, after = reports
    text = markdown(after, verdict(after, before), before)
    assert text.startswith("## ❌ Evals `s`: FAIL")
    assert "102 rows, 2 failed" in text
    assert "30 cases changed" in text
    assert "10 more" in text
    assert "<script>" not in text
    assert "| p c0 | 1 | 0 |" in text


def test_annotations_are_one_line_each(reports) -> None:
    before, after = reports
    lines = github_annotations(after, verdict(after, before), file="evals/suite.toml").splitlines()
    assert all(line.startswith(("::error file=", "::warning file=")) for line in lines[:-1])
    assert lines[-1] == "::notice title=Evals s::FAIL: 102 rows, 2 failed"
    assert any("surely worse" in line for line in lines)
    quiet = github_annotations(before, verdict(before, before))
    assert quiet == "::notice title=Evals s::PASS: 100 rows, 0 failed\n"


def test_the_page_stands_alone_and_shows_no_markup_of_others(reports) -> None:
    before, after = reports
    page = html_page(after, verdict(after, before), before)
    assert "<script" not in page
    assert "src=" not in page
    assert "http://" not in page.replace("(http://a)", "").replace("http://www.w3.org", "")
    assert "Confusion matrix" in page
    assert "Reliability" in page
    assert "Changed since the baseline" in page


def test_the_page_of_a_big_report_stays_small(build_report) -> None:
    long = "word " * 2_000
    rows = [
        Row(part="p", case=f"x{n}", scores={"right": 0.0}, output=long[:600], input=long[:600], slices={"n": str(n)})
        for n in range(3_000)
    ]
    report = build_report([], Rule(bar=0.5), rows=rows, n_cases=0)
    assert len(html_page(report, verdict(report)).encode()) < 500_000


def test_a_summary_has_repeats_noise_and_calibration(build_report) -> None:
    rows = [Row(part="p", case=f"c{n}", repeat=1, scores={"right": float(n > 1)}, latency_ms=n) for n in range(4)]
    report = build_report([1.0] * 4, Rule(bar=0.1), rows=rows, part={"repeats": 2})
    (found,) = summarize(report)
    assert found.pass_hat_k == 0.5
    assert found.noise_variance == pytest.approx(0.25)
    assert found.latency_p50_ms == 2.0
    assert found.classes[0].ece is None


def test_rules_are_tested_with_the_measured_or_the_named_noise(build_report) -> None:
    rows = [Row(part="p", case=f"c{n}", repeat=1, scores={"right": float(n > 1)}) for n in range(100)]
    report = build_report([1.0] * 100, Rule(max_drop=0.1), rows=rows, part={"repeats": 2})
    (measured,) = check_rules(report, n=100)
    assert measured.noise == pytest.approx(0.0101, abs=0.0005)
    assert not measured.is_assumed
    assert measured.same.failed < 0.06
    assert measured.planted.passed < 0.06
    (named,) = check_rules(report, noise=0.3, repeats=1, n=100)
    assert named.detectable_drop is None or named.detectable_drop > 0.2
    (assumed,) = check_rules(build_report([0.0] * 20, Rule(max_drop=0.1)), n=100)
    assert assumed.is_assumed
    assert assumed.planted is None
    assert check_rules(build_report([1.0], Rule(bar=0.1)), n=100) == []
    json.dumps(measured._asdict())
