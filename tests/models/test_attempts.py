import asyncio
import re
import time

import pytest

from deskhand.errors import BudgetExceeded, Unavailable
from deskhand.provider import Call, FakeProvider, Fault
from deskhand.testing import until
from deskhand_models import Models, Timing

pytestmark = [
    pytest.mark.usefixtures("litellm_is_loaded"),
    pytest.mark.filterwarnings("ignore:coroutine '.*acompletion' was never awaited:RuntimeWarning"),
]
WAYS = ["direct", "litellm"]
OUTCOMES = {  # provider's fault -> our name of it, and how often one model is asked
    Fault.rate_limited: ("rate_limited", 4),
    Fault.server_error: ("server_error", 3),
    Fault.overloaded: ("server_error", 3),
    Fault.unauthorized: ("auth", 1),
    Fault.too_long: ("context_too_long", 1),
    Fault.reset: ("connection", 3),
    Fault.truncated: ("bad_json", 2),
    Fault.html: ("bad_json", 2),
    Fault.no_choices: ("no_choices", 2),
    Fault.empty: ("empty", 2),
    Fault.hang: ("timeout", 2),
    Fault.drip: ("timeout", 2),
}


TIMEOUTS_S = {Fault.hang: 0.3, Fault.drip: 0.3}
"""Of the models that never answer; a busy machine may not even have sent the request by then. Others have time."""


