"""From a tier's models to one answer: in order, again where that helps, never beyond the budget or the deadline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deskhand.errors import BudgetExceeded, Unavailable
from deskhand.interfaces import ChatMessage
from deskhand.jsonio import canonical_json
from deskhand.model_settings import TransportName
from deskhand.settings import read_key
from deskhand.vault import Vault
from deskhand_models.breaker import Breaker, Breakers
from deskhand_models.budget import Budget
from deskhand_models.faults import AttemptFailed, Fault, shorten
from deskhand_models.ledger import NANO, Account
from deskhand_models.privacy import change_message, hide_key, mask_answer, without_key
from deskhand_models.structured import OutputSchema
from deskhand_models.timing import Timing
from deskhand_models.tokens import count_prompt, count_tokens, load_encoding
from deskhand_models.transport import Attempt, NamedModel, Outgoing, Tokens, Transport
from deskhand_models.wire import build_message, is_echo

DRAFTING_AGENT = "draft"
"""The agent whose text goes to customers."""

_RETRIES = {
    Fault.rate_limited: 3,
    Fault.server_error: 2,
    Fault.connection: 2,
    Fault.timeout: 1,
    Fault.truncated: 1,
    Fault.empty: 1,
    Fault.no_choices: 1,
    Fault.bad_json: 1,
}
"""How often one model is asked again after each fault; never after the others."""
_HINTS = {
    Fault.auth: ", check key_env",
    Fault.timeout: ", a slow model may need a larger timeout_s and models.least_deadline_s",
}
_BACKOFF_S = 0.25
_LONGEST_BACKOFF_S = 8.0
_LEAST_TIME_S = 0.02
"""With less time left no attempt is begun: it would be paid and not waited for."""
_SHARE = 0.6
"""How much of the time left an attempt may take while there are other models."""
_PATIENCE_S = 2.0
"""How long a model is waited for while there are others."""
_FAIR_TRIAL_S = 5.0
"""A timeout shorter than this, and than the model's own, says nothing about the model."""


@dataclass(frozen=True)
class Prompt:
    """What is asked: masked messages, tools in the OpenAI form, and the schema of the answer; or texts to be embedded.

    With ``texts`` there is nothing else in it.
    """

    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    schema: OutputSchema | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Errand:
    """On whose account, until when (monotonic seconds), and whose personal data is masked."""

    account: Account
    deadline: float
    vault: Vault


@dataclass(frozen=True)
class Answered:
    """An answer, and what it took: failed attempts are in ``cost_usd`` and ``n_attempts``."""

    attempt: Attempt
    model: NamedModel
    tokens: Tokens
    cost_usd: float
    n_attempts: int


class _PassedOver(Exception):
    """A model was not asked, or not asked again; the message says why."""


@dataclass
class Attempts:
    """Makes attempts for all calls of a process.

    Args:
        transports: By name.
        budget: What may be spent.
        breakers: The health of each model.
        timing: Time and chance.
    """

    transports: Mapping[TransportName, Transport]
    budget: Budget
    breakers: Breakers = field(default_factory=Breakers)
    timing: Timing = field(default_factory=Timing)
    refused_schemas: set[tuple[str, str]] = field(default_factory=set)
    """(model, schema) that a server refused natively; from then on it is asked for in words."""

    async def answer(
        self, order: Sequence[NamedModel], prompt: Prompt, errand: Errand, *, are_more: bool = False
    ) -> Answered:
        """Return the first usable answer of the models in ``order``.

        Args:
            order: Who is asked.
            prompt: What is asked.
            errand: For whom, and until when.
            are_more: Whether other models will be asked when these fail; then time is left for them.

        Raises:
            BudgetExceeded: None answered, and at least one was too dear.
            Unavailable: None answered before the deadline; the message says what was tried.
        """
        if order and not load_encoding.cache_info().currsize:
            await asyncio.to_thread(load_encoding)
        return await _Pursuit(self, prompt, errand, are_more).run(order)

    def is_native(self, model: NamedModel, schema: OutputSchema) -> bool:
        """Tell whether ``model`` is asked natively for ``schema``."""
        return model.settings.json_schema == "native" and (model.name, schema.digest) not in self.refused_schemas


