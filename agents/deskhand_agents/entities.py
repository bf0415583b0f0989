"""What a ticket names: records, amounts, dates, codes, products; typed and normalised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from deskhand.vault import PLACEHOLDER


class EntityKind(StrEnum):
    """What sort of thing is named."""

    order = "order"
    return_ = "return"
    subscription = "subscription"
    customer = "customer"
    serial = "serial"
    tracking = "tracking"
    personal = "personal"
    amount = "amount"
    date = "date"
    error_code = "error_code"
    product = "product"


@dataclass(frozen=True)
class Entity:
    """Something named. ``text`` is as written, ``value`` comparable: ``EUR 35.20``, ``2026-11-20``, ``HF-204817``."""

    kind: EntityKind
    text: str
    value: str


_RECORD = re.compile(r"(?<![\w-])([A-Za-z]{1,6})-(\d{4,12})(?![\w-])")
_SERIAL = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}-\d{4,6}(?![\w-])")
_TRACKING = re.compile(r"(?<![\w-])[A-Z]{1,4}\d{9,22}[A-Z]{0,2}(?![\w-])")
_NUMBER_WORD = r"(?:\s*(?:number|numbers|no\.?|nr\.?|nº|n°|id|nummer|numéro|número|is|ist|,|:|#|\())*\s*#?"
_BARE = {
    EntityKind.order: re.compile(
        rf"\b(?:orders?|bestell(?:ung|nummer|ung\w*)|commandes?|pedidos?|bestelling(?:en)?|bestelnummer){_NUMBER_WORD}"
        r"(?:[a-z]{2}[ -]{0,3})?(\d{5,12})\b(?!-\d)(?: (?:and|und|et|y|en|&) (\d{5,12})\b)?",
        re.IGNORECASE,
    ),
    EntityKind.return_: re.compile(
        rf"\b(?:returns?|retoure|retour|devolución|retourenummer|rücksendung){_NUMBER_WORD}(\d{{4,12}})\b(?!-\d)",
        re.IGNORECASE,
    ),
    EntityKind.subscription: re.compile(
        rf"\b(?:plans?|subscription|abonnement|abo|suscripción){_NUMBER_WORD}(\d{{5,12}})\b(?!-\d)", re.IGNORECASE
    ),
}
_LOOSE = re.compile(r"(?<![\w-])(rma|sub|ret|rtn)[ #:.-]{0,3}(\d{4,12})(?![\w-])", re.IGNORECASE)
_LOOSE_ORDER = re.compile(r"(?<![\w-])([a-z]{2})(?: ?- ?| ?)(\d{6})(?![\w-])", re.IGNORECASE)
_SMALL_WORD = re.compile(
    r"in|on|of|to|at|be|no|nr|id|is|it|my|or|so|up|us|we|an|as|by|if|de|la|le|el|du|um|am|im|zu|op|te|en", re.IGNORECASE
)
_ERROR = re.compile(r"(?<![\w-])(?:(?:E|ERR|F)-?\d{1,4}|HTTP [45]\d\d)(?![\w-])")
_PREFIXES = {
    "rma": EntityKind.return_, "ret": EntityKind.return_, "rtn": EntityKind.return_, "r": EntityKind.return_,
    "sub": EntityKind.subscription, "abo": EntityKind.subscription,
    "c": EntityKind.customer, "cust": EntityKind.customer,
}  # fmt: skip
_NOT_ORDERS = frozenset({"inv", "sku", "iso", "art", "cvv", "case", "ticket", "t", "e", "f", "err", "ce", "fw"})
_SYMBOLS = {"€": "EUR", "£": "GBP", "$": "USD", "¥": "JPY", "euro": "EUR", "euros": "EUR", "quid": "GBP", "kr": "NOK"}
_NUMBER = r"\d{1,3}(?:[ ,.\u2019']\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_CURRENCY = r"EUR|GBP|USD|CHF|NOK|SEK|DKK|PLN|CZK|JPY|CAD|AUD|INR"
_AMOUNT = re.compile(
    rf"(?<![\w.,])(?:(?P<pre>{_CURRENCY}|[€£$¥])\s?(?P<n1>{_NUMBER})"
    rf"|(?P<n2>{_NUMBER})(?:,-)?\s?(?P<post>{_CURRENCY}|[€£$]|euros?\b|quid\b|kr\b))(?![\w])",
    re.IGNORECASE,
)
_MONTHS = {
    name[:3]: number
    for number, name in enumerate(
        ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
         "december"), start=1)
}  # fmt: skip
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = re.compile(
    rf"\b(?:(?P<iso>\d{{4}}-\d{{2}}-\d{{2}})|(?P<d1>\d{{1,2}})(?:st|nd|rd"
    rf"|th)?(?: of)? (?P<m1>{_MONTH})\b\.?(?:,? (?P<y1>\d{{4}}))?"
    rf"|(?P<m2>{_MONTH})\.? (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<y2>\d{{4}}))?)",
    re.IGNORECASE,
)


def find_entities(text: str, *, products: Iterable[str] = ()) -> tuple[Entity, ...]:
    """Return what ``text`` names, each once, records first.

    Args:
        text: Masked text.
        products: Names to look for, such as those of an order's items; compared without case.
    """
    found = [*_records(text), *find_amounts(text), *find_dates(text), *_others(text, products)]
    return tuple(dict.fromkeys(found))


def _records(text: str) -> Iterator[Entity]:
    for match in _RECORD.finditer(text):
        prefix = match[1].lower()
        if prefix not in _NOT_ORDERS:
            kind = _PREFIXES.get(prefix, EntityKind.order)
            yield Entity(kind, match[0], match[0].upper())
    for match in _LOOSE.finditer(text):
        yield Entity(_PREFIXES[match[1].lower()], match[0], f"{match[1].upper()}-{match[2]}")
    for match in _LOOSE_ORDER.finditer(text):
        if match[1].lower() not in _NOT_ORDERS and not _SMALL_WORD.fullmatch(match[1]):
            yield Entity(EntityKind.order, match[0], f"{match[1].upper()}-{match[2]}")
    yield from _bare_numbers(text)


def _bare_numbers(text: str) -> Iterator[Entity]:
    """Yield "order 204817", "return no. 30477": a kind and digits, without the letters that the record has."""
    whole = {
        digits
        for match in (*_RECORD.finditer(text), *_LOOSE.finditer(text), *_LOOSE_ORDER.finditer(text))
        for digits in match.groups()
    }
    for kind, pattern in _BARE.items():
        for match in pattern.finditer(text):
            yield from (Entity(kind, digits, digits) for digits in match.groups() if digits and digits not in whole)


def _others(text: str, products: Iterable[str]) -> Iterator[Entity]:
    for kind, pattern in (
        (EntityKind.serial, _SERIAL),
        (EntityKind.tracking, _TRACKING),
        (EntityKind.error_code, _ERROR),
    ):
        for match in pattern.finditer(text):
            yield Entity(kind, match[0], match[0].upper())
    for match in PLACEHOLDER.finditer(text):
        yield Entity(EntityKind.personal, match[0], match[0])
    for name in products:
        if name and re.search(rf"(?<!\w){re.escape(name)}s?(?!\w)", text, re.IGNORECASE):
            yield Entity(EntityKind.product, name, name.lower())


def find_amounts(text: str) -> list[Entity]:
    """Return amounts of money, normalised to ``EUR 1234.50``."""
    found = []
    for match in _AMOUNT.finditer(text):
        unit = match["pre"] or match["post"]
        currency = _SYMBOLS.get(unit.lower(), unit.upper())
        found.append(Entity(EntityKind.amount, match[0], f"{currency} {_decimal(match['n1'] or match['n2'])}"))
    return found


def _decimal(text: str) -> str:
    """Return ``1,049.00``, ``1.049,00``, ``1 049`` and ``35,2`` with a point and two digits."""
    whole, _, cents = text, "", ""
    if match := re.fullmatch(r"(.*)[.,](\d{1,2})", text):
        whole, cents = match[1], match[2]
    return f"{int(re.sub(r'[^0-9]', '', whole))}.{cents.ljust(2, '0')}"


def find_dates(text: str) -> list[Entity]:
    """Return dates: ISO 8601 where day, month and year are given, ``--11-20`` where the year is not."""
    found = []
    for match in _DATE.finditer(text):
        value = match["iso"] or _iso(match["d1"] or match["d2"], match["m1"] or match["m2"], match["y1"] or match["y2"])
        if value:
            found.append(Entity(EntityKind.date, match[0], value))
    return found


def _iso(day: str, month: str, year: str | None) -> str:
    number = _MONTHS[month[:3].lower()]
    try:
        checked = date(int(year or 2024), number, int(day))  # a leap year, so that 29 February may stand alone
    except ValueError:
        return ""
    return checked.isoformat() if year else f"--{number:02d}-{checked.day:02d}"


def values_of(entities: Sequence[Entity], kind: EntityKind) -> list[str]:
    """Return the values of one kind, each once, in their order."""
    return list(dict.fromkeys(entity.value for entity in entities if entity.kind is kind))