def outcomes(models):
    return {row.key: row.n_attempts for row in models.ledger.costs("outcome")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", OUTCOMES)
async def test_each_fault_is_told_apart_and_retried_as_often_as_it_helps(open_models, ask, ctx, way, fault):
    name, n_attempts = OUTCOMES[fault]
    async with (
        FakeProvider(retry_after_s=0.01) as provider,
        open_models([f"fault-{fault}"], provider.base_url, way=way, timeout_s=TIMEOUTS_S.get(fault, 60)) as models,
    ):
        with pytest.raises(Unavailable, match=re.escape(name.replace("_", " "))):
            await ask(models, ctx)
        assert outcomes(models) == {name: n_attempts}
        assert provider.n_requests() == n_attempts or fault in TIMEOUTS_S


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", OUTCOMES)
async def test_next_model_answers_whatever_the_first_one_does(open_models, ask, ctx, way, fault):
    async with (
        FakeProvider(script=["It is on its way."], retry_after_s=0.01) as provider,
        open_models([f"fault-{fault}", "good"], provider.base_url, way=way, overrides={
            f"fault-{fault}": {"timeout_s": TIMEOUTS_S.get(fault, 60)}, "good": {"context_tokens": 100_000}
        }) as models,
    ):  # fmt: skip
        completion = await ask(models, ctx)
        assert (completion.text, completion.model) == ("It is on its way.", "openai/good")
        assert completion.usage.n_calls == provider.n_requests() or fault in TIMEOUTS_S


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", [Fault.server_error, Fault.reset, Fault.empty, Fault.truncated, Fault.rate_limited])
async def test_fault_that_passes_costs_one_retry(open_models, ask, ctx, way, fault):
    async with (
        FakeProvider(retry_after_s=0.05) as provider,
        open_models([f"fault-{fault}-x1"], provider.base_url, way=way) as models,
    ):
        completion = await ask(models, ctx)
        assert completion.text and completion.usage.n_calls == provider.n_requests() == 2


@pytest.mark.parametrize("way", WAYS)
async def test_refused_connection_is_told_and_costs_nothing(open_models, ask, ctx, way):
    async with open_models(["gone"], "http://127.0.0.1:1/v1", way=way) as models:
        with pytest.raises(Unavailable, match="gone: connection"):
            await ask(models, ctx)
        assert models.ledger.spent_usd("run", "run-1") == 0


@pytest.mark.parametrize("way", WAYS)
async def test_fifty_at_once_are_answered_and_none_is_lost(open_models, ask, ctx, way):
    async with (
        FakeProvider(latency_s=0.05) as provider,
        open_models(["good"], provider.base_url, way=way) as models,
    ):
        await ask(models, ctx)  # imports
        answers = await asyncio.gather(*(ask(models, ctx, f"question {number}") for number in range(50)))
        assert len(answers) == 50 and provider.n_requests() == 51
        assert models.ledger.costs("outcome")[0].n_answers == 51


@pytest.mark.parametrize(("way", "n_models"), [("direct", 1), ("direct", 2), ("litellm", 2)])
async def test_fifty_at_once_keep_the_deadline_when_every_model_hangs(open_models, ask, ctx, way, n_models):
    names = ["fault-hang", "other-fault-hang"][:n_models]
    async with FakeProvider() as provider, open_models(names, provider.base_url, way=way, timeout_s=600) as models:
        async with asyncio.timeout(60):  # far from both: benchmarks/ has the bar
            calls = (ask(models, ctx, deadline_s=1.5) for _ in range(50))
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {Unavailable}


async def test_one_call_ends_at_its_deadline_and_not_before(open_models, ask, ctx):
    names = ["fault-hang", "fault-drip"]
    async with FakeProvider() as provider, open_models(names, provider.base_url, timeout_s=600) as models:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(60):
                await ask(models, ctx, deadline_s=0.4)
        assert time.monotonic() - started > 0.35


async def test_time_that_is_up_before_the_first_attempt_spends_nothing(open_models, ask, ctx):
    async with FakeProvider() as provider, open_models(["good"], provider.base_url) as models:
        with pytest.raises(Unavailable, match="no time was left"):
            await ask(models, ctx, deadline_s=0.0)
        assert provider.n_requests() == 0


async def test_slow_models_get_the_time_that_is_configured_whatever_the_caller_allows(settings, ask, ctx, tmp_path):
    async with FakeProvider() as provider:
        patient = settings(["good"], provider.base_url).model_copy(update={"least_deadline_s": 60.0})
        async with Models(patient, tmp_path / "ledger.db") as models:
            assert (await ask(models, ctx, deadline_s=0.0)).text


async def test_timeout_names_the_settings_that_give_more_time(open_models, ask, ctx):
    async with FakeProvider() as provider, open_models(["fault-hang"], provider.base_url, timeout_s=0.05) as models:
        with pytest.raises(Unavailable, match=r"timeout_s and models\.least_deadline_s"):
            await ask(models, ctx)


async def test_retry_after_is_honoured(open_models, ask, ctx):
    async with (
        FakeProvider(retry_after_s=0.6) as provider,
        open_models(["fault-rate-limited-x1"], provider.base_url) as models,
    ):
        started = time.monotonic()
        await ask(models, ctx)
        assert time.monotonic() - started >= 0.6 and provider.n_requests() == 2


async def test_retry_after_holds_back_other_calls_to_the_model_too(open_models, ask, ctx):
    async with (
        FakeProvider(retry_after_s=0.4) as provider,
        open_models(["fault-rate-limited-x1"], provider.base_url) as models,
    ):
        first = asyncio.create_task(ask(models, ctx))
        await until(lambda: outcomes(models).get("rate_limited"))
        await ask(models, ctx, "second")
        await first
        assert provider.n_requests() == 3 and outcomes(models) == {"answered": 2, "rate_limited": 1}


class Waits(list):
    """Keeps how long it was waited, and waits for nothing."""

    async def sleep(self, seconds):
        self.append(seconds)


async def test_long_retry_after_is_not_waited_for_when_another_model_can_answer(open_models, ask, ctx):
    waits = Waits()
    async with (
        FakeProvider(retry_after_s=300) as provider,
        open_models(["fault-rate-limited", "good"], provider.base_url, timing=Timing(sleep=waits.sleep)) as models,
    ):
        assert (await ask(models, ctx)).model == "openai/good"
        assert (await ask(models, ctx)).model == "openai/good"
        assert waits == [] and provider.n_requests("fault-rate-limited") == 1


async def test_wait_longer_than_the_deadline_is_given_up_at_once(open_models, ask, ctx):
    waits = Waits()
    async with (
        FakeProvider(retry_after_s=300) as provider,
        open_models(["fault-rate-limited"], provider.base_url, timing=Timing(sleep=waits.sleep)) as models,
    ):
        for expected in ("rate limited", r"wait for \d{3}\.\d s more"):
            with pytest.raises(Unavailable, match=expected):
                await ask(models, ctx, deadline_s=60)
        assert waits == []


async def test_backoff_grows_and_is_jittered(open_models, ask, ctx):
    waits = Waits()
    timing = Timing(sleep=waits.sleep, random=lambda: 0.5)
    async with (
        FakeProvider() as provider,
        open_models(["fault-server-error"], provider.base_url, timing=timing) as models,
    ):
        with pytest.raises(Unavailable):
            await ask(models, ctx)
        assert waits == [0.25, 0.5]


async def test_model_that_keeps_failing_is_left_alone_then_probed_once(open_models, ask, ctx):
    now = [0.0]
    timing = Timing(monotonic=lambda: now[0], random=lambda: 0.0)
    async with (
        FakeProvider() as provider,
        open_models(["fault-server-error-x6"], provider.base_url, timing=timing) as models,
    ):
        for _ in range(4):
            with pytest.raises(Unavailable):
                await ask(models, ctx)
        assert provider.n_requests() == 5
        with pytest.raises(Unavailable, match="left alone"):
            await ask(models, ctx)
        now[0] = 31.0
        with pytest.raises(Unavailable):
            await ask(models, ctx)
        assert provider.n_requests() == 6
        now[0] = 62.0
        answers = await asyncio.gather(*(ask(models, ctx) for _ in range(5)), return_exceptions=True)
        assert provider.n_requests() == 7
        assert sorted(type(answer).__name__ for answer in answers) == ["Completion"] + ["Unavailable"] * 4
        assert (await ask(models, ctx)).text


async def test_refused_key_is_not_tried_again(open_models, ask, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["fault-unauthorized", "good"], provider.base_url) as models,
    ):
        for _ in range(3):
            assert (await ask(models, ctx)).model == "openai/good"
        assert provider.n_requests("fault-unauthorized") == 1


