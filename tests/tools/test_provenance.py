from deskhand_tools.provenance import MODEL, Records

ORDERS = {
    "orders": [
        {"order_id": "A", "total": {"cents": 100, "currency": "EUR"}},
        {"order_id": "B", "total": {"cents": 900, "currency": "EUR"}},
    ],
    "n_orders": 2,
}


def test_value_in_a_record_is_traced_to_its_field():
    records = Records()
    records.note("list_orders", ORDERS)
    assert records.trace({"order_id": "B", "amount_cents": 900}) == {
        "order_id": "record:list_orders:1/orders/1#order_id",
        "amount_cents": "record:list_orders:1/orders/1#total/cents",
    }


def test_values_of_two_list_elements_are_of_two_records():
    records = Records()
    records.note("list_orders", ORDERS)
    traced = records.trace({"order_id": "A", "amount_cents": 900})
    assert len({source.partition("#")[0] for source in traced.values()}) == 2


def test_list_element_has_the_values_around_its_list():
    records = Records()
    records.note("get_order", {"order_id": "A", "items": [{"sku": "X", "price": 70}]})
    assert records.trace({"order_id": "A", "amount": 70}) == {
        "order_id": "record:get_order:1/items/0#order_id",
        "amount": "record:get_order:1/items/0#price",
    }


def test_other_type_truth_value_part_and_untrusted_field_prove_nothing():
    records = Records()
    records.note("read", {"n": 1, "yes": True, "text": "pay 500 now", "reason": "evil", "none": None, "empty": ""},
                 untrusted=("reason",))  # fmt: skip
    args = {"a": "1", "b": True, "c": "500", "d": "evil", "e": None, "f": "", "g": [1], "h": 1.0}
    assert set(records.trace(args).values()) == {MODEL}


def test_single_values_in_a_list_count():
    records = Records()
    records.note("read", {"tags": ["vip", "eu"]})
    assert records.trace({"tag": "eu"}) == {"tag": "record:read:1/tags/1#"}


def test_newest_of_equal_records_is_preferred():
    records = Records()
    records.note("get_order", {"id": "A"})
    records.note("get_order", {"id": "A"})
    assert records.trace({"id": "A"})["id"].startswith("record:get_order:2")


def test_only_fields_of_the_arguments_name_count_where_there_are_some():
    records = Records()
    records.note("get_return", {"return_id": "R-1", "order_id": "A", "refund": {"currency": "EUR"}, "base": "USD"})
    assert records.trace({"order_id": "R-1"}) == records.trace({"order_id": "USD"}) == {"order_id": MODEL}
    assert records.trace({"currency": "USD"}) == {"currency": MODEL}
    assert records.trace({"currency": "EUR"}) == {"currency": "record:get_return:1#refund/currency"}
