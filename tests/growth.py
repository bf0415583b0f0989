"""Telling linear from quadratic work by its growth, whatever the speed of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable

_LEAST_S = 0.02
"""Work that is shorter is all noise."""


def grows_linearly(work: Callable[[str], object], text: str) -> bool:
    """Tell whether four times the text takes less than ten times the CPU time: linear work takes 4, quadratic 16.

    What a busy machine spoils is measured again, up to three times, and the least counts.
    """
    quarter, whole = [], []
    for _ in range(3):
        quarter.append(_measure(work, text[: len(text) // 4]))
        whole.append(_measure(work, text))
        if min(whole) < 10 * max(min(quarter), _LEAST_S):
            return True
    return False


def _measure(work: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    work(text)
    return time.process_time() - started
