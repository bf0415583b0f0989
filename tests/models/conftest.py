"""What the tests of this room share: models over the test kit's provider."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from deskhand.context import RunContext
from deskhand.interfaces import ChatMessage
from deskhand.model_settings import ModelsSettings
from deskhand.provider import FakeProvider
from deskhand.testing import FixedClock
from deskhand_models import Models, Timing

PRICE = {"input_per_million_usd": 1.0, "output_per_million_usd": 2.0}


def _settings(names, base_url, *, way="direct", budget=None, tier="strong", overrides=None, **common):
    known = {}
    for name in names:
        fields = {"model": f"openai/{name}", "api_base": base_url, "transport": way, "price": PRICE} | common
        known[name] = fields | (overrides or {}).get(name, {})
    budget = {"run_usd": 1000, "ticket_usd": 1000, "day_usd": 1000} | (budget or {})
    return ModelsSettings.model_validate({"tiers": {tier: names}, "defs": known, "budget": budget})


@pytest.fixture(scope="session")
def litellm_is_loaded(tmp_path_factory):
    """Make a call through LiteLLM that fails and one that does not: both import more, in the time of the call."""

    async def call():
        async with (
            FakeProvider(retry_after_s=0.01) as provider,
            Models(
                _settings(["fault-rate-limited-x1"], provider.base_url, way="litellm"), folder / "ledger.db"
            ) as models,
        ):
            await models.complete("strong", [ChatMessage("user", "x")], deadline_s=60, ctx=RunContext("warm"))

    folder = tmp_path_factory.mktemp("warm")
    asyncio.run(call())


@pytest.fixture
def settings():
    """Build ``[models]`` with one tier of the models named."""
    return _settings


@pytest.fixture
def open_models(tmp_path):
    """Open Models over a provider: no jitter, real time."""

    @asynccontextmanager
    async def opened(names, base_url, *, timing=None, **changes):
        chosen = _settings(names, base_url, **changes)
        async with Models(chosen, tmp_path / "ledger.db", timing or Timing(random=lambda: 0.0)) as models:
            yield models

    return opened


@pytest.fixture
def ctx():
    return RunContext("run-1", clock=FixedClock(), ticket_id="T-1", agent="draft")


@pytest.fixture
def ask():
    """Ask a tier one question."""

    async def asked(models, ctx, text="Where is my parcel?", *, tier="strong", deadline_s=60.0, **more):
        return await models.complete(tier, [ChatMessage("user", text)], deadline_s=deadline_s, ctx=ctx, **more)

    return asked
