"""What the order database holds, row by row, as agents see it: no e-mail address, no phone number."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, TypeVar

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


def _price(row: sqlite3.Row, column: str, currency: object) -> Money | None:
    cents = row[column]
    if cents is None:
        return None
    # SQLite keeps any type in any column, and an amount that is no whole number must not be shown as one
    if not isinstance(cents, int) or not isinstance(currency, str):
        raise ValueError(f"the amount {cents!r} {currency!r} is not a whole number of cents and a currency")
    return money(cents, currency)


_Record = TypeVar("_Record", bound=Model)


def _build(kind: type[_Record], row: sqlite3.Row, **others: object) -> _Record:
    """Return a record of ``others`` and, for each further field, of the column with its name."""
    columns = {name: row[name] for name in kind.model_fields if name not in others}
    return kind.model_validate(columns | others)


def build_item(row: sqlite3.Row, currency: object) -> Item:
    """Return a row of ``order_items``. Raises ValueError for values of a wrong type, as all functions here."""
    return _build(Item, row, unit_price=_price(row, "unit_price_cents", currency))


def build_order(row: sqlite3.Row, items: Sequence[sqlite3.Row] = ()) -> Order:
    """Return a row of ``orders`` with its items."""
    currency = row["currency"]
    return _build(
        Order,
        row,
        order_id=row["id"],
        total=_price(row, "total_cents", currency),
        shipping=_price(row, "shipping_cents", currency),
        items=tuple(build_item(item, currency) for item in items),
    )


def build_return(row: sqlite3.Row) -> Return:
    """Return a row of ``returns`` joined with the currency of its order."""
    return _build(Return, row, return_id=row["id"], refund=_price(row, "refund_cents", row["currency"]))


def build_subscription(row: sqlite3.Row) -> Subscription:
    """Return a row of ``subscriptions``."""
    price = _price(row, "price_cents", row["currency"])
    return _build(Subscription, row, subscription_id=row["id"], price=price)


def build_customer(row: sqlite3.Row) -> Customer:
    """Return a row of ``customers`` without its addresses."""
    return _build(Customer, row, customer_id=row["id"], customer_since=row["created_at"])
