"""How fast passwords may be tried. Wrong ones are spaced out; nobody is locked out for the sake of somebody else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from deskhand.clock import Clock


class Pace(NamedTuple):
    """After ``n_free`` wrong tries each further one must wait: 1 s, 2, 4, ... up to ``longest_s``."""

    n_free: int
    longest_s: float

    def wait_s(self, n_wrong: int) -> float:
        """Return how long after the last of so many wrong tries the next one is let through."""
        n_over = n_wrong - self.n_free
        return 0.0 if n_over < 0 else min(self.longest_s, 2.0 ** min(n_over, 30))


ONE = Pace(n_free=8, longest_s=30)
"""One address, or one browser that has logged in before: 8 tries, then 2 a minute."""

ALL = Pace(n_free=200, longest_s=2)
"""All addresses together: 200 tries, then 30 a minute, which is 43,200 a day."""

FORGET_S = 900
"""Wrong tries are forgotten when none has followed for so long."""

_EVERYBODY = ""


class _Wrong(NamedTuple):
    n: int
    last_at: float


@dataclass
class Tries:
    """Counts wrong passwords by who gives them. What is refused for its pace is not compared, and not counted.

    Behind one proxy all strangers have one address, so that one of them can make the others wait for as long as he
    goes on. A browser that has logged in before is counted for itself and waits for no stranger.
    """

    clock: Clock
    _wrong: dict[str, _Wrong] = field(default_factory=dict)

    def wait_s(self, address: str, known: str | None = None) -> int:
        """Return for how many seconds the next try must wait; 0 when it may come, never more than 30.

        Args:
            address: Where the try comes from.
            known: The id of a browser that has logged in before.
        """
        now = self.clock.now().timestamp()
        waits = [self._left(who, pace, now) for who, pace in _counted(address, known)]
        return math.ceil(max(waits))

    def fail(self, address: str, known: str | None = None) -> None:
        """Count a wrong try."""
        now = self.clock.now().timestamp()
        self._wrong = {who: wrong for who, wrong in self._wrong.items() if wrong.last_at > now - FORGET_S}
        for who, _ in _counted(address, known):
            self._wrong[who] = _Wrong(self._wrong.get(who, _Wrong(0, now)).n + 1, now)

    def _left(self, who: str, pace: Pace, now: float) -> float:
        wrong = self._wrong.get(who)
        if wrong is None or wrong.last_at <= now - FORGET_S:
            return 0.0
        whole = pace.wait_s(wrong.n)
        return min(whole, max(0.0, wrong.last_at + whole - now))  # a clock that is set back prolongs nothing


def _counted(address: str, known: str | None) -> list[tuple[str, Pace]]:
    if known is not None:
        return [(f"known {known}", ONE)]
    return [(f"at {address}", ONE), (_EVERYBODY, ALL)]
