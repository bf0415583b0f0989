"""What many tickets are about: themes with counts, the words that set them apart, and examples."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from deskhand.answers import Sentiment
from deskhand.schema import Model
from deskhand.tickets import Priority

N_TERMS, N_EXAMPLES = 5, 3
_WORD = re.compile(r"[^\W\d_]{4,}")
_PRIOR = 0.5


@dataclass(frozen=True)
class DigestItem:
    """One ticket as a digest sees it; ``text`` is masked."""

    ticket_id: str
    category: str | None
    text: str
    opening: str
    language: str | None = None
    priority: Priority | None = None
    sentiment: Sentiment | None = None
    confidence: float = 0.0


class Theme(Model):
    """The tickets of one category. ``terms`` are words that stand in it more than elsewhere; ``share`` is 0 to 1."""

    category: str | None
    count: int
    share: float
    terms: tuple[str, ...]
    examples: tuple[str, ...]
    quote: str
    n_urgent: int
    n_negative: int
    languages: dict[str, int]


class Digest(Model):
    """One account of many tickets, the biggest theme first."""

    n_tickets: int
    text: str
    themes: tuple[Theme, ...]


def build_digest(items: Sequence[DigestItem]) -> Digest:
    """Return the themes of ``items``. Examples are the surest tickets of a theme; the quote is the first one's."""
    groups: dict[str | None, list[DigestItem]] = defaultdict(list)
    for item in items:
        groups[item.category].append(item)
    counts = {category: _words(group) for category, group in groups.items()}
    themes = [_theme(category, group, counts, len(items)) for category, group in groups.items()]
    themes.sort(key=lambda theme: (-theme.count, theme.category or "~"))
    return Digest(n_tickets=len(items), text=_text(len(items), themes), themes=tuple(themes))


def _theme(category: str | None, group: list[DigestItem], counts: dict[str | None, Counter[str]], n_all: int) -> Theme:
    surest = sorted(group, key=lambda item: (-item.confidence, item.ticket_id))
    return Theme(
        category=category,
        count=len(group),
        share=round(len(group) / n_all, 4),
        terms=_distinctive(category, counts),
        examples=tuple(item.ticket_id for item in surest[:N_EXAMPLES]),
        quote=surest[0].opening,
        n_urgent=sum(item.priority is Priority.urgent for item in group),
        n_negative=sum(item.sentiment is Sentiment.negative for item in group),
        languages=dict(sorted(Counter(item.language or "unknown" for item in group).items())),
    )


def _words(group: Sequence[DigestItem]) -> Counter[str]:
    """Return in how many tickets each word stands."""
    return Counter(word for item in group for word in set(_WORD.findall(item.text.casefold())))


def _distinctive(category: str | None, counts: dict[str | None, Counter[str]]) -> tuple[str, ...]:
    """Return the words with the highest log-odds in a category against all others, over their standard error.

    Source: Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 15 to 22, with a flat prior of 0.5.
    """
    here = counts[category]
    there: Counter[str] = sum((count for other, count in counts.items() if other != category), Counter())
    n_here, n_there = here.total() + _PRIOR * len(here), there.total() + _PRIOR * len(there) + 1

    def weight(word: str) -> float:
        a, b = here[word] + _PRIOR, there[word] + _PRIOR
        odds = math.log(a / (n_here - a + 1)) - math.log(b / (n_there - b + 1))
        return odds / math.sqrt(1 / a + 1 / b)

    repeated = [word for word, n in here.items() if n > 1]
    return tuple(sorted(repeated, key=lambda word: (-weight(word), word))[:N_TERMS])


def _text(n: int, themes: Sequence[Theme]) -> str:
    lines = [f"{n} tickets, {len(themes)} themes."]
    for theme in themes:
        terms = f": {', '.join(theme.terms)}" if theme.terms else ""
        urgent = f"; {theme.n_urgent} urgent" if theme.n_urgent else ""
        name = theme.category or "no category"
        lines.append(f"- {name}, {theme.count} ({theme.share:.0%}){terms}{urgent}. For example {theme.examples[0]}.")
    return "\n".join(lines)
