"""What can go wrong with one attempt, in classes that say what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum

from deskhand_models.transport import Tokens

_CONTEXT = re.compile(
    r"context[ _-]?(?:length|window|size|of \d)|maximum context|too many tokens|prompt is too long|reduce the length",
    re.I,
)
_FILTER = re.compile(r"content[ _-]?(?:filter|policy|management)|responsible_?ai", re.I)
_NOT_BILLED = frozenset({401, 402, 403, 404, 405, 429})
"""Refused before any token was read. Other answers may cost: some providers bill 400 (filtered) and 408 too."""


class Fault(StrEnum):
    """Why an attempt gave no answer."""

    rate_limited = "rate_limited"
    server_error = "server_error"
    timeout = "timeout"
    connection = "connection"
    truncated = "truncated"
    empty = "empty"
    no_choices = "no_choices"
    bad_json = "bad_json"
    context_too_long = "context_too_long"
    auth = "auth"
    refused_request = "refused_request"
    content_filter = "content_filter"
    not_installed = "not_installed"
    echoed = "echoed"


class AttemptFailed(Exception):
    """One attempt gave no answer. It never leaves this room: callers see Unavailable.

    Args:
        fault: Its class.
        detail: What happened, for people, at full length: cut before its key is hidden, it would show half of it.
        retry_after_s: How long the provider asked to wait, when it did.
        is_billed: False when it certainly cost nothing.
        tokens: What the provider says it used, when it does.
    """

    def __init__(
        self,
        fault: Fault,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        is_billed: bool = True,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.is_billed = is_billed
        self.tokens = tokens


def read_status(status: int, text: str, headers: Mapping[str, str]) -> AttemptFailed:
    """Return the failure that an HTTP status other than 200 means. ``text`` is the body, headers are lower case."""
    fault = _classify(status, text)
    if 300 <= status < 400:
        target = headers.get("location", "another address")
        text = f"it sends on to {target}, where deskhand does not follow; correct api_base"
    shown = f"HTTP {status}" if fault is Fault.auth else f"HTTP {status}: {text}"
    return AttemptFailed(fault, shown, retry_after_s=read_retry_after(headers), is_billed=status not in _NOT_BILLED)


def _classify(status: int, text: str) -> Fault:
    if status in (401, 402, 403) or (status == 429 and "insufficient_quota" in text):
        return Fault.auth
    if status == 429:
        return Fault.rate_limited
    if status == 408:
        return Fault.timeout
    if status >= 500:
        return Fault.server_error
    if _CONTEXT.search(text):
        return Fault.context_too_long
    return Fault.content_filter if _FILTER.search(text) else Fault.refused_request


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds that ``retry-after-ms`` or ``retry-after`` asks for, or None.

    A date is compared with the answer's own ``date``, so that clocks need not agree.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    return seconds if seconds is not None else _date_distance(text, headers.get("date"))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None


def _date_distance(until: str | None, since: str | None) -> float | None:
    try:
        distance = parsedate_to_datetime(until or "") - parsedate_to_datetime(since or "")
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, distance.total_seconds())


def shorten(text: str, limit: int = 160) -> str:
    """Return ``text`` in one line of at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
