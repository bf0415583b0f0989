"""For whom a sentence holds."""

from datetime import date

import pytest

from deskhand.answers import Finding, Passage
from deskhand_agents.conditions import Customer, know_customer, product_names
from deskhand_agents.regions import countries_in, currencies_in, currency_of

NAMES = frozenset({"Nook", "Shelf", "Terrace"})
BRITISH = Customer(countries=frozenset({"GB"}), currency="GBP", products=frozenset({"Shelf"}), names=NAMES)
PASSAGE = Passage(
    id="a@1#1", source_id="a", source_version=1, title="Prices", score=0.5, found_by="dense",
    text="Prices of the Shelf and of a Terrace. All pods fit.", products=("shelf", "terrace", "pods", "app"),
)  # fmt: skip


def finding(**facts) -> Finding:
    return Finding(tool="get_order", subject="HF-1", facts=facts)


@pytest.mark.parametrize(
    ("text", "is_concerned"),
    [
        ("Customs take 8 days in Norway.", False),
        ("We ship to Norway and the UK.", True),
        ("In the EU it is free.", False),
        ("On the Terrace, look in the left channel too.", False),
        ("The Shelf and the Terrace have a pump.", True),
        ("Pods keep for months.", True),
        ("We do not ship outside Norway.", True),
        ("We ship to every country except Norway and Switzerland.", True),
        ("Only in the EU is it free.", True),
        ("It is not sold elsewhere than in Norway.", True),
    ],
)
def test_sentence_about_others_does_not_concern_the_customer(text: str, is_concerned: bool):
    assert BRITISH.is_concerned(text) is is_concerned
    assert Customer().is_concerned(text)


@pytest.mark.parametrize(
    ("text", "is_concerned"),
    [
        ("Orders delivered before 1 July 2026 had a window of 14 days.", False),
        ("It applies to everything delivered on or after 1 July 2026.", True),
        ("Gardens bought before 1 March 2026 keep the old warranty.", True),
        ("Gardens bought on or after 1 March 2026 have 3 years.", False),
        ("People who ordered before 31 February 2026 wait.", True),
        ("The clocks changed before 25 October 2026.", True),
    ],
)
def test_dated_rule_holds_by_the_day_of_order_or_delivery(text: str, is_concerned: bool):
    customer = Customer(ordered=date(2026, 1, 5), delivered=date(2026, 8, 1))
    assert customer.is_concerned(text) is is_concerned


@pytest.mark.parametrize(
    ("sentence", "short"),
    [
        ("The label costs EUR 6.90, GBP 5.90 or USD 14.90.", "The label costs GBP 5.90."),
        ("It costs EUR 19 or CHF 20.", "It costs EUR 19 or CHF 20."),
        ("EUR 19 for the Shelf (A-1) and EUR 29 for the Terrace (A-2).", "EUR 19 for the Shelf (A-1)."),
        (
            "The pump of a Shelf runs 15 minutes, and the pump of a Terrace runs 20 minutes.",
            "The pump of a Shelf runs 15 minutes.",
        ),
        ("It takes 7 days in the UK, and 10 days in Norway.", "It takes 7 days in the UK."),
        ("Wait 7 days, and write to us.", "Wait 7 days, and write to us."),
        ("Pump (one on the Shelf, and 4 on the Terrace).", "Pump (one on the Shelf, and 4 on the Terrace)."),
        ("EUR 5 for a Nook and EUR 6 for a Terrace.", "EUR 5 for a Nook and EUR 6 for a Terrace."),
    ],
)  # fmt: skip
def test_figures_for_others_are_left_out_of_a_sentence(sentence: str, short: str):
    assert BRITISH.shorten(sentence) == short


def test_columns_for_others_are_told():
    headers = ("EUR", "GBP", "EU", "UK", "Terrace", "Height")
    assert [header for header in headers if BRITISH.column_is_for_others(header)] == ["EUR", "EU", "Terrace"]


def test_only_names_count_as_products():
    assert product_names([PASSAGE]) == {"Shelf", "Terrace"}


