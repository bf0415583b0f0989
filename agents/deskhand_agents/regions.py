"""Countries and currencies as texts name them."""

from __future__ import annotations

import re

from deskhand.remembering import remembering

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
_PLACES = {
    "AT": "Vienna|Wien|Graz|Linz|Salzburg|Innsbruck",
    "BE": "Brussels|Bruxelles|Antwerp|Antwerpen|Bruges|Leuven|Liège|Mechelen|Namur",
    "CH": "Zurich|Zürich|Basel|Geneva|Genève|Bern|Lausanne|Lucerne|Luzern|Winterthur|St\\.? Gallen|Lugano|Chur",
    "CZ": "Prague|Praha|Brno",
    "DE": "Berlin|Hamburg|Munich|München|Cologne|Köln|Frankfurt|Stuttgart|Düsseldorf|Leipzig|Dortmund|Bremen|Dresden"
    "|Hanover|Hannover|Nuremberg|Nürnberg|Freiburg|Bonn|Bavaria",
    "DK": "Copenhagen|København|Aarhus|Odense|Aalborg",
    "ES": "Madrid|Barcelona|Valencia|Seville|Sevilla|Bilbao|Málaga|Zaragoza",
    "FI": "Helsinki|Tampere|Turku",
    "FR": "Paris|Lyon|Marseille|Toulouse|Nantes|Strasbourg|Bordeaux|Lille|Rennes|Grenoble|Montpellier",
    "GB": "London|Manchester|Birmingham|Leeds|Glasgow|Edinburgh|Liverpool|Bristol|Sheffield|Cardiff|Belfast|Newcastle"
    "|Nottingham|Leicester|Brighton|Aberdeen|Oxford|Norwich|Yorkshire|Cornwall|Devon|Kent|Sussex",
    "IE": "Dublin|Galway|Limerick|Waterford",
    "IT": "Rome|Roma|Milan|Milano|Turin|Torino|Naples|Napoli|Florence|Firenze|Bologna|Venice|Venezia",
    "LU": "Luxembourg City",
    "NL": "Amsterdam|Rotterdam|Utrecht|The Hague|Den Haag|Eindhoven|Groningen|Leiden|Haarlem|Maastricht|Nijmegen",
    "NO": "Oslo|Bergen|Trondheim|Stavanger|Tromsø|Kristiansand|Drammen",
    "PL": "Warsaw|Warszawa|Kraków|Krakow|Gdańsk|Gdansk|Wrocław|Wroclaw|Poznań|Poznan",
    "PT": "Lisbon|Lisboa|Porto|Braga|Coimbra",
    "SE": "Stockholm|Gothenburg|Göteborg|Malmö|Uppsala",
    "US": "New York|Los Angeles|Chicago|Houston|Boston|Seattle|San Francisco|San Diego|Denver|Atlanta|Miami|Dallas"
    "|Philadelphia|Minneapolis|Detroit|Phoenix|Alabama|Arizona|Arkansas|California|Colorado|Connecticut|Delaware"
    "|Florida|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota"
    "|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|North Carolina|North Dakota"
    "|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont"
    "|Virginia|Wisconsin|Wyoming",
}
"""Places whose name alone says the country; those that are words too (Reading, Nice, Cork) are left out."""

_PLACE_PATTERNS = {code: re.compile(rf"(?<!\w)(?:{names})(?!\w)") for code, names in _PLACES.items()}
_SPOKEN = {
    "GBP": re.compile(r"\b(?:pounds|quid)\b", re.I),
    "CHF": re.compile(r"\b(?:francs|franken)\b", re.I),
    "USD": re.compile(r"\bdollars\b", re.I),
    "NOK": re.compile(r"\b(?:kroner)\b", re.I),
    "EUR": re.compile(r"\beuros?\b", re.I),
}
_UNION = re.compile(r"(?<!\w)(?:EU|European Union)(?!\w)")
_CODES = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(CURRENCIES))})(?!\w)")
_SIGNS = {"£": "GBP", "$": "USD", "€": "EUR"}


@remembering()
def countries_in(text: str) -> frozenset[str]:
    """Return the ISO codes of the countries named in ``text``; "EU" stands for all of its members."""
    found = {code for code, pattern in _PATTERNS.items() if pattern.search(text)}
    return frozenset(found | EUROPEAN_UNION) if _UNION.search(text) else frozenset(found)


def currencies_in(text: str) -> frozenset[str]:
    """Return the codes of the currencies that ``text`` names, by code or sign."""
    return frozenset(_CODES.findall(text)) | {code for sign, code in _SIGNS.items() if sign in text}


@remembering()
def countries_of_places(text: str) -> frozenset[str]:
    """Return the codes of the countries in which towns and states lie that ``text`` names."""
    return frozenset(code for code, pattern in _PLACE_PATTERNS.items() if pattern.search(text))


def spoken_currencies(text: str) -> frozenset[str]:
    """Return the codes of the currencies that ``text`` names as people do: "pounds", "kroner"."""
    return frozenset(code for code, pattern in _SPOKEN.items() if pattern.search(text))


def currency_of(country: str) -> str | None:
    """Return the currency of a country, None where it is not known."""
    return _CURRENCY_OF.get(country)


def country_of(currency: str) -> str | None:
    """Return the one country where a currency is used, None where there are several."""
    return _COUNTRY_OF.get(currency)
