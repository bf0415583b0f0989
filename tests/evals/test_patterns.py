"""A pattern that backtracks for ever marks its case; the rest goes on, and nothing passes by accident."""

from __future__ import annotations

from typing import Any

import pytest

from deskhand_evals import Outcome, patterns, verdict
from deskhand_evals.basic_scorers import JsonSchema
from deskhand_evals.patterns import search
from deskhand_evals.scorers import Case, Output, Unscored

ENDLESS = "(a|aa)+$"
TRAP = "a" * 60 + "b"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LIMIT_S", 0.05)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [("[0-2]", "a2b1", "2"), ("^$", "", ""), ("x", "abc", None), (r"(?i)\bÄ\w+", "das ärgert", "ärgert")],
)
def test_a_pattern_is_searched_as_by_the_standard_library(pattern: str, text: str, found: str | None) -> None:
    assert search(pattern, text) == found


def test_an_endless_search_ends_and_says_what_to_do() -> None:
    with pytest.raises(Unscored, match=r"still searching 61 characters.*repeats within repeats"):
        search(ENDLESS, TRAP)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": {"pattern": ENDLESS}}},
        {"patternProperties": {ENDLESS: {}}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"x": {"type": "string", "pattern": ENDLESS}},
        },
    ],
)
def test_a_schema_with_an_endless_pattern_ends(schema: dict[str, Any]) -> None:
    scorer = JsonSchema(kind="json_schema", name="s", json_schema=schema)
    with pytest.raises(Unscored, match="still searching"):
        scorer.score(Case("c", {}), Output({"x": TRAP, TRAP: 1}))


@pytest.mark.parametrize(
    ("schema", "value", "score"),
    [
        ({"pattern": "^a"}, "abc", 1.0),
        ({"pattern": "^a"}, "bc", 0.0),
        ({"pattern": "^a"}, 5, 1.0),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": 1, "b": "x"}, 1.0),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": "x"}, 0.0),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, [], 1.0),
    ],
)
def test_patterns_of_a_schema_hold_as_json_schema_says(schema: dict[str, Any], value: Any, score: float) -> None:
    scorer = JsonSchema(kind="json_schema", name="s", json_schema=schema)
    assert scorer.score(Case("c", {}), Output(value)).values == {"": score}


def test_a_run_with_an_endless_pattern_ends_and_does_not_pass(bench: Any) -> None:
    bench.cases({"id": "c0", "text": "aaaa"}, {"id": "c1", "text": TRAP}, {"id": "c2", "text": "a"})
    bench.code("def answer(row):\n    return row['text']\n", "trapped")
    rules = "gate = [{ bar = 0.01 }, { invariant = true }]"
    bench.suite(
        f'target = "trapped:answer"\n[[part.scorer]]\nkind = "regex"\nname = "p"\npattern = "{ENDLESS}"\n{rules}\n'
    )
    report = bench.run()
    assert [row.scores for row in report.rows] == [{"p": 1.0}, {}, {"p": 1.0}]
    assert "still searching" in report.rows[1].unscored["p"]
    assert report.n_failed == 1
    assert verdict(report).outcome is not Outcome.passed