def test_records_tell_country_currency_product_and_days(view_of):
    order = finding(
        country="GB", total={"currency": "GBP", "text": "GBP 5.00"}, items=[{"product": "Shelf garden"}],
        placed_at="2026-08-02T09:00:00Z", delivered_at="2026-08-07T09:00:00Z",
    )  # fmt: skip
    known = know_customer(view_of("It is broken, what now? I live in Norway."), (order,), (PASSAGE,))
    assert (known.countries, known.currency, known.products) == ({"GB"}, "GBP", {"Shelf"})
    assert (known.ordered, known.delivered) == (date(2026, 8, 2), date(2026, 8, 7))


def test_text_tells_what_records_do_not(view_of):
    known = know_customer(view_of("Can my terrace go to Norway?"), (), (PASSAGE,))
    assert (known.countries, known.currency, known.products) == ({"NO"}, "NOK", {"Terrace"})
    assert know_customer(view_of("I paid £20"), (), ()).countries == {"GB"}
    assert know_customer(view_of("I paid 20 euros"), (), ()).countries == frozenset()


def test_customer_who_names_many_countries_lives_in_none_of_them(view_of):
    known = know_customer(view_of("Do you ship to Norway, Switzerland and the UK?"), (), ())
    assert (known.countries, known.currency) == (frozenset(), None)


def test_unknown_order_is_a_new_one_unless_the_text_speaks_of_the_past(view_of):
    assert know_customer(view_of("Can I return it?"), (), ()).ordered is not None
    assert know_customer(view_of("Bought two years ago, can I return it?"), (), ()).ordered is None


def test_countries_and_currencies_are_found_by_their_names():
    assert countries_in("Northern Ireland and the Netherlands") == {"GB", "NL"}
    assert "DE" in countries_in("all EU countries")
    assert currencies_in("EUR 5, £3 and $2") == {"EUR", "GBP", "USD"}
    assert (currency_of("FI"), currency_of("JP")) == ("EUR", None)


@pytest.mark.parametrize(
    ("sentence", "short"),
    [
        ("10% off from EUR 50 (GBP 45, USD 55), not on plans.", "10% off from GBP 45, not on plans."),
        ("In Norway and the UK the limit is 10 days.", "In Norway and the UK the limit is 10 days."),
    ],
)
def test_sentence_is_cut_only_where_it_stays_one(sentence: str, short: str):
    assert BRITISH.shorten(sentence) == short


def test_prices_in_brackets_are_left_out_while_the_currency_is_unknown():
    sentence = "The label (EUR 6.90, GBP 5.90 or USD 14.90, more for a Terrace) is taken off."
    assert Customer().shorten(sentence) == "The label is taken off."
    assert BRITISH.shorten(sentence) == "The label (GBP 5.90, more for a Terrace) is taken off."


@pytest.mark.parametrize(
    ("text", "country", "currency"),
    [
        ("I live in Leeds.", "GB", "GBP"),
        ("It goes to Bergen.", "NO", "NOK"),
        ("We are in Texas.", "US", "USD"),
        ("It was 175 pounds.", "GB", "GBP"),
        ("It was 20 euros.", None, "EUR"),
        ("Paris or London or Rome?", None, None),
    ],
)
def test_places_and_spoken_currencies_tell_the_country(view_of, text: str, country: str | None, currency: str | None):
    customer = know_customer(view_of(text), (), ())
    assert (customer.countries, customer.currency) == (frozenset({country} if country else ()), currency)


def test_columns_by_country_are_unclear_only_while_the_country_is_unknown():
    headers = ["EU", "UK", "Days"]
    assert (Customer().regional_columns(headers), BRITISH.regional_columns(headers)) == ({0, 1}, frozenset())
    assert Customer().regional_columns(["UK", "Days"]) == frozenset()


def test_ticket_that_names_a_record_of_theirs_is_known(view_of):
    record = Finding(tool="get_order", subject="HF-212121", facts={"order_id": "HF-212121"})
    assert know_customer(view_of("Where is HF-212121?"), (record,), ()).names_record
    assert not know_customer(view_of("Where is it?"), (record,), ()).names_record
