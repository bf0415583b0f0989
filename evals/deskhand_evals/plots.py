"""Plots as inline SVG, small and without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from deskhand_evals.calibration import Bin, Confusion
from deskhand_evals.summary import Slice

_INK, _BLUE = "#1f2933", "31,90,166"


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-size="11"'
        f' font-family="system-ui,sans-serif" fill="{_INK}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: object, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(text))}</text>'


def confusion_svg(found: Confusion, *, max_classes: int = 30) -> str:
    """Return the confusion matrix: rows are true, columns predicted, shade is the share of the row."""
    n, cell, left, top = min(len(found.labels), max_classes), 28, 150, 110
    parts = []
    for i in range(n):
        total = sum(found.counts[i]) or 1
        parts.append(_text(left - 6, top + i * cell + 18, _short(found.labels[i]), "end"))
        x = left + i * cell + 12
        parts.append(f'<text transform="translate({x},{top - 6}) rotate(-50)">{escape(_short(found.labels[i]))}</text>')
        for j in range(n):
            count = found.counts[i][j]
            shade = f"rgba({_BLUE},{0.08 + 0.8 * count / total:.2f})" if count else "#f4f6f8"
            x, y = left + j * cell, top + i * cell
            parts.append(f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="{shade}"/>')
            if count:
                parts.append(_text(left + j * cell + 13, top + i * cell + 18, count, "middle"))
    return _svg(left + n * cell + 70, top + n * cell + 8, "Confusion matrix: rows true, columns predicted", parts)


def _short(label: object) -> str:
    text = str(label)
    return text if len(text) <= 22 else f"{text[:21]}…"


def reliability_svg(bins: Sequence[Bin]) -> str:
    """Return hit rate against confidence; on the diagonal, confidences mean what they say."""
    size, left, top = 220, 36, 12
    parts = [
        f'<rect x="{left}" y="{top}" width="{size}" height="{size}" fill="#f4f6f8"/>',
        f'<line x1="{left}" y1="{top + size}" x2="{left + size}" y2="{top}" stroke="#9aa5b1" stroke-dasharray="4 3"/>',
        *(_text(left + size * t, top + size + 16, f"{t:g}", "middle") for t in (0, 0.5, 1)),
        *(_text(left - 4, top + size * (1 - t) + 4, f"{t:g}", "end") for t in (0, 0.5, 1)),
        _text(left + size / 2, top + size + 32, "confidence; up: share that is right", "middle"),
    ]
    most = max((found.n for found in bins), default=1)
    for found in bins:
        x, y = left + size * found.confidence, top + size * (1 - found.hit_rate)
        radius = 3 + 7 * (found.n / most) ** 0.5
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="rgba({_BLUE},.75)">'
        parts.append(f"{dot}<title>{found.n}</title></circle>")
    return _svg(left + size + 14, top + size + 40, "Reliability", parts)


def bars_svg(slices: Sequence[Slice]) -> str:
    """Return a bar for each slice: its mean, in [0, 1], and how many rows it has."""
    row, left, width = 20, 220, 260
    parts = []
    for number, found in enumerate(slices):
        y = number * row
        share = min(1.0, max(0.0, found.mean))
        parts += [
            _text(left - 6, y + 14, _short(f"{found.field}: {found.value}"), "end"),
            f'<rect x="{left}" y="{y + 3}" width="{width}" height="14" fill="#f4f6f8"/>',
            f'<rect x="{left}" y="{y + 3}" width="{width * share:.1f}" height="14" fill="rgba({_BLUE},.75)"/>',
            _text(left + width + 6, y + 14, f"{found.mean:.2f} (n={found.n})"),
        ]
    return _svg(left + width + 110, max(row, len(slices) * row + 4), "Slices", parts)