@dataclass
class _Pursuit:
    """One call on its way through the models."""

    shared: Attempts
    prompt: Prompt
    errand: Errand
    are_more: bool = False
    tried: list[str] = field(default_factory=list)
    too_dear: bool = False
    cost: int = 0
    n_attempts: int = 0
    context_needed: int = 0
    is_last: bool = False

    async def run(self, order: Sequence[NamedModel]) -> Answered:
        for place, model in enumerate(order, start=1):
            self.is_last = place == len(order) and not self.are_more
            try:
                return await self._ask(model)
            except _PassedOver as exc:
                self.tried.append(f"{model.name}: {exc}")
            except BudgetExceeded as exc:
                self.too_dear = True
                self.tried.append(f"{model.name}: {exc}")
        raise self._give_up()

    def _give_up(self) -> Unavailable:
        tried = mask_answer("; ".join(self.tried), self.errand.vault)
        kind = BudgetExceeded if self.too_dear else Unavailable
        return kind(
            f"no model of tier {self.errand.account.tier!r} answered: {tried or 'none is configured'};"
            " check [models] in deskhand.toml and try again"
        )

    async def _ask(self, model: NamedModel) -> Answered:
        """Ask one model until it answers. Raises _PassedOver when it is not asked (again), and BudgetExceeded."""
        breaker = self.shared.breakers.of(model.name)
        n = 0
        while True:
            n += 1
            outgoing = self._compose(model)
            await self._load(model)
            await self._wait_for_admission(breaker)
            try:
                return await self._attempt(outgoing, breaker)
            except AttemptFailed as failure:
                await self._pause(failure, outgoing, n)
            finally:
                breaker.release()

    def _compose(self, model: NamedModel) -> Outgoing:
        """Return the request for ``model``. Raises _PassedOver when it cannot be asked this."""
        settings = model.settings
        if self.prompt.tools and not settings.tools:
            raise _PassedOver("it does not call tools")
        if self.prompt.messages and self.errand.account.agent == DRAFTING_AGENT and not settings.may_draft:
            raise _PassedOver("it does not write text for customers; set drafts = true to let it")
        key = read_key(settings.key_env) if settings.key_env else None
        if settings.key_env and key is None:
            raise _PassedOver(f"the environment variable {settings.key_env} is not set")
        if key and not re.fullmatch(r"[!-~]+", key):
            raise _PassedOver(f"the environment variable {settings.key_env} holds spaces or signs that no key has")
        if self.prompt.texts:
            body = self._build_texts(model)
            n_prompt, answer_tokens = count_prompt(body), 0
            needed = max(count_tokens(text) for text in body["input"])  # each is read on its own
        else:
            body = self._build_body(model)
            n_prompt, answer_tokens = count_prompt(body), settings.max_output_tokens + settings.reasoning_tokens
            needed = n_prompt + settings.max_output_tokens
        needed = max(needed, self.context_needed)
        if needed > settings.context_tokens:
            raise _PassedOver(f"the prompt needs {needed} tokens of context, it has {settings.context_tokens}")
        return Outgoing(model, body, key, n_prompt, answer_tokens)

    def _build_texts(self, model: NamedModel) -> dict[str, Any]:
        texts: Sequence[str] = self.prompt.texts
        if model.settings.unmasked:
            texts = [self.errand.vault.unmask(text) for text in texts]
        return {**model.settings.extra, "input": list(texts)}

    def _build_body(self, model: NamedModel) -> dict[str, Any]:
        settings, schema = model.settings, self.prompt.schema
        messages: Sequence[ChatMessage] = self.prompt.messages
        body: dict[str, Any] = dict(settings.extra)
        if schema and self.shared.is_native(model, schema):
            body["response_format"] = schema.response_format()
        elif schema:
            messages = schema.ask_in_words(messages)
        if settings.unmasked:
            messages = [change_message(message, self.errand.vault.unmask) for message in messages]
        body["messages"] = [build_message(message) for message in messages]
        body[settings.limit_field] = settings.max_output_tokens
        if self.prompt.tools:
            body["tools"] = list(self.prompt.tools)
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        return body

    async def _load(self, model: NamedModel) -> None:
        """Load the model's transport before anything is reserved; the time of its first import is not the call's."""
        now = self.shared.timing.monotonic
        started = now()
        await self.shared.transports[model.settings.way].load()
        self.errand = replace(self.errand, deadline=self.errand.deadline + now() - started)

    async def _wait_for_admission(self, breaker: Breaker) -> None:
        """Return when the model may be asked. Raises _PassedOver when it is left alone or time is up."""
        hold_s = breaker.hold_s(self.shared.timing.monotonic())
        if hold_s:
            hold_s += 0.1 * min(hold_s, 1.0) * self.shared.timing.random()  # not all at the same moment
            if hold_s > self._patience_s():
                raise _PassedOver(f"it asked to wait for {hold_s:.1f} s more (rate limited)")
            await self.shared.timing.sleep(hold_s)
        if self._time_left() < _LEAST_TIME_S:
            raise _PassedOver("no time was left before the deadline")
        if not breaker.admits(self.shared.timing.monotonic()):
            raise _PassedOver("it is left alone for a while after failing again and again")

    def _time_left(self) -> float:
        return self.errand.deadline - self.shared.timing.monotonic()

    def _patience_s(self) -> float:
        spare = self._time_left() - _LEAST_TIME_S
        return spare if self.is_last else min(_PATIENCE_S, spare * (1 - _SHARE))

    async def _attempt(self, outgoing: Outgoing, breaker: Breaker) -> Answered:
        """Make one attempt: reserve, send, settle. Raises AttemptFailed and BudgetExceeded."""
        model, budget, now = outgoing.model, self.shared.budget, self.shared.timing.monotonic
        most = Tokens(outgoing.n_prompt_tokens, outgoing.most_answer_tokens)
        reservation = await budget.reserve(self.errand.account, model, most, until=self.errand.deadline)
        self.n_attempts += 1
        limit_s = self._limit_s(model)
        try:
            attempt = await self._send(outgoing, limit_s)
        except AttemptFailed as failure:
            is_fair = failure.fault is not Fault.timeout or limit_s >= min(model.settings.timeout_s, _FAIR_TRIAL_S)
            if is_fair:
                breaker.record_failure(failure.fault, now(), failure.retry_after_s)
            self.cost += await budget.settle(
                reservation, model, failure.tokens, failure.fault, is_billed=failure.is_billed
            )
            raise
        breaker.record_answer()
        tokens = attempt.tokens or Tokens(outgoing.n_prompt_tokens, _count_answer(attempt))
        self.cost += await budget.settle(reservation, model, attempt.tokens, "answered", counted=tokens)
        return Answered(attempt, model, tokens, self.cost / NANO, self.n_attempts)

    def _limit_s(self, model: NamedModel) -> float:
        return min(model.settings.timeout_s, self._time_left() * (1.0 if self.is_last else _SHARE))

    async def _send(self, outgoing: Outgoing, limit_s: float) -> Attempt:
        transport = self.shared.transports[outgoing.model.settings.way]
        try:
            async with asyncio.timeout(limit_s):
                attempt = without_key(await transport.send(outgoing), outgoing.key)
        except AttemptFailed as failure:
            failure.detail = hide_key(failure.detail, outgoing.key)
            raise
        except TimeoutError as exc:
            raise AttemptFailed(Fault.timeout, f"no answer in {limit_s:.1f} s") from exc
        if self.prompt.messages and self.prompt.schema is None and is_echo(attempt, outgoing.body["messages"]):
            raise AttemptFailed(Fault.echoed, "the answer repeats the prompt", tokens=attempt.tokens)
        return attempt

    async def _pause(self, failure: AttemptFailed, outgoing: Outgoing, n: int) -> None:
        """Wait before the model is asked again. Raises _PassedOver when it is not."""
        if self._can_ask_in_words(failure, outgoing):
            return
        if failure.fault is Fault.context_too_long:
            self.context_needed = outgoing.model.settings.context_tokens + 1
        n_retries = _RETRIES.get(failure.fault, 0)
        if failure.fault is Fault.timeout and not self.is_last:
            n_retries = 0
        backoff_s = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2**n) * self.shared.timing.random()
        wait_s = max(backoff_s, failure.retry_after_s or 0.0)
        if n > n_retries or wait_s > self._patience_s():
            raise _PassedOver(_describe(failure, n))
        await self.shared.timing.sleep(wait_s)

    def _can_ask_in_words(self, failure: AttemptFailed, outgoing: Outgoing) -> bool:
        """Note that a server refused a native schema, and tell whether that may be why it refused the request."""
        schema = self.prompt.schema
        if failure.fault is not Fault.refused_request or schema is None or "response_format" not in outgoing.body:
            return False
        self.shared.refused_schemas.add((outgoing.model.name, schema.digest))
        return True


def _describe(failure: AttemptFailed, n_attempts: int) -> str:
    words = failure.fault.replace("_", " ")
    detail = f" ({shorten(failure.detail, 200)})" if failure.detail else ""
    return f"{words}{detail}{_HINTS.get(failure.fault, '')}" + (f", asked {n_attempts} times" if n_attempts > 1 else "")


def _count_answer(attempt: Attempt) -> int:
    calls = sum(count_tokens(canonical_json([call.name, call.args])) for call in attempt.tool_calls)
    return count_tokens(attempt.text) + calls
