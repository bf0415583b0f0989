"""Remembering what a slow function of a text returned: sentences of articles come back with every ticket."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
TextFunction = Callable[[str], T]


def remembering(*, n_texts: int = 4096, longest: int = 2000) -> Callable[[TextFunction[T]], TextFunction[T]]:
    """Return a decorator that keeps what a function returned for the last ``n_texts`` texts.

    Texts of more than ``longest`` characters are left out: they come back rarely and would fill the memory. What the
    function returns must not be changed by anybody.
    """

    def decorate(function: TextFunction[T]) -> TextFunction[T]:
        remembered = functools.lru_cache(maxsize=n_texts)(function)

        @functools.wraps(function)
        def ask(text: str) -> T:
            return remembered(text) if len(text) <= longest else function(text)

        return ask

    return decorate
