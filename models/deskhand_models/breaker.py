"""Circuit breakers: a model that fails again and again is left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass, field

from deskhand_models.faults import Fault

_OPENS_AFTER = 5
_OPEN_S = 30.0
_LONGEST_HOLD_S = 3600.0
"""However long a provider asks to be left alone, it is asked again after that: a refusal costs nothing."""
_UNHEALTHY = frozenset({Fault.server_error, Fault.timeout, Fault.connection})


@dataclass
class Breaker:
    """The health of one model, as the calls of this process saw it. All times are monotonic seconds."""

    n_failures: int = 0
    open_until: float = 0.0
    held_until: float = 0.0
    is_probing: bool = False

    def admits(self, now: float) -> bool:
        """Tell whether a call may go out; after a pause one call, the probe, finds out how things are."""
        if self.n_failures < _OPENS_AFTER:
            return True
        if now < self.open_until or self.is_probing:
            return False
        self.is_probing = True
        return True

    def hold_s(self, now: float) -> float:
        """Return how many seconds the provider asked everybody to wait for, from now."""
        return max(0.0, self.held_until - now)

    def record_answer(self) -> None:
        """Note that the model answered."""
        self.n_failures, self.is_probing = 0, False

    def record_failure(self, fault: Fault, now: float, retry_after_s: float | None) -> None:
        """Note that an attempt failed. A refused key opens at once; what concerns one request only is not counted."""
        self.is_probing = False
        if fault is Fault.auth:
            self.n_failures = _OPENS_AFTER
        elif fault in _UNHEALTHY:
            self.n_failures += 1
        if self.n_failures >= _OPENS_AFTER:
            self.open_until = now + _OPEN_S
        if fault is Fault.rate_limited and retry_after_s:
            self.held_until = max(self.held_until, now + min(retry_after_s, _LONGEST_HOLD_S))

    def release(self) -> None:
        """Note that a call ended without telling anything about the model."""
        self.is_probing = False


@dataclass
class Breakers:
    """One breaker for each model, shared by all calls of a process."""

    _by_name: dict[str, Breaker] = field(default_factory=dict)

    def of(self, name: str) -> Breaker:
        """Return the breaker of a model."""
        return self._by_name.setdefault(name, Breaker())
