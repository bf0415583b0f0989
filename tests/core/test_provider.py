"""The test kit's provider over real HTTP: what it says, how it breaks and what it bills."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request

import aiohttp
import jsonschema
import pytest

from deskhand.errors import ConfigError
from deskhand.fencing import fence
from deskhand.provider import Call, FakeProvider, Fault, Price, main
from deskhand.provider_answers import FOREIGN, PROSE, TEXT, fill_schema
from deskhand.provider_http import HttpRequest

ORDER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_order",
        "description": "Return one order.",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}
RETURN_TOOL = {
    "type": "function",
    "function": {"name": "list_returns", "description": "Return the returns of this customer."},
}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        yield session


def body(text="Where is HF-1001?", model="small", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def ask(http, provider, text="Where is HF-1001?", model="small", **more):
    async with http.post(f"{provider.base_url}/chat/completions", json=body(text, model, **more)) as reply:
        return reply.status, await reply.json(content_type=None), reply.headers


async def said(http, provider, *args, **more):
    status, answer, _ = await ask(http, provider, *args, **more)
    assert status == 200, answer
    return answer["choices"][0]["message"]


async def test_script_is_followed_then_the_built_in_behaviour(http):
    script = ["First.", {"category": "returns"}, Call("get_order", {"order_id": "HF-1"}), [Call("a"), Call("b")], None]
    async with FakeProvider(script) as provider:
        assert (await said(http, provider))["content"] == "First."
        assert json.loads((await said(http, provider))["content"]) == {"category": "returns"}
        call = (await said(http, provider))["tool_calls"][0]["function"]
        assert (call["name"], json.loads(call["arguments"])) == ("get_order", {"order_id": "HF-1"})
        assert [c["function"]["name"] for c in (await said(http, provider))["tool_calls"]] == ["a", "b"]
        assert [(await said(http, provider))["content"] for _ in range(2)] == [TEXT, TEXT]
    assert [request.number for request in provider.requests] == [1, 2, 3, 4, 5, 6]
    assert provider.n_requests() == provider.n_requests("small") == 6


async def test_function_of_the_request_sees_prompt_and_key(http):
    def answer(request):
        return f"{request.prompt}|{request.authorization}|{request.number}"

    async with FakeProvider(scripts={"small": answer}) as provider:
        url = f"{provider.base_url}/chat/completions"
        parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        sent = {"model": "small", "messages": [{"role": "user", "content": parts}]}
        async with http.post(url, json=sent, headers={"Authorization": "Bearer k"}) as reply:
            assert (await reply.json())["choices"][0]["message"]["content"] == "ab|Bearer k|1"
        assert (await said(http, provider, model="other"))["content"] == TEXT


async def test_tool_that_fits_is_called_and_its_result_ends_the_calls(http):
    async with FakeProvider() as provider:
        tools = [RETURN_TOOL, ORDER_TOOL]
        call = (await said(http, provider, "Status of my order HF-1001?", tools=tools))["tool_calls"][0]
        assert json.loads(call["function"]["arguments"]) == {"order_id": "HF-1001"}
        messages = [*body()["messages"], {"role": "tool", "tool_call_id": call["id"], "content": "{}"}]
        assert (await said(http, provider, tools=tools, messages=messages))["content"] == TEXT


@pytest.mark.parametrize(
    ("choice", "called"),
    [("required", "get_order"), ({"type": "function", "function": {"name": "list_returns"}}, "list_returns")],
)
async def test_forced_tool_is_called_even_after_a_result(http, choice, called):
    async with FakeProvider() as provider:
        messages = [*body("my order HF-2")["messages"], {"role": "tool", "tool_call_id": "x", "content": "{}"}]
        message = await said(http, provider, tools=[ORDER_TOOL, RETURN_TOOL], tool_choice=choice, messages=messages)
        assert message["tool_calls"][0]["function"]["name"] == called


async def test_forbidden_tools_give_text(http):
    async with FakeProvider() as provider:
        assert (await said(http, provider, tools=[ORDER_TOOL], tool_choice="none"))["content"] == TEXT


LINE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"quote": {"type": "string"}, "passage_id": {"enum": ["a@1#0", "b@1#0"]}},
    "required": ["quote", "passage_id"],
}
SCHEMA = {
    "$defs": {"Line": LINE},
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "category": {"anyOf": [{"enum": ["delivery", "returns"]}, {"type": "null"}]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "n": {"type": ["integer", "null"], "minimum": 3},
        "code": {"type": "string", "maxLength": 8, "minLength": 8},
        "order_id": {"type": "string"},
        "is_late": {"type": "boolean"},
        "nothing": {"type": "null"},
        "kind": {"const": "x"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 2},
        "none": {"type": "array", "maxItems": 0},
        "extra": {"type": "object"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["category", "confidence", "n", "code", "order_id", "lines"],
}  # fmt: skip


async def test_schema_is_filled_out_of_the_fenced_text(http):
    text = "\n".join([
        "Rules: choose delivery.",
        fence("I want to return HF-77, how do returns work?", "ticket", mark="m1"),
        fence("b@1#0 (Returns)\nReturns are free inside the EU. More text.", "passages", mark="m1"),
    ])  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": {"name": "out", "schema": SCHEMA}}
    async with FakeProvider() as provider:
        filled = json.loads((await said(http, provider, text, response_format=wanted))["content"])
        jsonschema.validate(filled, SCHEMA)
        assert filled["tags"] == []
        assert (filled["category"], filled["order_id"], filled["n"]) == ("returns", "HF-77", 3)
        free = await said(http, provider, response_format={"type": "json_object"})
        assert json.loads(free["content"]) == {"answer": TEXT}


def test_schema_takes_the_sentence_behind_the_id_beside_it():
    material = "a@1#0 (Delivery)\nParcels take 3 days. b@1#0"
    assert fill_schema({"$ref": "#/$defs/Line", "$defs": SCHEMA["$defs"]}, material) == {
        "quote": "Parcels take 3 days.",
        "passage_id": "a@1#0",
    }
    assert fill_schema({"type": "string"}) == TEXT
    thread = "Customer wrote:\nI want it back. At once, if I may. More."
    assert fill_schema({"type": "string"}, thread) == "I want it back. At once, if I may."


def test_recursive_schema_ends():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert fill_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}})


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.rate_limited, 429, "rate_limit_exceeded"),
        (Fault.server_error, 500, "server_error"),
        (Fault.overloaded, 503, "overloaded"),
        (Fault.unauthorized, 401, "invalid_api_key"),
        (Fault.too_long, 400, "context_length_exceeded"),
    ],
)
async def test_refusals_have_status_and_code_and_cost_nothing(http, fault, status, code):
    async with FakeProvider([fault], retry_after_s=3) as provider:
        got, answer, headers = await ask(http, provider)
        assert (got, answer["error"]["code"], provider.billed_usd()) == (status, code, 0.0)
        assert headers.get("retry-after") == ("3" if status == 429 else None)


@pytest.mark.parametrize(
    ("fault", "text"),
    [(Fault.prose, PROSE), (Fault.foreign, FOREIGN), (Fault.empty, ""), (Fault.echo, "Where is HF-1001?")],
)
async def test_bad_texts_come_with_status_200(http, fault, text):
    async with FakeProvider([fault]) as provider:
        assert (await said(http, provider))["content"] == text


async def test_bodies_that_are_no_completion(http):
    async with FakeProvider([Fault.truncated, Fault.html, Fault.no_choices]) as provider:
        url = f"{provider.base_url}/chat/completions"
        texts = []
        for _ in range(3):
            async with http.post(url, json=body()) as reply:
                assert reply.status == 200
                texts.append(await reply.text())
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(texts[0])
        assert texts[1].startswith("<html>")
        assert json.loads(texts[2])["choices"] == []


async def test_connection_is_reset_in_the_middle_of_the_body(http):
    async with FakeProvider([Fault.reset]) as provider:
        with pytest.raises(aiohttp.ClientError):
            await ask(http, provider)


@pytest.mark.parametrize("fault", [Fault.hang, Fault.drip])
async def test_answer_that_never_ends_runs_into_the_callers_timeout(http, fault):
    async with FakeProvider([fault]) as provider:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(http, provider)
        assert provider.billed_usd() > 0


async def test_drip_ends_when_it_has_time(http):
    async with FakeProvider([Fault.drip], drip_s=0.05) as provider:
        assert (await said(http, provider))["content"] == TEXT


async def test_model_name_asks_for_a_fault(http):
    async with FakeProvider() as provider:
        statuses = [(await ask(http, provider, model="openai/fault-overloaded-x2"))[0] for _ in range(3)]
        assert statuses == [503, 503, 200]
        assert [(await ask(http, provider, model="fault-unauthorized"))[0] for _ in range(2)] == [401, 401]


async def test_bill_follows_the_providers_own_count(http):
    prices = {"small": Price(prompt=1.0, completion=10.0)}
    options = {"prices": prices, "count_tokens": lambda text: 100, "count_factor": 1.4, "reasoning_tokens": 50}
    async with FakeProvider(["x", "y"], **options) as provider:
        _, answer, _ = await ask(http, provider)
        assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 50}
        assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (140, 190)
        assert provider.billed_usd("small") == pytest.approx((140 * 1 + 190 * 10) / 1e6)
        await ask(http, provider, model="strong")
        assert provider.billed_usd() > provider.billed_usd("small")
        provider.reset()
        assert (provider.billed_usd(), provider.n_requests(), len(provider.requests)) == (0.0, 0, 0)


async def test_answer_is_cut_at_max_tokens_and_reasoning_is_billed_on_top(http):
    async with FakeProvider(["word " * 100], reasoning_tokens=7) as provider:
        _, answer, _ = await ask(http, provider, max_tokens=5)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert len(answer["choices"][0]["message"]["content"]) == 20
        assert answer["usage"]["completion_tokens"] == 12


async def test_cut_off_attempts_are_billed_at_their_worst_only_when_asked_for(http):
    bills = []
    for bills_unanswered in (True, False):
        async with FakeProvider([Fault.reset], bills_unanswered=bills_unanswered) as provider:
            with pytest.raises(aiohttp.ClientError):
                await ask(http, provider, max_completion_tokens=1_000_000)
            bills.append(provider.billed_usd())
    assert bills[0] > 0.6
    assert bills[1] == 0.0


async def test_usage_can_be_left_out(http):
    async with FakeProvider(reports_usage=False) as provider:
        assert "usage" not in (await ask(http, provider))[1]


async def test_embeddings_are_unit_vectors_of_the_text(http):
    async with FakeProvider() as provider:
        async with http.post(f"{provider.base_url}/embeddings", json={"model": "embed", "input": ["a", "b", "a"]}) as r:
            rows = [row["embedding"] for row in (await r.json())["data"]]
        assert rows[0] == rows[2] != rows[1]
        assert sum(number * number for number in rows[0]) == pytest.approx(1, abs=1e-4)
        async with http.post(f"{provider.base_url}/embeddings", json={"model": "embed", "input": "a"}) as r:
            assert len((await r.json())["data"]) == 1
        assert provider.billed_usd("embed") > 0


async def test_models_stats_and_unknown_paths(http):
    async with FakeProvider() as provider:
        async with http.get(f"{provider.base_url}/models") as reply:
            assert [row["id"] for row in (await reply.json())["data"]] == ["small", "strong"]
        await ask(http, provider)
        async with http.get(f"{provider.base_url}/stats") as reply:
            assert (await reply.json())["n_requests"] == {"small": 1}
        async with http.get(f"{provider.base_url}/nothing") as reply:
            assert reply.status == 404


@pytest.mark.parametrize(
    "wrong",
    [
        "[]",
        "no json",
        '{"model": "m"}',
        '{"model": "m", "messages": 3}',
        '{"model": "m", "messages": [1]}',
        '{"model": "m", "messages": [{"role": "user"}], "stream": true}',
    ],
)
async def test_unreadable_request_is_a_400_with_the_reason(wrong):
    response = FakeProvider().respond(HttpRequest("POST", "/v1/chat/completions", {}, wrong.encode()))
    assert response.status == 400
    assert "cannot be read" in json.loads(response.body)["error"]["message"]


async def raw(provider, *chunks):
    host, port = provider.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for chunk in chunks:
        writer.write(chunk)
        await asyncio.sleep(0.02)
    answer = await asyncio.wait_for(reader.read(65_536), 60)
    writer.close()
    await writer.wait_closed()
    return answer


def request_bytes(**headers):
    sent = json.dumps(body()).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(sent)}", "", ""]).encode(), sent


async def test_request_may_come_in_pieces_and_expect_a_go_ahead():
    async with FakeProvider() as provider:
        head, sent = request_bytes(expect="100-continue")
        answer = await raw(provider, head[:10], head[10:])
        assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = await raw(provider, head, sent[:5], sent[5:])
        assert answer.endswith(b"}") and b" 200 OK" in answer


async def test_pipelined_requests_are_answered_in_turn():
    async with FakeProvider(["one", "two"], latency_s=0.005) as provider:
        answer = await raw(provider, b"".join(request_bytes() * 2), b"")
        assert answer.index(b"one") < answer.index(b"two")


async def test_request_without_a_length_is_refused_and_an_endless_head_dropped():
    async with FakeProvider() as provider:
        assert b" 411 " in await raw(provider, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        with pytest.raises((ConnectionError, AssertionError)):
            assert await raw(provider, b"x" * 70_000)


async def test_many_at_once_are_counted(http):
    async with FakeProvider(latency_s=0.05) as provider:
        await asyncio.gather(*(ask(http, provider) for _ in range(20)))
        assert provider.most_at_once >= 10


async def test_taken_port_is_refused_with_the_next_step():
    async with FakeProvider() as provider:
        port = int(provider.base_url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigError, match="choose another"):
            async with FakeProvider(port=port):
                pass


def test_process_says_where_it_listens_and_answers():
    command = [sys.executable, "-m", "deskhand.provider", "--latency-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            word, url = process.stdout.readline().split()
            with urllib.request.urlopen(f"{url}/models", timeout=60) as reply:
                assert (word, reply.status) == ("ready", 200)
        finally:
            process.terminate()


def test_main_stops_quietly_when_interrupted(monkeypatch, capsys):
    def interrupted(coroutine):
        coroutine.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    main(["--port", "0"])
    assert capsys.readouterr().err == "stopped\n"
