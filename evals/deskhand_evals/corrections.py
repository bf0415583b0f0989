"""Corrections of chances for many tests at once."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted so that the chance of any false alarm is kept. Source: Holm 1979."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted so that the share of false alarms is kept. Source: Benjamini and Hochberg 1995."""
    adjusted = [0.0] * len(p_values)
    lowest, n = 1.0, len(p_values)
    for rank, place in reversed(list(enumerate(sorted(range(n), key=p_values.__getitem__), start=1))):
        lowest = min(lowest, p_values[place] * n / rank)
        adjusted[place] = lowest
    return adjusted
