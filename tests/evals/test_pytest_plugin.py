from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

# pytester forgets what a run imported, and numpy cannot be imported twice
import deskhand_evals.environment
import deskhand_evals.statistics  # noqa: F401

pytest_plugins = ["pytester"]

CASES = "".join(json.dumps({"id": f"c{n}", "text": f"{n}", "label": n % 2}) + "\n" for n in range(60))


@pytest.fixture
def evals(pytester: pytest.Pytester) -> Any:
    """Run a test file in a folder with a dataset of 60 cases."""
    (pytester.path / "cases.jsonl").write_text(CASES)

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(f"import pytest\n{source}")
        given = (
            "-p",
            "deskhand_evals.pytest_plugin",
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
            "-o",
            "asyncio_default_fixture_loop_scope=function",
        )
        return pytester.runpytest_inprocess(*given, *options)

    return run


def test_a_score_above_its_bar_passes_with_its_figures_in_junit(evals: Any, pytester: pytest.Pytester) -> None:
    source = """
@pytest.mark.deskhand_eval("cases.jsonl", bar=0.8)
def test_right(case, tmp_path):
    assert tmp_path.is_dir()
    return int(case["text"]) % 2 == case["label"]
"""
    evals(source, "--junitxml=j.xml").assert_outcomes(passed=1)
    found = ElementTree.parse(pytester.path / "j.xml").iter("property")
    properties = {entry.get("name"): entry.get("value") for entry in found}
    assert (properties["deskhand.outcome"], properties["deskhand.rows"]) == ("PASS", "60")
    assert "right side of 0.8" in str(properties["deskhand.bar 0.8"])


def test_failed_assertions_count_together_and_fail_the_gate(evals: Any) -> None:
    source = """
@pytest.mark.deskhand_eval("cases.jsonl", bar=0.8)
def test_half(case):
    assert case["label"] == 1, "not one"
"""
    result = evals(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FAIL: 60 rows, 0 failed*", "*bar 0.8: FAIL*", "*c0: 0.0 not one*", "*and 20 more*"])


def test_few_cases_are_inconclusive_and_do_not_pass_by_accident(evals: Any) -> None:
    source = """
@pytest.mark.deskhand_eval("cases.jsonl", bar=0.8, limit=3)
def test_few(case):
    return 1.0

@pytest.mark.deskhand_eval("cases.jsonl", bar=0.8, limit=3, allow_inconclusive=True)
def test_allowed(case):
    return 1.0
"""
    result = evals(source)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*INCONCLUSIVE: 3 rows*"])


def test_errors_and_wrong_scores_mark_their_rows(evals: Any) -> None:
    source = """
@pytest.mark.deskhand_eval("cases.jsonl", bar=0.1)
def test_mixed(case):
    if case["id"] == "c1":
        raise KeyError("boom")
    return float("nan") if case["id"] == "c2" else {"x": 1} if case["id"] == "c3" else {"": 1, "length": 0.5}
"""
    result = evals(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*INCONCLUSIVE: 60 rows, 3 failed*", "*c1: failed KeyError*", "*c2: *nan*", "*main one*"]
    )


def test_coroutines_run_side_by_side_and_methods_have_their_self(evals: Any) -> None:
    source = """
import asyncio, time

class TestMore:
    @pytest.mark.deskhand_eval("cases.jsonl", invariant=True, repeats=2, concurrency=60)
    async def test_quick(self, case):
        await asyncio.sleep(0.05)
        if case["id"] == "c5":
            raise ValueError("no")
        return self.right(case)

    def right(self, case):
        return 1

    @pytest.mark.deskhand_eval("cases.jsonl", bar=0.5)
    def test_method(self, case):
        return self.right(case)
"""
    result = evals(source)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*120 rows, 2 failed*", "*c5: failed ValueError: no*"])
    assert result.duration < 5


def test_a_drop_since_the_baseline_fails(evals: Any, pytester: pytest.Pytester) -> None:
    source = """
@pytest.mark.deskhand_eval("cases.jsonl", max_drop=0.05, baseline="base/line.json")
def test_it(case):
    return {score}
"""
    assert "there is no baseline" in evals(source.format(score=1)).stdout.str()
    evals(source.format(score=1), "--deskhand-save-baselines").assert_outcomes(passed=1)
    assert (pytester.path / "base" / "line.json").is_file()
    result = evals(source.format(score="case['label']"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*surely worse than the baseline*"])


@pytest.mark.parametrize(
    ("mark", "arguments", "said"),
    [
        ('"cases.jsonl"', "case", "nothing gates"),
        ('"cases.jsonl", bar=0.5, max_drops=1', "case", "max_drops"),
        ('"cases.jsonl", max_drop=-1', "case", "max_drop"),
        ('"cases.jsonl", bar=0.5', "", "takes no argument 'case'"),
        ('"gone.jsonl", bar=0.5', "case", "no such file"),
        ('"ids.jsonl", bar=0.5', "case", "'id' of its own"),
        ('"empty.jsonl", bar=0.5', "case", "no cases"),
    ],
)
def test_a_wrong_mark_is_refused(evals: Any, pytester: pytest.Pytester, mark: str, arguments: str, said: str) -> None:
    (pytester.path / "ids.jsonl").write_text('{"id": "a"}\n{"id": "a"}\n')
    (pytester.path / "empty.jsonl").write_text("")
    result = evals(f"@pytest.mark.deskhand_eval({mark})\ndef test_it({arguments}):\n    return 1\n")
    assert said in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_other_tests_are_left_alone(evals: Any) -> None:
    evals("def test_plain():\n    assert 1 + 1 == 2\n\ndef test_with(case):\n    assert case == {}\n").assert_outcomes(
        passed=2
    )
