"""What tools return, and say of their failures, without texts that give orders to the agent, links and markup.

A shop's records hold what others wrote: names of products, notes, the reason of a return. They are searched as a
ticket is. A text that carries an order is left out whole, because a record without one of its names is still true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from deskhand.answers import Evidence, Reason
from deskhand.errors import ToolFailed, ToolRetry
from deskhand.schema import Json
from deskhand_agents.injection import Injection, weigh_text
from deskhand_agents.links import has_markup
from deskhand_agents.reasons import reason

_LINK_FIELDS = ("url", "uri", "link")
"""How names of fields end that are there for an address; no reply repeats them."""

_NO_SENTENCE = re.compile(r"[\w.:+-]{0,32}|.{0,11}")
"""Ids, times, amounts, single words: read together with the others only, which spares a third of the time."""


class NeutralResult(NamedTuple):
    """What is left of a tool's result, and why something is missing, for the answer that rests on it."""

    value: Json
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def neutral_result(tool: str, result: Json) -> NeutralResult:
    """Return ``result`` with "" for each text that carries an order, a link or markup; equal when there is none.

    An entry whose name carries one is dropped. When only all texts together make an order, nothing is left: "",
    an empty list or an empty dict.

    Args:
        tool: The tool that returned it, for people to find it again.
        result: Masked, as toolboxes return it.
    """
    reading = _Reading()
    value = reading.read(result, "")
    together = weigh_text(" ".join(reading.harmless))
    if together.signs:
        reading.orders["all texts together"] = together
        value = type(value)() if isinstance(value, (str, list, dict)) else value
    reasons = [reason("injection", f"{tool}: {at}: {', '.join(found.signs)}") for at, found in reading.orders.items()]
    reasons += [reason("foreign_link", f"{tool}: {at}") for at in reading.links]
    return NeutralResult(value, tuple(reasons), tuple(map(_flag, reading.orders.values())))


class NeutralError(NamedTuple):
    """What a model or a reviewer may read of a tool's error, and the orders that it carried."""

    text: str
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def neutral_error(exc: ToolRetry | ToolFailed) -> NeutralError:
    """Return what a tool said of its failure; the bare fact when that carries an order, a link or markup.

    A tool repeats what others wrote: "order not found: ...", or the answer of another system. A link alone is no
    reason to look: every failed connection names a host.
    """
    said = str(exc).removeprefix(f"{exc.tool_name}: ")  # names of tools are a sign of orders, this one is its own
    found = neutral_result(exc.tool_name, {"error": said})
    reasons = tuple(why for why in found.reasons if why.code == "injection")
    if said and found.value == {"error": said}:
        return NeutralError(str(exc))
    text = f"{exc.tool_name}: failed, and what it said was left out; go on without it"
    return NeutralError(text, reasons, found.evidence)


def _flag(found: Injection) -> Evidence:
    return Evidence(kind="flag", ref="injection", text=", ".join(found.signs), score=found.confidence)


@dataclass
class _Reading:
    """A walk through a result: the texts that may stay, and where others stood."""

    harmless: list[str] = field(default_factory=list)
    orders: dict[str, Injection] = field(default_factory=dict)
    links: dict[str, None] = field(default_factory=dict)

    def read(self, value: Json, place: str) -> Json:
        """Return ``value`` without what is not harmless; ``place`` is where it stands, such as "items.product"."""
        if isinstance(value, str):
            if not self._is_harmless(value, place):
                return ""
            self.harmless.append(value)
            return value
        if isinstance(value, list):
            return [self.read(item, place) for item in value]
        if isinstance(value, dict):
            inside = f"{place}." if place else ""
            names = [name for name in value if self._is_harmless(name, f"{inside}*")]
            return {name: self.read(value[name], f"{inside}{name}") for name in names}
        return value

    def _is_harmless(self, text: str, place: str) -> bool:
        found = None if _NO_SENTENCE.fullmatch(text) else weigh_text(text)
        if found and found.signs:
            self.orders[place] = found
        elif has_markup(text) and not place.endswith(_LINK_FIELDS):
            self.links[place] = None
        else:
            return True
        return False
