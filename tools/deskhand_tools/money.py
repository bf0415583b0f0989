"""Amounts of money as records show them."""

from __future__ import annotations

from deskhand.schema import Model

# ISO 4217: two digits follow the point, but not in these currencies.
_WITHOUT_DIGITS = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
     "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")
)  # fmt: skip
_WITH_THREE_DIGITS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


class Money(Model):
    """An amount: ``cents`` in minor units (whole yen, thousandths of a dinar), ``text`` as "EUR 129.00"."""

    cents: int
    currency: str
    text: str


def money(cents: int, currency: str) -> Money:
    """Return an amount given in minor units of ``currency`` (ISO 4217)."""
    digits = 0 if currency in _WITHOUT_DIGITS else 3 if currency in _WITH_THREE_DIGITS else 2
    whole, rest = divmod(abs(cents), 10**digits)
    sign = "-" if cents < 0 else ""
    fraction = f".{rest:0{digits}d}" if digits else ""
    return Money(cents=cents, currency=currency, text=f"{currency} {sign}{whole}{fraction}")
