"""Countries and currencies as texts name them."""

from __future__ import annotations

import re

_EURO = frozenset(
    [
        "AT",
        "BE",
        "CY",
        "DE",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PT",
        "SI",
        "SK",
    ]
)
EUROPEAN_UNION = _EURO | frozenset(["BG", "CZ", "DK", "HU", "PL", "RO", "SE"])
"""The member states, ISO 3166-1."""

CURRENCIES = frozenset(["EUR", "GBP", "USD", "CHF", "NOK", "SEK", "DKK", "PLN", "CZK", "JPY", "CAD", "AUD", "INR"])

_CURRENCY_OF = dict.fromkeys(_EURO, "EUR") | {"GB": "GBP", "US": "USD", "CH": "CHF", "NO": "NOK"}
_COUNTRY_OF = {"GBP": "GB", "USD": "US", "CHF": "CH", "NOK": "NO"}
_NAMES = {
    "AT": "Austria", "BE": "Belgium", "BG": "Bulgaria", "CH": "Switzerland|Swiss", "CY": "Cyprus",
    "CZ": "Czech Republic|Czechia", "DE": "Germany", "DK": "Denmark", "EE": "Estonia", "ES": "Spain", "FI": "Finland",
    "FR": "France", "GB": "United Kingdom|UK|Britain|England|Scotland|Wales|Northern Ireland", "GR": "Greece",
    "HR": "Croatia", "HU": "Hungary", "IE": "(?<!Northern )Ireland", "IT": "Italy", "LT": "Lithuania",
    "LU": "Luxembourg", "LV": "Latvia", "MT": "Malta", "NL": "Netherlands|Holland", "NO": "Norway|Norwegian",
    "PL": "Poland", "PT": "Portugal", "RO": "Romania", "SE": "Sweden", "SI": "Slovenia", "SK": "Slovakia",
    "US": "United States|USA|US|U\\.S\\.", "AU": "Australia", "NZ": "New Zealand", "CA": "Canada",
}  # fmt: skip
_PATTERNS = {code: re.compile(rf"(?<!\w)(?:{names})(?!\w)") for code, names in _NAMES.items()}
_UNION = re.compile(r"(?<!\w)(?:EU|European Union)(?!\w)")
_CODES = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(CURRENCIES))})(?!\w)")
_SIGNS = {"£": "GBP", "$": "USD", "€": "EUR"}


def countries_in(text: str) -> frozenset[str]:
    """Return the ISO codes of the countries named in ``text``; "EU" stands for all of its members."""
    found = {code for code, pattern in _PATTERNS.items() if pattern.search(text)}
    return frozenset(found | EUROPEAN_UNION) if _UNION.search(text) else frozenset(found)


def currencies_in(text: str) -> frozenset[str]:
    """Return the codes of the currencies that ``text`` names, by code or sign."""
    return frozenset(_CODES.findall(text)) | {code for sign, code in _SIGNS.items() if sign in text}


def currency_of(country: str) -> str | None:
    """Return the currency of a country, None where it is not known."""
    return _CURRENCY_OF.get(country)


def country_of(currency: str) -> str | None:
    """Return the one country where a currency is used, None where there are several."""
    return _COUNTRY_OF.get(currency)
