import asyncio
import gc
import inspect
import threading
from types import SimpleNamespace

import pytest

from deskhand.model_settings import ModelSettings
from deskhand.provider import FakeProvider
from deskhand_models import litellm_calls
from deskhand_models.litellm_transport import LiteLLMTransport, _arguments
from deskhand_models.transport import NamedModel, Outgoing


@pytest.mark.parametrize("n_texts", [0, 1])
async def test_call_cut_off_while_litellm_prepares_it_leaves_no_coroutine_behind(
    open_models, ctx, monkeypatch, n_texts
):
    transport = LiteLLMTransport()
    await transport.load()
    import litellm

    name = "embedding" if n_texts else "completion"
    (began, may_go_on, is_over), made = (threading.Event() for _ in range(3)), []
    make = getattr(litellm.main, name)

    def slowly(*args, **kwargs):
        began.set()
        assert may_go_on.wait(60)
        made.append(make(*args, **kwargs))
        is_over.set()

    monkeypatch.setattr(litellm.main, name, slowly)
    async with FakeProvider() as provider:
        model = NamedModel("m", ModelSettings(model="openai/m", api_base=provider.base_url, price="free"))
        body = {"input": ["Hello"]} if n_texts else {"messages": [{"role": "user", "content": "Hello"}]}
        call = asyncio.create_task(transport.send(Outgoing(model, body, None, 1, 1)))
        assert await asyncio.to_thread(began.wait, 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        may_go_on.set()
        assert await asyncio.to_thread(is_over.wait, 60)
        assert inspect.getcoroutinestate(made.pop()) == inspect.CORO_CLOSED
        gc.collect()  # a coroutine that nobody awaited is a RuntimeWarning here, and every warning is an error
        assert provider.n_requests() == 0
        await transport.close()


def test_what_was_made_before_the_call_was_cut_off_is_closed():
    async def nobody_awaits_me():
        raise AssertionError("it was begun")

    making, made = litellm_calls._Making(), nobody_awaits_me()
    making.keep(made)
    assert inspect.getcoroutinestate(made) == inspect.CORO_CREATED
    making.end()
    assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED


TOOL = {
    "type": "function",
    "function": {
        "name": "get_order",
        "description": "Reads an order.",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_order", "arguments": '{"order_id": "A-1"}'}}
BODY = {
    "messages": [
        {"role": "system", "content": "Look up the order."},
        {"role": "user", "content": "Where is A-1? \u00e9\u4e2d\U0001f4e6"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"status": "shipped"}'},
    ],
    "tools": [TOOL],
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "Said", "strict": True, "schema": {"type": "object", "properties": {}}},
    },
    "max_tokens": 100,
    "temperature": 0.0,
    "top_k": 5,
}


@pytest.fixture
async def provider():
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
async def transport():
    transport = LiteLLMTransport()
    await transport.load()
    yield transport
    await transport.close()


def outgoing(provider):
    model = NamedModel("m", ModelSettings(model="openai/m", api_base=provider.base_url, price="free"))
    return Outgoing(model, BODY, None, 1, 1)


async def test_request_is_the_same_as_when_others_call_litellm(provider, transport):
    import litellm

    request = outgoing(provider)
    theirs = await litellm.acompletion(**_arguments(request))
    ours = await transport.send(request)
    assert ours.text == theirs.choices[0].message.content
    first, second = (asked.body for asked in provider.requests)
    assert first == second and list(first) == list(second)
    assert second["messages"][1] == BODY["messages"][1] and second["tools"] == [TOOL] and second["top_k"] == 5


async def test_only_our_calls_do_without_what_nobody_needs(provider, transport, monkeypatch):
    import litellm
    from openai._utils import _transform

    searched, search = [], _transform._async_transform_recursive

    async def searching(*args, **kwargs):
        searched.append(args)
        return await search(*args, **kwargs)

    monkeypatch.setattr(_transform, "_async_transform_recursive", searching)
    request = outgoing(provider)
    await transport.send(request)
    assert searched == []
    theirs = await litellm.acompletion(**_arguments(request))
    assert searched and "response_cost" in theirs._hidden_params


async def test_calls_go_on_where_hooked_names_are_gone(monkeypatch):
    from openai.resources.chat.completions import completions

    monkeypatch.delattr(completions, "async_maybe_transform")
    main = SimpleNamespace(completion=len, embedding=len)
    litellm_calls.adapt(SimpleNamespace(main=main, utils=SimpleNamespace()))
    assert main.completion("four") == main.embedding("four") == 4
    assert not hasattr(completions, "async_maybe_transform")
