"""Sentences, list items and table rows of knowledge as lines of a reply, in the customer's terms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deskhand_agents.conditions import Customer
from deskhand_memory.units import Unit

_LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+(?=\S)")
_MARKS = re.compile(r"\*\*|__|`")
_BARE = re.compile(r"[\d.,\s]*")


@dataclass(frozen=True)
class Line:
    """A line of a reply: what it says, and the words of the passage that it rests on."""

    text: str
    quote: str
    sign: str = ""


def lines_of(units: Sequence[Unit], customer: Customer) -> list[Line]:
    """Return units as lines of a reply, in the customer's terms; a list begins with the line that leads to it."""
    lines: list[Line] = []
    lead = units[0].lead if units[0].kind == "item" else ""
    if lead:
        lines.append(Line(plain(lead), lead))
    for unit in units:
        text = customer.shorten(_row_text(unit, customer) if unit.kind == "row" else plain(unit.text))
        if text:
            lines.append(Line(text, unit.text, _sign(unit)))
    return lines


def depends_on_country(units: Sequence[Unit], customer: Customer) -> bool:
    """Tell whether what table rows say depends on a country that is not known; those cells are not quoted then."""
    return any(unit.kind == "row" and bool(customer.regional_columns(_headers(unit))) for unit in units)


def _sign(unit: Unit) -> str:
    return f"{unit.number} " if unit.number else "- " if unit.kind == "item" else ""


def _headers(row: Unit) -> list[str]:
    """Return the headers of a row's cells but the first; none when its table has none."""
    return [plain(cell) for cell in row.lead.strip().strip("|").split("|")][1:] if row.lead else []


def _row_text(unit: Unit, customer: Customer) -> str:
    """Return a table row as a sentence: "Shelf: EUR 199, Pods: 9". "" when figures in it have no header."""
    first, *cells = [plain(cell) for cell in unit.text.strip().strip("|").split("|")]
    headers = _headers(unit)
    if len(headers) != len(cells):
        return "" if any(_BARE.fullmatch(cell) for cell in cells) else f"{first}: {'; '.join(cells)}."
    unclear = customer.regional_columns(headers)
    pairs = [
        (header, cell)
        for i, (header, cell) in enumerate(zip(headers, cells, strict=True))
        if cell and i not in unclear and not customer.column_is_for_others(header)
    ]
    return f"{first}: {'; '.join(_cell(header, cell) for header, cell in pairs)}." if pairs else ""


def _cell(header: str, cell: str) -> str:
    is_currency = len(header) == 3 and header.isupper()
    return f"{header} {cell}" if is_currency and cell[:1].isdigit() else f"{header}: {cell}" if header else cell


def plain(text: str) -> str:
    """Return a line of Markdown as it stands in a reply: without marks of emphasis and list signs."""
    return _MARKS.sub("", _LIST_ITEM.sub("", text)).strip()
