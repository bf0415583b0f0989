"""For whom a sentence of knowledge holds: which country, which product, bought when."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from deskhand.answers import Finding, Passage
from deskhand.view import TicketView
from deskhand_agents.entities import find_amounts, find_dates
from deskhand_agents.injection import neutral_view
from deskhand_agents.regions import (
    CURRENCIES,
    countries_in,
    countries_of_places,
    country_of,
    currencies_in,
    currency_of,
    spoken_currencies,
)
from deskhand_agents.resolver import named_records

_AMOUNT = rf"(?:{'|'.join(sorted(CURRENCIES))}) ?\d[\d.,]*(?<![.,])"
_AND = "(?:, or |, and |, | or | and )"
_AMOUNTS = re.compile(rf"{_AMOUNT} \({_AMOUNT}(?:{_AND}{_AMOUNT})*\)|{_AMOUNT}(?:{_AND}{_AMOUNT})+")
_ASIDE = re.compile(rf" \({_AMOUNT}(?:{_AND}{_AMOUNT})+[^()]*\)")
_PRICED = rf"{_AMOUNT} for (?:the |an? )?[A-Z][a-z]+(?: \([^)]*\))?"
_PRICES = re.compile(rf"{_PRICED}(?:(?:, | or | and |, or |, and ){_PRICED})+")
_TAIL = re.compile(r"(?:, and|, but|;| and|,) (?=(?:(?!, and|, but|;| and|,).)*$)", re.DOTALL)
_DATED = re.compile(
    r"\b(?P<when>before|until|on or after|since|from|after) (?P<date>\d{1,2} [A-Z][a-z]+ \d{4}|\d{4}-\d{2}-\d{2})"
)
_DEED = re.compile(r"\b(?P<delivered>deliver\w*)|\b(?:bought|ordered|placed|purchased|subscribed)\b", re.I)
_OTHERS = re.compile(
    r"\b(?:outside|beyond|other than|apart from|aside from|except|excluding|nowhere|only (?:in|to|within|inside|for))\b"
    r"|\bnot\b[^.;,]{0,20} (?:elsewhere|abroad)\b",
    re.I,
)
"""What makes a sentence hold for all but those whom it names: "we do not ship outside the UK"."""

_LONG_AGO = re.compile(
    r"\b(?:years? ago|months ago|last (?:year|spring|summer|autumn|winter)|old|a year|20[012]\d"
    r"|since (?:january|february|march|april|may|june|july|august)"
    r"|in (?:january|february|march|april|may|june|july|august))\b",
    re.I,
)


@dataclass(frozen=True)
class Customer:
    """What is known of the customer. Empty or None is unknown, and then everything may hold.

    ``ordered`` and ``delivered`` are days of the order in question; ``products`` are names as articles write them, of
    the ``names`` that there are. ``names_record``: the ticket names an order, return or plan of theirs.
    """

    countries: frozenset[str] = frozenset()
    currency: str | None = None
    products: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    ordered: date | None = None
    delivered: date | None = None
    names_record: bool = False

    def is_concerned(self, text: str) -> bool:
        """Tell whether ``text`` may hold for the customer: not when it is about others only."""
        return self._in_country(text) and self._owns(text) and self._in_time(text)

    def _in_country(self, text: str) -> bool:
        named = countries_in(text)
        is_named = not named or not self.countries or not named.isdisjoint(self.countries)
        return is_named or bool(_OTHERS.search(text))

    def _owns(self, text: str) -> bool:
        named = names_in(text, self.names)
        return not named or not self.products or not named.isdisjoint(self.products)

    def _in_time(self, text: str) -> bool:
        deed = _DEED.search(text)
        day = (self.delivered if deed["delivered"] else self.ordered) if deed else None
        if day is None:
            return True
        return all(_holds(match, day) for match in _DATED.finditer(text))

    def shorten(self, sentence: str) -> str:
        """Return a sentence without its figures for others: other currencies, other products, a last clause."""
        asides = sentence if self.currency else _ASIDE.sub("", sentence)
        short = _PRICES.sub(self._own_prices, _AMOUNTS.sub(self._own_amount, asides))
        match = _TAIL.search(short)
        if not match or short.count("(", 0, match.start()) > short.count(")", 0, match.start()):
            return short
        head, tail = short[: match.start()], short[match.end() :]
        is_for_others = any(char.isdigit() for char in tail) and not self.is_concerned(tail)
        return f"{head}." if is_for_others and self._is_parallel(head, tail) else short

    def _own_amount(self, match: re.Match[str]) -> str:
        own = [amount for amount in re.findall(_AMOUNT, match[0]) if self.currency and amount.startswith(self.currency)]
        return own[0] if len(own) == 1 else match[0]

    def _own_prices(self, match: re.Match[str]) -> str:
        prices = re.findall(_PRICED, match[0])
        own = [price for price in prices if self._owns(price)]
        return own[0] if len(own) == 1 else match[0]

    def _is_parallel(self, head: str, tail: str) -> bool:
        """Tell whether ``head`` says for this customer what ``tail`` says for others: it has a figure of its own."""
        if not any(char.isdigit() for char in head):
            return False
        owns = names_in(tail, self.names) and names_in(head, self.names) & self.products
        lives = countries_in(tail) and countries_in(head) & self.countries
        return bool(owns or lives)

    def regional_columns(self, headers: Sequence[str]) -> frozenset[int]:
        """Return the columns of which only one can hold for the customer, while it is not known which."""
        by_country = [i for i, header in enumerate(headers) if countries_in(header)] if not self.countries else []
        return frozenset(by_country) if len(by_country) > 1 else frozenset()

    def column_is_for_others(self, header: str) -> bool:
        """Tell whether a table's column is about another currency, country or product."""
        currencies = currencies_in(header)
        is_foreign = bool(currencies and self.currency and self.currency not in currencies)
        return is_foreign or not self.is_concerned(header)


