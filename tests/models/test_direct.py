import asyncio

import pytest
from aiohttp import web

from deskhand.model_settings import ModelSettings
from deskhand_models.direct import DirectTransport, server_name
from deskhand_models.faults import AttemptFailed, Fault
from deskhand_models.transport import NamedModel, Outgoing


def outgoing(api_base, key=None):
    settings = ModelSettings(model="openai/org/m", api_base=api_base, price="free")
    return Outgoing(NamedModel("m", settings), {"messages": [{"role": "user", "content": "x"}]}, key, 5, 10)


async def serve(handler):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


async def failure_of(handler, key=None):
    runner, base = await serve(handler)
    transport = DirectTransport()
    await transport.load()
    try:
        with pytest.raises(AttemptFailed) as failed:
            await transport.send(outgoing(base, key))
    finally:
        await transport.close()
        await runner.cleanup()
    return failed.value


async def test_redirect_is_not_followed_with_the_key():
    async def redirect(request):
        return web.Response(status=307, headers={"location": "http://127.0.0.1:1/elsewhere"})

    failed = await failure_of(redirect, key="sk-1")
    assert failed.fault is Fault.refused_request and "HTTP 307" in failed.detail


async def test_answer_that_breaks_off_may_have_been_billed():
    async def broken(request):
        response = web.StreamResponse(headers={"content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"choices"')
        request.transport.close()
        return response

    failed = await failure_of(broken)
    assert failed.fault is Fault.connection and failed.is_billed


async def test_host_that_does_not_exist_was_not_billed():
    transport = DirectTransport()
    for base in ("http://127.0.0.1:1", "http://no-such-host.invalid/v1", "http://[::bad/v1"):
        with pytest.raises(AttemptFailed) as failed:
            await transport.send(outgoing(base))
        assert failed.value.fault is Fault.connection
    await transport.close()
    await transport.close()


def test_session_belongs_to_its_event_loop():
    transport = DirectTransport()

    async def answer(request):
        return web.json_response({"choices": [{"message": {"content": (await request.json())["model"]}}]})

    async def once():
        runner, base = await serve(answer)
        attempt = await transport.send(outgoing(base))
        await transport.close()
        await runner.cleanup()
        return attempt

    assert [asyncio.run(once()).text for _ in range(2)] == ["org/m", "org/m"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/gpt-5-mini", "gpt-5-mini"),
        ("hosted_vllm/Qwen/Qwen2.5", "Qwen/Qwen2.5"),
        ("Qwen/Qwen2.5", "Qwen/Qwen2.5"),
    ],
)
def test_server_is_asked_by_its_own_name_of_the_model(model, name):
    assert server_name(model) == name
