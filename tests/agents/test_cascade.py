"""The cascade: acceptance, degradation and containment."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import pytest

from deskhand.answers import Answer, Evidence, Usage
from deskhand.context import RunContext
from deskhand.errors import BudgetExceeded, ConfigError, OwnedElsewhere, ReplayMiss, ToolFailed, Unavailable
from deskhand.telemetry import CONFIDENCE, STRATEGY
from deskhand_agents import Cascade, Step, reason


@dataclass
class Says:
    """A strategy that gives one answer, or raises."""

    name: str
    outcome: Answer[str] | BaseException
    n_calls: int = 0

    async def __call__(self, task: str, ctx: RunContext) -> Answer[str]:
        self.n_calls += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def answer(value: str | None, confidence: float, name: str = "a", **more) -> Answer[str]:
    return Answer(value, confidence, name, Usage(n_calls=1, prompt_tokens=10), **more)


async def run(ctx: RunContext, *steps: Step[str, str]) -> Answer[str]:
    return await Cascade("triage", steps).run("task", ctx)


def codes(found: Answer[str]) -> list[str]:
    return [item.code for item in found.reasons]


async def test_first_sure_answer_stops_the_cascade(ctx):
    later = Says("b", answer("late", 1.0))
    found = await run(ctx, Step(Says("a", answer("yes", 0.9)), 0.9), Step(later, 0.0))
    assert (found.value, found.needs_human, later.n_calls) == ("yes", False, 0)


async def test_unsure_answer_goes_on_and_usage_is_summed(ctx):
    found = await run(ctx, Step(Says("a", answer("meh", 0.5)), 0.9), Step(Says("b", answer("yes", 0.7)), 0.6))
    assert (found.value, found.needs_human) == ("yes", False)
    assert found.usage.n_calls == 2
    assert found.usage.prompt_tokens == 20


async def test_none_sure_returns_surest_marked_with_why(ctx):
    found = await run(ctx, Step(Says("a", answer("low", 0.2)), 0.9), Step(Says("b", answer("mid", 0.6, "b")), 0.9))
    assert (found.value, found.needs_human, codes(found)) == ("mid", True, ["low_confidence"])
    assert "0.60 is below 0.90" in found.reasons[0].detail


async def test_without_certificate_is_only_a_suggestion(ctx):
    found = await run(ctx, Step(Says("a", answer("yes", 1.0)), None))
    assert (found.value, found.needs_human, codes(found)) == ("yes", True, ["uncertified"])


async def test_answer_that_asks_for_a_person_is_never_accepted(ctx):
    own = answer("yes", 1.0, needs_human=True, reasons=(reason("no_knowledge"),))
    found = await run(ctx, Step(Says("a", own), 0.0))
    assert (found.needs_human, codes(found)) == (True, ["no_knowledge"])


async def test_valueless_answer_loses_to_any_value(ctx):
    found = await run(ctx, Step(Says("a", answer(None, 0.9)), 0.0), Step(Says("b", answer("x", 0.1)), None))
    assert found.value == "x"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("model is down; try later"), "strategy_unavailable"),
        (OwnedElsewhere("index is held; stop the other"), "strategy_unavailable"),
        (BudgetExceeded("day's budget is spent; raise it"), "over_budget"),
        (ToolFailed("no", tool_name="t"), "strategy_failed"),
    ],
)
async def test_failed_strategy_is_noted_and_the_next_one_answers(ctx, error, code):
    found = await run(ctx, Step(Says("a", error), 0.0), Step(Says("b", answer("yes", 1.0, "b")), 0.5))
    assert (found.value, found.needs_human, codes(found)) == ("yes", False, [code])


async def test_bug_in_a_strategy_is_contained_and_logged_with_traceback(ctx, caplog):
    with caplog.at_level(logging.ERROR):
        found = await run(ctx, Step(Says("a", ZeroDivisionError("secret text")), 0.0))
    assert (found.value, found.needs_human, codes(found)) == (None, True, ["no_answer", "strategy_failed"])
    assert found.reasons[1].detail == "a: ZeroDivisionError"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("error", [ReplayMiss("no row; record again"), ConfigError("bad key; correct it")])
async def test_error_that_must_stop_the_run_is_raised_on(ctx, error):
    with pytest.raises(type(error)):
        await run(ctx, Step(Says("a", error), 0.0), Step(Says("b", answer("yes", 1.0)), 0.0))


async def test_cancellation_is_never_contained(ctx):
    with pytest.raises(asyncio.CancelledError):
        await run(ctx, Step(Says("a", asyncio.CancelledError()), 0.0))


async def test_each_try_leaves_a_span(ctx):
    await run(ctx, Step(Says("a", Unavailable("down; later")), 0.0), Step(Says("b", answer("yes", 0.8)), 0.5))
    spans = ctx.tracer.drain()
    assert [span.name for span in spans] == ["triage.a", "triage.b"]
    assert spans[1].attributes[STRATEGY] == "b"
    assert spans[1].attributes[CONFIDENCE] == 0.8


async def test_no_steps_is_an_answer_without_value(ctx):
    assert codes(await run(ctx)) == ["no_answer"]


async def test_why_an_answer_was_rejected_is_kept_beside_the_one_that_stands(ctx):
    thrown = answer(None, 0.0, "llm", reasons=(reason("rejected_answer", "llm: it repeats the prompt"),))
    found = await run(ctx, Step(Says("llm", thrown), 0.0), Step(Says("b", answer("yes", 0.9)), 0.5))
    assert (found.value, found.needs_human, codes(found)) == ("yes", False, ["rejected_answer"])


async def test_rejected_answer_is_named_once_where_it_is_all_there_is(ctx):
    thrown = answer(None, 0.0, "llm", reasons=(reason("rejected_answer", "llm: it repeats the prompt"),))
    found = await run(ctx, Step(Says("llm", thrown), 0.0))
    assert (found.value, codes(found).count("rejected_answer")) == (None, 1)


@pytest.mark.parametrize(("measured", "kept"), [(0.3, "local"), (0.0, "model")])
async def test_what_a_model_says_of_itself_does_not_beat_a_measured_confidence(ctx, measured, kept):
    boaster = Says("llm", answer("model", 0.99, "llm"))
    boaster.is_self_reported = True
    found = await run(ctx, Step(Says("a", answer("local", measured)), None), Step(boaster, None))
    assert (found.value, found.needs_human) == (kept, True)


def prompt(name: str) -> Evidence:
    return Evidence(kind="prompt", ref=f"{name}@0123")


async def test_prompts_of_failed_and_rejected_strategies_are_kept_once(ctx):
    failed = Says("llm", Unavailable("no model answered; try again"))
    failed.prompt_evidence = prompt("failed")
    rejected = Says("b", answer(None, 0.0, evidence=(prompt("rejected"), Evidence(kind="model", ref="m"))))
    sure = Says("c", answer("yes", 1.0, evidence=(prompt("sure"),)))
    found = await run(ctx, Step(failed, 0.9), Step(rejected, 0.9), Step(rejected, 0.9), Step(sure, 0.9))
    assert [item.ref for item in found.evidence] == ["sure@0123", "failed@0123", "rejected@0123"]
    unsure = await run(ctx, Step(failed, 0.9), Step(Says("d", answer("low", 0.1)), 0.9))
    assert unsure.needs_human and unsure.evidence == (prompt("failed"),)
