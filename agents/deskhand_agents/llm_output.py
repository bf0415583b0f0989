"""What every strategy with a model shares: one question, one validated answer, and the thread as a model reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from deskhand.answers import Evidence, Usage
from deskhand.context import RunContext
from deskhand.errors import Unavailable
from deskhand.interfaces import ChatModel
from deskhand.jsonio import first_problem
from deskhand.tickets import Role
from deskhand.view import TicketView
from deskhand_agents.cascade import PROMPT
from deskhand_agents.injection import neutral_view
from deskhand_agents.prompts import Prompt

DEADLINE_S = 30.0
"""Seconds in which a model must have answered, retries and fallbacks included."""

MAX_THREAD_CHARS = 24_000
"""Longest thread in a prompt, about 6,000 tokens; the opening and the newest messages are kept."""

CUT = "[…]"
"""Stands where something was left out."""

M = TypeVar("M", bound=BaseModel)
_NAMES = {Role.customer: "Customer", Role.agent: "We", Role.bot: "Bot", Role.system: "System"}


@dataclass(frozen=True)
class Output(Generic[M]):
    """A model's answer that held its schema, what it cost, and which prompt and model it came from."""

    value: M
    usage: Usage
    evidence: tuple[Evidence, ...]


async def ask(
    model: ChatModel,
    prompt: Prompt,
    variables: Mapping[str, Any],
    schema: type[M],
    *,
    deadline_s: float,
    ctx: RunContext,
) -> Output[M]:
    """Return what the model answers to ``prompt``, as ``schema``. It is validated here, whoever did so before.

    Raises:
        Unavailable: No model answered in time, or what it said is not of the schema.
        ConfigError: The prompt cannot be rendered.
    """
    messages = prompt.render(**variables)
    try:
        completion = await model.complete(prompt.tier, messages, output_schema=schema, deadline_s=deadline_s, ctx=ctx)
        if completion.parsed is None:
            raise Unavailable(f"{prompt.name}: {completion.model} gave no answer of the form asked for; ask another")
        value = schema.model_validate_json(completion.parsed.model_dump_json())
    except ValidationError as exc:
        raise Unavailable(f"{prompt.name}: the model's answer is wrong ({first_problem(exc)}); ask another") from exc
    return Output(value, completion.usage, (prompt_evidence(prompt), Evidence(kind="model", ref=completion.model)))


def prompt_evidence(prompt: Prompt) -> Evidence:
    """Return which version of a prompt was used, as a run record keeps it."""
    return Evidence(kind=PROMPT, ref=f"{prompt.name}@{prompt.hash}")


def thread_text(view: TicketView, *, max_chars: int = MAX_THREAD_CHARS) -> str:
    """Return the subject and the messages, oldest first, with who wrote each and when; without what was injected.

    What is longer than ``max_chars`` loses the middles of its messages, then the oldest messages but the first.
    """
    calm = neutral_view(view)
    turns = [turn for turn in calm.turns if turn.text]
    share = max(400, max_chars // max(1, len(turns)))
    blocks = [f"{_NAMES[turn.role]}, {turn.at.date()}:\n{_shorten(turn.text, share)}" for turn in turns]
    first = [_shorten(f"Subject: {calm.subject}", 500)] if calm.subject else []
    while len(blocks) > 2 and sum(len(block) + 2 for block in blocks) > max_chars:
        blocks[1:3] = [CUT] if blocks[1] == CUT or len(blocks) == 3 else [CUT, *blocks[2:3]]
    return "\n\n".join([*first, *blocks])


def _shorten(text: str, max_chars: int) -> str:
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half].rstrip()} {CUT} {text[-half:].lstrip()}"
