from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deskhand.errors import ConfigError
from deskhand_evals.scorers import Case, Output, Unscored
from deskhand_evals.suite import KINDS

FACT = {"fact": "the window", "any": ["30 days"]}
PASSAGE = {"id": "returns@1#0", "source_id": "returns", "source_version": 1, "title": "Returns"}
PASSAGE |= {"text": "You have 30 days.", "score": 0.9, "found_by": "dense"}


def draft(quote: str = "You have 30 days.", status: str = "backed") -> dict[str, Any]:
    citation = {"sentence": quote, "passage_id": "returns@1#0", "quote": quote}
    return {"text": quote, "citations": [citation], "commitments": [{"text": "x", "kind": "date", "status": status}]}


def score(kind: str, wanted: Any, found: Any, /, **options: Any) -> dict[str, float]:
    scorer = KINDS[kind](kind=kind, name="s", **options)
    scorer.prepare(Path())
    row = {"id": "c"} | dict.fromkeys(("expected", "must", "must_not", "articles"), wanted)
    return scorer.score(Case("c", row), Output(found)).values


@pytest.mark.parametrize(
    ("kind", "expected", "output", "options", "value"),
    [
        ("exact", "a  b", "a b", {}, 1),
        ("exact", "A", "a", {}, 0),
        ("exact", "A", "a", {"ignore_case": True}, 1),
        ("exact", 1, True, {}, 0),
        ("exact", None, None, {}, 1),
        ("contains", ["30 days", "free"], "You have 30 DAYS", {}, 0.5),
        ("contains", "30", 30, {}, 1),
        ("regex", None, "order HF-12", {"pattern": r"HF-\d+"}, 1),
        ("regex", None, "order HF-12", {"pattern": r"HF-\d+", "forbidden": True}, 0),
        ("json_schema", None, {"a": 1}, {"json_schema": {"required": ["a"]}}, 1),
        ("json_schema", None, {"b": 1}, {"json_schema": {"required": ["a"]}}, 0),
        ("number", 10, "10.4", {"tolerance": 0.5}, 1),
        ("number", 10, 12, {"relative": 0.1}, 0),
        ("classification", "a", "a", {}, 1),
        ("classification", None, "a", {}, 0),
        ("text", "the cat sat", "the cat", {}, 0.8),
        ("retrieval", ["x"], ["y", "x"], {"k": 2}, 1),
        ("cost", None, None, {}, 0),
        ("latency", None, None, {}, 0),
        ("required_facts", [FACT], "within 30 days", {}, 1),
        ("required_facts", [], "", {}, 1),
        ("required_facts", [FACT], None, {}, 0),
        ("forbidden_facts", [FACT], "within 30 days", {}, 0),
        ("forbidden_facts", [FACT], "soon", {}, 1),
        ("quotes", None, {"draft": draft(), "passages": [PASSAGE]}, {}, 1),
        ("quotes", None, {"draft": draft("You have 90 days."), "passages": [PASSAGE]}, {}, 0),
        ("quotes", None, {"draft": None, "passages": []}, {}, 1),
        ("groundedness", None, {"draft": draft(), "passages": [PASSAGE]}, {}, 1),
        ("groundedness", None, {"draft": {"text": "x"}, "passages": []}, {}, 0),
        ("groundedness", None, {"draft": None, "passages": []}, {}, 1),
        ("citations", ["returns", "delivery"], {"draft": draft()}, {}, 0.5),
        ("citations", [], {"draft": None}, {}, 1),
        ("commitments", None, {"draft": draft()}, {}, 1),
        ("commitments", None, {"draft": draft(status="unbacked")}, {}, 0),
        ("commitments", None, {"draft": None}, {}, 1),
        ("state", {"a": {"b": [1, 2]}}, {"a": {"b": [1, 2], "c": 3}}, {}, 1),
        ("state", {"a": {"b": [1, 2]}}, {"a": {"b": [1]}}, {}, 0),
        ("state", {"a": 1}, {}, {}, 0),
        ("policy", None, {"actions": [{"name": "add_tag", "verdict": "allowed"}]}, {}, 1),
        ("policy", None, {"actions": [{"name": "refund", "verdict": "allowed"}]}, {"forbidden": ["refund"]}, 0),
        ("policy", None, {"actions": [{"name": "add_tag", "verdict": "refused"}]}, {}, 0),
    ],
)
def test_scores_are_as_documented(kind: str, expected: Any, output: Any, options: Any, value: float) -> None:
    assert score(kind, expected, output, **options)[""] == pytest.approx(value)


