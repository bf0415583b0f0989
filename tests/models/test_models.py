import json
import socket
from dataclasses import replace
from datetime import date
from enum import StrEnum

import pytest
from pydantic import BaseModel, Field

from deskhand.config import WorkspaceFolder
from deskhand.errors import BudgetExceeded, ConfigError, ReplayMiss, Unavailable
from deskhand.interfaces import ChatMessage, ToolCall
from deskhand.provider import Call, FakeProvider, Fault
from deskhand.recorder import FileRecorder, load_recording, replay
from deskhand.testing import DEFAULT_CONFIG, build_workspace
from deskhand.vault import PatternVault
from deskhand_models import Models


class Mood(StrEnum):
    good = "good"
    bad = "bad"


class Verdict(BaseModel):
    category: str
    mood: Mood = Mood.good
    score: float = Field(ge=0, le=1)
    since: date | None = None


GOOD = {"category": "returns", "mood": "bad", "score": 0.5, "since": "2026-11-01"}
FIND = {
    "type": "function",
    "function": {
        "name": "find_order",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}


@pytest.mark.parametrize("way", ["direct", "litellm"])
async def test_text_comes_with_its_model_and_its_cost(open_models, ask, ctx, way):
    async with FakeProvider(script=["Hello."]) as provider, open_models(["m"], provider.base_url, way=way) as models:
        completion = await ask(models, ctx)
        assert (completion.text, completion.model, completion.finish_reason) == ("Hello.", "openai/m", "stop")
        usage = completion.usage
        assert usage.prompt_tokens > 5 and usage.completion_tokens == 2 and usage.n_calls == 1 and usage.latency_ms > 0
        assert usage.cost_usd == pytest.approx((usage.prompt_tokens + 2 * usage.completion_tokens) / 1e6)
        assert models.ledger.spent_usd("run", "run-1") == pytest.approx(usage.cost_usd)


@pytest.mark.parametrize("way", ["direct", "litellm"])
async def test_schema_is_asked_for_natively_and_held(open_models, ask, ctx, way):
    async with FakeProvider(script=[GOOD]) as provider, open_models(["m"], provider.base_url, way=way) as models:
        completion = await ask(models, ctx, output_schema=Verdict)
        assert completion.parsed == Verdict.model_validate(GOOD)
        sent = provider.requests[0].body["response_format"]["json_schema"]
        assert sent["strict"] is True and sent["schema"]["required"] == ["category", "mood", "score", "since"]
        assert sent["schema"]["additionalProperties"] is False


async def test_server_without_structured_output_is_asked_in_words(open_models, ask, ctx):
    async with (
        FakeProvider(script=["Sure!\n```json\n" + json.dumps(GOOD) + "\n```"]) as provider,
        open_models(["m"], provider.base_url, json_schema="prompted") as models,
    ):
        completion = await ask(models, ctx, output_schema=Verdict)
        assert completion.parsed == Verdict.model_validate(GOOD)
        assert "response_format" not in provider.requests[0].body
        assert "JSON schema" in provider.requests[0].messages[0]["content"]


async def test_refused_schema_is_asked_for_in_words_from_then_on(open_models, ask, ctx):
    async with FakeProvider(answer_or_refuse) as provider, open_models(["m"], provider.base_url) as models:
        for _ in range(2):
            assert (await ask(models, ctx, output_schema=Verdict)).parsed.category == "returns"
        assert ["response_format" in request.body for request in provider.requests] == [True, False, False]


def answer_or_refuse(request):
    if "response_format" in request.body:
        raise ValueError("response_format is not supported")
    return GOOD


@pytest.mark.parametrize("bad", [Fault.prose, Fault.foreign, Fault.echo, {"category": "returns"}, '{"category": NaN}'])
async def test_answer_outside_the_schema_is_repaired_once(open_models, ask, ctx, bad):
    async with FakeProvider(script=[bad, GOOD]) as provider, open_models(["m"], provider.base_url) as models:
        completion = await ask(models, ctx, output_schema=Verdict)
        assert completion.parsed == Verdict.model_validate(GOOD) and completion.usage.n_calls == 2
        first, second = provider.requests
        assert [m["role"] for m in second.messages] == [*(m["role"] for m in first.messages), "assistant", "user"]
        assert "cannot be used" in second.messages[-1]["content"]
        assert models.ledger.spent_usd("run", "run-1") == pytest.approx(completion.usage.cost_usd)


async def test_answer_outside_the_schema_twice_is_a_clear_failure(open_models, ask, ctx):
    async with (
        FakeProvider(script=[Fault.prose, Fault.prose]) as provider,
        open_models(["m"], provider.base_url) as models,
    ):
        with pytest.raises(Unavailable, match="m: answered twice, and not with a Verdict: it holds no JSON object"):
            await ask(models, ctx, output_schema=Verdict)
        assert provider.n_requests() == 2


async def test_cut_answer_is_a_failure_and_never_a_result(open_models, ask, ctx):
    async with (
        FakeProvider(scripts={"m": ["word " * 100] * 2}) as provider,
        open_models(["m"], provider.base_url, max_output_tokens=10) as models,
    ):
        with pytest.raises(Unavailable, match=r"truncated .*cut at max_output_tokens"):
            await ask(models, ctx)


@pytest.mark.parametrize("way", ["direct", "litellm"])
async def test_tool_calls_come_parsed_and_their_results_go_back(open_models, ctx, way):
    calls = [Call("find_order", {"order_id": "HF-1"}), Call("find_order", {"order_id": "HF-2"})]
    async with (
        FakeProvider(script=[calls, "Done."]) as provider,
        open_models(["m"], provider.base_url, way=way) as models,
    ):
        asked = [ChatMessage("system", "You help."), ChatMessage("user", "Where are HF-1 and HF-2?")]
        first = await models.complete("strong", asked, tools=[FIND], output_schema=Verdict, deadline_s=60, ctx=ctx)
        assert [(call.name, call.args) for call in first.tool_calls] == [
            ("find_order", {"order_id": "HF-1"}), ("find_order", {"order_id": "HF-2"}),
        ]  # fmt: skip
        assert first.parsed is None and first.finish_reason == "tool_calls"
        results = [ChatMessage("tool", "shipped", tool_call_id=call.id) for call in first.tool_calls]
        turn = [*asked, ChatMessage("assistant", "", tool_calls=first.tool_calls), *results]
        second = await models.complete("strong", turn, tools=[FIND], deadline_s=60, ctx=ctx)
        assert second.text == "Done."
        sent = provider.requests[1].messages
        assert [m["tool_call_id"] for m in sent[-2:]] == [call.id for call in first.tool_calls]
        assert json.loads(sent[2]["tool_calls"][1]["function"]["arguments"]) == {"order_id": "HF-2"}


async def test_model_sees_placeholders_only(open_models, ask, ctx):
    async with (
        FakeProvider(script=["I wrote to [EMAIL_1]."]) as provider,
        open_models(["m"], provider.base_url) as models,
    ):
        call = ToolCall("c1", "mail", {"to": ["ann@example.com"]})
        messages = [
            ChatMessage("user", "I am ann@example.com"),
            ChatMessage("assistant", "", tool_calls=(call,)),
            ChatMessage("tool", "sent to ann@example.com", tool_call_id="c1"),
        ]
        completion = await models.complete("strong", messages, deadline_s=60, ctx=ctx)
        sent = json.dumps(provider.requests[0].body)
        assert "ann@example.com" not in sent and sent.count("[EMAIL_1]") == 3
        assert completion.text == "I wrote to [EMAIL_1]."


async def test_trusted_model_sees_the_values_and_nobody_else_does(open_models, ask, ctx, tmp_path):
    recorder = FileRecorder(tmp_path / "r.jsonl")
    ctx = replace(ctx, recorder=recorder)
    said = {"category": "Ann is ann@example.com", "mood": "good", "score": 1, "since": None}
    async with (
        FakeProvider(script=["You are ann@example.com.", said]) as provider,
        open_models(["m"], provider.base_url, unmasked=True) as models,
    ):
        completion = await ask(models, ctx, "I am ann@example.com")
        parsed = (await ask(models, ctx, "I am ann@example.com", output_schema=Verdict)).parsed
        recorder.close()
        assert provider.requests[0].messages[0]["content"] == "I am ann@example.com"
        assert completion.text == "You are [EMAIL_1]." and parsed.category == "Ann is [EMAIL_1]"
        assert "ann@example.com" not in (tmp_path / "r.jsonl").read_text()


async def test_made_up_personal_data_is_dropped_without_a_place_in_the_vault(open_models, ask, ctx):
    call = Call("find_order", {"order_id": "bob@example.com"})
    async with (
        FakeProvider(script=["Write to eve@example.com or [EMAIL_1].", call]) as provider,
        open_models(["m"], provider.base_url) as models,
    ):
        assert (await ask(models, ctx, "I am ann@example.com")).text == "Write to [EMAIL] or [EMAIL_1]."
        assert (await ask(models, ctx, tools=[FIND])).tool_calls[0].args == {"order_id": "[EMAIL]"}
        assert ctx.vault.export() == {"[EMAIL_1]": "ann@example.com"}


async def converse(models, ctx):
    ask = [ChatMessage("user", "I am ann@example.com and order HF-1 is late.")]
    text = await models.complete("strong", ask, deadline_s=60, ctx=ctx)
    parsed = await models.complete("strong", ask, output_schema=Verdict, deadline_s=60, ctx=ctx)
    called = await models.complete("strong", ask, tools=[FIND], deadline_s=60, ctx=ctx)
    again = await models.complete("strong", ask, deadline_s=60, ctx=ctx)
    with pytest.raises(Unavailable) as failed:
        await models.complete("small", ask, deadline_s=60, ctx=ctx)
    answers = [
        replace(one, usage=one.usage.model_copy(update={"latency_ms": 0})) for one in (text, parsed, called, again)
    ]
    return [*answers, str(failed.value)]


async def test_replay_says_the_same_opens_no_socket_and_spends_nothing(
    open_models, ctx, tmp_path, monkeypatch, settings
):
    recorder = FileRecorder(tmp_path / "r.jsonl")
    script = ["One eve@example.com.", Fault.prose, GOOD, Call("find_order", {"order_id": "HF-1"}), "Two."]
    async with FakeProvider(script=script) as provider, open_models(["m"], provider.base_url) as models:
        live = await converse(models, replace(ctx, recorder=recorder))
    recorder.close()
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a socket was opened"))
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("a socket was opened"))
    again = replace(ctx, recorder=replay(load_recording(tmp_path / "r.jsonl")), vault=PatternVault())
    ledger = tmp_path / "other.db"
    # The models of today need not be those of the recording.
    async with Models(settings(["other"], "http://127.0.0.1:1/v1"), ledger) as models:
        assert await converse(models, again) == live
    assert not ledger.exists()


