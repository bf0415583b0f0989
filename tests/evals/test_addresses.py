from __future__ import annotations

import pytest
from growth import grows_linearly

from deskhand.testing import build_ticket
from deskhand_evals.addresses import replace_addresses
from deskhand_evals.masking import CaseMask


def masked(text: str) -> str:
    return replace_addresses(text, lambda found: "<>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ship it to 12 High Street, Leeds LS1 4DY please.", "Ship it to <> please."),
        ("I live at 12 high street.\nThanks\nAnn", "I live at <>.\nThanks\nAnn"),
        ("to Flat 3, 221B Baker Street, London NW1 6XE now", "to <> now"),
        ("123 Main St., Springfield, IL 62704", "<>"),
        ("4 Rosewood Gardens, Bristol BS1 5TR", "<>"),
        ("Hauptstraße 12, 10115 Berlin", "<>"),
        ("Musterweg 5a\n80331 München\nDanke", "<>\nDanke"),
        ("Lange Straße 7-9 bitte", "<> bitte"),
        ("12 rue de l'Église, 75002 Paris", "<>"),
        ("Via Roma 12, 00184 Roma", "<>"),
        ("Keizersgracht 123, 1015 CJ Amsterdam", "<>"),
        ("Storgatan 5, 111 22 Stockholm", "<>"),
        ("Calle Mayor 10, 28013 Madrid", "<>"),
        ("P.O. Box 123, Dublin", "<>"),
        ("my postcode is LS1 4DY ok", "my postcode is <> ok"),
    ],
)
def test_an_address_is_replaced_whole(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2 Herb Gardens arrived broken",
        "3 plants on the way",
        "within 14 days via DHL 2 boxes",
        "Order HF-204817 from 12.10.2026 cost EUR 6.90",
        "the pump runs at 30 Watt Drive mode",
        "2 Way valves, please",
        "I live in Leeds, in the High Street",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "text", ["1 Aa " * 20_000, "12 " + "Abcdef " * 20_000, "1 Main Street, " * 8_000, "A" * 50_000]
)
def test_long_texts_take_time_in_proportion(text: str) -> None:
    assert grows_linearly(masked, text)


def test_a_case_has_one_surrogate_for_an_address_and_none_of_the_fields() -> None:
    text = "Send it to 12 High Street, Leeds LS1 4DY. Again: 12 high street, Leeds LS1 4DY"
    fields = {"shipping_address": "the old mill", "size": "L"}
    ticket = build_ticket(text).model_copy(update={"fields": fields})
    mask = CaseMask(ticket)
    assert mask.text(text).count("1 Sample Street, Sampletown") == 2
    assert mask.ticket(ticket, "c1")["fields"] == {"shipping_address": "2 Sample Street, Sampletown", "size": "L"}  # type: ignore[index,call-overload]
