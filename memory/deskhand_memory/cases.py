"""Solved tickets as signposts: which articles answered a question that was asked like this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deskhand.errors import InputError
from deskhand.fencing import normalise
from deskhand.jsonio import read_lines
from deskhand.vault import PatternVault

SOLVED = Path("tickets") / "solved.jsonl"
"""Where a workspace keeps them; its rows are ``{ticket, reply, articles, outcome}``."""

MAX_CASES = 5_000
"""The last ones of the file: each is compared with every query."""


@dataclass(frozen=True)
class Case:
    """What a customer wrote first, personal data masked, and the ids of the articles that answered it."""

    text: str
    articles: tuple[str, ...]


@dataclass(frozen=True)
class Cases:
    """The vectors of cases, shape ``(n, dim)``, with the articles of each."""

    articles: tuple[tuple[str, ...], ...] = ()
    matrix: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)

    def similarities(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """Return for each article of a case the cosine of the nearest one, above 0 to 1, rounded to six digits."""
        if not self.articles:
            return {}
        best: dict[str, float] = {}
        cosines = self.matrix.astype(np.float64) @ vector.astype(np.float64)
        for articles, cosine in zip(self.articles, cosines.round(6).tolist(), strict=True):
            for article in articles:
                if cosine > best.get(article, 0.0):
                    best[article] = cosine
        return best


NO_CASES = Cases()


def load_cases(path: Path) -> list[Case]:
    """Return the cases in a file of solved tickets, those without articles left out; none when there is no file.

    Raises:
        InputError: A line has no ticket with messages, or its articles are no list of ids.
    """
    rows = [_case(value, where) for where, value in read_lines(path)] if path.is_file() else []
    return [case for case in rows if case.text and case.articles][-MAX_CASES:]


def _case(value: Any, where: str) -> Case:
    row = value if isinstance(value, Mapping) else {}
    ticket, articles = row.get("ticket"), row.get("articles", [])
    messages = ticket.get("messages") if isinstance(ticket, Mapping) else None
    if not isinstance(ticket, Mapping) or not isinstance(messages, list) or not _are_ids(articles):
        raise InputError(f"{where}: no solved ticket; give it a ticket with messages, and articles as a list of ids")
    written = [m.get("text") for m in messages if isinstance(m, Mapping) and m.get("role") == "customer"]
    parts = [text for text in (ticket.get("subject"), *written[:1]) if isinstance(text, str)]
    return Case(PatternVault().mask(normalise("\n".join(parts))).strip(), tuple(articles))


def _are_ids(articles: Any) -> bool:
    return isinstance(articles, list) and all(isinstance(article, str) for article in articles)


def build_cases(rows: Sequence[tuple[tuple[str, ...], NDArray[np.float32]]]) -> Cases:
    """Return cases from their articles and vectors."""
    return Cases(tuple(row[0] for row in rows), np.stack([row[1] for row in rows])) if rows else Cases()
