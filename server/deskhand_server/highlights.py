"""Which part of a text belongs to which citation: where a draft's sentences and a passage's quotes stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Segment(NamedTuple):
    """A piece of a text and the numbers of the citations that cover it, none for plain text."""

    text: str
    numbers: tuple[int, ...]
    is_end: bool
    """Whether a citation ends here, so that its number is shown."""


class _Span(NamedTuple):
    start: int
    end: int
    number: int


def segments(text: str, marked: Iterable[tuple[int, str]]) -> list[Segment]:
    """Cut ``text`` where marked parts begin and end; the pieces joined are ``text`` again.

    Args:
        text: What is shown.
        marked: Citation numbers with the part of ``text`` that each is about; parts that are not there are left out.
            White space may differ.
    """
    spans = [span for number, part in marked if (span := _find(text, part, number)) is not None]
    cuts = sorted({0, len(text), *(span.start for span in spans), *(span.end for span in spans)})
    return [_segment(text, start, end, spans) for start, end in pairwise(cuts)]


def _segment(text: str, start: int, end: int, spans: Sequence[_Span]) -> Segment:
    covering = [span for span in spans if span.start <= start and end <= span.end]
    numbers = tuple(sorted({span.number for span in covering}))
    return Segment(text[start:end], numbers, any(span.end == end for span in covering))


def _find(text: str, part: str, number: int) -> _Span | None:
    words = part.split()
    if not words:
        return None
    at = text.find(part)
    if at >= 0:
        return _Span(at, at + len(part), number)
    found = re.search(r"\s+".join(re.escape(word) for word in words), text)
    return _Span(found.start(), found.end(), number) if found else None
