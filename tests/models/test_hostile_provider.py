"""A provider that is broken or hostile, over real HTTP: nothing of ours leaks, and nothing breaks."""

import gzip
import json
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from deskhand.context import RunContext
from deskhand.errors import Unavailable
from deskhand.provider import FakeProvider
from deskhand.recorder import FileRecorder
from deskhand_models.faults import Fault
from deskhand_models.litellm_transport import _import
from deskhand_models.wire import MAX_ANSWER_BYTES

pytestmark = pytest.mark.usefixtures("litellm_is_loaded")
WAYS = ["direct", "litellm"]
KEY = "sk-secret-0123456789abcdef"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def answer(message, usage=USAGE):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(body)


def call(arguments):
    function = {"name": "find", "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def nested(depth):
    return '{"a":' * depth + "1" + "}" * depth


@asynccontextmanager
async def serving(text, status=200, **headers):
    """Answer every request the same; yields the address and what was asked."""
    seen = []

    async def handle(request):
        seen.append((request.headers, await request.read()))
        body = text if isinstance(text, bytes) else text.encode()
        return web.Response(status=status, body=body, headers={"content-type": "application/json", **headers})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", seen
    finally:
        await runner.cleanup()


def outcomes(models):
    return {row.key for row in models.ledger.costs("outcome")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, json.dumps({"error": {"message": f"bad header Authorization: Bearer {KEY}"}})),
        (500, "x" * 130 + f" Authorization: Bearer {KEY}"),
        (200, json.dumps({"error": {"message": f"no quota for {KEY}"}})),
        (200, f"<html>{KEY}</html>"),
        (200, answer({"content": "", "refusal": f"not with {KEY}"})),
        (200, answer({"content": f"Your key is {KEY}."})),
        (200, answer(call(json.dumps({"key": KEY})))),
    ],
    ids=["400", "500", "200-error", "html", "refusal", "text", "arguments"],
)
async def test_key_that_the_provider_sends_back_is_neither_told_nor_recorded(
    open_models, ask, monkeypatch, tmp_path, way, status, text
):
    monkeypatch.setenv("A_KEY", KEY)
    ctx = RunContext("run-1", recorder=FileRecorder(tmp_path / "rows.jsonl"))
    async with serving(text, status) as (base, seen), open_models(["m"], base, way=way, key_env="A_KEY") as models:
        try:
            told = repr(await ask(models, ctx))
        except Unavailable as exc:
            told = str(exc)
    told += (tmp_path / "rows.jsonl").read_text()
    assert seen[0][0]["authorization"] == f"Bearer {KEY}"
    assert "sk-secret" not in told and "Traceback" not in told


async def test_key_that_is_a_common_word_stays_in_answers(open_models, ask, ctx, monkeypatch):
    monkeypatch.setenv("A_KEY", "none")
    async with (
        FakeProvider(["There is none left."]) as provider,
        open_models(["m"], provider.base_url, key_env="A_KEY") as models,
    ):
        assert (await ask(models, ctx)).text == "There is none left."


@pytest.mark.parametrize(
    ("way", "model", "extra"),
    [
        ("direct", "openai/m", {}),
        ("litellm", "openai/m", {}),
        ("litellm", "anthropic/m", {}),
        ("litellm", "azure/m", {"api_version": "2024-06-01"}),
        ("litellm", "gemini/m", {}),
        ("litellm", "mistral/m", {}),
    ],
)
async def test_redirect_takes_neither_key_nor_text_to_another_host(
    open_models, ask, ctx, monkeypatch, way, model, extra
):
    monkeypatch.setenv("A_KEY", KEY)
    async with serving(answer({"content": "from elsewhere"})) as (elsewhere, taken):
        target = elsewhere.replace("127.0.0.1", "localhost")
        overrides = {"m": {"model": model, "extra": extra}}
        async with (
            serving("", 307, location=target) as (base, seen),
            open_models(["m"], base, way=way, key_env="A_KEY", overrides=overrides) as models,
        ):
            with pytest.raises(Unavailable, match=r"HTTP 307.*correct api_base"):
                await ask(models, ctx)
        assert len(seen) == 1 and taken == []


async def test_redirects_of_others_calls_are_followed_as_before():
    _import()
    async with (
        serving("there") as (there, _),
        serving("", 302, location=there) as (base, _),
        httpx.AsyncClient(follow_redirects=True) as client,
    ):
        assert (await client.get(base)).text == "there"


