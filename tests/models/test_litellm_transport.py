import gc
import time

import pytest

from deskhand.errors import Unavailable
from deskhand.provider import FakeProvider
from deskhand_models import litellm_transport


async def test_provider_that_litellm_does_not_know_is_named(open_models, ask, ctx):
    overrides = {"m": {"model": "nosuchprovider/x", "api_base": None}}
    async with open_models(["m"], "", way="litellm", overrides=overrides) as models:
        with pytest.raises(Unavailable, match=r"m: refused request .*LLM Provider NOT provided"):
            await ask(models, ctx)


async def test_first_import_of_litellm_does_not_count_for_the_deadline(open_models, ask, ctx, monkeypatch):
    load = litellm_transport._import

    def slowly():
        time.sleep(1.5)
        return load()

    monkeypatch.setattr(litellm_transport, "_import", slowly)
    async with FakeProvider() as provider, open_models(["m"], provider.base_url, way="litellm") as models:
        assert (await ask(models, ctx, deadline_s=1.4)).text
        assert provider.n_requests() == 1


async def test_call_cut_off_while_litellm_prepares_it_leaves_no_coroutine_behind(open_models, ask, ctx, monkeypatch):
    import litellm

    completion = litellm.main.completion

    def slowly(*args, **kwargs):
        time.sleep(0.2)
        return completion(*args, **kwargs)

    monkeypatch.setattr(litellm.main, "completion", slowly)
    async with FakeProvider() as provider:
        # A coroutine that nobody awaits is a RuntimeWarning when it is collected, and here every warning is an error.
        async with open_models(["m"], provider.base_url, way="litellm", timeout_s=0.05) as models:
            with pytest.raises(Unavailable, match="timeout"):
                await ask(models, ctx, deadline_s=3)
        gc.collect()


async def test_nothing_is_printed(open_models, ask, ctx, capfd, caplog):
    async with (
        FakeProvider() as provider,
        open_models(["fault-server-error", "fault-html", "m"], provider.base_url, way="litellm") as models,
    ):
        await ask(models, ctx)
    captured = capfd.readouterr()
    assert captured.out == captured.err == "" and not [r for r in caplog.records if "itellm" in r.name.lower()]