A, B = {"name": "a", "args": {"n": 1}}, {"name": "b", "args": {}}


@pytest.mark.parametrize(
    ("mode", "found", "value"),
    [
        ("ordered", [A, B], 1),
        ("ordered", [B, A], 0),
        ("ordered", [A, B, B], 0),
        ("unordered", [B, A], 1),
        ("unordered", [A, B, B], 0),
        ("subset", [B, B, A], 1),
        ("subset", [B], 0),
        ("prefix", [A, B, A], 1),
        ("prefix", [A], 0),
    ],
)
def test_tool_calls_match_by_their_mode(mode: str, found: list[Any], value: float) -> None:
    assert score("tool_calls", [A, B], {"actions": found}, mode=mode)[""] == value


def test_tool_calls_are_matched_so_that_most_find_one() -> None:
    anything = {"name": "a"}
    values = score("tool_calls", [anything, A], {"actions": [A, {"name": "a", "args": {"n": 5}}]})
    assert values == {"": 1.0, "recall": 1.0, "precision": 1.0}
    near = [{"name": "a", "args": {"n": 1.04}}]
    assert score("tool_calls", [A], {"actions": near}, tolerance=0.05)[""] == 1
    assert score("tool_calls", [A], {"actions": near})[""] == 0
    assert score("tool_calls", [A], {"actions": [{"name": "a", "args": {"n": True}}]})[""] == 0


def test_numbers_have_their_errors() -> None:
    assert score("number", 10, 13) == {"": 0.0, "mae": 3.0, "squared_error": 9.0}


@pytest.mark.parametrize(
    ("kind", "expected", "output", "options"),
    [
        ("exact", 1, {"a": 1}, {"output": "b"}),
        ("exact", 1, 1, {"expected": "nothing"}),
        ("contains", None, "x", {}),
        ("number", "x", 1, {}),
        ("number", 1, float("nan"), {}),
        ("number", 1, True, {}),
        ("classification", ["a"], "a", {}),
        ("text", None, "x", {}),
        ("retrieval", [], ["x"], {}),
        ("retrieval", ["x"], "x", {}),
        ("required_facts", "no facts", "x", {}),
        ("quotes", None, {"draft": {"txt": 1}, "passages": []}, {}),
        ("citations", "returns", {"draft": None}, {}),
        ("state", None, {}, {}),
        ("tool_calls", [1], {"actions": []}, {}),
        ("tool_calls", [A], {"actions": "x"}, {}),
        ("policy", None, {"actions": [1]}, {}),
    ],
)
def test_what_cannot_be_scored_says_why(kind: str, expected: Any, output: Any, options: Any) -> None:
    with pytest.raises(Unscored, match=r"\w"):
        score(kind, expected, output, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("regex", {"pattern": "("}), ("json_schema", {"json_schema": {"type": 5}}), ("python", {"function": "math:pi"})],
)
def test_a_scorer_that_cannot_work_is_refused_before_the_run(kind: str, options: Any) -> None:
    with pytest.raises(ConfigError, match="scorer s"):
        score(kind, None, None, **options)


def test_versions_change_with_what_a_score_depends_on() -> None:
    def version(**options: Any) -> str:
        return KINDS["retrieval"](kind="retrieval", name="s", **options).spec().version

    assert version(k=5) == version(k=5, gate={"bar": 0.5})
    assert version(k=5) != version(k=6)
