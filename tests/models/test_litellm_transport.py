import asyncio
import gc
import inspect
import threading

import pytest

from deskhand.errors import Unavailable
from deskhand.model_settings import ModelSettings
from deskhand.provider import FakeProvider
from deskhand_models import Timing, litellm_transport
from deskhand_models.litellm_transport import LiteLLMTransport
from deskhand_models.transport import NamedModel, Outgoing


async def test_provider_that_litellm_does_not_know_is_named(open_models, ask, ctx):
    overrides = {"m": {"model": "nosuchprovider/x", "api_base": None}}
    async with open_models(["m"], "", way="litellm", overrides=overrides) as models:
        with pytest.raises(Unavailable, match=r"m: refused request .*LLM Provider NOT provided"):
            await ask(models, ctx)


async def test_first_import_of_litellm_does_not_count_for_the_deadline(open_models, ask, ctx, monkeypatch):
    load, now = litellm_transport._import, [0.0]
    timing = Timing(monotonic=lambda: now[0])

    def slowly():
        now[0] += 100
        return load()

    monkeypatch.setattr(litellm_transport, "_import", slowly)
    async with (
        FakeProvider() as provider,
        open_models(["m"], provider.base_url, way="litellm", timing=timing) as models,
    ):
        assert (await ask(models, ctx, deadline_s=60)).text
        assert now[0] >= 100
        assert provider.n_requests() == 1


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

    making, made = litellm_transport._Making(), nobody_awaits_me()
    making.keep(made)
    assert inspect.getcoroutinestate(made) == inspect.CORO_CREATED
    making.end()
    assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED


async def test_nothing_is_printed(open_models, ask, ctx, capfd, caplog):
    async with (
        FakeProvider() as provider,
        open_models(["fault-server-error", "fault-html", "m"], provider.base_url, way="litellm") as models,
    ):
        await ask(models, ctx)
    captured = capfd.readouterr()
    assert captured.out == captured.err == "" and not [r for r in caplog.records if "itellm" in r.name.lower()]
