from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from deskhand.testing import NOON, FixedClock
from deskhand.tickets import Priority
from deskhand_runs.limits import Later, Slots, WriteLimit, rank


def test_urgent_ranks_first_and_no_priority_is_normal():
    ranks = [rank(priority) for priority in (Priority.urgent, Priority.high, None, Priority.low)]
    assert ranks == sorted(ranks)
    assert rank(None) == rank(Priority.normal)


async def test_slots_go_to_the_lowest_rank_then_number_and_never_exceed_their_size():
    slots, order, most = Slots(2), [], 0

    async def work(rank, seq):
        nonlocal most
        async with slots.taken(rank, seq):
            most = max(most, slots.n_taken)
            order.append((rank, seq))
            await asyncio.sleep(0)

    jobs = [(2, 1), (2, 2), (2, 4), (2, 3), (0, 6), (3, 5)]
    await asyncio.gather(*(work(*job) for job in jobs))
    assert order == [(2, 1), (2, 2), (0, 6), (2, 3), (2, 4), (3, 5)]
    assert (most, slots.n_taken) == (2, 0)


async def test_a_slot_that_its_waiter_no_longer_wants_goes_on_to_the_next():
    slots, got = Slots(1), []

    async def wait(name):
        async with slots.taken(1, 0):
            got.append(name)

    async with slots.taken(1, 0):
        waiting = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    waiting[1].cancel()  # at the very moment at which it was given the slot
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (got, slots.n_taken) == (["c"], 0)


def test_writes_beyond_the_limit_wait_until_the_first_is_a_minute_old():
    clock = FixedClock()
    limit = WriteLimit(clock.now)
    limit.take("desk", 2)
    clock.at += timedelta(seconds=20)
    limit.take("desk", 2)
    waits = []
    for _ in range(3):
        with pytest.raises(Later, match="2 writes within a minute") as later:
            limit.take("desk", 2)
        waits.append(round(later.value.wait_s))
    assert waits == [40, 60, 100], "each comes back when there is room for it"
    limit.take("other", 2)
    clock.at += timedelta(seconds=41)
    limit.take("desk", 2)
    with pytest.raises(Later):
        limit.take("desk", 2)


def test_writes_before_a_restart_count():
    limit = WriteLimit(lambda: NOON, lambda source, since: [since + timedelta(seconds=5)] * 2)
    with pytest.raises(Later) as later:
        limit.take("desk", 2)
    assert later.value.wait_s == 5


def test_threads_that_ask_at_once_share_one_count():
    def slow(_source, _since):
        time.sleep(0.02)
        return []

    limit = WriteLimit(lambda: NOON, slow)

    def take(_number):
        try:
            limit.take("desk", 2)
        except Later:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 2
