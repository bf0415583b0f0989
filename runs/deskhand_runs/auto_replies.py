"""Mail that a machine sent: answering it makes loops. The headers are those of RFC 3834 and of common practice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from email.parser import HeaderParser
from typing import Any

from deskhand.tickets import Event, Ticket

_BULK = frozenset({"bulk", "list", "junk", "auto_reply"})
_ANY_VALUE = ("list-id", "x-loop", "x-rt-loop-prevention", "x-autoreply", "x-autorespond")
_SUPPRESSES = frozenset({"all", "oof", "autoreply"})
_COMMENT = re.compile(r"\([^()]*\)")
_MAX_HEADER_CHARS = 20_000

_Headers = dict[str, list[str]]


def automatic_reason(event: Event, ticket: Ticket | None) -> str | None:
    """Return which header says that the newest mail was sent by a machine, or None.

    Headers are looked for in ``event.raw``, when that is a mail's head or JSON with ``headers``: an object of names
    and values, or a list of pairs; else in ``ticket.fields["headers"]``. What cannot be read has no headers.
    """
    of_event = _raw_headers(event.raw)
    return _judge(of_event or _normal((ticket.fields if ticket else {}).get("headers")))


def _judge(headers: _Headers) -> str | None:
    submitted = _words(headers, "auto-submitted")
    if submitted and submitted[0] != "no":
        return f"automatic mail (Auto-Submitted: {submitted[0]})"
    precedence = _words(headers, "precedence")
    if precedence and precedence[0] in _BULK:
        return f"automatic mail (Precedence: {precedence[0]})"
    if _SUPPRESSES & set(_words(headers, "x-auto-response-suppress")):
        return "automatic mail (X-Auto-Response-Suppress)"
    if any(value.strip() in ("<>", "") for value in headers.get("return-path", ())):
        return "automatic mail (null return path)"
    if any(value.strip().lower().startswith("multipart/report") for value in headers.get("content-type", ())):
        return "automatic mail (a delivery report)"
    return next((f"automatic mail ({name})" for name in _ANY_VALUE if headers.get(name)), None)


def _words(headers: _Headers, name: str) -> list[str]:
    """Return the words of a header in lower case, without comments and parameters' separators."""
    text = " ".join(headers.get(name, ()))
    return re.findall(r"[a-z0-9_-]+", _COMMENT.sub(" ", text).lower())


def _normal(value: Any) -> _Headers:
    """Return headers by lower-case name, from an object or from a list of pairs; empty for anything else."""
    found: _Headers = {}
    for name, texts in _pairs(value):
        found.setdefault(name.strip().lower(), []).extend(texts)
    return found


def _pairs(value: Any) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, Mapping):
        entries: list[Any] = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        entries = list(value)
    else:
        entries = []
    for entry in entries:
        if isinstance(entry, Mapping):
            entry = (entry.get("name"), entry.get("value"))
        if isinstance(entry, Sequence) and len(entry) == 2 and isinstance(entry[0], str):
            given = entry[1] if isinstance(entry[1], list) else [entry[1]]
            yield entry[0], [text for text in given if isinstance(text, str)]


def _raw_headers(raw: str) -> _Headers:
    if raw.lstrip()[:1] == "{":
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            return {}
        return _normal(body.get("headers")) if isinstance(body, dict) else {}
    if re.match(r"[A-Za-z][A-Za-z0-9-]*:", raw):
        head = re.split(r"\r?\n\r?\n", raw[:_MAX_HEADER_CHARS], maxsplit=1)[0]
        return _normal([(name, str(value)) for name, value in HeaderParser().parsestr(head).items()])
    return {}
