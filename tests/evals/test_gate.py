from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deskhand_evals import Outcome, Report, verdict
from deskhand_evals.checks import EXIT_CODES
from deskhand_evals.comparison import compare_reports
from deskhand_evals.report import GateSettings, MeasureSpec, Row, Rule

DROP, BAR, EVERY = Rule(max_drop=0.05), Rule(bar=0.8), Rule(invariant=True)


def outcome(report: Report, baseline: Report | None = None) -> Outcome:
    return verdict(report, baseline).outcome


def test_verdicts_have_the_documented_exit_codes() -> None:
    assert EXIT_CODES == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


@pytest.mark.parametrize(
    ("n_right", "expected"), [(190, Outcome.passed), (165, Outcome.inconclusive), (120, Outcome.failed)]
)
def test_a_bar_is_judged_by_the_interval(build_report, n_right: int, expected: Outcome) -> None:
    assert outcome(build_report([1.0] * n_right + [0.0] * (200 - n_right), BAR)) is expected


@pytest.mark.parametrize(("n_lost", "expected"), [(0, Outcome.passed), (6, Outcome.inconclusive), (15, Outcome.failed)])
def test_a_drop_is_judged_against_the_baseline(build_report, n_lost: int, expected: Outcome) -> None:
    before = build_report([1.0] * 100, DROP)
    after = build_report([0.0] * n_lost + [1.0] * (100 - n_lost), DROP)
    found = verdict(after, before)
    assert found.outcome is expected
    assert found.checks[0].difference == pytest.approx(-n_lost / 100)


def test_a_rise_passes_and_a_rule_on_macro_f1_sees_a_loss(build_report) -> None:
    rule = Rule(max_drop=0.05, measure="macro_f1")
    low, high = build_report([1.0] * 60 + [0.0] * 40, DROP, rule), build_report([1.0] * 100, DROP, rule)
    assert outcome(high, low) is Outcome.passed
    checks = {check.measure: check.outcome for check in verdict(low, high).checks}
    assert checks == {"right": Outcome.failed, "right.macro_f1": Outcome.failed}


def test_one_broken_row_fails_an_invariant(build_report) -> None:
    assert outcome(build_report([1.0] * 99 + [0.0], EVERY)) is Outcome.failed
    assert outcome(build_report([1.0] * 3, EVERY)) is Outcome.passed


def test_one_broken_row_fails_an_invariant_even_where_others_were_not_scored(build_report) -> None:
    assert outcome(build_report([0.0, None], EVERY)) is Outcome.failed
    assert verdict(build_report([1.0, None], EVERY)).checks[0].outcome is Outcome.inconclusive


def test_a_failed_row_counts_as_zero_and_keeps_the_gate_from_passing(build_report) -> None:
    found = verdict(build_report([1.0] * 99 + [None], BAR))
    assert found.outcome is Outcome.inconclusive
    assert (found.n_failed, found.checks[0].value) == (1, 0.99)
    assert outcome(build_report([1.0] * 70 + [None] * 30, Rule(bar=0.1))) is Outcome.failed


def test_a_failed_row_stays_in_macro_f1(build_report) -> None:
    rule = Rule(bar=0.9, measure="macro_f1")
    found = verdict(build_report([1.0] * 50 + [None] * 50, rule)).checks[0]
    assert found.value == pytest.approx((2 / 3 + 0) / 2)  # the class of failed rows is one more


def test_rows_that_are_missing_keep_the_gate_from_passing(build_report) -> None:
    assert outcome(build_report([1.0] * 50, BAR, n_cases=60)) is Outcome.inconclusive


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"part": {"dataset_version": "d2"}}, "version of the dataset"),
        ({"part": {"case_ids": ("x",)}}, "version of the dataset"),
        ({"part": {"name": "other"}}, "does not have this part"),
        ({"scorer": {"version": "s2"}}, "version of the scorer"),
        ({"scorer": {"name": "else"}}, "version of the scorer"),
        ({"rows": (), "scores": []}, "version of the dataset"),
    ],
)
def test_a_baseline_of_another_version_is_never_compared(build_report, changes, said: str) -> None:
    before = build_report(changes.pop("scores", [1.0] * 100), DROP, **changes)
    found = verdict(build_report([1.0] * 100, DROP), before)
    assert found.outcome is Outcome.inconclusive
    assert said in found.checks[0].reason
    assert found.changed


def test_without_a_baseline_a_part_a_rule_or_rows_nothing_passes(build_report) -> None:
    assert "no baseline" in verdict(build_report([1.0], DROP)).checks[0].reason
    without = verdict(build_report([1.0]))
    assert (without.outcome, without.checks[-1].reason) == (
        Outcome.inconclusive,
        "no scorer has a rule; add gate = { bar = 0.8 } to one",
    )
    assert outcome(build_report([], BAR)) is Outcome.inconclusive
    assert outcome(build_report([], EVERY)) is Outcome.inconclusive
    problem = {"problem": "cases.jsonl: no such file"}
    assert outcome(build_report([], BAR, part=problem)) is Outcome.inconclusive
    empty = build_report([1.0] * 3, DROP).model_copy(update={"rows": ()})
    assert "no rows of this part" in verdict(build_report([1.0] * 3, DROP), empty).checks[0].reason


