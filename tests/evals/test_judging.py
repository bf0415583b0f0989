from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import pytest

from deskhand.provider import FakeProvider
from deskhand.provider_answers import ProviderRequest
from deskhand_evals import Mode, Outcome, Report, load_suite, run_suite, verdict
from deskhand_evals.run import RunOptions

SUITE = """
schema = 1
name = "bench"
{head}
[[part]]
name = "p"
dataset = "cases.jsonl"
target = "echo:answer"
[[part.scorer]]
{scorer}
"""
RUBRIC = """
kind = "rubric"
name = "helps"
criteria = {{ long = "It is long.", kind = "It is kind." }}
judges = ["{judge}"]
"""
LABELLED = 'human = "labels.jsonl"\ngate = {{ bar = 0.5 }}\n'
MODELS = """
[models.tiers]
judge = ["fake"]
[models.budget]
day_usd = 100
[models.defs.fake]
model = "openai/{model}"
api_base = "{url}"
price = {{ input_per_million_usd = 1.0, output_per_million_usd = 2.0 }}
"""
CASES = tuple({"id": f"c{n}", "text": f"text {n} of ann{n}@example.org"} for n in range(3))


def _said(request: ProviderRequest) -> dict[str, Any]:
    return {"explanation": "so", "passed": "long" in str(request.body["messages"])}


