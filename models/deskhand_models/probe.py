"""Asking each model one tiny question of each kind, to see what it can do and what it costs in time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
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
    """What one model did. ``error`` says what failed first and how to mend it; the rest is then False or 0."""

    name: str
    answers: bool
    schema: bool
    tools: bool
    latency_ms: float
    tokens_per_s: float
    cost_usd: float
    error: str


async def probe_models(settings: ModelsSettings, done: Callable[[int, int], None]) -> list[Probe]:
    """Return a probe of every model of ``settings``, in their order; three requests of a few tokens each.

    Costs count towards no budget of the workspace: a scratch ledger with the same caps holds them.
    """
    probes: list[Probe] = []
    for name in settings.defs:
        done(len(probes), len(settings.defs))
        alone = settings.model_copy(update={"tiers": Tiers(small=(name,))})
        with tempfile.TemporaryDirectory() as scratch:
            async with Models(alone, Path(scratch) / "ledger.db") as models:
                probes.append(await _probe(models, name))
    done(len(probes), len(settings.defs))
    return probes


async def _probe(models: Models, name: str) -> Probe:
    ctx = RunContext(f"probe-{name}")
    started = time.perf_counter()
    try:
        plain = await models.complete("small", [_say("Answer with one word: ready")], deadline_s=DEADLINE_S, ctx=ctx)
    except DeskhandError as exc:
        return Probe(name, False, False, False, 0.0, 0.0, 0.0, str(exc))
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
