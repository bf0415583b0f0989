from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from deskhand.errors import ConfigError, Unavailable
from deskhand.testing import DEFAULT_CONFIG, ScriptedChatModel
from deskhand_evals import Report, verdict
from deskhand_evals.judge import Pairwise, Question, Rubric
from deskhand_evals.scorers import Case, Output, Scored, Unscored

CASE = Case("c1", {"id": "c1", "text": "How long may I keep it?", "expected": "30 days.", "criterion": "x"})
CRITERIA = {"window": "It names the window.", "polite": "It is polite."}


def rubric(**options: Any) -> Rubric:
    return Rubric(**{"kind": "rubric", "name": "s", "criteria": CRITERIA} | options)


def pairwise(**options: Any) -> Pairwise:
    return Pairwise(**{"kind": "pairwise", "name": "s", "criterion": "Which helps more?"} | options)


def scored(scorer: Rubric | Pairwise, output: Any = "You may keep it for 30 days.") -> Scored:
    return asyncio.run(scorer.score_async(CASE, Output(output)))


def said(*answers: bool | str) -> list[str]:
    key = {bool: "passed", str: "better"}
    return [json.dumps({"explanation": "so", key[type(answer)]: answer}) for answer in answers]


def test_a_rubric_is_the_weighed_share_of_criteria_met() -> None:
    model, judge = ScriptedChatModel(said(True, False)), rubric(weights={"window": 3}, reference="expected")
    judge.use_model(model)
    found = scored(judge)
    assert found.values == {"": 0.75, "window": 1.0, "polite": 0.0}
    assert found.note == "not met: polite"
    prompt = model.calls[0][1].content
    assert all(part in prompt for part in ("names the window", "How long may I keep it?", "30 days.", "<<good_answer"))
    assert [measure.name for measure in judge.spec().measures] == ["s", "s.window", "s.polite"]
    assert judge.spec().is_judge


def test_a_panel_is_the_mean_of_its_judges() -> None:
    judge = rubric(judges=["a", "b"], criteria={"window": "x"})
    judge.use({"a": lambda question: True, "b": lambda question: 0.5})
    assert scored(judge).values == {"": 0.75, "window": 0.75}
    assert judge.score(CASE, Output("x")).values[""] == 0.75


def test_a_judge_that_prefers_the_first_counts_as_a_tie() -> None:
    biased, model = pairwise(), ScriptedChatModel(said("first", "first"))
    biased.use_model(model)
    assert scored(biased).values == {"": 0.5, "consistent": 0.0}
    first, second = (call[1].content for call in model.calls)
    assert first.index("keep it for 30") < first.index("\n30 days.")
    assert second.index("keep it for 30") > second.index("\n30 days.")
    honest = pairwise(judges=["a", "b"])
    honest.use({"a": lambda q: "first" if "keep" in q.answers[0] else "second", "b": lambda q: "tie"})
    assert scored(honest).values == {"": 0.75, "consistent": 1.0}


@pytest.mark.parametrize("answer", ["first", None, 2])
def test_what_a_rubric_judge_cannot_mean_is_not_scored(answer: Any) -> None:
    judge = rubric()
    judge.use({"judge": lambda question: answer})
    with pytest.raises(Unscored, match="must be true, false"):
        scored(judge)


def test_a_judge_that_does_not_answer_leaves_the_case_unscored() -> None:
    judge, other = rubric(), pairwise()
    judge.use_model(ScriptedChatModel([Unavailable("no model of tier 'judge' answers; try later")]))
    other.use({"judge": lambda question: "left"})
    with pytest.raises(Unscored, match="gave no answer"):
        scored(judge)
    with pytest.raises(Unscored, match="first, second or tie"):
        scored(other)


def test_the_version_is_that_of_questions_and_judges() -> None:
    def version(judge: Rubric, model: str = "m1") -> str:
        judge.use_model(ScriptedChatModel([]), model)
        return judge.spec().version

    assert version(rubric()) == version(rubric())
    assert version(rubric()) != version(rubric(), "m2")
    assert version(rubric()) != version(rubric(criteria={"other": "y"}))
    assert version(rubric()) != version(rubric(judges=["strong"]))


def test_a_panel_is_loaded_from_the_workspace(workspace: Path) -> None:
    (workspace / "juror.py").write_text("async def yes(question):\n    return True\n\nNO = 1\n")
    tiers = '[models.tiers]\njudge = ["local"]\n[models.defs.local]\nmodel = "openai/x"\nprice = "free"\n'
    (workspace / "deskhand.toml").write_text(f'{DEFAULT_CONFIG}{tiers}api_base = "http://127.0.0.1:9/v1"\n')
    judge = rubric(judges=["juror:yes"])
    judge.prepare(workspace)
    assert scored(judge).values[""] == 1.0
    models = rubric(judges=["judge", "model:local"], deadline_s=0.2)
    models.prepare(workspace)
    assert models.spec().version != rubric(judges=["judge", "model:local"]).spec().version
    with pytest.raises(Unscored, match="gave no answer"):
        models.score(CASE, Output("x"))


@pytest.mark.parametrize(
    ("judges", "message"),
    [(["judge"], "has no models"), (["model:gone"], "no model 'gone'"), (["math:pi"], "not a function")],
)
def test_a_panel_that_is_not_there_is_refused(workspace: Path, judges: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rubric(judges=judges).prepare(workspace)


@pytest.mark.parametrize("options", [{"judges": ["a", "a"]}, {"weights": {"other": 1}}, {"criteria": {}}])
def test_a_wrong_table_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"twice|no such criterion|at least 1"):
        rubric(**options)


def test_a_ticket_is_read_as_its_messages() -> None:
    seen: list[Question] = []
    judge = rubric(input="ticket", criteria={"window": "x"})
    judge.use({"judge": lambda question: seen.append(question) or True})  # type: ignore[func-returns-value]
    row = {"id": "c", "ticket": {"subject": "S", "messages": [{"role": "customer", "text": "T"}]}}
    asyncio.run(judge.score_async(Case("c", row), Output({"a": 1})))
    assert (seen[0].case, seen[0].answers) == ("S\n\ncustomer: T", ("{'a': 1}",))


JUROR = """
    def by_length(question):
        return len(question.answers[0]) > 3

    def by_chance(question):
        return len(question.answers[0]) % 2 == 0
"""
PART = """
    target = "echo:answer"
    [[part.scorer]]
    kind = "rubric"
    name = "helps"
    judges = ["juror:{judge}"]
    criteria = {{ long = "It says more than three letters." }}
    human = "labels.jsonl"
    gate = {{ bar = 0.5 }}
"""


@pytest.mark.parametrize(("judge", "outcome"), [("by_length", "PASS"), ("by_chance", "INCONCLUSIVE")])
def test_a_judge_gates_only_when_it_agrees_with_people(
    bench: Any, judge: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("juror", "echo"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    bench.code(JUROR, "juror")
    bench.code("def answer(case):\n    return case['text'] + ' and more'\n", "echo")
    bench.cases(*({"id": f"c{n}", "text": f"text {n}"} for n in range(40)))
    labels = [{"id": f"h{n}", "text": "t", "output": "x" * n, "human": n > 3} for n in range(8)] * 12
    bench.cases(*labels, name="labels.jsonl")
    bench.suite(PART.format(judge=judge))
    report: Report = bench.run()
    assert verdict(report).outcome == outcome
    assert all(row.scores["helps"] in (0.0, 1.0) for row in report.rows)
