"""One attempt: what goes out, what comes back, and the Protocol of what carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from deskhand.interfaces import ToolCall
from deskhand.model_settings import ModelSettings


@dataclass(frozen=True)
class NamedModel:
    """A model of the configuration under its name there."""

    name: str
    settings: ModelSettings


@dataclass(frozen=True)
class Tokens:
    """What a provider says it used; ``completion`` has reasoning in it."""

    prompt: int
    completion: int


@dataclass(frozen=True)
class Outgoing:
    """One request. ``body`` is that of an OpenAI-compatible server, without the model's name.

    With ``input`` it asks ``/embeddings`` for vectors, else ``/chat/completions``. ``n_prompt_tokens`` is our own count
    of it, ``most_answer_tokens`` the longest answer that may be billed.
    """

    model: NamedModel
    body: Mapping[str, Any]
    key: str | None
    n_prompt_tokens: int
    most_answer_tokens: int

    @property
    def texts(self) -> Sequence[str]:
        """The texts to be embedded; none for a chat."""
        texts: Sequence[str] = self.body.get("input", ())
        return texts


@dataclass(frozen=True)
class Attempt:
    """An answer as a model gave it. ``tokens`` is None when the provider does not say.

    ``vectors`` is set where texts were embedded: one for each, in their order.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    tokens: Tokens | None
    vectors: tuple[Sequence[float], ...] = ()


class Transport(Protocol):
    """What carries one request to a model and its answer back, once: no retry, no fallback, no cache."""

    async def load(self) -> None:
        """Import what is needed, without blocking the event loop; it costs nothing the second time."""
        ...

    async def send(self, outgoing: Outgoing) -> Attempt:
        """Return the answer. Raises AttemptFailed; the caller cancels it when time is up."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
