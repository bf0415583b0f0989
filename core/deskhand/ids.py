"""Where identifiers come from."""

from __future__ import annotations

import secrets
import time
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS = 9
_RANDOM_CHARS = 9


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self, prefix: str) -> str:
        """Return an identifier that was never returned before, beginning with ``prefix-``."""
        ...


class RandomIds:
    """Identifiers that sort by the millisecond of their making, with 45 random bits behind it."""

    def new(self, prefix: str) -> str:
        """Return ``<prefix>-<9 characters of time><9 random characters>`` in Crockford's base 32."""
        moment = _base32(time.time_ns() // 1_000_000, _TIME_CHARS)
        return f"{prefix}-{moment}{_base32(secrets.randbits(5 * _RANDOM_CHARS), _RANDOM_CHARS)}"


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
