import pytest

from deskhand.errors import Unavailable
from deskhand.provider import FakeProvider
from deskhand_models import Timing, litellm_transport


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


async def test_nothing_is_printed(open_models, ask, ctx, capfd, caplog):
    async with (
        FakeProvider() as provider,
        open_models(["fault-server-error", "fault-html", "m"], provider.base_url, way="litellm") as models,
    ):
        await ask(models, ctx)
    captured = capfd.readouterr()
    assert captured.out == captured.err == "" and not [r for r in caplog.records if "itellm" in r.name.lower()]
