import pytest

from deskhand.errors import Unavailable
from deskhand.provider import FakeProvider


async def test_provider_that_litellm_does_not_know_is_named(open_models, ask, ctx):
    overrides = {"m": {"model": "nosuchprovider/x", "api_base": None}}
    async with open_models(["m"], "", way="litellm", overrides=overrides) as models:
        with pytest.raises(Unavailable, match=r"m: refused request .*LLM Provider NOT provided"):
            await ask(models, ctx)


async def test_litellm_that_is_not_ready_at_the_deadline_costs_nothing(open_models, ask, ctx, monkeypatch):
    import time

    from deskhand_models import litellm_transport

    monkeypatch.setattr(litellm_transport, "_import", lambda: time.sleep(0.5))
    async with FakeProvider() as provider, open_models(["m"], provider.base_url, way="litellm") as models:
        with pytest.raises(Unavailable, match="no time was left"):
            await ask(models, ctx, deadline_s=0.2)
        assert provider.n_requests() == 0


async def test_nothing_is_printed(open_models, ask, ctx, capfd, caplog):
    async with (
        FakeProvider() as provider,
        open_models(["fault-server-error", "fault-html", "m"], provider.base_url, way="litellm") as models,
    ):
        await ask(models, ctx)
    captured = capfd.readouterr()
    assert captured.out == captured.err == "" and not [r for r in caplog.records if "itellm" in r.name.lower()]
