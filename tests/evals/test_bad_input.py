"""What is wrong marks its case or its run; the rest goes on, and the gate never passes by accident."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deskhand.errors import ConfigError, InputError
from deskhand_evals import Report, load_report, verdict
from deskhand_evals.html import html_page
from deskhand_evals.human import Human
from deskhand_evals.report import GateSettings, MeasureSpec, Row, Rule
from deskhand_evals.scorers import Case, Output, Unscored
from deskhand_evals.similarity import Similarity
from deskhand_evals.statistics import paired_root_mean
from deskhand_evals.suite import KINDS

EXACT = """
    target = "echo_bad:answer"
    [[part.scorer]]
    kind = "{kind}"
    name = "right"
    gate = {{ {rule} }}
"""
OWN = """
    target = "echo_bad:answer"
    [[part.scorer]]
    kind = "python"
    name = "own"
    function = "echo_bad:{function}"
    gate = {{ bar = 0.1 }}
"""
CODE = """
    def answer(case):
        return case["text"]

    def raises(case, output):
        if case["id"] == "c1":
            raise KeyError("boom")
        return 1.0

    def not_a_number(case, output):
        return float("nan") if case["id"] == "c1" else 1.0
"""


@pytest.fixture
def run(bench: Any) -> Any:
    bench.code(CODE, "echo_bad")

    def run_part(part: str, *rows: dict[str, Any]) -> Report:
        bench.cases(*rows)
        bench.suite(part)
        report: Report = bench.run()
        return report

    return run_part


def cases(n: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"c{number}", "text": "a", "expected": "a"} | fields for number in range(n)]


def test_a_target_whose_own_request_was_cancelled_fails_its_case(bench: Any) -> None:
    bench.code(
        """
        import asyncio

        async def answer(case):
            if case["id"] == "c1":
                raise asyncio.CancelledError
            return case["text"]
        """,
        "cancelled_target",
    )
    bench.cases(*cases(3))
    bench.suite(EXACT.format(kind="exact", rule="bar = 0.1").replace("echo_bad", "cancelled_target"))
    report = bench.run()
    assert [(row.case, row.error[:14]) for row in report.rows if row.has_failed] == [("c1", "CancelledError")]


def test_an_empty_dataset_never_passes(run: Any) -> None:
    report = run(EXACT.format(kind="exact", rule="bar = 0.1"))
    assert "no cases" in report.parts[0].problem
    assert verdict(report).outcome == "INCONCLUSIVE"


def test_one_class_has_figures(run: Any) -> None:
    report = run(EXACT.format(kind="classification", rule='measure = "macro_f1", bar = 0.5'), *cases(40))
    (check,) = verdict(report).checks
    assert (check.outcome, check.value) == ("PASS", 1.0)


def test_a_missing_expected_value_is_marked_and_keeps_the_gate_open(run: Any) -> None:
    rows = cases(60)
    del rows[1]["expected"]
    report = run(EXACT.format(kind="exact", rule="bar = 0.1"), *rows)
    assert [row.case for row in report.rows if row.has_failed] == ["c1"]
    assert verdict(report).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(("function", "said"), [("raises", "KeyError"), ("not_a_number", "not a finite number")])
def test_a_scorer_that_cannot_score_marks_its_row(run: Any, function: str, said: str) -> None:
    report = run(OWN.format(function=function), *cases(60))
    (failed,) = [row for row in report.rows if row.has_failed]
    assert said in failed.unscored["own"]
    assert (len(report.rows), verdict(report).outcome) == (60, "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ("return 5.0", "own is 5, not within 0 and 1"),
        ("return -1", "not within 0 and 1"),
        ("return 1e308", "not within 0 and 1"),
        ("return {'other': 1.0}", "gave own.other, not own"),
        ("return {}", "gave nothing, not own"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_a_score_that_is_none_marks_its_row_and_reports_hold(run: Any, bench: Any, scorer: str, said: str) -> None:
    bench.code(f"def score(case, output):\n    {scorer}\n", "odd_scores")
    report = run(OWN.replace("echo_bad:{function}", "odd_scores:score").format(function=""), *cases(3))
    sys.modules.pop("odd_scores", None)
    assert all(said in row.unscored["own"] for row in report.rows)
    judged = verdict(report)
    assert judged.outcome != "PASS"
    assert "not scored" in html_page(report, judged, report, [report])


def test_a_score_beyond_one_is_taken_where_it_is_no_share(run: Any, bench: Any) -> None:
    bench.code("def score(case, output):\n    return 5.0\n", "points")
    table = (
        OWN.replace("echo_bad:{function}", "points:score").replace("bar = 0.1", "bar = 4") + "    is_share = false\n"
    )
    report = run(table.format(function=""), *cases(40))
    sys.modules.pop("points", None)
    (check,) = verdict(report).checks
    assert (check.outcome, check.value) == ("PASS", 5.0)


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_target_that_ends_the_program_marks_its_case(run: Any, bench: Any, kind: str) -> None:
    bench.code(f"{kind} answer(row):\n    raise SystemExit(0)\n", "exiting")
    part = EXACT.format(kind="exact", rule="bar = 0.1").replace("echo_bad", "exiting")
    report = run(part, *cases(3))
    sys.modules.pop("exiting", None)
    assert [row.status for row in report.rows] == ["error"] * 3


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda found: [row["scores"].update(right=5.0) for row in found["rows"]], "not within 0 and 1"),
        (lambda found: found["rows"].extend(found["rows"][:1]), "a row stands there twice"),
        (lambda found: found["parts"].extend(found["parts"][:1]), "a part stands there twice"),
        (lambda found: found["parts"][0].update(scorers=[]), "at least 1"),
        (lambda found: found["parts"][0]["scorers"][0].update(measures=[]), "at least 1"),
        (lambda found: found["rows"][0].update(cost_usd=-1), "greater than or equal to 0"),
        (lambda found: found.update(verdict="PASS"), "verdict"),
    ],
)
def test_a_report_that_no_run_leaves_behind_is_refused(build_report: Any, tmp_path: Path, edit: Any, said: str) -> None:
    found = json.loads(build_report([1.0] * 3).model_dump_json(by_alias=True))
    edit(found)
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match=said):
        load_report(path)


def test_a_part_with_rules_that_is_gone_keeps_the_gate_open(build_report: Any) -> None:
    rule = Rule(bar=0.1)
    before, after = build_report([1.0] * 60, rule), build_report([1.0] * 60, rule, part={"name": "q"}, n_cases=60)
    rows = tuple(row.model_copy(update={"part": "q"}) for row in after.rows)
    other = after.model_copy(update={"rows": rows})
    assert verdict(other).outcome == "PASS"
    judged = verdict(other, before)
    assert (judged.outcome, judged.checks[-1].measure) == ("INCONCLUSIVE", "part p")
    chosen = other.model_copy(update={"parameters": {"parts": ["q"]}})
    assert verdict(chosen, before).outcome == "PASS"


def test_what_a_gate_asks_is_compared_with_the_baseline(build_report: Any) -> None:
    before = build_report([1.0] * 60, Rule(bar=0.9))
    after = build_report([1.0] * 60, Rule(bar=0.1), gate=GateSettings(confidence=0.9))
    assert verdict(after, before).changed == ("p: rules of right: bar 0.9 -> bar 0.1", "gate: confidence 0.97 -> 0.9")


def test_a_baseline_of_another_dataset_is_never_compared(run: Any) -> None:
    part = EXACT.format(kind="exact", rule="max_drop = 0.05")
    before, after = run(part, *cases(60)), run(part, *cases(60, more=1))
    assert verdict(before, before).outcome == "PASS"
    (check,) = verdict(after, before).checks
    assert (check.outcome, "another version of the dataset" in check.reason) == ("INCONCLUSIVE", True)


def test_a_dataset_may_be_csv(run: Any, bench: Any) -> None:
    (bench.root / "cases.csv").write_text("id,text,expected\n1,a,a\n2,b,c\n")
    bench.cases()
    path = bench.suite(EXACT.format(kind="exact", rule="bar = 0.1"))
    path.write_text(path.read_text().replace("cases.jsonl", "cases.csv"))
    assert [row.scores["right"] for row in bench.run().rows] == [1.0, 0.0]


def number_report(build_report: Any, errors: list[float | None], *rules: Rule) -> Report:
    measures = (
        MeasureSpec(name="n", higher_is_better=True),
        MeasureSpec(name="n.squared_error", higher_is_better=False, is_share=False),
        MeasureSpec(name="n.rmse", higher_is_better=False, is_share=False, per_row=False),
    )
    rows = [
        Row(part="p", case=f"c{n}", scores={} if e is None else {"n": float(e == 0), "n.squared_error": e * e})
        for n, e in enumerate(errors)
    ]
    scorer = {"name": "n", "kind": "number", "measures": measures, "rules": rules}
    part = {"case_ids": tuple(row.case for row in rows)}
    report: Report = build_report([], rows=rows, scorer=scorer, part=part)
    return report


def test_rmse_has_a_bar_and_a_baseline(build_report: Any) -> None:
    bar, drop = Rule(measure="rmse", bar=3.0), Rule(measure="rmse", max_drop=0.5)
    good = number_report(build_report, [1.0, 2.0, 0.0, -2.0] * 30, bar, drop)
    bad = number_report(build_report, [4.0, 5.0, 3.0, 6.0] * 30, bar, drop)
    first, second = verdict(good, good).checks
    assert (first.outcome, second.outcome, first.value) == ("PASS", "PASS", pytest.approx(1.5))
    assert [check.outcome for check in verdict(bad, good).checks] == ["FAIL", "FAIL"]
    assert verdict(number_report(build_report, [None, None], bar)).outcome == "INCONCLUSIVE"


def test_roots_are_compared_as_negative_numbers() -> None:
    found = paired_root_mean([4.0] * 20, [1.0] * 20)
    assert (found.baseline, found.candidate, found.difference) == (-2.0, -1.0, 1.0)
    assert found.interval == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.p_worse > 0.99
    with pytest.raises(ValueError, match="negative"):
        paired_root_mean([-1.0], [1.0])


A, B = "a", {"name": "b", "args": {"n": 1}}


@pytest.mark.parametrize(
    ("mode", "found", "value"),
    [
        ("in_order", ["a", "x", B], 1), ("in_order", [B, "a"], 0),
        ("within", ["a"], 1), ("within", ["a", "a"], 0), ("within", [], 1),
        ("ordered", ["a", B], 1), ("prefix", ["a", B, "x"], 1),
    ],
)  # fmt: skip
def test_trajectories_match_by_their_mode(mode: str, found: list[Any], value: float) -> None:
    scorer = KINDS["trajectory"](kind="trajectory", name="s", mode=mode)
    case = Case("c", {"id": "c", "expected": [A, B]})
    assert scorer.score(case, Output({"calls": found})).values[""] == value


def test_people_score_what_they_have_seen(tmp_path: Path) -> None:
    rows = [
        {"id": "c", "score": 1, "by": "ann", "output": "x"}, {"id": "c", "score": 0, "by": "kim", "output": "x"},
        {"id": "d", "score": 0.3},
    ]  # fmt: skip
    (tmp_path / "h.jsonl").write_text("\n".join(map(json.dumps, rows)))
    scorer = Human(kind="human", name="s", file="h.jsonl")
    scorer.prepare(tmp_path)
    found = scorer.score(Case("c", {"id": "c"}), Output("x"))
    assert (found.values[""], found.note) == (0.5, "by ann, kim")
    assert scorer.score(Case("d", {"id": "d"}), Output("anything")).values[""] == 0.3
    for case, output in (("c", "y"), ("e", "x")):
        with pytest.raises(Unscored, match=r"score it again|no person"):
            scorer.score(Case(case, {"id": case}), Output(output))
    before = scorer.spec().version
    (tmp_path / "h.jsonl").write_text(json.dumps({"id": "c", "score": 2}))
    with pytest.raises(ConfigError, match="scorer s: file"):
        scorer.prepare(tmp_path)
    (tmp_path / "h.jsonl").write_text(json.dumps({"id": "c", "score": 1}))
    scorer.prepare(tmp_path)
    assert scorer.spec().version != before


def test_likeness_in_meaning_is_not_in_words() -> None:
    scorer = Similarity(kind="similarity", name="s")

    def score(wanted: Any, found: Any) -> float:
        return scorer.score(Case("c", {"id": "c", "expected": wanted}), Output(found)).values[""]

    same = score("You can send it back within 30 days.", "Returns are accepted for thirty days.")
    assert same > score("You can send it back within 30 days.", "The lamp does not switch on.") + 0.3
    assert score("a lamp", "a lamp") == pytest.approx(1.0, abs=1e-3)
    assert score("a lamp", "") == 0.0
    with pytest.raises(Unscored):
        score(" ", "x")
    assert "minilm" in scorer.extra_version()
