"""All strategies with a model, over real HTTP, against the test kit's provider and its built-in behaviour."""

from __future__ import annotations

from datetime import date

import pytest

from deskhand.actions import Effect
from deskhand.answers import Triage
from deskhand.config import Brand
from deskhand.errors import ToolRetry, Unavailable
from deskhand.model_settings import ModelsSettings
from deskhand.provider import FakeProvider, Fault
from deskhand.schema import Model
from deskhand.testing import build_passage
from deskhand.tickets import Requester
from deskhand_agents import DraftTask, ResolveTask, SummaryTask, TriageTask
from deskhand_agents.llm_draft import LlmDraft
from deskhand_agents.llm_resolve import LlmResolver
from deskhand_agents.llm_summary import LlmSummary
from deskhand_agents.llm_triage import LlmTriage
from deskhand_agents.prompt_files import load_prompt
from deskhand_models import Models
from deskhand_tools import Policy, Scope, Tool, Toolbox

TEXT = "How do returns work for my order HF-1001?"
PASSAGE = build_passage()


class OrderId(Model):
    order_id: str


async def get_order(args, scope):
    if args.order_id != "HF-1001":
        raise ToolRetry("order: not found", tool_name="get_order")
    return {"order_id": args.order_id, "status": "shipped"}


@pytest.fixture
def open_models(tmp_path):
    def open_(provider):
        price = {"input_per_million_usd": 1, "output_per_million_usd": 1}
        defs = {"m": {"model": "openai/m", "api_base": provider.base_url, "price": price}}
        settings = {"tiers": {"small": ["m"], "strong": ["m"]}, "defs": defs}
        return Models(ModelsSettings.model_validate(settings), tmp_path / "ledger.db")

    return open_


async def test_every_strategy_answers_with_the_built_in_behaviour(open_models, view_of, ctx, taxonomy):
    view = view_of(TEXT)
    tool = Tool("get_order", "Return one order of this customer.", Effect.read, OrderId, get_order)
    scope = Scope("T-1", Requester(id="C-1", is_verified=True), date(2026, 11, 20))
    async with FakeProvider() as provider, open_models(provider) as models:
        triage = await LlmTriage(models, taxonomy, load_prompt(None, "triage"))(TriageTask(view), ctx)
        summary = await LlmSummary(models, load_prompt(None, "summarize"))(SummaryTask(view, "en"), ctx)
        resolver = LlmResolver(models, Toolbox([tool], Policy()), load_prompt(None, "resolve"))
        resolved = await resolver(ResolveTask(view, scope, Triage(category="returns")), ctx)
        draft = await LlmDraft(models, load_prompt(None, "draft"), Brand(name="Testware"))(
            DraftTask(view, (PASSAGE,), language="en"), ctx
        )
        assert provider.n_requests() == 5
    assert triage.value.category == "returns"
    assert summary.value.text == TEXT
    assert resolved.value.findings[0].facts == {"order_id": "HF-1001", "status": "shipped"}
    assert resolved.usage.n_calls == 2
    assert draft.value.citations[0].quote == PASSAGE.text
    assert PASSAGE.text in draft.value.text


@pytest.mark.parametrize("fault", [Fault.prose, Fault.foreign, Fault.echo, Fault.unauthorized])
async def test_faulty_model_is_unavailable_and_never_an_answer(open_models, view_of, ctx, taxonomy, fault):
    async with FakeProvider(lambda request: fault) as provider, open_models(provider) as models:
        strategy = LlmTriage(models, taxonomy, load_prompt(None, "triage"))
        with pytest.raises(Unavailable, match=";"):
            await strategy(TriageTask(view_of(TEXT)), ctx)
