"""Looking for what was left behind goes on, whatever one look runs into."""

import asyncio

from deskhand.testing import until
from deskhand_runs.leftovers import Leftovers


async def test_a_look_that_breaks_does_not_end_the_looking(monkeypatch, caplog):
    n_looks = 0

    async def look(self):
        nonlocal n_looks
        n_looks += 1
        raise ValueError("a damaged row")

    monkeypatch.setattr(Leftovers, "look", look)
    looking = asyncio.create_task(Leftovers(None, None, None).watch(0.01))
    await until(lambda: n_looks >= 3)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert "a damaged row" in caplog.text