@pytest.mark.parametrize("way", WAYS)
async def test_answer_that_unpacks_without_end_is_left_unread(open_models, ask, ctx, way):
    bomb = gzip.compress(b" " * (MAX_ANSWER_BYTES + 10_000_000), 1)
    async with (
        serving(bomb, **{"content-encoding": "gzip"}) as (base, _),
        open_models(["m"], base, way=way) as models,
    ):
        with pytest.raises(Unavailable, match=f"longer than {MAX_ANSWER_BYTES} bytes"):
            await ask(models, ctx)
        assert outcomes(models) == {Fault.bad_json}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "arguments",
    ['{"a":NaN}', '{"a":1e999}', '{"a":[{"b":-1e999}]}', '{"a":99999999999999999999}', nested(51), nested(900)],
    ids=["nan", "inf", "inf-deep", "integer", "nested", "nested-more"],
)
async def test_arguments_that_nobody_can_keep_are_refused(open_models, ask, ctx, way, arguments):
    async with serving(answer(call(arguments))) as (base, _), open_models(["m"], base, way=way) as models:
        with pytest.raises(Unavailable, match="tool arguments are not a JSON object"):
            await ask(models, ctx)
        assert outcomes(models) == {Fault.bad_json}


@pytest.mark.parametrize("number", ["1e999", "NaN", nested(900)])
async def test_arguments_sent_as_an_object_are_looked_at_too(open_models, ask, ctx, number):
    text = answer(call({"a": "@"})).replace('"@"', number)
    async with serving(text) as (base, _), open_models(["m"], base) as models:
        with pytest.raises(Unavailable, match="bad json"):
            await ask(models, ctx)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 1},
        {"prompt_tokens": 10, "completion_tokens": 10**16, "total_tokens": 10**16},
        {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6},
    ],
)
async def test_usage_that_cannot_be_right_costs_the_worst_case(open_models, ask, ctx, way, usage):
    async with serving(answer({"content": "fine"}, usage)) as (base, _), open_models(["m"], base, way=way) as models:
        completion = await ask(models, ctx)
        assert completion.text == "fine" and 0.003 < completion.usage.cost_usd < 0.004
        assert models.ledger.spent_usd("run", "run-1") == pytest.approx(completion.usage.cost_usd)


async def test_error_of_any_length_is_told_in_one_short_line(open_models, ask, ctx):
    async with serving("<p>\n" * 100_000, 400) as (base, _), open_models(["m"], base) as models:
        with pytest.raises(Unavailable) as told:
            await ask(models, ctx)
    assert len(str(told.value)) < 400 and "\n" not in str(told.value)


@pytest.mark.parametrize("way", WAYS)
async def test_date_that_no_calendar_has_is_no_wait(open_models, ask, ctx, way):
    date = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    async with serving("{}", 429, **{"retry-after": date}) as (base, _), open_models(["m"], base, way=way) as models:
        with pytest.raises(Unavailable, match="rate limited"):
            await ask(models, ctx)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["sk-1\nX-Evil: 1", "sk 1", "sk-\N{EN DASH}1"])
async def test_key_with_signs_that_no_key_has_is_never_sent(open_models, ask, ctx, monkeypatch, way, key):
    monkeypatch.setenv("A_KEY", key)
    async with FakeProvider() as provider, open_models(["m"], provider.base_url, way=way, key_env="A_KEY") as models:
        with pytest.raises(Unavailable, match="A_KEY holds spaces or signs that no key has") as told:
            await ask(models, ctx)
        assert provider.n_requests() == 0 and key not in str(told.value)


async def test_models_opened_after_others_were_closed_reach_the_same_provider_through_litellm(open_models, ask, ctx):
    async with FakeProvider() as provider:
        for _ in range(2):
            async with open_models(["m"], provider.base_url, way="litellm") as models:
                assert (await ask(models, ctx)).text
        assert provider.n_requests() == 2


async def test_connection_that_fails_through_litellm_says_why(open_models, ask, ctx):
    async with open_models(["m"], "http://127.0.0.1:9/v1", way="litellm") as models:
        with pytest.raises(Unavailable, match=r"Connection error\. \(.*(?i:connect)"):
            await ask(models, ctx)


def test_what_a_provider_sent_in_a_wrong_type_is_not_printed():
    script = (
        "from pydantic import BaseModel; from deskhand_models.litellm_transport import _import; _import();"
        "kind = type('Message', (BaseModel,), {'__annotations__': {'content': str}});"
        "kind.model_construct(content=['a customer wrote this']).model_dump()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
