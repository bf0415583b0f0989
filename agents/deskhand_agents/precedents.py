"""Which articles people answered tickets of a category with: what is usual, learned from solved tickets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deskhand.jsonio import read_lines, validate
from deskhand.schema import Model

_N_IMAGINED, _SHARE_IMAGINED = 3, 0.1
_FLOOR = 0.02


class _SolvedTicket(Model):
    """What is needed of one line of ``tickets/solved.jsonl``."""

    ticket: dict[str, Any]
    reply: str = ""
    articles: tuple[str, ...] = ()
    outcome: str = ""

    @property
    def category(self) -> str | None:
        fields = self.ticket.get("fields")
        found = fields.get("category") if isinstance(fields, Mapping) else None
        return found if isinstance(found, str) else None


@dataclass(frozen=True)
class Precedents:
    """How often articles answered solved tickets, by category."""

    n_tickets: Mapping[str, int] = field(default_factory=dict)
    n_answered: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def worth(self, category: str | None, articles: Iterable[str]) -> dict[str, float]:
        """Return the logarithm of the share of tickets of the category that each article answered, smoothed.

        Empty where nothing is known of the category: then no article is more usual than another.
        """
        n = self.n_tickets.get(category or "", 0)
        return {article: self._log_share(category or "", article, n) for article in set(articles)} if n else {}

    def _log_share(self, category: str, article: str, n: int) -> float:
        n_answered = self.n_answered.get((category, article), 0) + _N_IMAGINED * _SHARE_IMAGINED
        return round(math.log(n_answered / (n + _N_IMAGINED) + _FLOOR), 4)


def count_precedents(cases: Iterable[tuple[str, Iterable[str]]]) -> Precedents:
    """Return the precedents in ``cases``: the category of a solved ticket, and the articles that answered it."""
    n_tickets: Counter[str] = Counter()
    n_answered: Counter[tuple[str, str]] = Counter()
    for category, articles in cases:
        n_tickets[category] += 1
        n_answered.update((category, article) for article in set(articles))
    return Precedents(n_tickets, n_answered)


def load_precedents(path: Path) -> Precedents:
    """Return the precedents in a file of solved tickets; none when there is no file.

    The category is the ticket's field ``category``; tickets without one, or without articles, say nothing.

    Raises:
        InputError: A line is not a solved ticket.
    """
    rows = [validate(_SolvedTicket, value, where) for where, value in read_lines(path)] if path.is_file() else []
    return count_precedents((row.category, row.articles) for row in rows if row.category and row.articles)
