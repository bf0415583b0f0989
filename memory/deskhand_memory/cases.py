"""Earlier tickets as signposts: which articles answered a question like this one, or one of its category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deskhand.errors import InputError
from deskhand.fencing import normalise
from deskhand.jsonio import read_lines
from deskhand.vault import PatternVault

SOLVED = Path("tickets") / "solved.jsonl"
"""Where a workspace keeps solved tickets; its rows are ``{ticket, reply, articles, outcome}``."""

LABELLED = Path("tickets") / "labelled.jsonl"
"""Where a workspace keeps labelled tickets. They count only beside solved ones: alone they point to no article."""

MAX_CASES = 5_000
"""The last solved tickets of the file: each is compared with every query."""

MAX_PER_CATEGORY = 40
"""The last labelled tickets of a category: all of them (43 on average) were no better on the development questions."""

_VOTERS = 20
_VOTE_WIDTH = 0.05
_UNSEEN = 1.0
"""How many tickets without an article each category is taken to have had besides those that were solved."""


@dataclass(frozen=True)
class Case:
    """What a customer wrote first, personal data masked, the ids of the articles that answered it, and its category.

    A labelled ticket has no articles; ``category`` is "" where it is not known.
    """

    text: str
    articles: tuple[str, ...]
    category: str = ""


class KnownCase(NamedTuple):
    """A case without its text: ``vector`` has length 1."""

    articles: tuple[str, ...]
    vector: NDArray[np.float32]
    category: str = ""


@dataclass(frozen=True)
class Cases:
    """The vectors of solved tickets, shape ``(n, dim)``, with the articles of each, and those of labelled tickets.

    ``shares`` holds for each category which share of its solved tickets each article answered, 0 to 1.
    """

    articles: tuple[tuple[str, ...], ...] = ()
    matrix: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)
    labels: tuple[str, ...] = ()
    labelled: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def similarities(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """Return for each article of a case the cosine of the nearest one, above 0 to 1, rounded to six digits."""
        best: dict[str, float] = {}
        for articles, cosine in zip(self.articles, _cosines(self.matrix, vector), strict=True):
            for article in articles:
                if cosine > best.get(article, 0.0):
                    best[article] = cosine
        return best

    def likelihoods(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """Return how often articles answer tickets of the query's category, above 0 to 1, rounded to six digits.

        The nearest labelled tickets vote for the category, each with exp(cosine / 0.05).
        """
        cosines = _cosines(self.labelled, vector)
        nearest = sorted(range(len(cosines)), key=lambda row: (-cosines[row], row))[:_VOTERS]
        votes = [
            (self.labels[row], float(np.exp((cosines[row] - cosines[nearest[0]]) / _VOTE_WIDTH))) for row in nearest
        ]
        total = sum(vote for _, vote in votes)
        likely: dict[str, float] = {}
        for label, vote in votes:
            for article, share in self.shares.get(label, {}).items():
                likely[article] = likely.get(article, 0.0) + share * vote / total
        return {article: round(value, 6) for article, value in likely.items()}


NO_CASES = Cases()


def _cosines(matrix: NDArray[np.float32], vector: NDArray[np.float32]) -> list[float]:
    if not len(matrix):
        return []
    cosines: list[float] = (matrix.astype(np.float64) @ vector.astype(np.float64)).round(6).tolist()
    return cosines


def load_cases(path: Path) -> list[Case]:
    """Return the cases in a file of solved tickets, those without articles left out; none when there is no file.

    Raises:
        InputError: A line has no ticket with messages, or its articles are no list of ids.
    """
    rows = [_case(value, where) for where, value in read_lines(path)] if path.is_file() else []
    return [case for case in rows if case.text and case.articles][-MAX_CASES:]


def load_labelled(path: Path, languages: Collection[str]) -> list[Case]:
    """Return the last labelled tickets of each category, in the order of the file; none when there is no file.

    Those in another language than ``languages``, and those that fit no category, are left out. Whether a row is right
    is for the agents to say, which learn from it: here a wrong one is left out too.

    Raises:
        InputError: A line is no JSON.
    """
    rows = [value for _, value in read_lines(path)] if path.is_file() else []
    counts: Counter[str] = Counter()
    found: list[Case] = []
    for case in _labelled(reversed(rows), languages):
        counts[case.category] += 1
        if counts[case.category] <= MAX_PER_CATEGORY:
            found.append(case)
    return found[::-1]


def _labelled(rows: Iterator[Any], languages: Collection[str]) -> Iterator[Case]:
    for value in rows:
        row = value if isinstance(value, Mapping) else {}
        text, label, language = row.get("text"), row.get("label"), row.get("language")
        is_understood = language is None or language in languages
        if isinstance(text, str) and isinstance(label, str) and label and text.strip() and is_understood:
            yield Case(_masked(text), (), label)


def _case(value: Any, where: str) -> Case:
    row = value if isinstance(value, Mapping) else {}
    ticket, articles = row.get("ticket"), row.get("articles", [])
    messages = ticket.get("messages") if isinstance(ticket, Mapping) else None
    if not isinstance(ticket, Mapping) or not isinstance(messages, list) or not _are_ids(articles):
        raise InputError(f"{where}: no solved ticket; give it a ticket with messages, and articles as a list of ids")
    written = [m.get("text") for m in messages if isinstance(m, Mapping) and m.get("role") == "customer"]
    parts = [text for text in (ticket.get("subject"), *written[:1]) if isinstance(text, str)]
    fields = ticket.get("fields")
    category = fields.get("category") if isinstance(fields, Mapping) else None
    return Case(_masked("\n".join(parts)), tuple(articles), category if isinstance(category, str) else "")


def _masked(text: str) -> str:
    return PatternVault().mask(normalise(text)).strip()


def _are_ids(articles: Any) -> bool:
    return isinstance(articles, list) and all(isinstance(article, str) for article in articles)


def build_cases(rows: Sequence[KnownCase]) -> Cases:
    """Return cases from their articles, vectors and categories. Without solved tickets the others say nothing."""
    solved = [row for row in rows if row.articles]
    if not solved:
        return NO_CASES
    shares = _shares(solved)
    labelled = [row for row in rows if not row.articles and row.category]
    return Cases(
        tuple(row.articles for row in solved),
        np.stack([row.vector for row in solved]),
        tuple(row.category for row in labelled),
        np.stack([row.vector for row in labelled]) if labelled else NO_CASES.labelled,
        shares,
    )


def _shares(solved: Sequence[KnownCase]) -> dict[str, dict[str, float]]:
    counts: dict[str, Counter[str]] = {}
    for row in solved:
        counts.setdefault(row.category, Counter()).update(set(row.articles))
    n = Counter(row.category for row in solved)
    return {
        category: {article: count / (n[category] + _UNSEEN) for article, count in sorted(found.items())}
        for category, found in counts.items()
        if category
    }
