"""Asking each model one tiny question of each kind, to see what it can do and what it costs in time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel

from deskhand.context import RunContext
from deskhand.errors import DeskhandError
from deskhand.interfaces import ChatMessage, Completion
from deskhand.model_settings import ModelsSettings, Tiers
from deskhand_models.models import Models

DEADLINE_S = 30.0
_TOOL = {
    "type": "function",
    "function": {
        "name": "read_clock",
        "description": "Returns the time.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}


class Colour(BaseModel):
    """What the schema probe asks for."""

    colour: Literal["red", "green", "blue"]


class Probe(NamedTuple):
    """What one model did. ``error`` says what failed first and how to mend it; the rest is then False or 0.

    ``dim`` is the length of its vectors, 0 where it serves no tier ``embed``. One that serves no other tier is asked
    for vectors only.
    """

    name: str
    answers: bool
    schema: bool
    tools: bool
    latency_ms: float
    tokens_per_s: float
    cost_usd: float
    error: str
    dim: int = 0


async def probe_models(settings: ModelsSettings, done: Callable[[int, int], None]) -> list[Probe]:
    """Return a probe of every model of ``settings``, in their order; up to four requests of a few tokens each.

    Costs count towards no budget of the workspace: a scratch ledger with the same caps holds them.
    """
    probes: list[Probe] = []
    for name in settings.defs:
        done(len(probes), len(settings.defs))
        alone = settings.model_copy(update={"tiers": Tiers(small=(name,), embed=(name,))})
        tiers = [tier for tier in Tiers.model_fields if name in getattr(settings.tiers, tier)]
        with tempfile.TemporaryDirectory() as scratch:
            async with Models(alone, Path(scratch) / "ledger.db") as models:
                probes.append(await _probe(models, name, tiers))
    done(len(probes), len(settings.defs))
    return probes


async def _probe(models: Models, name: str, tiers: Sequence[str]) -> Probe:
    ctx = RunContext(f"probe-{name}")
    if "embed" not in tiers:
        return await _probe_chat(models, name, ctx)
    vectors = await _probe_vectors(models, name, ctx)
    if not vectors.answers or tiers == ["embed"]:
        return vectors
    chat = await _probe_chat(models, name, ctx)
    return chat._replace(dim=vectors.dim, cost_usd=chat.cost_usd + vectors.cost_usd)


async def _probe_vectors(models: Models, name: str, ctx: RunContext) -> Probe:
    started = time.perf_counter()
    try:
        made = await models.embed(["ready"], deadline_s=DEADLINE_S, ctx=ctx.at("vectors"))
    except DeskhandError as exc:
        return _failed(name, exc)
    elapsed_s = time.perf_counter() - started
    n_tokens, cost_usd = made.usage.prompt_tokens, made.usage.cost_usd
    return Probe(
        name, True, False, False, round(1000 * elapsed_s, 1), round(n_tokens / elapsed_s, 1), cost_usd, "",
        dim=made.vectors.shape[1],
    )  # fmt: skip


def _failed(name: str, exc: DeskhandError) -> Probe:
    return Probe(name, False, False, False, 0.0, 0.0, 0.0, str(exc))


async def _probe_chat(models: Models, name: str, ctx: RunContext) -> Probe:
    started = time.perf_counter()
    try:
        plain = await models.complete("small", [_say("Answer with one word: ready")], deadline_s=DEADLINE_S, ctx=ctx)
    except DeskhandError as exc:
        return _failed(name, exc)
    elapsed_s = time.perf_counter() - started
    in_schema = await _attempt(
        models.complete(
            "small", [_say("Name a colour.")], output_schema=Colour, deadline_s=DEADLINE_S, ctx=ctx.at("schema")
        )
    )
    called = await _attempt(
        models.complete("small", [_say("Read the clock.")], tools=[_TOOL], deadline_s=DEADLINE_S, ctx=ctx.at("tools"))
    )
    return Probe(
        name=name,
        answers=True,
        schema=in_schema is not None and in_schema.parsed is not None,
        tools=called is not None and any(call.name == "read_clock" for call in called.tool_calls),
        latency_ms=round(1000 * elapsed_s, 1),
        tokens_per_s=round(plain.usage.completion_tokens / elapsed_s, 1),
        cost_usd=sum(answer.usage.cost_usd for answer in (plain, in_schema, called) if answer),
        error="",
    )


async def _attempt(request: Awaitable[Completion]) -> Completion | None:
    try:
        return await request
    except DeskhandError:
        return None


def _say(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)
