"""What the order database holds, row by row, as agents see it: no e-mail address, no phone number."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator

from deskhand.schema import Model
from deskhand_tools.money import Money, money

TABLES = {
    "customers": "id name email phone country language created_at",
    "orders": "id customer_id placed_at status currency total_cents shipping_cents country carrier tracking_number"
    " shipped_at estimated_delivery delivered_at",
    "order_items": "order_id sku product quantity unit_price_cents",
    "returns": "id order_id reason status requested_at received_at refund_cents refunded_at",
    "subscriptions": "id customer_id plan status started_at next_shipment_at price_cents currency",
}
"""The tables that must be there, with their columns."""


def _iso(text: str) -> str:
    """Return a date or a moment in ISO 8601. Raises ValueError for anything else."""
    if len(text) == len("2026-01-31"):
        return date.fromisoformat(text).isoformat()
    return datetime.fromisoformat(text).isoformat()


IsoTime = Annotated[str, AfterValidator(_iso)]


class Item(Model):
    """One line of an order."""

    sku: str
    product: str
    quantity: int
    unit_price: Money


class Order(Model):
    """An order; ``items`` is empty in a list of orders."""

    order_id: str
    status: str
    placed_at: IsoTime
    total: Money
    shipping: Money | None
    country: str | None
    carrier: str | None
    tracking_number: str | None
    shipped_at: IsoTime | None
    estimated_delivery: IsoTime | None
    delivered_at: IsoTime | None
    items: tuple[Item, ...] = ()


class Return(Model):
    """Goods sent back. ``reason`` is what the customer gave."""

    return_id: str
    order_id: str
    status: str
    reason: str | None
    requested_at: IsoTime
    received_at: IsoTime | None
    refund: Money | None
    refunded_at: IsoTime | None


class Subscription(Model):
    """A recurring order."""

    subscription_id: str
    plan: str
    status: str
    started_at: IsoTime
    next_shipment_at: IsoTime | None
    price: Money


class Customer(Model):
    """The requester as the shop knows them."""

    customer_id: str
    name: str | None
    country: str | None
    language: str | None
    customer_since: IsoTime | None


def _money(cents: object, currency: object) -> Money:
    # SQLite keeps any type in any column, and an amount that is no whole number must not be shown as one
    if not isinstance(cents, int) or not isinstance(currency, str):
        raise ValueError(f"the amount {cents!r} {currency!r} is not a whole number of cents and a currency")
    return money(cents, currency)


def build_item(row: sqlite3.Row, currency: object) -> Item:
    """Return a row of ``order_items``. Raises ValueError for values of a wrong type, as all functions here."""
    price = _money(row["unit_price_cents"], currency)
    return Item(sku=row["sku"], product=row["product"], quantity=row["quantity"], unit_price=price)


def build_order(row: sqlite3.Row, items: Sequence[sqlite3.Row] = ()) -> Order:
    """Return a row of ``orders`` with its items."""
    shipping = row["shipping_cents"]
    return Order(
        order_id=row["id"],
        status=row["status"],
        placed_at=row["placed_at"],
        total=_money(row["total_cents"], row["currency"]),
        shipping=None if shipping is None else _money(shipping, row["currency"]),
        country=row["country"],
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        shipped_at=row["shipped_at"],
        estimated_delivery=row["estimated_delivery"],
        delivered_at=row["delivered_at"],
        items=tuple(build_item(item, row["currency"]) for item in items),
    )


def build_return(row: sqlite3.Row) -> Return:
    """Return a row of ``returns`` joined with the currency of its order."""
    refund = row["refund_cents"]
    return Return(
        return_id=row["id"],
        order_id=row["order_id"],
        status=row["status"],
        reason=row["reason"],
        requested_at=row["requested_at"],
        received_at=row["received_at"],
        refund=None if refund is None else _money(refund, row["currency"]),
        refunded_at=row["refunded_at"],
    )


def build_subscription(row: sqlite3.Row) -> Subscription:
    """Return a row of ``subscriptions``."""
    return Subscription(
        subscription_id=row["id"],
        plan=row["plan"],
        status=row["status"],
        started_at=row["started_at"],
        next_shipment_at=row["next_shipment_at"],
        price=_money(row["price_cents"], row["currency"]),
    )


def build_customer(row: sqlite3.Row) -> Customer:
    """Return a row of ``customers`` without its addresses."""
    return Customer(
        customer_id=row["id"],
        name=row["name"],
        country=row["country"],
        language=row["language"],
        customer_since=row["created_at"],
    )
