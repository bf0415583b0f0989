"""The names of what is measured, and the spans of one run.

Attribute names are those of OpenTelemetry's semantic conventions for generative AI where it has one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from deskhand.records import Span
from deskhand.schema import Json

AGENT_NAME = "gen_ai.agent.name"
OPERATION = "gen_ai.operation.name"
REQUEST_MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOOL_NAME = "gen_ai.tool.name"
STRATEGY = "deskhand.strategy"
CONFIDENCE = "deskhand.confidence"


class Tracer:
    """Collects the spans of a run in the order in which they end."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    @contextmanager
    def span(self, name: str) -> Iterator[dict[str, Json]]:
        """Measure a block; what is put into the yielded dict becomes the span's attributes."""
        attributes: dict[str, Json] = {}
        started = time.perf_counter()
        try:
            yield attributes
        finally:
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            self._spans.append(Span(name=name, ms=elapsed_ms, attributes=attributes))

    def drain(self) -> tuple[Span, ...]:
        """Return the spans collected since the last call and forget them."""
        spans, self._spans = tuple(self._spans), []
        return spans
