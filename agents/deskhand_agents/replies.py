"""The sentences that replies are put together from, besides quotes and records; English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from deskhand.answers import Finding
from deskhand.config import Brand

THANKS = "Thank you for your message."
OPEN_QUESTION = "I do not have a confirmed answer to this yet: “{question}”"
PARTLY = "I do not have a confirmed answer to everything you asked yet."
HANDED_ON = "I have passed it to a colleague who can check it."
ASK_ORDER = "Could you send us your order number?"
NOT_FOUND = "I could not find {ids} under your account."
ASK_ID = "Could you check the number for us?"
ASK_COUNTRY = "Which country do you live in?"
NEXT_STEP = "If anything is unclear, just reply to this message."
HOLDING = "I want to give you a correct answer, and I could not find one in our articles."

OWN = tuple(
    re.compile(re.escape(text).replace(r"\{question\}", ".*").replace(r"\{ids\}", ".*"), re.DOTALL)
    for text in (
        THANKS,
        OPEN_QUESTION,
        PARTLY,
        HANDED_ON,
        ASK_ORDER,
        NOT_FOUND,
        ASK_ID,
        ASK_COUNTRY,
        NEXT_STEP,
        HOLDING,
    )
)
"""Sentences of ours that state no fact."""

LANGUAGES = frozenset({"en"})
"""Languages in which replies can be put together."""


def greet(brand: Brand, name: str, language: str) -> str:
    """Return the greeting for a customer by first name; the nameless one when the name is unknown or no name."""
    first = name.split()[0] if name.split() else ""
    if re.fullmatch(r"[^\W\d_][\w'\u2019-]{0,29}\.?", first) and "@" not in name:
        greeting = brand.greetings.get(language) or brand.greetings.get("en", "Hello {name},")
        return greeting.format(name=first)
    return brand.nameless_greetings.get(language) or brand.nameless_greetings.get("en", "Hello,")


def state_record(finding: Finding) -> str:
    """Return one plain sentence about a record of ours; "" when the kind of record is unknown."""
    facts = finding.facts
    if "subscription_id" in facts:
        return _sentence(
            f"Your plan {facts['subscription_id']}"
            + _with(" ({})", facts.get("plan"))
            + f" has the status {_plain(facts.get('status'))}",
            _with("the next box is due on {}", _day(facts.get("next_shipment_at"))),
            _with("its price is {}", _money(facts.get("price"))),
        )
    if "return_id" in facts:
        return _sentence(
            f"Return {facts['return_id']}"
            + _with(" for order {}", facts.get("order_id"))
            + f" has the status {_plain(facts.get('status'))}",
            _with("it reached us on {}", _day(facts.get("received_at"))),
            _with("the refund is {}", _money(facts.get("refund"))),
            _with("it was paid out on {}", _day(facts.get("refunded_at"))),
        )
    if "order_id" in facts:
        return _sentence(
            f"Order {facts['order_id']}"
            + _with(" of {}", _day(facts.get("placed_at")))
            + _with(" ({})", _content(facts))
            + f" has the status {_plain(facts.get('status'))}",
            _with("it was sent on {}", _day(facts.get("shipped_at")))
            + _with(" with {}", facts.get("carrier") if facts.get("shipped_at") else None),
            _with("the tracking number is {}", facts.get("tracking_number")),
            _with("it was delivered on {}", _day(facts.get("delivered_at")))
            or _with("delivery was expected by {}", _day(facts.get("estimated_delivery"))),
        )
    return ""


def _content(facts: Mapping[str, Any]) -> str:
    """Return ``2 x Basil pods, Shelf, EUR 218.00 in all``."""
    total = _money(facts.get("total"))
    return ", ".join([*map(_item, facts.get("items") or ()), *([f"{total} in all"] if total else [])])


def _item(item: Mapping[str, Any]) -> str:
    """Return ``2 x Basil pods``; one whose name was left out by its number, or as "product"."""
    quantity = item.get("quantity")
    name = item.get("product") or item.get("sku") or "product"
    return _with("{} x ", quantity if quantity != 1 else None) + str(name)


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part) + "."


def _with(template: str, value: object) -> str:
    return template.format(value) if value else ""


def _plain(value: object) -> str:
    return str(value or "unknown").replace("_", " ")


def _day(value: object) -> str:
    """Return ``2026-11-20T...`` as ``20 November 2026``; "" when there is none."""
    try:
        day = date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return ""
    return f"{day.day} {day:%B} {day.year}" if day else ""


def _money(value: Any) -> str:
    return str(value.get("text", "")) if isinstance(value, Mapping) else ""
