"""Counting tokens before a provider does, for budgets and for context limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from deskhand.jsonio import canonical_json
from deskhand.libraries import prepare
from deskhand.remembering import remembering

if TYPE_CHECKING:
    import tiktoken

_SLICE = 2000
"""Characters encoded at once: a long text without spaces costs time that grows with the square of its length."""
_PER_MESSAGE = 6
_PER_REQUEST = 8


@lru_cache(maxsize=1)
def load_encoding() -> tiktoken.Encoding:
    """Return the encoding that counts are made with; the first call takes 0.2 s.

    cl100k, because it is half as large as o200k and counts no fewer tokens.
    """
    prepare()
    import tiktoken

    return tiktoken.get_encoding("cl100k_base")


@remembering(n_texts=2048, longest=8000)  # an agent sends the same messages again with every turn
def count_tokens(text: str) -> int:
    """Return how many tokens ``text`` has, or a few more: it is cut into slices first."""
    encoding = load_encoding()
    return sum(len(encoding.encode_ordinary(text[start : start + _SLICE])) for start in range(0, len(text), _SLICE))


def count_prompt(body: Mapping[str, Any]) -> int:
    """Return how many tokens the prompt of a request has: messages, tools and schema, or the texts to be embedded."""
    total = _PER_REQUEST + sum(_PER_MESSAGE + count_tokens(text) for text in body.get("input", ()))
    for message in body.get("messages", ()):
        total += _PER_MESSAGE + count_tokens(message.get("content") or "")
        if message.get("tool_calls"):
            total += count_tokens(canonical_json(message["tool_calls"]))
    return total + sum(count_tokens(canonical_json(body[key])) for key in ("tools", "response_format") if key in body)
