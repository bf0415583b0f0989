"""What rooms ask of each other without importing each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from deskhand.actions import Action, Receipt
from deskhand.answers import Usage
from deskhand.schema import Json
from deskhand.tickets import Event, Ticket

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from deskhand.context import RunContext


class Encoder(Protocol):
    """Turns text into vectors whose dot product is the cosine similarity."""

    @property
    def name(self) -> str:
        """The encoder's name and version; vectors of different names are never compared."""
        ...

    @property
    def dim(self) -> int:
        """The length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """The most tokens of one text that are read; what is longer must be cut into chunks."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """The ISO 639-1 codes of the languages it understands."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return how many tokens ``text`` has, special tokens included."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one L2-normalised row per text, shape ``(len(texts), dim)``, in their order."""
        ...


@dataclass(frozen=True)
class ChatMessage:
    """One message of a prompt."""

    role: str
    content: str
    tool_call_id: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class ToolCall:
    """A model's wish to call a tool."""

    id: str
    name: str
    args: dict[str, Json]


@dataclass(frozen=True)
class Completion:
    """What a model answered. ``parsed`` is set when a schema was asked for and held."""

    text: str
    model: str
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: BaseModel | None = None
    usage: Usage = field(default_factory=Usage)


class ChatModel(Protocol):
    """A tier of models behind one call."""

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
        """Return one completion within ``deadline_s``. Raises Unavailable when no model of the tier answers."""
        ...


@dataclass(frozen=True)
class Request:
    """An HTTP request as a helpdesk sent it: the body raw, the URL as the public sees it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer a helpdesk that asked a question of its own, such as a challenge."""

    status: int
    body: bytes
    content_type: str = "text/plain"


class Unreadable(NamedTuple):
    """Something that came in and cannot be read: a person has to look at it, and ``why`` says where."""

    event: Event
    why: str


@dataclass(frozen=True)
class Page:
    """What was found by polling, and where the next poll goes on."""

    events: tuple[Event, ...]
    cursor: str
    unreadable: tuple[Unreadable, ...] = ()


class Helpdesk(Protocol):
    """One support system."""

    def verify(self, request: Request, now: datetime) -> None:
        """Return when the request is genuine. Raises InputError when it is not."""
        ...

    def parse(self, request: Request) -> list[Event] | Reply:
        """Return the events in a verified request. Raises InputError when it cannot be read."""
        ...

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return the ticket as it is now. Raises InputError when there is none, Unavailable when asked in vain."""
        ...

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Do what ``action`` says, once for each ``action.key``; a second call returns ``already``."""
        ...

    async def poll(self, cursor: str) -> Page:
        """Return what happened after ``cursor``; an empty cursor means from the beginning."""
        ...
