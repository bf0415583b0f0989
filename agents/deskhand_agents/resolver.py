"""Reading the records that a ticket names: the strategy ``rules``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from deskhand.actions import Action
from deskhand.answers import Answer, Evidence, Finding, Reason, Triage
from deskhand.context import RunContext
from deskhand.errors import ToolFailed, ToolRetry
from deskhand.schema import Json
from deskhand.view import TicketView
from deskhand_agents.entities import EntityKind, find_entities
from deskhand_agents.injection import neutral_view
from deskhand_agents.reasons import reason
from deskhand_agents.record_texts import neutral_error, neutral_result

MAX_LOOKUPS = 6
MAX_LISTED = 3
"""Records taken from a list when the ticket names none."""

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)

_GETTERS = {
    EntityKind.order: ("get_order", "order_id"),
    EntityKind.return_: ("get_return", "return_id"),
    EntityKind.subscription: ("get_subscription", "subscription_id"),
}
_LISTS = {
    EntityKind.order: ("list_orders", "orders", "order_id"),
    EntityKind.return_: ("list_returns", "returns", "return_id"),
    EntityKind.subscription: ("list_subscriptions", "subscriptions", "subscription_id"),
}
_TOPICS = {
    EntityKind.subscription: ("subscription", "plan_", "membership", "renewal"),
    EntityKind.return_: ("return", "refund"),
    EntityKind.order: ("order", "delivery", "shipping", "shipment", "parcel", "damaged", "tracking"),
}
_NOT_ABOUT_A_RECORD = ("business",)


class ToolCaller(Protocol[S_contra]):
    """The part of a toolbox that reading needs."""

    @property
    def names(self) -> Sequence[str]:
        """The tools there are."""
        ...

    async def call(self, name: str, args: Mapping[str, Json], ctx: RunContext, scope: S_contra) -> Json | Action:
        """Return a read tool's result. Raises ToolRetry for "not found", ToolFailed when it cannot be read."""
        ...


@dataclass(frozen=True)
class ResolveTask(Generic[S]):
    """A ticket whose records are wanted; ``scope`` says whose records may be read."""

    view: TicketView
    scope: S
    triage: Triage | None = None


@dataclass(frozen=True)
class Resolution:
    """What was read, and what a strategy would do about it. ``not_found`` names records the requester does not have."""

    findings: tuple[Finding, ...] = ()
    not_found: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()


class _Stop(Exception):
    """Looking up makes no sense any more; the message says why."""


class RulesResolver(Generic[S]):
    """Looks up the records that the ticket names; lists the newest ones where its category needs one and it names none.

    It proposes no action: what to do about a record is for a person, or for a strategy with a model.
    """

    name = "rules"

    def __init__(self, tools: ToolCaller[S]) -> None:
        self._tools = tools

    async def __call__(self, task: ResolveTask[S], ctx: RunContext) -> Answer[Resolution]:
        """Return the findings; confidence is the share of named records that were found, 1 when none was named."""
        named = named_records(task.view)
        reader = _Reader(self._tools, task.scope, ctx)
        try:
            for kind, value in named[:MAX_LOOKUPS]:
                await reader.get(kind, value)
            topic = topic_of(task.triage.category if task.triage else None)
            if topic and topic not in {kind for kind, _ in named} and (topic is not EntityKind.order or not named):
                await reader.list_newest(topic, values=[value for _, value in named])
        except _Stop as exc:
            reader.reasons.append(reason("lookup_failed", str(exc)))
        return reader.answer(self.name, n_named=len(named))


def named_records(view: TicketView) -> list[tuple[EntityKind, str]]:
    """Return the kinds and ids of records named in the subject and the messages, the newest message first."""
    calm = neutral_view(view)
    texts = [calm.subject, *(turn.text for turn in reversed(calm.turns))]
    entities = [entity for text in texts for entity in find_entities(text)]
    return list(dict.fromkeys((entity.kind, entity.value) for entity in entities if entity.kind in _GETTERS))


def topic_of(category: str | None) -> EntityKind | None:
    """Return which kind of record a category is about, by the words in its id; None when about none."""
    if category is None or any(word in category for word in _NOT_ABOUT_A_RECORD):
        return None
    for kind, words in _TOPICS.items():
        if any(word in f"{category}_" for word in words):
            return kind
    return None


class _Reader(Generic[S]):
    def __init__(self, tools: ToolCaller[S], scope: S, ctx: RunContext) -> None:
        self._tools, self._scope, self._ctx = tools, scope, ctx
        self.findings: list[Finding] = []
        self.not_found: list[str] = []
        self.reasons: list[Reason] = []
        self.evidence: list[Evidence] = []

    async def get(self, kind: EntityKind, value: str) -> None:
        tool, argument = _GETTERS[kind]
        if tool not in self._tools.names:
            return
        wanted = await self._complete(kind, value) if value.isdecimal() else value
        try:
            facts = await self._call(tool, {argument: wanted})
        except ToolRetry:
            self.not_found.append(value)
            self.reasons.append(reason("record_not_found", value))
            return
        if isinstance(facts, dict):
            self.findings.append(Finding(tool=tool, subject=str(facts.get(argument) or value), facts=facts))

    async def _call(self, tool: str, args: dict[str, Json]) -> Json | Action:
        try:
            result = await self._tools.call(tool, args, self._ctx, self._scope)
        except ToolFailed as exc:
            raise self._stop(exc) from exc
        if isinstance(result, Action):
            return result
        neutral = neutral_result(tool, result)
        self.reasons += neutral.reasons
        self.evidence += neutral.evidence
        return neutral.value

    def _stop(self, exc: ToolRetry | ToolFailed) -> _Stop:
        neutral = neutral_error(exc)
        self.reasons += neutral.reasons
        self.evidence += neutral.evidence
        return _Stop(neutral.text)

    async def _complete(self, kind: EntityKind, digits: str) -> str:
        """Return the requester's own record with these digits, or the digits where there is none."""
        tool, key, id_name = _LISTS[kind]
        if tool not in self._tools.names:
            return digits
        try:
            listed: Any = await self._call(tool, {})
        except ToolRetry:
            return digits
        ids = [str(record[id_name]) for record in listed.get(key, [])]
        return next((known for known in ids if known.rpartition("-")[2] == digits), digits)

    async def list_newest(self, kind: EntityKind, *, values: Sequence[str]) -> None:
        tool, key, id_name = _LISTS[kind]
        if tool not in self._tools.names:
            return
        try:
            listed: Any = await self._call(tool, {})
        except ToolRetry as exc:
            raise self._stop(exc) from exc
        records = [record for record in listed.get(key, []) if not values or record.get("order_id") in values]
        for record in records[:MAX_LISTED]:
            self.findings.append(Finding(tool=tool, subject=str(record[id_name]), facts=record))

    def answer(self, name: str, *, n_named: int) -> Answer[Resolution]:
        found = tuple({(f.tool, f.subject): f for f in self.findings}.values())
        n_missing = len(self.not_found)
        return Answer(
            value=Resolution(found, tuple(self.not_found)),
            confidence=1.0
            if not n_named
            else round(max(0, min(n_named, MAX_LOOKUPS) - n_missing) / min(n_named, MAX_LOOKUPS), 3),
            strategy=name,
            evidence=(*(Evidence(kind="record", ref=f"{f.tool}:{f.subject}") for f in found), *self.evidence),
            reasons=tuple(dict.fromkeys(self.reasons)),
        )
