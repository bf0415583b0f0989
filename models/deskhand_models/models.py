"""``Models``: a tier of models behind one call, with budgets, a deadline, masking and recording."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from deskhand.answers import Usage
from deskhand.errors import ConfigError, Unavailable
from deskhand.interfaces import ChatMessage, Completion, ToolCall
from deskhand.jsonio import canonical_json, content_hash
from deskhand.model_settings import ModelsSettings, TransportName
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand.telemetry import INPUT_TOKENS, OUTPUT_TOKENS, REQUEST_MODEL
from deskhand.vault import Vault, map_strings
from deskhand_models.attempts import Answered, Attempts, Errand, Prompt
from deskhand_models.breaker import Breakers
from deskhand_models.budget import Budget
from deskhand_models.direct import DirectTransport
from deskhand_models.embedded import EmbeddedTransport
from deskhand_models.ledger import Account, Ledger
from deskhand_models.litellm_transport import LiteLLMTransport
from deskhand_models.privacy import change_call, change_message, mask_answer
from deskhand_models.structured import NotInSchema, OutputSchema, build_schema, repair_turn
from deskhand_models.timing import Timing
from deskhand_models.transport import NamedModel, Transport

if TYPE_CHECKING:
    from pydantic import BaseModel

    from deskhand.config import WorkspaceFolder
    from deskhand.context import RunContext
    from deskhand_models.embedding import Embedding


def _transports() -> dict[TransportName, Transport]:
    return {"direct": DirectTransport(), "litellm": LiteLLMTransport(), "embedded": EmbeddedTransport()}


@dataclass
class Models:
    """The models of a workspace. One serves a whole process: it holds connections and circuit breakers.

    Opens no file and no connection before the first attempt, so that a replay opens none. Use it in an ``async with``
    block, or close it.

    Args:
        settings: ``[models]`` of ``deskhand.toml``.
        ledger_path: Where costs are kept.
        timing: Time and chance.
        transports: By name; those of this room by default.
    """

    settings: ModelsSettings
    ledger_path: Path
    timing: Timing = field(default_factory=Timing)
    transports: Mapping[TransportName, Transport] = field(default_factory=_transports)

    def __post_init__(self) -> None:
        self._budget = Budget(self.ledger_path, self.settings.budget, self.timing)
        self._attempts = Attempts(self.transports, self._budget, Breakers(), self.timing)

    @classmethod
    def open(cls, folder: WorkspaceFolder) -> Models:
        """Return the models of a workspace. Raises ConfigError."""
        return cls(folder.config.models, folder.ledger)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections and the ledger."""
        for transport in self.transports.values():
            await transport.close()
        self._budget.close()

    @property
    def ledger(self) -> Ledger:
        """What was spent. Raises StoreError when it cannot be opened."""
        return self._budget.ledger

    def models_of(self, tier: str) -> tuple[NamedModel, ...]:
        """Return the models of a tier in the order in which they are tried. Raises ConfigError for another name."""
        names: tuple[str, ...] | None = getattr(self.settings.tiers, tier, None)
        if tier not in type(self.settings.tiers).model_fields or names is None:
            known = ", ".join(type(self.settings.tiers).model_fields)
            raise ConfigError(f"models.tiers: there is no tier {tier!r}; use one of {known}")
        return tuple(NamedModel(name, self.settings.defs[name]) for name in names)

    async def complete(
        self,
        tier: str,
        messages: Sequence[ChatMessage],
        *,
        output_schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline_s: float,
        ctx: RunContext,
    ) -> Completion:
        """Return one completion within ``deadline_s``: masked, recorded, paid for, and in the schema when there is one.

        Args:
            tier: ``small``, ``strong`` or ``judge``.
            messages: The prompt. Personal data in it is masked before anything else happens.
            output_schema: The type of the answer; ``parsed`` is then set, unless the model called a tool.
            tools: In the OpenAI form, ``{"type": "function", "function": {...}}``.
            deadline_s: Seconds from now, retries, fallbacks and a repair turn included; more where the configuration
                has a larger ``least_deadline_s``.
            ctx: The run; costs are booked on its run, ticket and agent.

        Raises:
            BudgetExceeded: Every model left would pass a cap; nothing was spent beyond it.
            Unavailable: No model answered in time, or none in the schema; the message says what was tried.
        """
        schema = build_schema(output_schema) if output_schema else None
        masked = tuple(change_message(message, ctx.vault.mask) for message in messages)
        prompt = Prompt(masked, tuple(tools), schema)
        started = time.perf_counter()

        async def perform() -> Json:
            return await self._perform(tier, prompt, deadline_s, ctx)

        with ctx.tracer.span(f"model.{tier}") as span:
            response = await ctx.call(CallKind.model, _request(tier, prompt), perform)
            completion = _read_response(response, output_schema, (time.perf_counter() - started) * 1000)
            span[REQUEST_MODEL] = completion.model
            span[INPUT_TOKENS] = completion.usage.prompt_tokens
            span[OUTPUT_TOKENS] = completion.usage.completion_tokens
        return completion

    async def embed(
        self, texts: Sequence[str], *, tier: str = "embed", deadline_s: float, ctx: RunContext
    ) -> Embedding:
        """Return the vectors of ``texts`` within ``deadline_s``: masked, recorded and paid for as a completion is.

        One model makes them all. When it fails the next one is asked for all of them, so compare vectors only where
        their ``model`` is the same, or give the tier one model.

        Args:
            texts: 1 to 256, none empty; each is read on its own, up to the model's ``context_tokens``.
            tier: Whose models are asked.
            deadline_s: Seconds from now, retries and fallbacks included.
            ctx: The run; costs are booked on its run, ticket and agent.

        Raises:
            BudgetExceeded: Every model left would pass a cap; nothing was spent beyond it.
            InputError: There are no texts, too many, or an empty one.
            Unavailable: No model answered in time; the message says what was tried.
        """
        from deskhand_models.embedding import Embedding, check_texts, unpack

        check_texts(texts)
        masked = tuple(ctx.vault.mask(text) for text in texts)
        started = time.perf_counter()

        async def perform() -> Json:
            return await self._embed(tier, masked, deadline_s, ctx)

        with ctx.tracer.span(f"model.{tier}") as span:
            response = await ctx.call(CallKind.model, {"tier": tier, "texts": list(masked)}, perform)
            row = cast(dict[str, Any], response)
            usage = _read_usage(row, (time.perf_counter() - started) * 1000)
            span[REQUEST_MODEL], span[INPUT_TOKENS] = row["model"], usage.prompt_tokens
        return Embedding(unpack(row["vectors"]), row["model"], usage)

    async def _embed(self, tier: str, masked: tuple[str, ...], deadline_s: float, ctx: RunContext) -> Json:
        from deskhand_models.embedding import pack

        errand = self._errand(tier, deadline_s, ctx)
        answered = await self._attempts.answer(self.models_of(tier), Prompt(texts=masked), errand)
        return {"vectors": pack(answered.attempt.vectors), **_spent([answered])}

    def _errand(self, tier: str, deadline_s: float, ctx: RunContext) -> Errand:
        # The clock is read directly: this runs only where nothing is replayed.
        account = Account(ctx.run_id, ctx.ticket_id, ctx.agent, tier, ctx.clock.now())
        given_s = max(deadline_s, self.settings.least_deadline_s)
        return Errand(account, self.timing.monotonic() + given_s, ctx.vault)

    async def _perform(self, tier: str, prompt: Prompt, deadline_s: float, ctx: RunContext) -> Json:
        """Ask, repair once, and return what is recorded: masked, without wall times."""
        errand = self._errand(tier, deadline_s, ctx)
        return await self._ask_in_turn(list(self.models_of(tier)), prompt, errand)

    async def _ask_in_turn(self, order: list[NamedModel], prompt: Prompt, errand: Errand) -> Json:
        """Ask the models until one answers in the schema; each that does not may repair its answer once."""
        answers: list[Answered] = []
        while True:
            answers.append(await self._attempts.answer(order, prompt, errand))
            if prompt.schema is None or answers[-1].attempt.tool_calls:
                return _response(answers, mask_answer(answers[-1].attempt.text, errand.vault), errand.vault)
            order = order[order.index(answers[-1].model) + 1 :]
            try:
                text = await self._in_schema(answers, prompt, prompt.schema, errand, are_more=bool(order))
            except Unavailable:
                if not order:
                    raise
            else:
                return _response(answers, text, errand.vault)

    async def _in_schema(
        self, answers: list[Answered], prompt: Prompt, schema: OutputSchema, errand: Errand, *, are_more: bool
    ) -> str:
        """Return the last answer as JSON in the schema, repaired where it must be. Raises Unavailable."""
        first = answers[-1]
        try:
            return _structured(first, schema, errand.vault)
        except NotInSchema as problem:
            turn = repair_turn(first.attempt.text, problem)
        masked = (change_message(message, _masking(errand.vault)) for message in turn)
        again = Prompt((*prompt.messages, *masked), prompt.tools, schema)
        answers.append(await self._attempts.answer([first.model], again, errand, are_more=are_more))
        try:
            return _structured(answers[-1], schema, errand.vault)
        except NotInSchema as exc:
            raise Unavailable(
                f"{first.model.name}: answered twice, and not with a {schema.name}:"
                f" {mask_answer(str(exc), errand.vault)}; use a model with structured output, or a stronger one"
            ) from exc