def test_a_baseline_of_another_suite_is_named(build_report) -> None:
    other = build_report([1.0] * 9, DROP).model_copy(update={"suite": "other"})
    report = build_report([1.0] * 9, DROP)
    assert verdict(report, other).changed == (f"suite other -> {report.suite}",)


def test_a_budget_that_was_passed_fails(build_report) -> None:
    rows = [Row(part="p", case="c9", scores={"right": 1.0}, cost_usd=2.0)]
    report = build_report([1.0] * 9, EVERY, rows=rows, n_cases=10)
    assert outcome(report) is Outcome.passed
    assert outcome(report.model_copy(update={"gate": GateSettings(budget_usd=1.0)})) is Outcome.failed


GOOD = (("1", "1"), ("0", "0")) * 40
CHANCE = (("1", "1"), ("0", "0"), ("1", "0"), ("0", "1")) * 20


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        ({"pairs": GOOD}, Outcome.passed),
        ({"pairs": CHANCE}, Outcome.inconclusive),
        ({"pairs": GOOD[:10]}, Outcome.inconclusive),
        ({"pairs": (("1", "1"),) * 50}, Outcome.inconclusive),
        ({}, Outcome.inconclusive),
        ({"problem": "no such file"}, Outcome.inconclusive),
    ],
)
def test_only_a_judge_that_agrees_with_people_may_gate(build_report, scorer, expected: Outcome) -> None:
    report = build_report([1.0] * 100, BAR, scorer={"is_judge": True, "min_kappa": 0.6} | scorer)
    assert outcome(report) is expected


def test_a_judge_by_chance_does_not_fail_an_invariant_either(build_report) -> None:
    assert outcome(build_report([0.0] * 9, EVERY, scorer={"is_judge": True, "pairs": CHANCE})) is Outcome.inconclusive
    assert outcome(build_report([0.0] * 9, EVERY, scorer={"is_judge": True, "pairs": GOOD})) is Outcome.failed


def test_the_verdict_of_a_stored_report_is_the_same(build_report) -> None:
    before, after = build_report([1.0] * 100, DROP, BAR), build_report([0.0] * 6 + [1.0] * 94, DROP, BAR)
    stored = [Report.model_validate_json(report.model_dump_json(by_alias=True)) for report in (after, before)]
    assert verdict(*stored) == verdict(after, before)


def test_less_is_better_where_the_measure_says_so(build_report) -> None:
    measures = (MeasureSpec(name="right", higher_is_better=False, is_share=False),)
    low, high = (
        build_report([value + n % 3 for n in range(50)], Rule(max_drop=5), scorer={"measures": measures})
        for value in (10.0, 40.0)
    )
    assert outcome(high, low) is Outcome.failed
    found = verdict(low, high)
    assert found.outcome is Outcome.passed
    assert found.checks[0].difference == pytest.approx(-30)
    bars = build_report([10.0 + n % 3 for n in range(50)], Rule(bar=20), Rule(bar=5), scorer={"measures": measures})
    assert [check.outcome for check in verdict(bars).checks] == [Outcome.passed, Outcome.failed]
    unknown = build_report([None] * 5, Rule(bar=20), scorer={"measures": measures})
    assert "no row was scored" in verdict(unknown).checks[0].reason
    some = build_report([10.0, 11.0, None], Rule(bar=20), scorer={"measures": measures})
    assert "have no value" in verdict(some).checks[0].reason
    lost = build_report([None] * 50, Rule(max_drop=5), scorer={"measures": measures})
    assert "cannot be paired" in verdict(lost, low).checks[0].reason


def test_comparisons_show_every_measure_with_its_adjusted_chance(build_report) -> None:
    before, after = build_report([1.0] * 100), build_report([0.0] * 30 + [1.0] * 70)
    found = {line.measure: line for line in compare_reports(before, after)}
    assert found["right"].q < 0.001
    assert (found["right"].before, found["right"].after) == (1.0, 0.7)
    other = build_report([1.0] * 100, part={"dataset_version": "d2"})
    assert "version of the dataset" in compare_reports(other, after)[0].note


@pytest.mark.parametrize("rule", [{}, {"bar": 1, "invariant": True}, {"max_drop": -1}])
def test_a_rule_asks_exactly_one_thing(rule) -> None:
    with pytest.raises(ValueError, match=r"exactly one|greater than 0"):
        Rule(**rule)


def test_a_verdict_on_single_right_and_wrong_answers_loads_no_numpy(build_report, tmp_path: Path) -> None:
    from deskhand_evals.experiments import report_text

    (tmp_path / "r.json").write_text(report_text(build_report([1.0] * 40, Rule(bar=0.5))))
    code = (
        "import sys; from pathlib import Path; from deskhand_evals import load_report, verdict;"
        "print(verdict(load_report(Path('r.json'))).outcome, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "PASS False\n"
