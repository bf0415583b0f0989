"""The pieces of a passage that can be quoted alone: sentences, list items and table rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

UnitKind = Literal["sentence", "item", "row"]

_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|mr|mrs|ms|dr|no|nr|approx|incl|excl|etc|vs|z\.b|bzw|ca|st|art)|\b\w)\.$", re.I
)
_BREAK = re.compile(r"(?<=[.!?…])[\"')\]*_]*\s+(?=[^\s,;])|(?<=[。\uff01\uff1f])")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+(?=\S)")
_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s")
_ROW = re.compile(r"^\s*\|")
_RULE = re.compile(r"^\s*\|[\s:|-]*-[\s:|-]*$")
_SKIPPED = re.compile(r"^\s*(?:#|\[\^|!\[|```|~~~|<)")
_MAX_CHARS = 400


@dataclass(frozen=True)
class Unit:
    """One sentence, list item or table row, word for word; only line ends and the list sign are gone.

    ``block`` numbers the paragraph, list or table it is part of, in its passage from 0. ``lead`` is what it needs to
    be understood: the line that leads into a list, or the header row of a table. ``number`` is an item's own, "4.".
    """

    text: str
    kind: UnitKind
    block: int
    lead: str = ""
    number: str = ""

    def embed_text(self, title: str) -> str:
        """Return what the encoder reads of it: the article's title, what leads to it, and the unit."""
        parts = [title, self.lead if self.kind == "item" else "", ", ".join(cells_of(self.text))]
        return ": ".join(part.rstrip(": ") for part in parts if part)[:_MAX_CHARS]


def cut_units(text: str, header: str = "") -> list[Unit]:
    """Return the units of ``text`` in order; headings, pictures and table headers are none.

    ``header`` is the header row of the table in whose middle the text begins, if any.
    """
    units: list[Unit] = []
    for block, (kind, lines) in enumerate(_blocks(text)):
        if kind == "row":
            header = _header(lines) or (header if block == 0 else "")
            units += [Unit(row, "row", block, header) for row in _rows(lines)]
        elif kind == "item":
            lead = units[-1].text if units and units[-1].text.rstrip("*_ ").endswith(":") else ""
            units += [Unit(_BULLET.sub("", line), "item", block, lead, _number(line)) for line in lines]
        else:
            units += [Unit(sentence, "sentence", block) for sentence in cut_sentences(" ".join(lines))]
    return units


def cut_sentences(text: str) -> list[str]:
    """Return the sentences of one paragraph as they stand, in order; abbreviations end none."""
    found: list[str] = []
    start = 0
    for match in _BREAK.finditer(text):
        if not _ABBREVIATION.search(text[start : match.start()]):
            marks = match.group().rstrip()
            found.append(text[start : match.start()].strip() + marks)
            start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if any(char.isalnum() for char in sentence)]


def cells_of(row: str) -> list[str]:
    """Return the cells of a table row, without those that are empty; the text itself when it is no row."""
    if not _ROW.match(row):
        return [row]
    return [cell.strip() for cell in row.strip().strip("|").split("|") if cell.strip()]


def last_header(text: str, before: str = "") -> str:
    """Return the header row of the table in which ``text`` ends, "" when it ends in none.

    ``before`` is the header of the table in whose middle it begins.
    """
    blocks = list(_blocks(text))
    if not blocks or blocks[-1][0] != "row":
        return ""
    return _header(blocks[-1][1]) or (before if len(blocks) == 1 else "")


def _blocks(text: str) -> Iterator[tuple[UnitKind, list[str]]]:
    """Yield the lines of each paragraph, list and table with their kind; wrapped lines of an item are joined."""
    kind: UnitKind = "sentence"
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        own: UnitKind = "row" if _ROW.match(line) else "item" if _BULLET.match(line) else "sentence"
        is_wrapped = kind == "item" and own == "sentence" and bool(line.strip()) and not _SKIPPED.match(line)
        if lines and is_wrapped:
            lines[-1] = f"{lines[-1]} {line.strip()}"
            continue
        if lines and (own != kind or not line.strip() or _SKIPPED.match(line)):
            yield kind, lines
            lines = []
        if line.strip() and not _SKIPPED.match(line):
            kind = own
            lines.append(line.strip())


def _number(line: str) -> str:
    match = _NUMBER.match(line)
    return match[0].strip() if match else ""


def headers_in(text: str) -> str:
    """Return the header rows of the tables in ``text``, a line each."""
    return "\n".join(header for kind, lines in _blocks(text) if kind == "row" and (header := _header(lines)))


def _header(rows: Sequence[str]) -> str:
    """Return the row before the rule, "" when there is none."""
    return next((row for row, rule in pairwise(rows) if _RULE.match(rule)), "")


def _rows(rows: Sequence[str]) -> list[str]:
    header = _header(rows)
    return [row for row in rows if row != header and not _RULE.match(row)]
