"""Taking deliveries in: all that arrive while one commit is under way are stored together in the next one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from deskhand.errors import StoreError
from deskhand_runs.inbox import Accepted, NewEntry, insert
from deskhand_runs.waking import wake
from deskhand_runs.writer import Transaction, Writer

_MAX_TOGETHER = 64
_WOKEN_TOGETHER = 4
_WAKE_S = 0.15
"""How long workflows wait for further ones to be enqueued with them, in commits of ``_WOKEN_TOGETHER``: whatever writes
to the database meanwhile, acknowledgements too, waits for such a commit."""


class _Waiting(NamedTuple):
    entry: NewEntry
    answer: asyncio.Future[Accepted]


@dataclass
class Intake:
    """Stores deliveries for the process that executes.

    A delivery is safe when its row in the inbox is committed, and is acknowledged then. Its workflow is enqueued in a
    moment, in a commit of its own: DBOS takes several statements for one. A process that dies in between leaves a
    queued entry without a workflow, which the next one looks for before it takes anything in.

    The event loop has few turns to spare while runs are at work: an answer takes one, from the writer's thread.
    """

    writer: Writer
    _waiting: list[_Waiting] = field(default_factory=list)
    _unwoken: list[int] = field(default_factory=list)
    _is_submitted: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)

    async def accept(self, entry: NewEntry) -> Accepted:
        """Store a delivery once, and return when it is durable. Raises StoreError."""
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        with self._guard:
            self._waiting.append(_Waiting(entry, answer))
            is_first, self._is_submitted = not self._is_submitted, True
        if is_first:
            self._submit([])
        return await answer

    def _submit(self, batch: list[_Waiting]) -> None:
        """Have a batch stored: these, or whoever waits when its turn comes."""

        def job(tx: Transaction) -> list[Accepted]:
            if not batch:  # else it is tried once more
                batch.extend(self._take())
            return insert(tx, [one.entry for one in batch])

        try:
            self.writer.submit(job).add_done_callback(lambda stored: self._stored(batch, stored))
        except StoreError as exc:
            _fail(batch or self._take(), exc)

    def _take(self) -> list[_Waiting]:
        with self._guard:
            taken, self._waiting = self._waiting[:_MAX_TOGETHER], self._waiting[_MAX_TOGETHER:]
            self._is_submitted = is_more = bool(self._waiting)
        if is_more:
            self._submit([])
        return [one for one in taken if not one.answer.done()]  # who no longer waits gets nothing stored

    def _stored(self, batch: list[_Waiting], stored: Future[list[Accepted]]) -> None:
        """Answer who waits; when it failed, store each by itself, so that one does not take the others with it."""
        error = stored.exception()
        batch = batch or self._take()  # it failed before their turn came
        if error is None:
            self._wake([one.seq for one in stored.result() if one.is_new])
            _answer(batch, stored.result())
        elif len(batch) > 1:
            for one in batch:
                self._submit([one])
        else:
            _fail(batch, error)

    def _wake(self, seqs: Sequence[int]) -> None:
        with self._guard:
            is_first = not self._unwoken
            self._unwoken.extend(seqs)
        if seqs and is_first:
            self.writer.defer(self._wake_some, _WAKE_S)

    def _wake_some(self, tx: Transaction) -> None:
        with self._guard:
            some, self._unwoken = self._unwoken[:_WOKEN_TOGETHER], self._unwoken[_WOKEN_TOGETHER:]
            is_more = bool(self._unwoken)
        if is_more:
            self.writer.defer(self._wake_some, 0.0)
        wake(tx, some)


def _answer(batch: Sequence[_Waiting], accepted: Sequence[Accepted]) -> None:
    def answer() -> None:
        for one, stored in zip(batch, accepted, strict=True):
            if not one.answer.done():
                one.answer.set_result(stored)

    _call(batch, answer)


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    def fail() -> None:
        for one in batch:
            if not one.answer.done():
                one.answer.set_exception(error)

    _call(batch, fail)


def _call(batch: Sequence[_Waiting], do: Callable[[], None]) -> None:
    if batch:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            batch[0].answer.get_loop().call_soon_threadsafe(do)
