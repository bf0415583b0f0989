import asyncio
import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from deskhand.errors import ConfigError, ToolFailed, ToolRetry
from deskhand.tickets import Requester
from deskhand_tools import ORDER_TOOL_NAMES, order_tools
from deskhand_tools.money import money


def read(path, scope, name, **args):
    tool = next(tool for tool in order_tools(path) if tool.name == name)
    return asyncio.run(tool.run(tool.args.model_validate(args), scope))


def change(path, sql, *values):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql, values)


def as_requester(scope, **fields):
    return replace(scope, requester=Requester(id="R", **fields))


def test_tools_have_the_names_that_the_policy_knows(orders_db):
    assert tuple(tool.name for tool in order_tools(orders_db)) == ORDER_TOOL_NAMES


def test_order_comes_with_money_dates_and_items(orders_db, scope):
    order = read(orders_db, scope, "get_order", order_id="HF-1")
    assert order["total"] == {"cents": 12900, "currency": "EUR", "text": "EUR 129.00"}
    assert order["shipping"]["text"] == "EUR 4.90"
    assert order["placed_at"] == "2026-11-01T09:00:00+00:00"
    assert (order["estimated_delivery"], order["delivered_at"]) == ("2026-11-05", None)
    assert [(item["sku"], item["quantity"], item["unit_price"]["cents"]) for item in order["items"]] == [
        ("LAMP", 2, 6000),
        ("BULB", 1, 900),
    ]


def test_small_letters_and_blanks_around_an_id_are_forgiven(orders_db, scope):
    assert read(orders_db, scope, "get_order", order_id=" hf-1 ")["order_id"] == "HF-1"


def test_lists_hold_only_this_customers_records_newest_first(orders_db, scope):
    listed = read(orders_db, scope, "list_orders")
    assert ([order["order_id"] for order in listed["orders"]], listed["n_orders"]) == (["HF-2", "HF-1"], 2)
    assert "items" not in listed["orders"][0]
    assert [order["order_id"] for order in read(orders_db, scope, "list_orders", limit=1)["orders"]] == ["HF-2"]
    assert [item["return_id"] for item in read(orders_db, scope, "list_returns")["returns"]] == ["RMA-1"]
    subscriptions = read(orders_db, scope, "list_subscriptions")["subscriptions"]
    assert [item["subscription_id"] for item in subscriptions] == ["SUB-1"]


def test_single_return_subscription_and_customer(orders_db, scope):
    assert read(orders_db, scope, "get_return", return_id="RMA-1")["refund"]["text"] == "EUR 60.00"
    assert read(orders_db, scope, "get_subscription", subscription_id="SUB-1")["price"]["text"] == "EUR 26.90"
    assert read(orders_db, scope, "get_customer") == {
        "customer_id": "C-1",
        "name": "Ann Lee",
        "country": "DE",
        "language": "de",
        "customer_since": "2025-01-02T10:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("name", "argument", "of_other", "missing"),
    [
        ("get_order", "order_id", "HF-9", "HF-8"),
        ("get_return", "return_id", "RMA-9", "RMA-8"),
        ("get_subscription", "subscription_id", "SUB-9", "SUB-8"),
    ],
)
def test_record_of_another_customer_answers_like_a_missing_one(orders_db, scope, name, argument, of_other, missing):
    with pytest.raises(ToolRetry) as other:
        read(orders_db, scope, name, **{argument: of_other})
    with pytest.raises(ToolRetry) as none:
        read(orders_db, scope, name, **{argument: missing})
    assert str(other.value).replace(of_other, "?") == str(none.value).replace(missing, "?")
    assert "not found in this customer's" in str(none.value)


@pytest.mark.parametrize("name", ORDER_TOOL_NAMES)
@pytest.mark.parametrize(
    "fields", [{"email": "ann@example.com"}, {"is_verified": True}, {"email": "", "is_verified": True}]
)
def test_requester_who_is_not_verified_sees_nothing(orders_db, scope, name, fields):
    args = {"order_id": "HF-1"} if name == "get_order" else {}
    args |= {"return_id": "RMA-1"} if name == "get_return" else {}
    args |= {"subscription_id": "SUB-1"} if name == "get_subscription" else {}
    with pytest.raises(ToolFailed, match="not verified"):
        read(orders_db, as_requester(scope, **fields), name, **args)


@pytest.mark.parametrize(
    "email", ["nobody@example.com", "%", "ann@example.co_", "' OR 1=1 --", "ann@example.com\0", "ann@example.com "]
)
def test_address_that_is_no_customers_finds_nothing(orders_db, scope, email):
    stranger = as_requester(scope, email=email, is_verified=True)
    assert read(orders_db, stranger, "list_orders") == {"orders": [], "n_orders": 0}
    assert read(orders_db, stranger, "list_returns") == {"returns": []}
    with pytest.raises(ToolRetry, match="not found"):
        read(orders_db, stranger, "get_order", order_id="HF-1")
    with pytest.raises(ToolFailed, match="no customer"):
        read(orders_db, stranger, "get_customer")


