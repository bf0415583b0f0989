"""The most an attempt may cost, and holding it against the caps before a cent is spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from deskhand.errors import Unavailable
from deskhand.model_settings import BudgetSettings, ModelSettings
from deskhand_models.ledger import NANO, Account, Ledger, LedgerBusy, Reservation
from deskhand_models.timing import Timing
from deskhand_models.transport import NamedModel, Tokens

T = TypeVar("T")
_BUSY_PAUSE_S = 0.004
_SETTLE_S = 1.0
"""How long an answer waits for other processes before it is given back with its reservation open."""


def worst_case(settings: ModelSettings, most: Tokens) -> int:
    """Return the most one attempt can cost, in nanodollars.

    ``most`` is the prompt by our own count and the longest answer, reasoning included. Both count ``count_margin``
    times: that covers a provider which counts differently.
    """
    return math.ceil(_price(settings, most) * settings.count_margin)


def actual_cost(settings: ModelSettings, tokens: Tokens) -> int:
    """Return what ``tokens`` cost, in nanodollars, rounded up."""
    return math.ceil(_price(settings, tokens))


def _price(settings: ModelSettings, tokens: Tokens) -> float:
    if settings.price == "free":
        return 0.0
    prompt, completion = settings.price.input_per_million_usd, settings.price.output_per_million_usd
    return (tokens.prompt * prompt + tokens.completion * completion) * (NANO // 1_000_000)


@dataclass
class Budget:
    """The caps over a ledger, which is opened at the first attempt: a replay needs none.

    Args:
        path: The ledger's file.
        settings: The caps.
        timing: For waiting while another process writes.
    """

    path: Path
    settings: BudgetSettings
    timing: Timing

    def __post_init__(self) -> None:
        self._ledger: Ledger | None = None
        caps = self.settings
        amounts = {"run": caps.run_usd, "ticket": caps.ticket_usd, "day": caps.day_usd}
        self._caps = {scope: math.floor(usd * NANO) for scope, usd in amounts.items()}

    @property
    def ledger(self) -> Ledger:
        """The ledger. Raises StoreError when it cannot be opened."""
        if self._ledger is None:
            self._ledger = Ledger(self.path)
        return self._ledger

    def close(self) -> None:
        """Close the ledger, when it was opened."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    async def reserve(self, account: Account, model: NamedModel, most: Tokens, *, until: float) -> Reservation:
        """Reserve the worst case of one attempt.

        Args:
            account: Whom it is booked on.
            model: Which model is asked.
            most: The prompt by our own count and the longest answer.
            until: How long to wait for other processes that write, in monotonic seconds.

        Raises:
            BudgetExceeded: A cap would be passed.
            Unavailable: Others wrote all the time until ``until``.
            StoreError: The ledger cannot be used.
        """
        amount = worst_case(model.settings, most)
        try:
            return await self._patiently(lambda: self.ledger.reserve(account, model.name, amount, self._caps), until)
        except LedgerBusy as exc:
            raise Unavailable(f"{self.path}: other processes kept it locked until the deadline; try again") from exc

    async def settle(
        self,
        reservation: Reservation,
        model: NamedModel,
        tokens: Tokens | None,
        outcome: str,
        *,
        counted: Tokens | None = None,
        is_billed: bool = True,
    ) -> int:
        """Settle an attempt and return its cost in nanodollars.

        Args:
            reservation: What ``reserve`` returned.
            model: Which model was asked.
            tokens: What the provider says it used. Without it an attempt that may have been billed stays at its worst
                case: nobody knows better.
            outcome: ``answered``, or why not.
            counted: Our own count, for the tables of costs, where the provider gives none.
            is_billed: False when the attempt certainly cost nothing.
        """
        cost = actual_cost(model.settings, tokens) if tokens else None if is_billed else 0
        until = self.timing.monotonic() + _SETTLE_S
        try:
            settled = partial(self.ledger.settle, reservation, cost, tokens or counted, outcome)
            return await self._patiently(settled, until)
        except LedgerBusy:
            return reservation.amount  # it stays open, and counts as spent

    async def _patiently(self, act: Callable[[], T], until: float) -> T:
        """Return what ``act`` returns, trying again until a moment. Raises LedgerBusy."""
        while True:
            try:
                return act()
            except LedgerBusy:
                if self.timing.monotonic() > until:
                    raise
                await self.timing.sleep(_BUSY_PAUSE_S * self.timing.random())