def _holds(match: re.Match[str], day: date) -> bool:
    limits = [entity.value for entity in find_dates(match["date"])]
    if not limits or limits[0].startswith("--"):
        return True
    limit = date.fromisoformat(limits[0])
    return day < limit if match["when"] in ("before", "until") else day >= limit


def names_in(text: str, names: Iterable[str]) -> frozenset[str]:
    """Return those of ``names`` that ``text`` has as words, in the plural too."""
    return frozenset(name for name in names if re.search(rf"(?<!\w){re.escape(name)}s?(?!\w)", text))


def product_names(passages: Sequence[Passage]) -> frozenset[str]:
    """Return the products of the articles that are names: those that are capitalised in the middle of a sentence."""
    products = {product for passage in passages for product in passage.products}
    text = "\n".join(passage.text for passage in passages)
    names = {product[:1].upper() + product[1:] for product in products}
    return frozenset(name for name in names if re.search(rf"(?<=[a-z] ){re.escape(name)}(?!\w)", text))


def know_customer(view: TicketView, findings: Sequence[Finding], passages: Sequence[Passage]) -> Customer:
    """Return what the ticket and the records say about the customer.

    A country or currency in a record counts more than one in the text. An order without known days is taken for a new
    one, unless the text speaks of the past.
    """
    text = neutral_view(view).customer_text
    names = product_names(passages)
    facts = [finding.facts for finding in findings]
    countries = _countries(text, facts)
    currency = _currency(text, facts, countries)
    if not countries and not currency:
        currency = _only(spoken_currencies(text))
    if not countries and currency and (country := country_of(currency)):
        countries = frozenset({country})
    today = view.turns[-1].at.date() if view.turns and not _LONG_AGO.search(text) else None
    return Customer(
        countries=countries,
        currency=currency,
        products=_products(text, facts, names),
        names=names,
        ordered=_day(facts, "placed_at", "started_at") or today,
        delivered=_day(facts, "delivered_at") or today,
        names_record=not {value for _, value in named_records(view)}.isdisjoint(f.subject for f in findings),
    )


def _countries(text: str, facts: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    recorded = frozenset(str(fact["country"]) for fact in facts if fact.get("country"))
    named = countries_in(text)
    if len(recorded) == 1:
        return recorded
    return next((found for found in (named, countries_of_places(text)) if 0 < len(found) < 3), frozenset())


def _currency(text: str, facts: Sequence[Mapping[str, Any]], countries: frozenset[str]) -> str | None:
    amounts = [fact.get(key) for fact in facts for key in ("total", "price", "refund")]
    found = {str(amount["currency"]) for amount in amounts if isinstance(amount, Mapping) and "currency" in amount}
    found = found or set(currencies_in(text)) | {amount.value[:3] for amount in find_amounts(text)}
    if not found:
        found = {currency for country in countries if (currency := currency_of(country))}
    return _only(found)


def _only(found: Collection[str]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None


def _products(text: str, facts: Sequence[Mapping[str, Any]], names: frozenset[str]) -> frozenset[str]:
    """Return the products that the customer writes about; else those of the only order."""
    written = frozenset(name for name in names if re.search(rf"(?<!\w){re.escape(name)}s?(?!\w)", text, re.I))
    if written:
        return written
    items = [str(item.get("product", "")) for fact in facts for item in fact.get("items") or ()]
    return frozenset().union(*(names_in(item, names) for item in items))


def _day(facts: Sequence[Mapping[str, Any]], *keys: str) -> date | None:
    """Return the day under one of ``keys`` when the records agree on one."""
    days = {str(fact[key])[:10] for fact in facts for key in keys if fact.get(key)}
    return date.fromisoformat(days.pop()) if len(days) == 1 else None
