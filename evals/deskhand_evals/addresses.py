"""Postal addresses in what customers write, found by their form: a street with its number, a box, a postcode.

Forms are those of English, German, Dutch, Nordic and Romance languages. A town alone, or a street without a number,
tells little of a person and stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NUMBER = r"\d{1,5}[a-zA-Z]?(?:[ ]?[-/][ ]?\d{1,4}[a-zA-Z]?)?"
_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w'\u2019.-]{1,30}"
_SURE = "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Boulevard|Blvd|Crescent|Terrace|Mews|Parkway|Pkwy|Highway|Hwy|Quay"
_UNSURE = "Drive|Dr|Close|Court|Ct|Way|Place|Pl|Square|Sq|Gardens|Row|Hill|Grove|Walk|Park|Rise|View"
"""Words of products too: streets only with a town or a postcode behind them."""
_UNIT = r"(?:(?i:flat|apt\.?|apartment|unit|suite|floor)[ ][\w\#]{1,6},?[ ])"
_UK = r"[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}"
_US = r"[A-Z]{2}[ ]\d{5}(?:-\d{4})?"
_CANADA = r"[A-Z]\d[A-Z][ ]?\d[A-Z]\d"
_DIGITS = r"(?:[A-Z]{1,2}-)?\d{4,5}(?:[ ]?[A-Z]{2})?|\d{3}[ ]\d{2}"
_POST = rf"(?:{_UK}|{_US}|{_CANADA}|{_DIGITS})(?!\w)"
_GERMANIC = r"straße|strasse|str\.|weg|platz|allee|gasse|laan|straat|plein|gracht|gatan|vägen|vej|gade"
_TOWN = rf"{_CAPITAL}(?:[ -]{_CAPITAL}){{0,3}}"
_TAIL = rf"(?:[ ]?[,\n][ ]?(?:{_TOWN}[ ]?[, \n][ ]?){{0,2}}{_POST}(?:[ ]{_TOWN})?|,[ ]{_TOWN})"
_ADDRESS = re.compile(
    rf"""
    (?<![\w#.,-])(?:
      {_UNIT}?{_NUMBER},?[ ](?:
          (?:{_CAPITAL}[ ]){{1,4}}(?:{_SURE})\b\.?{_TAIL}?
        | (?:{_CAPITAL}[ ]){{1,4}}(?:{_UNSURE})\b\.?{_TAIL}
        | [a-z]{{3,20}}[ ](?:street|road|avenue|lane)\b{_TAIL}?
        | (?:bis[ ]|ter[ ])?(?i:rue|avenue|boulevard|chemin|allée|impasse|quai)[ ]
          (?:(?:de|du|des|la|le|les)[ ]|[ld]['\u2019]){{0,3}}{_TOWN}{_TAIL}?
      )
      | (?:{_CAPITAL}[ ])?(?:[A-ZÄÖÜ][\w.-]{{0,30}}(?:{_GERMANIC})|Straße|Weg|Platz|Allee)[ ]{_NUMBER}\b{_TAIL}?
      | (?:Calle|calle|Avenida|Paseo|Plaza|Via|Viale|Piazza|Corso|Rua)[ ]
        (?:(?:de|la|las|los|del|della|dei|da|do)[ ]){{0,2}}{_TOWN},?[ ]{_NUMBER}\b{_TAIL}?
      | (?:P\.?[ ]?O\.?[ ]?Box|PO[ ]box|Postfach)[ ]\d{{1,8}}{_TAIL}?
    )
    | (?<![\w-])[A-Z]{{1,2}}\d[A-Z\d]?[ ]\d[A-Z]{{2}}(?![\w-])
    """,
    re.VERBOSE,
)
FIELD = re.compile(r"(?i)address|street|postal|post_?code|zip")
"""Names of a ticket's fields whose values are addresses, whatever their form."""


def replace_addresses(text: str, replacement: Callable[[str], str]) -> str:
    """Return ``text`` with every postal address replaced by what ``replacement`` gives for it."""
    return _ADDRESS.sub(lambda match: replacement(match[0]), text)
