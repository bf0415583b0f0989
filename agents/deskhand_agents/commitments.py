"""What a draft promises, and whether anything stands behind it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from deskhand.answers import Citation, Commitment, CommitmentKind, CommitmentStatus, Finding, Passage
from deskhand.fencing import fold
from deskhand.jsonio import canonical_json
from deskhand_agents.entities import find_amounts, find_dates
from deskhand_agents.sentences import compact
from deskhand_memory.units import headers_in

_PERCENTAGE = re.compile(r"\b\d{1,3}(?:[.,]\d+)? ?(?:%|per ?cent\b)")
_COUNTS = {name: str(number) for number, name in enumerate(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=1
)} | {"fourteen": "14", "thirty": "30"}  # fmt: skip
_COUNT = rf"(?:\d{{1,3}}|{'|'.join(_COUNTS)})"
_DAYS = r"(?:working |business |calendar )?"
_DEADLINE = re.compile(
    rf"\b(?:within|in|after|for|up to|at most|no later than|until|by)(?: the next| about| around)? {_COUNT}"
    rf"(?: ?(?:-|\u2013|to) ?\d{{1,3}})? {_DAYS}(?:minute|hour|day|week|month|year)s?\b"
    rf"|\b(?!one\b){_COUNT}(?: ?(?:-|\u2013|to) ?\d{{1,3}})?[- ]{_DAYS}(?:day|week|month|year)s?\b"
    r"|\b(?:by|before|until) (?:today|tomorrow|tonight|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|the end of|next week)\b"
)
_PRICE = re.compile(r"\b(?:cost|costs|price|priced|fee|charge|pay|for just|only)\b")
_POLICY = re.compile(
    r"\b(?:free of charge|for free|at no (?:extra )?cost|(?:can|may) (?:be )?(?:return|refund"
    r"|exchange|cancel|replace)\w*|eligible|entitled|warranty|guarantee[ds]?"
    r"|covered|we (?:accept|deduct|do not|don't|never|always|refund|replace|offer|only)|(?:is"
    r"|are) (?:not )?(?:refundable|included|covered|allowed|possible))\b"
)
_PROMISE = re.compile(
    r"\b(?:we(?:'ll| will| shall| are going to| promise| guarantee)|i(?:'ll| will| promise"
    r"| guarantee)|you(?:'ll| will) (?:receive|get|be)"
    r"|(?:has|have) been (?:approved|refunded|issued|credited|cancelled)|(?:refund|replacement"
    r"|voucher|discount) (?:is|was|has been) (?:approved|on its way|issued|granted))\b"
)
_DURATION = re.compile(
    rf"\b({_COUNT})(?: ?(?:-|\u2013|to|or) ?({_COUNT}))?[- ]({_DAYS})(minute|hour|day|week|month|year)s?\b"
)
_DENYING = frozenset(["not", "no", "never", "nor", "cannot", "t"])
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"\w+")
_TURNING = _DENYING | {"unless", "only", "if", "except", "without", "but"}


def find_commitments(
    sentence: str,
    citation: Citation | None,
    *,
    passages: Mapping[str, Passage],
    findings: Sequence[Finding],
    today: date,
) -> list[Commitment]:
    """Return what ``sentence`` promises, each bound to the passage or record that its citation names.

    Backed: the quote holds the same figures (for promises and policies: the same words). Expired: so, but the
    passage is no longer valid on ``today``. Unbacked: everything else.
    """
    found = []
    for kind, text in _promised(sentence):
        source = passages.get(citation.passage_id) if citation else None
        status = _status(kind, text, sentence, citation, source, findings, today)
        is_bound = citation is not None and status is not CommitmentStatus.unbacked
        found.append(
            Commitment(
                text=text,
                kind=kind,
                passage_id=citation.passage_id if citation and is_bound else None,
                valid_to=source.valid_to if source and is_bound else None,
                status=status,
            )
        )
    return found


def _promised(sentence: str) -> list[tuple[CommitmentKind, str]]:
    folded = fold(sentence)
    money = CommitmentKind.price if _PRICE.search(folded) else CommitmentKind.amount
    found = [(money, entity.text) for entity in find_amounts(sentence)]
    found += [(CommitmentKind.date, entity.text) for entity in find_dates(sentence)]
    found += [(CommitmentKind.percentage, match[0]) for match in _PERCENTAGE.finditer(folded)]
    found += [(CommitmentKind.deadline, match[0]) for match in _DEADLINE.finditer(folded)]
    if _PROMISE.search(folded):
        found.append((CommitmentKind.promise, sentence.strip()))
    elif _POLICY.search(folded) and not found:
        found.append((CommitmentKind.policy, sentence.strip()))
    return list(dict.fromkeys(found))


def _status(
    kind: CommitmentKind,
    text: str,
    sentence: str,
    citation: Citation | None,
    source: Passage | None,
    findings: Sequence[Finding],
    today: date,
) -> CommitmentStatus:
    if citation is None:
        return CommitmentStatus.unbacked
    if source is None:
        is_backed = kind is not CommitmentKind.promise and _is_in_record(text, citation, findings)
        return CommitmentStatus.backed if is_backed else CommitmentStatus.unbacked
    if not _is_in_quote(kind, text, sentence, _backing(citation.quote, source)):
        return CommitmentStatus.unbacked
    is_expired = source.valid_to is not None and source.valid_to < today
    return CommitmentStatus.expired if is_expired else CommitmentStatus.backed


def _backing(quote: str, source: Passage) -> str:
    """Return the quote; a table row with its headers, which say what its figures are."""
    return f"{source.header}\n{headers_in(source.text)}\n{quote}" if quote.startswith("|") else quote


def _is_in_quote(kind: CommitmentKind, text: str, sentence: str, quote: str) -> bool:
    if kind in (CommitmentKind.promise, CommitmentKind.policy):
        return bare(sentence) in bare(quote) or _is_shortened(sentence, quote)
    if _drops_denial(sentence, quote):
        return False
    figures = _figures(kind, text)
    if not figures or "\n|" in f"\n{quote}":  # in a table the header holds the unit
        numbers = _NUMBER.findall(text)
        return all(number in _NUMBER.findall(quote) for number in numbers) if numbers else fold(text) in fold(quote)
    found = _figures(kind, quote)
    return all(figure in found or _is_day_of(figure, found) for figure in figures)


def _is_day_of(figure: str, dates: set[str]) -> bool:
    """Tell whether a date without its year is one of ``dates``."""
    return figure.startswith("--") and any(date.endswith(figure[1:]) for date in dates)


def _figures(kind: CommitmentKind, text: str) -> set[str]:
    """Return the figures of this kind with their units: EUR 30.00, 30 day, 2026-11-20."""
    if kind in (CommitmentKind.price, CommitmentKind.amount):
        return {entity.value for entity in find_amounts(text)}
    if kind is CommitmentKind.percentage:
        return {_NUMBER.findall(match[0])[0] for match in _PERCENTAGE.finditer(fold(text))}
    if kind is CommitmentKind.date:
        return {entity.value for entity in find_dates(text)}
    return {
        f"{_COUNTS.get(n, n)} {_COUNTS.get(to, to)} {qualifier}{unit}"
        for n, to, qualifier, unit in _DURATION.findall(fold(text))
    }


def _drops_denial(sentence: str, quote: str) -> bool:
    """Tell whether the quote denies something and the sentence, in words of its own, does not."""
    if bare(sentence) in bare(quote):
        return False
    denials = Counter(word for word in _WORD.findall(bare(quote)) if word in _DENYING)
    return bool(denials - Counter(_WORD.findall(bare(sentence))))


def _is_shortened(sentence: str, quote: str) -> bool:
    """Tell whether the quote says the sentence and more: all its words in their order, in a table row in any.

    What is left out may not turn the sense: no "not", "unless" or "only".
    """
    own, words = _WORD.findall(bare(sentence)), _WORD.findall(bare(quote))
    if "|" in quote:
        return set(own) <= set(words)
    rest = iter(words)
    return all(word in rest for word in own) and not (Counter(words) - Counter(own)).keys() & _TURNING


def _is_in_record(text: str, citation: Citation, findings: Sequence[Finding]) -> bool:
    finding = next((f for f in findings if f"record:{f.tool}:{f.subject}" == citation.passage_id), None)
    if finding is None:
        return False
    facts = canonical_json(finding.facts)
    dates, amounts = find_dates(text), find_amounts(text)
    if dates or amounts:
        known = {entity.value for entity in (*find_amounts(facts), *find_dates(re.sub(r"T[\d:.+Z]+", " ", facts)))}
        return all(entity.value in known for entity in (*dates, *amounts))
    return all(number in _NUMBER.findall(facts) for number in _NUMBER.findall(text))


def bare(text: str) -> str:
    """Return text for comparing a sentence with its quote: compact, lower case, without Markdown's marks."""
    return compact(re.sub(r"\*\*|__|`", "", text)).casefold()
