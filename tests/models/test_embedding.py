import json

import numpy as np
import pytest

from deskhand.errors import BudgetExceeded, InputError, ReplayMiss, Unavailable
from deskhand.provider import FakeProvider, Fault
from deskhand.recorder import FileRecorder, load_recording, replay
from deskhand_models import probe_models
from deskhand_models.faults import AttemptFailed
from deskhand_models.wire import read_vectors

WAYS = pytest.mark.parametrize("way", ["direct", "litellm"])
TEXTS = ["Where is my parcel?", "I want my money back."]


def embed(models, ctx, texts=TEXTS, *, deadline_s=60.0):
    return models.embed(texts, deadline_s=deadline_s, ctx=ctx)


@WAYS
async def test_texts_become_unit_vectors_in_their_order_and_are_paid_for(open_models, ctx, way):
    async with FakeProvider() as provider, open_models(["m"], provider.base_url, way=way, tier="embed") as models:
        made = await embed(models, ctx)
        assert made.vectors.shape == (2, 16) and made.vectors.dtype == np.float32 and made.model == "openai/m"
        assert np.linalg.norm(made.vectors, axis=1) == pytest.approx([1, 1])
        again = await embed(models, ctx, TEXTS[::-1])
        assert np.array_equal(again.vectors[::-1], made.vectors) and not np.array_equal(*made.vectors)
        assert made.usage.prompt_tokens == 11 and made.usage.completion_tokens == 0
        assert made.usage.cost_usd == pytest.approx(11e-6)
        assert models.ledger.spent_usd("run", "run-1") == pytest.approx(22e-6)
        assert [(row.key, row.n_answers) for row in models.ledger.costs("tier")] == [("embed", 2)]
        assert {request.path for request in provider.requests} == {"/embeddings"}


@WAYS
@pytest.mark.parametrize("fault", ["rate-limited-x1", "server-error-x1", "truncated-x1", "no-choices-x1", "reset-x1"])
async def test_attempt_that_fails_is_made_again(open_models, ctx, way, fault, litellm_is_loaded):
    async with (
        FakeProvider(retry_after_s=0.01) as provider,
        open_models([f"fault-{fault}"], provider.base_url, way=way, tier="embed") as models,
    ):
        made = await embed(models, ctx)
        assert made.vectors.shape == (2, 16) and made.usage.n_calls == 2


@WAYS
async def test_next_model_makes_all_vectors_when_the_first_fails(open_models, ctx, way):
    async with (
        FakeProvider() as provider,
        open_models(["fault-unauthorized", "m"], provider.base_url, way=way, tier="embed") as models,
    ):
        assert (await embed(models, ctx)).model == "openai/m"
    async with (
        FakeProvider() as provider,
        open_models(["fault-unauthorized"], provider.base_url, way=way, tier="embed") as models,
    ):
        with pytest.raises(Unavailable, match="tier 'embed'"):
            await embed(models, ctx)


async def test_hanging_model_is_not_waited_for_beyond_the_deadline(open_models, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["fault-hang"], provider.base_url, tier="embed") as models,
    ):
        with pytest.raises(Unavailable, match="timeout"):
            await embed(models, ctx, deadline_s=0.3)
        assert models.ledger.spent_usd("run", "run-1") >= provider.billed_usd()


@WAYS
async def test_model_sees_placeholders_unless_it_may_see_all(open_models, ctx, way):
    seen = []
    for unmasked in (False, True):
        async with (
            FakeProvider() as provider,
            open_models(["m"], provider.base_url, way=way, tier="embed", unmasked=unmasked) as models,
        ):
            await embed(models, ctx, ["Write to ann@example.org"])
            seen += provider.requests[0].body["input"]
    assert seen == ["Write to [EMAIL_1]", "Write to ann@example.org"]


async def test_recording_is_masked_and_its_replay_asks_nobody(open_models, ctx, tmp_path):
    from dataclasses import replace

    recorder = FileRecorder(tmp_path / "run.jsonl")
    async with (
        FakeProvider() as provider,
        open_models(["m"], provider.base_url, tier="embed", unmasked=True) as models,
    ):
        texts = ["Write to ann@example.org"]
        live = await embed(models, replace(ctx, recorder=recorder), texts)
        recorder.close()
        assert "ann@" not in (tmp_path / "run.jsonl").read_text()
        rows = load_recording(tmp_path / "run.jsonl")
        replayed = await embed(models, replace(ctx, recorder=replay(rows)), texts)
        assert np.array_equal(live.vectors, replayed.vectors) and replayed.usage.cost_usd == live.usage.cost_usd
        with pytest.raises(ReplayMiss):
            await embed(models, replace(ctx, recorder=replay(rows)), ["another"])
        assert provider.n_requests() == 1