async def test_replay_of_another_question_is_a_miss(open_models, ask, ctx, tmp_path):
    recorder = FileRecorder(tmp_path / "r.jsonl")
    async with FakeProvider() as provider, open_models(["m"], provider.base_url) as models:
        await ask(models, replace(ctx, recorder=recorder), tools=[FIND])
        recorder.close()
        rows = load_recording(tmp_path / "r.jsonl")
        for change in ({"tools": []}, {"tier": "small"}, {"output_schema": Verdict}, {"text": "Else?"}):
            with pytest.raises(ReplayMiss):
                await ask(models, replace(ctx, recorder=replay(rows)), **({"tools": [FIND]} | change))


async def test_recording_holds_no_key(open_models, ask, ctx, tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    recorder = FileRecorder(tmp_path / "r.jsonl")
    names = ["fault-unauthorized", "fault-server-error"]
    async with FakeProvider() as provider, open_models(names, provider.base_url, key_env="A_KEY") as models:
        with pytest.raises(Unavailable):
            await ask(models, replace(ctx, recorder=recorder))
    recorder.close()
    assert "sk-very-secret" not in (tmp_path / "r.jsonl").read_text()


async def test_costs_are_booked_on_run_ticket_agent_and_model(open_models, ask, ctx):
    async with FakeProvider() as provider, open_models(["m", "n"], provider.base_url) as models:
        await ask(models, ctx)
        await ask(models, replace(ctx, run_id="run-2", agent="triage"))
        await ask(models, replace(ctx, run_id="run-3", ticket_id="", agent="triage"))
        costs = models.ledger.costs
        assert {row.key: row.n_attempts for row in costs("agent")} == {"triage": 2, "draft": 1}
        assert {row.key for row in costs("run")} == {"run-1", "run-2", "run-3"}
        assert {row.key: row.n_answers for row in costs("ticket")} == {"T-1": 2, "": 1}
        assert [row.key for row in costs("model")] == ["m"] and [row.key for row in costs("day")] == ["2026-11-20"]
        assert [row.key for row in costs("tier", run_id="run-2")] == ["strong"]
        assert costs("day", since="2026-11-21") == []
        assert sum(row.cost_usd for row in costs("run")) == pytest.approx(costs("day")[0].cost_usd)


async def test_span_names_the_model_and_its_tokens(open_models, ask, ctx):
    async with FakeProvider() as provider, open_models(["m"], provider.base_url) as models:
        completion = await ask(models, ctx)
        (span,) = ctx.tracer.drain()
        assert span.name == "model.strong" and span.attributes["gen_ai.request.model"] == "openai/m"
        assert span.attributes["gen_ai.usage.output_tokens"] == completion.usage.completion_tokens


async def test_provider_without_usage_is_counted_by_us_and_costs_the_worst_case(open_models, ask, ctx):
    async with (
        FakeProvider(reports_usage=False, script=["one two three"]) as provider,
        open_models(["m"], provider.base_url, max_output_tokens=1000) as models,
    ):
        usage = (await ask(models, ctx)).usage
        assert usage.completion_tokens == 3 and 10 < usage.prompt_tokens < 30
        assert usage.cost_usd == pytest.approx(1.5 * (usage.prompt_tokens + 2 * 1000) / 1e6)


async def test_workspace_without_models_is_unavailable(tmp_path, ask, ctx):
    folder = WorkspaceFolder(build_workspace(tmp_path / "shop"))
    async with Models.open(folder) as models:
        with pytest.raises(Unavailable, match="none is configured"):
            await ask(models, ctx)
        with pytest.raises(ConfigError, match="no tier 'huge'; use one of small, strong, judge, embed"):
            await ask(models, ctx, tier="huge")
    assert not folder.ledger.exists()


async def test_models_of_a_workspace_are_those_of_its_file(tmp_path, ask, ctx):
    async with FakeProvider(script=["Hi."]) as provider:
        table = (
            f'[models.tiers]\nsmall = ["local"]\n[models.budget]\nrun_usd = 0\n'
            f'[models.defs.local]\nmodel = "Qwen/Qwen2.5"\napi_base = "{provider.base_url}/"\nprice = "free"\n'
        )
        folder = WorkspaceFolder(build_workspace(tmp_path / "shop", config=DEFAULT_CONFIG + table))
        async with Models.open(folder) as models:
            assert (await ask(models, ctx, tier="small")).text == "Hi."
            assert provider.requests[0].model == "Qwen/Qwen2.5"


async def test_budget_is_checked_again_before_the_repair_turn(open_models, ask, ctx):
    async with (
        FakeProvider(script=[Fault.prose], reports_usage=False) as provider,
        open_models(["m"], provider.base_url, max_output_tokens=1000, budget={"run_usd": 0.005}) as models,
    ):
        with pytest.raises(BudgetExceeded):
            await ask(models, ctx, output_schema=Verdict)
        assert provider.n_requests() == 1
        assert models.ledger.spent_usd("run", "run-1") <= 0.005


async def test_settings_of_a_model_reach_the_request(open_models, ask, ctx):
    async with (
        FakeProvider() as provider,
        open_models(
            ["m"], provider.base_url, temperature=0.0, limit_field="max_completion_tokens", extra={"seed": 7}
        ) as models,
    ):
        await ask(models, ctx)
        body = provider.requests[0].body
        assert (body["temperature"], body["max_completion_tokens"], body["seed"]) == (0.0, 1024, 7)
        assert "max_tokens" not in body


ECHOED = "Where is my parcel? It was sent ten days ago and tracking has not moved since."


async def test_echoed_prompt_is_no_answer_and_the_next_model_is_asked(open_models, ask, ctx):
    async with (
        FakeProvider(scripts={"a": [Fault.echo], "b": ["It is on its way."]}) as provider,
        open_models(["a", "b"], provider.base_url) as models,
    ):
        assert (await ask(models, ctx, ECHOED)).text == "It is on its way."
        assert {row.key for row in models.ledger.costs("outcome")} == {"answered", "echoed"}


async def test_model_that_cannot_repair_its_answer_hands_over_to_the_next(open_models, ask, ctx):
    async with (
        FakeProvider(scripts={"a": [Fault.prose, Fault.prose], "b": [GOOD]}) as provider,
        open_models(["a", "b"], provider.base_url) as models,
    ):
        completion = await ask(models, ctx, output_schema=Verdict)
        assert completion.parsed == Verdict.model_validate(GOOD)
        assert (completion.model, completion.usage.n_calls) == ("openai/b", 3)
        assert completion.usage.cost_usd == pytest.approx(models.ledger.spent_usd("run", "run-1"))


async def test_model_that_fails_in_its_repair_turn_hands_over_to_the_next(open_models, ask, ctx):
    async with (
        FakeProvider(scripts={"a": [Fault.prose, Fault.unauthorized], "b": [GOOD]}) as provider,
        open_models(["a", "b"], provider.base_url) as models,
    ):
        assert (await ask(models, ctx, output_schema=Verdict)).model == "openai/b"