@pytest.fixture
def judged(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bench with a target of one line, three cases and a rubric; ``run`` takes a provider's address or none."""
    for name in ("echo", "juror"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    bench.code("def answer(case):\n    return case['text'] + ' and more'\n", "echo")
    bench.cases(*CASES)
    bench.plain = (bench.root / "deskhand.toml").read_text()
    bench.file = bench.root / "recordings" / "bench" / "p.judges.jsonl"

    def configure(url: str = "http://127.0.0.1:9/v1", model: str = "fake") -> None:
        (bench.root / "deskhand.toml").write_text(bench.plain + MODELS.format(url=url, model=model))

    def suite(scorer: str, head: str = "") -> None:
        (bench.root / "suite.toml").write_text(SUITE.format(scorer=scorer.format(judge="judge"), head=head))

    bench.configure, bench.ask = configure, suite
    configure()
    suite(RUBRIC)
    return bench


async def _run(bench: Any, mode: Mode, **options: Any) -> Report:
    from deskhand.config import WorkspaceFolder

    suite = load_suite(bench.root / "suite.toml")
    return await run_suite(suite, WorkspaceFolder(bench.root), RunOptions(mode=mode, fresh=True, **options))


async def _live(bench: Any, mode: Mode = Mode.live) -> tuple[Report, int]:
    async with FakeProvider(script=_said) as provider:
        bench.configure(provider.base_url)
        return await _run(bench, mode), len(provider.requests)


def _replay(bench: Any, monkeypatch: pytest.MonkeyPatch, mode: Mode = Mode.replay) -> Report:
    """Run where no socket can be opened."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a replay opened a socket")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    return asyncio.run(_run(bench, mode))


def _rows(report: Report) -> list[dict[str, Any]]:
    return [row.model_dump(exclude={"latency_ms"}) for row in report.rows]


@pytest.mark.parametrize("mode", [Mode.replay, Mode.auto])
def test_a_judge_that_is_a_model_is_replayed_without_a_socket(
    judged: Any, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, n_requests = asyncio.run(_live(judged))
    assert (n_requests, live.n_failed) == (6, 0)
    text = judged.file.read_text()
    assert len(text.splitlines()) == 6
    assert "example.org" not in text
    again = _replay(judged, monkeypatch, mode)
    assert _rows(again) == _rows(live)
    assert (live.parts[0].mode, again.parts[0].mode) == ("live", "replay")


@pytest.mark.parametrize("mode", [Mode.replay, Mode.auto])
def test_what_a_judge_was_not_asked_before_leaves_the_case_unscored(
    judged: Any, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(_live(judged))
    lines = judged.file.read_text().splitlines(keepends=True)
    judged.file.write_text("".join(line for line in lines if '"c1#0' not in line))
    report = _replay(judged, monkeypatch, mode)
    assert [bool(row.unscored) for row in report.rows] == [False, True, False]
    assert "record" in report.rows[1].unscored["helps"]
    assert verdict(report).outcome is not Outcome.passed


def test_a_replay_without_any_recording_asks_no_judge(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _replay(judged, monkeypatch)
    assert report.n_failed == 3


def test_a_part_whose_target_is_replayed_asks_no_judge_either(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_live(judged))
    judged.file.unlink()
    report = _replay(judged, monkeypatch, Mode.auto)
    assert [row.status for row in report.rows] == ["ok"] * 3
    assert all("no model call" in row.unscored["helps"] for row in report.rows)


def test_the_word_of_another_judge_is_not_replayed_as_this_ones(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_live(judged))
    judged.configure(model="other")
    report = _replay(judged, monkeypatch)
    assert report.n_failed == 3


def test_only_what_is_missing_is_asked_of_a_judge(judged: Any) -> None:
    asyncio.run(_live(judged))
    judged.cases(*CASES[1:], {"id": "new", "text": "x"})
    report, n_requests = asyncio.run(_live(judged, Mode.record))
    assert (n_requests, report.n_failed) == (2, 0)
    assert '"c0#0' not in judged.file.read_text()


def test_what_judges_cost_is_counted_apart_and_against_the_budget(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.ask(RUBRIC, "gate = { budget_usd = 0.0 }")
    live, _ = asyncio.run(_live(judged))
    assert live.eval_usd > 0
    assert live.cost_usd == live.eval_usd == pytest.approx(sum(row.eval_usd for row in live.rows))
    assert live.n_tokens == sum(row.eval_tokens for row in live.rows) > 0
    assert {row.cost_usd for row in live.rows} == {0.0}
    budget = next(check for check in verdict(live).checks if check.measure == "budget")
    assert budget.outcome is Outcome.failed
    again = _replay(judged, monkeypatch)
    assert (again.eval_usd, again.n_tokens) == (live.eval_usd, live.n_tokens)


def test_labels_are_asked_about_once_and_paid_for_by_the_part(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [{"text": "t", "output": "x" * n, "human": n > 3} for n in range(8)]
    judged.cases(*labels, name="labels.jsonl")
    judged.ask(RUBRIC + LABELLED)
    live, n_requests = asyncio.run(_live(judged))
    assert n_requests == 6 + 16
    assert live.parts[0].eval_usd > 0
    assert live.eval_usd == pytest.approx(live.parts[0].eval_usd + sum(row.eval_usd for row in live.rows))
    again = _replay(judged, monkeypatch)
    assert again.parts[0].scorers == live.parts[0].scorers
    judged.cases(*labels, {"text": "t", "output": "new", "human": True}, name="labels.jsonl")
    problem = _replay(judged, monkeypatch).parts[0].scorers[0].problem
    assert problem.startswith("labels.jsonl: replay: no model call")


JUROR = """
    from pathlib import Path

    def asked():
        with Path(__file__).with_name("asked").open("a") as file:
            file.write("once\\n")

    def yes(question):
        asked()
        return True

    def score(case, output):
        asked()
        return {"": 1.0}
"""
PYTHON = 'kind = "python"\nname = "helps"\nfunction = "juror:score"\njudge = true\n'


@pytest.mark.parametrize("scorer", [RUBRIC.format(judge="juror:yes"), PYTHON])
def test_a_judge_that_is_a_function_is_replayed_too(judged: Any, scorer: str) -> None:
    judged.code(JUROR, "juror")
    judged.ask(scorer.replace("{", "{{").replace("}", "}}"))
    live = asyncio.run(_run(judged, Mode.live))
    asked = judged.root / "asked"
    assert live.n_failed == 0
    assert asked.read_text()
    asked.unlink()
    assert _rows(asyncio.run(_run(judged, Mode.replay))) == _rows(live)
    judged.file.unlink()
    assert asyncio.run(_run(judged, Mode.replay)).n_failed == 3
    assert not asked.exists()


def test_a_damaged_recording_of_judges_is_a_problem_of_its_part(judged: Any) -> None:
    judged.file.parent.mkdir(parents=True)
    judged.file.write_text("not json\n")
    report = asyncio.run(_run(judged, Mode.auto))
    assert "p.judges.jsonl" in report.parts[0].problem
    assert report.n_failed == 3


def test_an_interrupted_run_asks_no_judge_about_a_label_again(judged: Any) -> None:
    judged.cases({"text": "t", "output": "xx", "human": True}, name="labels.jsonl")
    judged.ask(RUBRIC + LABELLED)
    report, _ = asyncio.run(_live(judged))
    sink = judged.root / ".deskhand" / "experiments" / report.id / "recordings" / "p.judges.jsonl"
    assert sum("human labels" in json.loads(line)["path"] for line in sink.read_text().splitlines()) == 2
    (sink.parents[1] / "report.json").unlink()

    async def go_on() -> tuple[Report, int]:
        async with FakeProvider(script=_said) as provider:
            judged.configure(provider.base_url)
            options = RunOptions(mode=Mode.live)
            from deskhand.config import WorkspaceFolder

            done = await run_suite(load_suite(judged.root / "suite.toml"), WorkspaceFolder(judged.root), options)
            return done, len(provider.requests)

    again, n_requests = asyncio.run(go_on())
    assert (again.id == report.id, n_requests) == (True, 0)
    assert _rows(again) == _rows(report)


def test_new_judges_score_stored_outputs_only_where_they_may_ask(judged: Any) -> None:
    judged.ask('kind = "regex"\nname = "any"\npattern = "."\n')
    first = asyncio.run(_run(judged, Mode.live))
    judged.ask(RUBRIC)
    blind = asyncio.run(_run(judged, Mode.auto, rescore=first.id))
    assert blind.n_failed == 3

    async def recorded() -> Report:
        async with FakeProvider(script=_said) as provider:
            judged.configure(provider.base_url)
            return await _run(judged, Mode.record, rescore=first.id)

    found = asyncio.run(recorded())
    assert (found.n_failed, found.eval_usd > 0) == (0, True)
    assert _rows(asyncio.run(_run(judged, Mode.auto, rescore=first.id))) == _rows(found)
