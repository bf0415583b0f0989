"""Small texts that every connector needs: markers of our own writes, and texts that fit a message."""

from __future__ import annotations

import hashlib

from deskhand.tickets import MAX_MESSAGE_CHARS


def marker_of(key: str) -> str:
    """Return the mark that a write with this key leaves behind, such as ``[dh-0123456789abcdef]``."""
    return f"[dh-{short_hash(key)}]"


def short_hash(text: str, length: int = 16) -> str:
    """Return the first ``length`` hexadecimal digits of the SHA-256 of ``text``."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def fit(text: str) -> str:
    """Return ``text`` as a message can hold it; what had to be left out is said at the end."""
    if len(text) <= MAX_MESSAGE_CHARS:
        return text
    kept = text[: MAX_MESSAGE_CHARS - 100]
    return f"{kept}\n\n[{len(text) - len(kept):,} more characters were left out here]"


def fit_line(text: object, limit: int = 2_000) -> str:
    """Return a value as one line of at most ``limit`` characters."""
    return " ".join(str(text).split())[:limit]