async def test_cap_that_would_be_passed_sends_nothing(open_models, ctx):
    async with (
        FakeProvider() as provider,
        open_models(["m"], provider.base_url, tier="embed", budget={"run_usd": 1e-6}) as models,
    ):
        with pytest.raises(BudgetExceeded):
            await embed(models, ctx)
        assert provider.n_requests() == 0


async def test_worst_case_has_no_answer_in_it(open_models, ctx):
    # 1,024 tokens of an answer would cost 0.002 dollars and pass the cap.
    async with (
        FakeProvider() as provider,
        open_models(["m"], provider.base_url, tier="embed", budget={"run_usd": 0.001}) as models,
    ):
        assert (await embed(models, ctx)).vectors.shape == (2, 16)


async def test_text_longer_than_the_context_goes_to_a_model_with_more(open_models, ctx):
    overrides = {"short": {"context_tokens": 256, "max_output_tokens": 1}}
    async with (
        FakeProvider() as provider,
        open_models(["short", "long"], provider.base_url, tier="embed", overrides=overrides) as models,
    ):
        assert (await embed(models, ctx, ["short"] * 100)).model == "openai/short"
        assert (await embed(models, ctx, ["word " * 400])).model == "openai/long"


@pytest.mark.parametrize("texts", [[], ["a", " "], ["a"] * 257])
async def test_texts_that_nobody_would_embed_are_refused(open_models, ctx, texts):
    async with open_models(["m"], "http://127.0.0.1:9/v1", tier="embed") as models:
        with pytest.raises(InputError, match="to embed"):
            await embed(models, ctx, texts)


async def test_embedded_model_says_that_it_makes_no_vectors(open_models, ctx):
    overrides = {"tiny": {"model": "embedded/smollm2-135m", "api_base": None}}
    async with open_models(["tiny"], "", way="embedded", tier="embed", overrides=overrides) as models:
        with pytest.raises(Unavailable, match="makes no vectors"):
            await embed(models, ctx)


ROWS = [{"index": 1, "embedding": [0.0, 2]}, {"index": 0, "embedding": [1.0, 0.0]}]


def test_rows_come_in_the_order_of_their_index():
    attempt = read_vectors({"data": ROWS, "usage": {"prompt_tokens": 3, "total_tokens": 3}}, 2)
    assert attempt.vectors == ([1.0, 0.0], [0.0, 2]) and attempt.tokens.prompt == 3 and attempt.tokens.completion == 0


@pytest.mark.parametrize(
    "rows",
    [
        [], "x", [3, 3], ROWS[:1], [ROWS[0], ROWS[0]], [*ROWS, ROWS[0]], [ROWS[0], {"index": 0, "embedding": [1.0]}],
        [ROWS[0], {"index": 0, "embedding": [float("nan"), 1]}], [ROWS[0], {"index": 0, "embedding": [0, 0.0]}],
        [ROWS[0], {"index": 0, "embedding": ["1", 2]}], [ROWS[0], {"index": "0", "embedding": [1, 2]}],
        [ROWS[0], {"index": 0, "embedding": "AACAPw=="}], [ROWS[0], {"index": 0, "embedding": []}],
    ],
)  # fmt: skip
def test_vectors_that_cannot_be_used_are_a_failed_attempt(rows):
    with pytest.raises(AttemptFailed):
        read_vectors({"data": rows}, 2)


def test_error_in_place_of_vectors_is_shown():
    with pytest.raises(AttemptFailed, match="no such model"):
        read_vectors(json.loads('{"error": {"message": "no such model"}}'), 1)


async def test_check_asks_models_of_the_tier_embed_for_vectors(settings):
    async with FakeProvider(scripts={"broken": [Fault.unauthorized] * 3}) as provider:
        chosen = settings(["m", "both", "broken"], provider.base_url, tier="embed")
        chosen = chosen.model_copy(update={"tiers": chosen.tiers.model_copy(update={"small": ("both",)})})
        alone, both, broken = await probe_models(chosen, lambda n, of: None)
    assert (alone.answers, alone.dim, alone.schema, alone.tools) == (True, 16, False, False)
    assert (both.answers, both.dim, both.schema, both.tools) == (True, 16, True, True)
    assert not broken.answers and "HTTP 401" in broken.error and alone.cost_usd < both.cost_usd
