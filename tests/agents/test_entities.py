"""What a ticket names."""

from __future__ import annotations

import pytest

from deskhand_agents.entities import EntityKind, find_amounts, find_dates, find_entities, values_of


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("my order HF-204817 is late", "order", "HF-204817"),
        ("order hf-204817", "order", "HF-204817"),
        ("Order number: 100234 please", "order", "100234"),
        ("Bestellung Nr. 55512", "order", "55512"),
        ("RMA-30441", "return", "RMA-30441"),
        ("SUB-50647", "subscription", "SUB-50647"),
        ("customer C-10488", "customer", "C-10488"),
        ("serial SH25-01893", "serial", "SH25-01893"),
        ("JJD00039165119385293", "tracking", "JJD00039165119385293"),
        ("it says E07 again", "error_code", "E07"),
        ("write to [EMAIL_1]", "personal", "[EMAIL_1]"),
        ("my two Shelfs", "product", "shelf"),
    ],
)
def test_thing_is_found_typed_and_normalised(text, kind, value):
    found = find_entities(text, products=["Shelf", "Nook"])
    assert values_of(found, EntityKind(kind)) == [value]


@pytest.mark.parametrize("text", ["INV-20231", "HF-SP-PMP-S", "a 4-5 day wait", "E-mail me", "2026-11-20", "SKU-1234"])
def test_look_alike_is_no_record(text):
    records = (EntityKind.order, EntityKind.return_, EntityKind.subscription)
    assert not [entity for entity in find_entities(text) if entity.kind in records]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("EUR 129.00", "EUR 129.00"),
        ("£35.20", "GBP 35.20"),
        ("117,50 €", "EUR 117.50"),
        ("29 euro", "EUR 29.00"),
        ("$1,049.5", "USD 1049.50"),
        ("1.049,00 EUR", "EUR 1049.00"),
        ("4 519 kr", "NOK 4519.00"),
    ],
)
def test_amount_is_normalised(text, value):
    assert [entity.value for entity in find_amounts(f"I paid {text} for it")] == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-20", "2026-11-20"),
        ("20 November 2026", "2026-11-20"),
        ("the 3rd of March", "--03-03"),
        ("Nov 20, 2026", "2026-11-20"),
        ("29 February", "--02-29"),
    ],
)
def test_date_is_normalised(text, value):
    assert [entity.value for entity in find_dates(f"since {text} it is off")] == [value]


def test_impossible_date_is_none():
    assert find_dates("31 February 2026") == []


def test_equal_things_are_named_once():
    assert len(find_entities("HF-204817 and HF-204817")) == 1


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("RMA 30477", "return", "RMA-30477"),
        ("rma30477", "return", "RMA-30477"),
        ("return number 30477", "return", "30477"),
        ("hf204817", "order", "HF-204817"),
        ("HF - 204817", "order", "HF-204817"),
        ("my order (204817)", "order", "204817"),
        ("plan 50837", "subscription", "50837"),
        ("SUB 50837", "subscription", "SUB-50837"),
        ("commande n° 204817", "order", "204817"),
    ],
)
def test_record_written_loosely_is_found_once(text, kind, value):
    assert [(entity.kind.value, entity.value) for entity in find_entities(text)] == [(kind, value)]


def test_two_orders_after_one_word_are_two():
    assert values_of(find_entities("orders 204817 and 204818"), EntityKind.order) == ["204817", "204818"]


@pytest.mark.parametrize("text", ["my order from 2026", "in 204817 cases", "an order of 12 pods", "plan 2026"])
def test_number_that_is_no_record_is_left(text):
    assert find_entities(text) == ()
