"""Read tools over an order database, each within the records of one verified customer.

A look-up of somebody else's record answers exactly like one of a record that does not exist.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import quote

from pydantic import BaseModel, Field

from deskhand.actions import Effect
from deskhand.errors import ConfigError, ToolFailed, ToolRetry
from deskhand.schema import Json, Model
from deskhand.tickets import Requester
from deskhand_tools.order_records import (
    TABLES,
    build_customer,
    build_order,
    build_return,
    build_subscription,
)
from deskhand_tools.tool import Scope, Tool

ORDER_TOOL_NAMES = (
    "get_order", "list_orders", "get_return", "list_returns", "get_subscription", "list_subscriptions", "get_customer"
)  # fmt: skip
MAX_ROWS = 50
"""Most records in one list."""

_BUSY_TIMEOUT_S = 2.0
_RETURNS = "SELECT r.*, o.currency FROM returns r JOIN orders o ON o.id = r.order_id WHERE o.customer_id = ?"
_UNTRUSTED = ("name", "reason")  # what customers write themselves


class NoArguments(Model):
    """Arguments of a tool that needs none."""


class ListOrders(Model):
    """Arguments of ``list_orders``."""

    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="how many, newest first")] = 10


_RecordId = Annotated[str, Field(min_length=1, max_length=100)]


class OrderId(Model):
    """Arguments of ``get_order``."""

    order_id: _RecordId


class ReturnId(Model):
    """Arguments of ``get_return``."""

    return_id: _RecordId


class SubscriptionId(Model):
    """Arguments of ``get_subscription``."""

    subscription_id: _RecordId


def order_tools(path: Path) -> tuple[Tool, ...]:
    """Return the read tools over the order database at ``path``, which is opened read-only for every call.

    Raises:
        ConfigError: The file is missing, is no SQLite database, or lacks a table or a column.
    """
    _check_schema(path)
    return tuple(_tool(path, entry) for entry in _ENTRIES)


@dataclass(frozen=True)
class _Entry:
    name: str
    description: str
    args: type[BaseModel]
    look_up: Callable[[sqlite3.Connection, str | None, Any], Json]


def _tool(path: Path, entry: _Entry) -> Tool:
    def look_up(args: BaseModel, requester: Requester) -> Json:
        if not requester.is_verified or not requester.email:
            raise ToolFailed(
                f"{entry.name}: the requester is not verified, so no records are shown; ask them to write from the"
                " address of their account",
                tool_name=entry.name,
            )
        with _connected(path) as connection:
            return entry.look_up(connection, _customer_id(connection, requester.email), args)

    async def run(args: BaseModel, scope: Scope) -> Json:
        try:
            return await asyncio.to_thread(look_up, args, scope.requester)
        except sqlite3.Error as exc:
            raise ToolFailed(
                f"{entry.name}: the order database cannot be read ({exc}); go on without it", tool_name=entry.name
            ) from exc
        except ValueError as exc:  # a ValidationError would show the values of the row
            raise ToolFailed(
                f"{entry.name}: the order database holds a value of a wrong type; have a person look at the record",
                tool_name=entry.name,
            ) from exc

    return Tool(entry.name, entry.description, Effect.read, entry.args, run, untrusted=_UNTRUSTED)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def _check_schema(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"orders.database: no file {path}; correct the name in deskhand.toml or remove the key")
    try:
        with _connected(path) as connection:
            found = {table: _columns(connection, table) for table in TABLES}
    except sqlite3.Error as exc:
        raise ConfigError(
            f"orders.database: {path} cannot be read as an SQLite database ({exc}); restore it or name another file"
        ) from exc
    for table, columns in TABLES.items():
        if not found[table]:
            raise ConfigError(f"orders.database: {path} has no table {table!r}; add it, a view will do")
        missing = [column for column in columns.split() if column not in found[table]]
        if missing:
            raise ConfigError(f"orders.database: {path}: table {table!r} has no column {missing[0]!r}; add it")


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _customer_id(connection: sqlite3.Connection, email: str) -> str | None:
    """Return the customer with this address, case aside; None, which no record equals, when there is not just one."""
    rows = connection.execute("SELECT id FROM customers WHERE email = ? COLLATE NOCASE LIMIT 2", (email,)).fetchall()
    return cast("str | None", rows[0]["id"]) if len(rows) == 1 else None


def _one(connection: sqlite3.Connection, kind: str, sql: str, record_id: str, customer_id: str | None) -> sqlite3.Row:
    """Return the record of this id, which people may have typed in small letters. Raises ToolRetry."""
    for written in dict.fromkeys((record_id, record_id.strip().upper())):
        row = connection.execute(sql, (customer_id, written)).fetchone()
        if row is not None:
            return cast("sqlite3.Row", row)
    raise ToolRetry(f"{kind} {record_id!r}: not found in this customer's {kind}s", tool_name=f"get_{kind}")


def _json(record: Model) -> Json:
    return cast("Json", record.model_dump(mode="json"))


def _get_order(connection: sqlite3.Connection, customer_id: str | None, args: OrderId) -> Json:
    row = _one(connection, "order", "SELECT * FROM orders WHERE customer_id = ? AND id = ?", args.order_id, customer_id)
    items = connection.execute("SELECT * FROM order_items WHERE order_id = ? ORDER BY rowid", (row["id"],)).fetchall()
    return _json(build_order(row, items))


def _list_orders(connection: sqlite3.Connection, customer_id: str | None, args: ListOrders) -> Json:
    sql = "SELECT * FROM orders WHERE customer_id = ? ORDER BY placed_at DESC, id DESC LIMIT ?"
    orders = [build_order(row) for row in connection.execute(sql, (customer_id, args.limit))]
    total = connection.execute("SELECT count(*) FROM orders WHERE customer_id = ?", (customer_id,)).fetchone()[0]
    return {"orders": [_without_items(order) for order in orders], "n_orders": total}


def _without_items(order: Model) -> Json:
    return cast("Json", order.model_dump(mode="json", exclude={"items"}))


def _get_return(connection: sqlite3.Connection, customer_id: str | None, args: ReturnId) -> Json:
    return _json(build_return(_one(connection, "return", f"{_RETURNS} AND r.id = ?", args.return_id, customer_id)))


def _list_returns(connection: sqlite3.Connection, customer_id: str | None, args: NoArguments) -> Json:
    rows = connection.execute(f"{_RETURNS} ORDER BY r.requested_at DESC, r.id DESC LIMIT {MAX_ROWS}", (customer_id,))
    return {"returns": [_json(build_return(row)) for row in rows]}


def _get_subscription(connection: sqlite3.Connection, customer_id: str | None, args: SubscriptionId) -> Json:
    sql = "SELECT * FROM subscriptions WHERE customer_id = ? AND id = ?"
    return _json(build_subscription(_one(connection, "subscription", sql, args.subscription_id, customer_id)))


def _list_subscriptions(connection: sqlite3.Connection, customer_id: str | None, args: NoArguments) -> Json:
    sql = f"SELECT * FROM subscriptions WHERE customer_id = ? ORDER BY started_at DESC, id DESC LIMIT {MAX_ROWS}"  # noqa: S608 - a number of ours
    return {"subscriptions": [_json(build_subscription(row)) for row in connection.execute(sql, (customer_id,))]}


def _get_customer(connection: sqlite3.Connection, customer_id: str | None, args: NoArguments) -> Json:
    row = connection.execute("SELECT * FROM customers WHERE id = ?", (customer_id,)).fetchone()
    if row is None:
        raise ToolFailed(
            "get_customer: the requester's address belongs to no customer; ask for the address of the account",
            tool_name="get_customer",
        )
    return _json(build_customer(row))


_ENTRIES = (
    _Entry("get_order", "Return one order of this customer with its items and delivery.", OrderId, _get_order),
    _Entry("list_orders", "Return this customer's newest orders, without items.", ListOrders, _list_orders),
    _Entry("get_return", "Return one return (RMA) of this customer.", ReturnId, _get_return),
    _Entry("list_returns", "Return this customer's returns, newest first.", NoArguments, _list_returns),
    _Entry("get_subscription", "Return one subscription of this customer.", SubscriptionId, _get_subscription),
    _Entry("list_subscriptions", "Return this customer's subscriptions.", NoArguments, _list_subscriptions),
    _Entry("get_customer", "Return the customer's country, language and since when.", NoArguments, _get_customer),
)