def _masking(vault: Vault) -> Any:
    return lambda text: mask_answer(text, vault)


def _request(tier: str, prompt: Prompt) -> Json:
    """Return what a recording knows this call by; which models the tier has is not part of it."""
    messages = [
        {
            "role": message.role,
            "content": message.content,
            **({"tool_call_id": message.tool_call_id} if message.tool_call_id else {}),
            **({"tool_calls": [_call_to_json(call) for call in message.tool_calls]} if message.tool_calls else {}),
        }
        for message in prompt.messages
    ]
    request: dict[str, Any] = {"tier": tier, "messages": messages}
    if prompt.schema:
        request["schema"] = {"name": prompt.schema.name, "hash": prompt.schema.digest}
    if prompt.tools:
        request["tools"] = content_hash(list(prompt.tools))[:16]
    return cast(Json, request)


def _call_to_json(call: ToolCall) -> dict[str, Json]:
    return {"id": call.id, "name": call.name, "args": call.args}


def _structured(answered: Answered, schema: OutputSchema, vault: Vault) -> str:
    """Return the answer's JSON object as text, its strings masked. Raises NotInSchema."""
    value = map_strings(schema.read(answered.attempt.text), lambda text: mask_answer(text, vault))
    text = canonical_json(value)
    schema.read(text)
    return text


