"""What is counted, for Prometheus. No label comes from outside: sources are those of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from deskhand_server.desk import Service

_ACK_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_GAUGES = {
    "n_queued": ("deskhand_queued", "Deliveries that wait for a worker."),
    "n_at_work": ("deskhand_at_work", "Runs at work."),
    "n_parked": ("deskhand_waiting_for_person", "Runs that wait for a person."),
    "n_dead": ("deskhand_dead_letters", "Deliveries given up; see 'deskhand runs'."),
    "n_held": ("deskhand_held", "Deliveries held for a person."),
}


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "deskhand_deliveries", "Deliveries by answer.", ("source", "outcome"), registry=self.registry
        )
        self.ack_seconds = Histogram(
            "deskhand_ack_seconds",
            "From a request to its answer.",
            ("source",),
            buckets=_ACK_BUCKETS,
            registry=self.registry,
        )
        self.decisions = Counter(
            "deskhand_decisions", "Decisions taken in.", ("door", "verdict"), registry=self.registry
        )
        self.logins = Counter("deskhand_logins", "Tries to log in.", ("outcome",), registry=self.registry)
        self._gauges = {name: Gauge(metric, text, registry=self.registry) for name, (metric, text) in _GAUGES.items()}
        self._oldest = Gauge("deskhand_oldest_queued_seconds", "Age of the oldest delivery.", registry=self.registry)
        self._is_paused = Gauge("deskhand_paused", "1 while all write-back is paused.", registry=self.registry)

    def render(self, engine: Service) -> bytes:
        """Return all figures as Prometheus reads them, the engine's as they are now."""
        status = engine.status()
        for name, gauge in self._gauges.items():
            gauge.set(getattr(status, name))
        self._oldest.set(status.oldest_queued_s or 0)
        self._is_paused.set(status.is_paused)
        return generate_latest(self.registry)
