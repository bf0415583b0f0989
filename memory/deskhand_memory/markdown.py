"""The parts of a Markdown text that should not be torn apart, with their places in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+(.*?))??[ \t]*#*[ \t]*$")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_FENCE = re.compile(r"\s*(```|~~~)")
_RULE_ROW = re.compile(r"\s*\|[\s:|-]*-[\s:|-]*$")


class Atom(NamedTuple):
    """A paragraph, list item, table row or line of code, from ``start`` to ``end``.

    What leads into it belongs to it: a heading, the header of its table, "Follow these steps:". ``head`` is where that
    ends and the thing itself begins.
    """

    start: int
    head: int
    end: int


class Section(NamedTuple):
    """A heading's text, empty before the first heading, and what stands under it up to the next one."""

    heading: str
    atoms: list[Atom]


class _Kind(Enum):
    blank = 0
    heading = 1
    row = 2
    item = 3
    code = 4
    text = 5


class _Block(NamedTuple):
    kind: _Kind
    start: int
    end: int


def split_sections(text: str) -> list[Section]:
    """Return the sections of a Markdown text in order. A heading with nothing under it joins the next section."""
    sections: list[Section] = []
    heading, atoms = "", list[Atom]()
    lead: int | None = None
    blocks = _join(text, list(_classify(text)))
    for index, block in enumerate(blocks):
        if block.kind is _Kind.heading:
            if atoms:
                sections.append(Section(heading, atoms))
                atoms = []
            heading = heading_of(text[block.start : block.end]) or ""
        start = block.start if lead is None else lead
        if _leads(text, blocks, index):
            lead = start
        else:
            atoms.append(Atom(start, block.start, block.end))
            lead = None
    if lead is not None:
        atoms.append(Atom(lead, lead, len(text)))
    return [*sections, Section(heading, atoms)] if atoms else sections


def first_heading(text: str) -> str | None:
    """Return the text of the first heading, or None."""
    headings = (text[start:end] for kind, start, end in _classify(text) if kind is _Kind.heading)
    return next((found for heading in headings if (found := heading_of(heading))), None)


def heading_of(line: str) -> str | None:
    """Return what a heading line says, None when it is no heading or says nothing."""
    match = _HEADING.match(line)
    return (match.group(1) or None) if match else None


def _classify(text: str) -> Iterator[_Block]:
    """Yield each line with its kind."""
    fence, start = "", 0
    for line in text.split("\n"):
        end = start + len(line)
        mark = _FENCE.match(line)
        if fence:
            yield _Block(_Kind.code, start, end)
            fence = "" if mark and mark.group(1) == fence else fence
        elif mark:
            yield _Block(_Kind.code, start, end)
            fence = mark.group(1)
        else:
            yield _Block(_kind(line), start, end)
        start = end + 1


def _kind(line: str) -> _Kind:
    if not line.strip():
        return _Kind.blank
    if _HEADING.match(line):
        return _Kind.heading
    if line.lstrip().startswith("|"):
        return _Kind.row
    return _Kind.item if _ITEM.match(line) else _Kind.text


def _join(text: str, lines: Sequence[_Block]) -> list[_Block]:
    """Return the lines with the lines of one paragraph or list item joined, without blank ones."""
    blocks: list[_Block] = []
    is_open = False
    for line in lines:
        if line.kind is _Kind.text and is_open:
            blocks[-1] = blocks[-1]._replace(end=line.end)
        elif line.kind is not _Kind.blank:
            blocks.append(line)
        is_open = line.kind in (_Kind.text, _Kind.item)
    return blocks


def _leads(text: str, blocks: Sequence[_Block], index: int) -> bool:
    """Return whether a block must stay with the one after it."""
    block = blocks[index]
    after = blocks[index + 1] if index + 1 < len(blocks) else None
    if block.kind is _Kind.heading:
        return True
    if after is None or after.kind is _Kind.heading:
        return False
    content = text[block.start : block.end]
    if block.kind is _Kind.row:
        is_header = after.kind is _Kind.row and _RULE_ROW.match(text[after.start : after.end]) is not None
        return is_header or _RULE_ROW.match(content) is not None
    return block.kind is _Kind.text and content.rstrip().endswith((":", "\uff1a"))
