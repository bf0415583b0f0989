"""Plots as inline SVG, small and without a script. Colours are CSS variables, so that a page can be light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from deskhand_evals.calibration import Bin, Confusion
from deskhand_evals.figures import Figure
from deskhand_evals.ranking import Ranked, shown
from deskhand_evals.summary import Slice

MAX_CLASSES = 30

PALETTE = """
:root { --ink: #1c2430; --soft: #5b6776; --line: #dfe4ea; --well: #eef1f5; --mark: #2f6fb5; --mark-rgb: 47,111,181;
  --old: #98a3b0; --good: #1a7f4b; --bad: #c03535; --warn: #a66a00; --page: #fbfcfd; --card: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --soft: #9aa7b5; --line: #2c3643; --well: #1d2530; --mark: #6ea8e6; --mark-rgb: 110,168,230;
    --old: #66727f; --good: #4fc38a; --bad: #f08080; --warn: #e0ae52; --page: #10151b; --card: #161d26; }
}"""
"""The colours of pages and plots."""

PLOT_STYLE = """
.plot { font: 11px system-ui, sans-serif; max-width: 100%; height: auto; }
.plot text { fill: var(--ink); } .plot .soft { fill: var(--soft); } .plot .in { fill: var(--card); }
.plot .well { fill: var(--well); } .plot .grid { stroke: var(--line); } .plot .mark { fill: var(--mark); }
.plot .cell { fill: var(--mark); } .plot .wrong { fill: var(--bad); } .plot .axis { stroke: var(--old); }
.plot .whisker { stroke: var(--mark); stroke-width: 2; } .plot .old { fill: var(--old); stroke: var(--old); }
.plot .faint { fill: var(--old); opacity: .55; } .plot .front { stroke: var(--mark); fill: none; opacity: .6; }
.plot .measuring { stroke: var(--old); stroke-dasharray: 3 3; }
.plot .limit { stroke: var(--warn); stroke-width: 1.5; }"""


def _svg(width: float, height: float, title: str, parts: Sequence[str], *, standalone: bool = False) -> str:
    space = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    style = f"<style>{PALETTE}{PLOT_STYLE} svg {{ background: var(--card); }}</style>" if standalone else ""
    return (
        f'<svg{space} class="plot" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img">'
        f"<title>{escape(title)}</title>{style}{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: object, anchor: str = "start", kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{escape(str(text))}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    tip = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{kind}">{tip}</circle>'


def _short(label: object, length: int = 24) -> str:
    text = str(label)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def interval_svg(found: Figure | None, baseline: float | None = None, bar: float | None = None) -> str:
    """Return a value in [0, 1] with its interval; a hollow tick is the baseline, a yellow line the bar."""
    width, left, y = 220, 6, 11
    parts = [f'<rect x="{left}" y="{y - 3}" width="{width}" height="6" rx="3" class="well"/>']
    if baseline is not None:
        x = left + width * _share(baseline)
        parts.append(f'<rect x="{x - 1.5:.1f}" y="{y - 8}" width="3" height="16" class="old"/>')
    if bar is not None:
        parts.append(_line(left + width * _share(bar), 1, left + width * _share(bar), 21, "limit"))
    if found is not None:
        low, high = (left + width * _share(end) for end in found.interval)
        parts.append(_line(low, y, max(high, low + 1), y, "whisker"))
        parts.append(_dot(left + width * _share(found.value), y, 4.5, "mark"))
    return _svg(width + 2 * left, 22, "value with its interval", parts)


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def confusion_svg(found: Confusion, *, max_classes: int = MAX_CLASSES) -> str:
    """Return the confusion matrix: rows are true, columns predicted, shade is the share of the row."""
    n, cell, left, top = min(len(found.labels), max_classes), 27, 150, 112
    parts = [_text(left - 6, top - 8, "true ↓  predicted →", "end", "soft")]
    for i in range(n):
        total = sum(found.counts[i]) or 1
        parts.append(_text(left - 6, top + i * cell + 17, _short(found.labels[i]), "end"))
        x = left + i * cell + 15
        parts.append(f'<text transform="translate({x},{top - 6}) rotate(-50)">{escape(_short(found.labels[i]))}</text>')
        for j in range(n):
            count = found.counts[i][j]
            parts += _cell(left + j * cell, top + i * cell, cell, count / total, count, is_right=i == j)
    return _svg(left + n * cell + 84, top + n * cell + 6, "Confusion matrix: rows true, columns predicted", parts)


def _cell(x: float, y: float, size: float, share: float, count: int, *, is_right: bool) -> list[str]:
    place = f'x="{x}" y="{y}" width="{size - 1}" height="{size - 1}"'
    well = f'<rect {place} class="well"/>'
    if not count:
        return [well]
    kind, opacity = ("cell" if is_right else "wrong"), 0.15 + 0.8 * share
    shade = (
        f'<rect x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" class="{kind}" fill-opacity="{opacity:.2f}"/>'
    )
    return [well, shade, _text(x + size / 2 - 0.5, y + 17, count, "middle", "in" if opacity > 0.6 else "")]


def reliability_svg(bins: Sequence[Bin]) -> str:
    """Return hit rate against confidence; on the diagonal, confidences mean what they say."""
    size, left, top = 230, 40, 10
    parts = [
        f'<rect x="{left}" y="{top}" width="{size}" height="{size}" rx="4" class="well"/>',
        *(_line(left + size * t, top, left + size * t, top + size, "grid") for t in (0.25, 0.5, 0.75)),
        *(_line(left, top + size * t, left + size, top + size * t, "grid") for t in (0.25, 0.5, 0.75)),
        f'<line x1="{left}" y1="{top + size}" x2="{left + size}" y2="{top}" class="axis" stroke-dasharray="4 4"/>',
        *(_text(left + size * t, top + size + 15, f"{t:g}", "middle", "soft") for t in (0, 0.5, 1)),
        *(_text(left - 6, top + size * (1 - t) + 4, f"{t:g}", "end", "soft") for t in (0, 0.5, 1)),
        _text(left + size / 2, top + size + 31, "confidence →   ↑ share that is right", "middle", "soft"),
    ]
    most = max((found.n for found in bins), default=1)
    places = [(left + size * found.confidence, top + size * (1 - found.hit_rate), found) for found in bins]
    parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)}" class="front"/>')
    for x, y, found in places:
        tip = f"{found.n} cases, confidence {found.confidence:.2f}, right {found.hit_rate:.2f}"
        parts.append(_dot(x, y, 3.5 + 7 * (found.n / most) ** 0.5, "mark", tip))
    return _svg(left + size + 14, top + size + 40, "Reliability", parts)


def bars_svg(slices: Sequence[Slice]) -> str:
    """Return a bar for each slice: its mean, in [0, 1], its interval, and how many rows it has."""
    row, left, width, y, field = 21, 190, 280, 0.0, None
    parts = []
    for found in slices:
        if found.field != field:
            field = found.field
            y += 16
            parts.append(_text(0, y, _short(field), "start", "soft"))
            y += 5
        right = left + width * _share(found.mean)
        parts += [
            _text(left - 8, y + 14, _short(found.value, 28), "end"),
            f'<rect x="{left}" y="{y + 4:.1f}" width="{width}" height="12" rx="2" class="well"/>',
            f'<rect x="{left}" y="{y + 4:.1f}" width="{right - left:.1f}" height="12" rx="2" class="mark"'
            ' fill-opacity=".55"/>',
            _line(left + width * _share(found.low), y + 10, left + width * _share(found.high), y + 10, "whisker"),
            _text(left + width + 8, y + 14, f"{found.mean:.2f}"),
            _text(left + width + 40, y + 14, f"{found.n} rows", "start", "soft"),
        ]
        y += row
    return _svg(left + width + 100, max(row, y + 6), "Slices", parts)


class Scale(NamedTuple):
    """From a value to a place on an axis."""

    low: float
    high: float
    start: float
    length: float

    def __call__(self, value: float) -> float:
        """Return the place of ``value``."""
        return self.start + self.length * (value - self.low) / (self.high - self.low)


def _scale(values: Sequence[float], start: float, length: float, *, least: float) -> Scale:
    low, high = min(values), max(values)
    pad = max((high - low) * 0.06, least)
    return Scale(low - pad, high + pad, start, length)


def _ticks(scale: Scale) -> list[float]:
    """Return some four round numbers within a scale."""
    rough = (scale.high - scale.low) / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = unit * next((round_one for round_one in (1, 2, 5) if unit * round_one >= rough), 10)
    first = math.ceil(scale.low / step)
    return [number * step for number in range(first, math.floor(scale.high / step) + 1)]


def frontier_svg(rows: Sequence[Ranked], title: str, *, now: str = "", standalone: bool = False) -> str:
    """Return quality against cost of a row, or against latency where nothing costs anything.

    Those that no other beats are joined by a line. A dashed line from a point goes to its cost with judges and
    simulated customers. ``now`` is the id of the one to point out.
    """
    points = [row for row in rows if row.value is not None and not row.note]
    if not points:
        return ""
    costs = any(row.cost_usd for row in points)
    at = [row.cost_usd * 1000 if costs else row.latency_ms for row in points]
    whole = [place + (row.eval_usd * 1000 if costs else 0.0) for place, row in zip(at, points, strict=True)]
    left, top, width, height = 52, 26, 800, 300
    x = _scale([0.0, *whole], left, width, least=max(at) * 0.02 or 1.0)
    ends = [end for row in points for end in (row.value_low, row.value_high) if end is not None]
    y = _scale(ends, top + height, -height, least=0.01)
    names = _names(points)
    ordered = sorted(zip(at, points, names, strict=True), key=lambda entry: (entry[1].is_pareto, entry[1].id == now))
    parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="4" class="well"/>']
    parts += _axes(x, y, left, top, width, height)
    with_judges = ", dashed: with judges and simulated customers" if whole != at else ""
    label = f"USD for 1,000 rows{with_judges} →" if costs else "median latency, ms →"
    parts += [_text(0, 14, f"↑ {title}"), _text(left + width, top + height + 32, label, "end", "soft")]
    front = sorted((place, row) for place, row in zip(at, points, strict=True) if row.is_pareto)
    trail = " ".join(f"{x(place):.1f},{y(row.value or 0.0):.1f}" for place, row in front)
    parts.append(f'<polyline points="{trail}" class="front"/>')
    for place, end, row in zip(at, whole, points, strict=True):
        if end > place:
            parts.append(_line(x(place), y(row.value or 0.0), x(end), y(row.value or 0.0), "measuring"))
    for place, row, name in ordered:  # those that matter are drawn last, over the others
        parts += _point(x(place), y, row, name, is_now=row.id == now, left_of=x(place) > left + width * 0.7)
    return _svg(left + width + 16, top + height + 42, title, parts, standalone=standalone)


def _names(points: Sequence[Ranked]) -> list[str]:
    """Name points by what differs between their settings, else by when they were made."""
    keys = {key for row in points for key in row.settings}
    differing = {key for key in keys if len({str(row.settings.get(key)) for row in points}) > 1}
    names = []
    for row in points:
        own = {key.rpartition(".")[2]: value for key, value in row.settings.items() if key in differing}
        names.append(shown(own) if own else row.created_at[:16].replace("T", " "))
    return names


def _axes(x: Scale, y: Scale, left: float, top: float, width: float, height: float) -> list[str]:
    parts: list[str] = []
    for value in _ticks(y):
        parts.append(_line(left, y(value), left + width, y(value), "grid"))
        parts.append(_text(left - 6, y(value) + 4, f"{value:.3g}", "end", "soft"))
    for value in _ticks(x):
        if value >= 0:
            parts.append(_line(x(value), top, x(value), top + height, "grid"))
            parts.append(_text(x(value), top + height + 16, f"{value:.4g}", "middle", "soft"))
    return parts


def _point(x: float, y: Scale, row: Ranked, name: str, *, is_now: bool, left_of: bool) -> list[str]:
    value = row.value or 0.0
    judged = f" (and {row.eval_usd:.5f} to measure it)" if row.eval_usd else ""
    tip = f"{name}: {value:.3f}, {row.cost_usd:.5f} USD{judged}, {row.latency_ms:.0f} ms"
    kind = "mark" if row.is_pareto or is_now else "faint"
    low, high = (value if end is None else end for end in (row.value_low, row.value_high))
    parts = [_line(x, y(low), x, y(high), "grid" if kind == "faint" else "whisker")]
    parts.append(_dot(x, y(value), 6.5 if is_now else 5, kind, tip))
    if row.is_pareto or is_now or (row.is_as_good and row.settings):
        side, anchor = (-10, "end") if left_of else (10, "start")
        parts.append(_text(x + side, y(value) + 4, _short(name, 48), anchor, "" if kind == "mark" else "soft"))
    return parts