def test_address_of_two_customers_finds_nothing(orders_db, scope):
    change(orders_db, "INSERT INTO customers(id, email) VALUES('C-3', 'ANN@example.com')")
    assert read(orders_db, scope, "list_orders")["orders"] == []


def test_order_without_a_customer_is_nobodys(orders_db, scope):
    change(orders_db, "INSERT INTO orders SELECT 'HF-0', '', placed_at, status, currency, 1, 1, '', '', '', NULL, NULL,"
           " NULL FROM orders WHERE id = 'HF-1'")  # fmt: skip
    stranger = as_requester(scope, email="nobody@example.com", is_verified=True)
    with pytest.raises(ToolRetry):
        read(orders_db, stranger, "get_order", order_id="HF-0")


@pytest.mark.parametrize(
    "record_id",
    [
        "HF-9' OR '1'='1",
        "x'; DROP TABLE orders; --",
        "%",
        "HF-_",
        "*",
        "\x00HF-9",
        "HF-9\x00",
        "🛒",
        "\uff28\uff26-9",
        "../HF-9",
    ],
)
def test_hostile_id_is_just_not_found(orders_db, scope, record_id):
    with pytest.raises(ToolRetry, match="not found"):
        read(orders_db, scope, "get_order", order_id=record_id)
    assert read(orders_db, scope, "list_orders")["n_orders"] == 2


def test_database_cannot_be_written_through_the_tools(orders_db):
    from deskhand_tools.orders import _connected

    with _connected(orders_db) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM orders")


def test_no_address_leaves_the_database(orders_db, scope):
    for name, args in [("get_customer", {}), ("list_orders", {}), ("get_order", {"order_id": "HF-1"})]:
        text = str(read(orders_db, scope, name, **args)).lower()
        assert "@" not in text
        assert "+49" not in text


def test_path_with_signs_of_a_uri_is_opened(orders_db, tmp_path, scope):
    odd = tmp_path / "a?mode=rwc#%20 ü.db"
    orders_db.rename(odd)
    assert read(odd, scope, "list_orders")["n_orders"] == 2


def test_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="no file"):
        order_tools(tmp_path / "none.db")
    with pytest.raises(ConfigError, match="no file"):
        order_tools(tmp_path)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    "content", [b"not a database, certainly not one" * 40, os.urandom(4096), b"SQLite format 3\0" + b"x" * 500]
)
def test_corrupt_file_is_a_config_error(tmp_path, content):
    path = tmp_path / "orders.db"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read as an SQLite database"):
        order_tools(path)


def test_empty_database_names_the_missing_table(tmp_path):
    (tmp_path / "orders.db").touch()
    with pytest.raises(ConfigError, match="no table 'customers'"):
        order_tools(tmp_path / "orders.db")


def test_missing_column_is_named(orders_db):
    change(orders_db, "ALTER TABLE returns DROP COLUMN refunded_at")
    with pytest.raises(ConfigError, match="table 'returns' has no column 'refunded_at'"):
        order_tools(orders_db)


@pytest.mark.parametrize("cents", ["12,90", 12.5, None, b"\x01"])
def test_amount_that_is_no_whole_number_fails_instead_of_being_shown(orders_db, scope, cents):
    change(orders_db, "UPDATE orders SET total_cents = ? WHERE id = 'HF-1'", cents)
    with pytest.raises(ToolFailed, match="wrong type"):
        read(orders_db, scope, "get_order", order_id="HF-1")


def test_date_that_is_none_fails_without_showing_the_row(orders_db, scope):
    change(orders_db, "UPDATE orders SET placed_at = 'last week, ask bob@example.com' WHERE id = 'HF-1'")
    with pytest.raises(ToolFailed, match="wrong type") as caught:
        read(orders_db, scope, "get_order", order_id="HF-1")
    assert "bob" not in str(caught.value)


def test_database_that_vanishes_is_a_failed_call(orders_db, scope):
    tool = order_tools(orders_db)[0]
    orders_db.unlink()
    with pytest.raises(ToolFailed, match="cannot be read"):
        asyncio.run(tool.run(tool.args(order_id="HF-1"), scope))


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [
        (12900, "EUR", "EUR 129.00"),
        (5, "USD", "USD 0.05"),
        (0, "GBP", "GBP 0.00"),
        (-12905, "EUR", "EUR -129.05"),
        (1290, "JPY", "JPY 1290"),
        (1290, "KWD", "KWD 1.290"),
    ],
)
def test_money_is_shown_with_the_digits_of_its_currency(cents, currency, text):
    assert money(cents, currency).text == text