def _response(answers: Sequence[Answered], text: str, vault: Vault) -> Json:
    last = answers[-1]
    calls = [_call_to_json(change_call(call, _masking(vault))) for call in last.attempt.tool_calls]
    return cast(
        Json,
        {
            "text": text,
            "tool_calls": calls,
            "finish_reason": last.attempt.finish_reason,
            **_spent(answers),
        },
    )


def _spent(answers: Sequence[Answered]) -> dict[str, Json]:
    return {
        "model": answers[-1].model.settings.model,
        "prompt_tokens": sum(answer.tokens.prompt for answer in answers),
        "completion_tokens": sum(answer.tokens.completion for answer in answers),
        "cost_usd": round(sum(answer.cost_usd for answer in answers), 9),
        "n_calls": sum(answer.n_attempts for answer in answers),
    }


def _read_response(response: Json, output_schema: type[BaseModel] | None, latency_ms: float) -> Completion:
    """Return the completion in a response, the same whether it was just given or is replayed."""
    row = cast(dict[str, Any], response)
    calls = tuple(ToolCall(call["id"], call["name"], call["args"]) for call in row["tool_calls"])
    usage = _read_usage(row, latency_ms)
    parsed = output_schema.model_validate_json(row["text"]) if output_schema and not calls else None
    return Completion(row["text"], row["model"], row["finish_reason"], calls, parsed, usage)


def _read_usage(row: Mapping[str, Any], latency_ms: float) -> Usage:
    return Usage(
        prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"], cost_usd=row["cost_usd"],
        latency_ms=latency_ms, n_calls=row["n_calls"],
    )  # fmt: skip