async def test_cancelled_call_stays_booked_and_lets_the_next_one_through(open_models, ask, ctx):
    async with FakeProvider() as provider, open_models(["fault-hang"], provider.base_url) as models:
        task = asyncio.create_task(ask(models, ctx))
        await until(provider.n_requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (row,) = models.ledger.costs("outcome")
        assert (row.key, row.n_attempts) == ("open", 1) and row.open_usd == row.cost_usd > 0
        assert models.ledger.spent_usd("run", "run-1") == row.cost_usd


async def test_prompt_too_long_goes_to_a_model_with_a_longer_context_unsent(open_models, ask, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["short", "long"], provider.base_url, max_output_tokens=100, overrides={
            "short": {"context_tokens": 1000}, "long": {"context_tokens": 300_000}
        }) as models,
    ):  # fmt: skip
        completion = await ask(models, ctx, "parcel " * 5000)
        assert completion.model == "openai/long" and provider.n_requests() == 1


async def test_model_that_says_too_long_is_followed_by_longer_ones_only(open_models, ask, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["fault-too-long", "same", "long"], provider.base_url, overrides={
            "long": {"context_tokens": 300_000}
        }) as models,
    ):  # fmt: skip
        assert (await ask(models, ctx)).model == "openai/long"
        assert provider.n_requests("same") == 0


async def test_prompt_too_long_for_every_model_says_so_and_sends_nothing(open_models, ask, ctx):
    async with FakeProvider() as provider, open_models(["good"], provider.base_url) as models:
        with pytest.raises(Unavailable, match=r"good: the prompt needs 20\d{4} tokens of context, it has 32768"):
            await ask(models, ctx, "parcel " * 200_000)
        assert provider.n_requests() == 0


async def test_missing_key_names_its_variable_and_goes_to_the_next_model(open_models, ask, ctx, monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    async with (
        FakeProvider() as provider,
        open_models(["hosted", "local"], provider.base_url, overrides={"hosted": {"key_env": "A_KEY"}}) as models,
    ):
        assert (await ask(models, ctx)).model == "openai/local"
        with pytest.raises(Unavailable, match="A_KEY is not set"):
            models.settings.defs.pop("local")
            object.__setattr__(models.settings.tiers, "strong", ("hosted",))
            await ask(models, ctx)


@pytest.mark.parametrize("way", WAYS)
async def test_key_reaches_its_provider_and_no_other_key_does(open_models, ask, ctx, monkeypatch, way):
    monkeypatch.setenv("A_KEY", " sk-right\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    async with (
        FakeProvider(script=[Fault.server_error]) as provider,
        open_models(
            ["with", "without"], provider.base_url, way=way, overrides={"with": {"key_env": "A_KEY"}}
        ) as models,
    ):
        await ask(models, ctx)
        models.settings.defs["with"] = models.settings.defs["without"]
        await ask(models, ctx)
        seen = [request.authorization for request in provider.requests]
        assert seen[0] == seen[1] == "Bearer sk-right" and "elsewhere" not in "".join(seen)


async def test_model_without_tools_is_passed_over_when_there_are_some(open_models, ask, ctx):
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    async with (
        FakeProvider(script=[Call("find", {})]) as provider,
        open_models(["plain", "able"], provider.base_url, overrides={"plain": {"tools": False}}) as models,
    ):
        completion = await ask(models, ctx, tools=[tool])
        assert completion.model == "openai/able" and completion.tool_calls[0].name == "find"


async def test_model_that_is_too_dear_is_passed_over_for_a_free_one(open_models, ask, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["dear", "local"], provider.base_url, budget={"run_usd": 0}, overrides={
            "local": {"price": "free"}
        }) as models,
    ):  # fmt: skip
        assert (await ask(models, ctx)).model == "openai/local"
        assert provider.n_requests("dear") == 0


async def test_spent_budget_stops_before_anything_is_sent(open_models, ask, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["dear"], provider.base_url, budget={"ticket_usd": 0.001}) as models,
    ):
        with pytest.raises(BudgetExceeded, match=r"models.budget.ticket_usd: .* for ticket T-1 .* raise it"):
            await ask(models, ctx)
        assert provider.n_requests() == 0 and models.ledger.costs("run") == []


async def test_empty_tier_says_so(open_models, ask, ctx):
    async with open_models([], "http://127.0.0.1:1/v1") as models:
        with pytest.raises(Unavailable, match="none is configured"):
            await ask(models, ctx)
