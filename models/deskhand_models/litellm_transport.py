"""The LiteLLM transport: one ``litellm.acompletion`` or ``aembedding``, no retries. Nothing else imports litellm."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from deskhand.libraries import prepare
from deskhand_models.faults import AttemptFailed, Fault, read_status
from deskhand_models.litellm_calls import adapt, watched
from deskhand_models.transport import Attempt, Outgoing
from deskhand_models.wire import read_reply


class LiteLLMTransport:
    """Carries requests to any provider that LiteLLM knows."""

    def __init__(self) -> None:
        self._litellm: ModuleType | None = None

    async def load(self) -> None:
        """Import litellm in a thread: it takes two seconds, in which other runs go on and deadlines hold."""
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(_import)

    async def send(self, outgoing: Outgoing) -> Attempt:
        """Return the answer of one attempt; ``load`` comes first. Raises AttemptFailed."""
        litellm = self._litellm
        assert litellm is not None
        try:
            with watched():
                body = await _complete(litellm, outgoing)
        except Exception as exc:  # a provider's edge: every way to fail becomes one of ours
            raise _read_failure(litellm, exc) from exc
        return read_reply(outgoing, body)

    async def close(self) -> None:
        """Close LiteLLM's connections, when there are some."""
        if self._litellm is not None:
            await self._litellm.close_litellm_async_clients()
            # It keeps the closed clients too, and would send the next request of this process through one of them.
            self._litellm.in_memory_llm_clients_cache.flush_cache()


async def _complete(litellm: ModuleType, outgoing: Outgoing) -> dict[str, Any]:
    ask = litellm.aembedding if outgoing.texts else litellm.acompletion
    response = await ask(**_arguments(outgoing))
    body: dict[str, Any] = response.model_dump()
    return body


@functools.cache
def _import() -> ModuleType:
    prepare()
    import litellm
    import openai.resources  # noqa: F401 - LiteLLM would import it in its first call, in the event loop

    litellm.telemetry = False
    # Its embeddings take max_retries=0 for none given, and would try three times behind the budget's back.
    litellm.__dict__["DEFAULT_MAX_RETRIES"] = 0
    adapt(litellm)
    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Pydantic would print what a provider sent in a field of another type: customers' text, on the terminal.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)
    with warnings.catch_warnings():  # of pydantic, about LiteLLM's own types, when it builds its first answer
        warnings.simplefilter("ignore")
        litellm.ModelResponse()
    # Its modules never go away: left out of every later collection, which they would make twice as long.
    gc.freeze()
    return litellm


def _arguments(outgoing: Outgoing) -> dict[str, Any]:
    settings = outgoing.model.settings
    arguments = {
        **outgoing.body,
        "model": settings.model,
        "timeout": settings.timeout_s,
        "num_retries": 0,
        "max_retries": 0,
        "no-log": True,
    }
    if settings.api_base:
        arguments["api_base"] = settings.api_base
    if outgoing.key or settings.api_base:
        # Without a key LiteLLM would take one from the environment and send it to this address.
        arguments["api_key"] = outgoing.key or "none"
    return arguments


def _read_failure(litellm: ModuleType, exc: Exception) -> AttemptFailed:
    ours = next((cause for cause in _causes(exc) if isinstance(cause, AttemptFailed)), None)
    if ours is not None:
        return ours
    text = str(exc).partition("Traceback (most recent call last)")[0]
    named: tuple[tuple[type[Exception], Fault], ...] = (
        (litellm.exceptions.ContextWindowExceededError, Fault.context_too_long),
        (litellm.exceptions.ContentPolicyViolationError, Fault.content_filter),
        (litellm.exceptions.Timeout, Fault.timeout),
    )
    for kind, fault in named:
        if isinstance(exc, kind):
            return AttemptFailed(fault, text)
    headers = _headers(exc)
    status = getattr(exc, "status_code", None)
    # Without headers there was no HTTP answer: LiteLLM gives status 500 to whatever it could not read or reach.
    if isinstance(status, int) and (headers or status != 500):
        return read_status(status, text, headers)
    return _read_cause(exc, text)


def _read_cause(exc: Exception, text: str) -> AttemptFailed:
    names = {type(cause).__name__ for cause in _causes(exc)}
    first = [*_causes(exc)][-1]
    if names & {"ConnectError", "ClientConnectorError", "ConnectTimeout"}:
        return AttemptFailed(Fault.connection, f"{text} ({first})", is_billed=False)
    if names & {"APIConnectionError", "ReadError", "RemoteProtocolError", "ServerDisconnectedError"}:
        return AttemptFailed(Fault.connection, f"{text} ({first})")
    if "'choices'" in text:
        return AttemptFailed(Fault.no_choices, text)
    if "JSONDecodeError" in names or "invalid response" in text.lower():
        return AttemptFailed(Fault.bad_json, text)
    return AttemptFailed(Fault.server_error, text)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _headers(exc: Exception) -> dict[str, str]:
    found = getattr(exc, "litellm_response_headers", None) or {}
    return {str(name).lower(): str(value) for name, value in dict(found).items()}
