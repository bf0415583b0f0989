"""Wrong passwords: guessing stays slow, and nobody is kept out for the sake of somebody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from server_house import PASSWORD, form_value

from deskhand.testing import FixedClock
from deskhand_server.tries import ALL, FORGET_S, ONE, Tries

LONGEST_S = 30


def _fail_for(tries: Tries, clock: FixedClock, seconds: int, address: Callable[[int], str]) -> int:
    """Try a wrong password each second, and return how many were let through."""
    n_compared = 0
    for n in range(seconds):
        if tries.wait_s(address(n)) == 0:
            tries.fail(address(n))
            n_compared += 1
        clock.at += timedelta(seconds=1)
    return n_compared


def test_waits_of_an_address_grow_and_end() -> None:
    clock = FixedClock()
    tries, waits = Tries(clock), []
    for _ in range(15):
        waits.append(tries.wait_s("a"))
        clock.at += timedelta(seconds=waits[-1])
        assert tries.wait_s("a") == 0
        tries.fail("a")
    assert waits == [0] * 8 + [1, 2, 4, 8, 16, 30, 30]
    assert (tries.wait_s("a"), tries.wait_s("b")) == (30, 0)
    clock.at += timedelta(seconds=FORGET_S)
    assert tries.wait_s("a") == 0
    tries.fail("a")
    assert tries.wait_s("a") == 0


def test_guessing_from_one_address_stays_below_two_a_minute() -> None:
    clock = FixedClock()
    assert _fail_for(Tries(clock), clock, 3600, lambda n: "a") <= ONE.n_free + 5 + 120


def test_guessing_from_many_addresses_stays_below_thirty_a_minute() -> None:
    clock = FixedClock()
    tries = Tries(clock)
    assert _fail_for(tries, clock, 3600, str) <= ALL.n_free + 1800
    tries.fail("one more")
    assert tries.wait_s("somebody else") == 2


def test_clock_that_is_set_back_prolongs_nothing() -> None:
    clock = FixedClock()
    tries = Tries(clock)
    for _ in range(30):
        tries.fail("a")
    clock.at -= timedelta(days=1)
    assert tries.wait_s("a") == LONGEST_S


async def test_right_password_waits_a_moment_after_too_many_wrong_ones(house: Any) -> None:
    assert [(await house.try_password("wrong")).status for _ in range(9)] == [401] * 8 + [429]
    refused = await house.try_password(PASSWORD)
    assert (refused.status, refused.header("retry-after")) == (429, "1")
    assert "Wait 1 s" in refused.text
    house.clock.at += timedelta(seconds=1)
    assert (await house.try_password(PASSWORD)).status == 303


async def test_however_long_somebody_guesses_a_right_password_waits_half_a_minute(house: Any) -> None:
    for _ in range(100):
        await house.try_password("wrong")
        house.clock.at += timedelta(seconds=LONGEST_S)
    house.clock.at -= timedelta(seconds=LONGEST_S)
    refused = await house.try_password(PASSWORD)
    assert (refused.status, refused.header("retry-after")) == (429, str(LONGEST_S))
    house.clock.at += timedelta(seconds=LONGEST_S)
    assert (await house.try_password(PASSWORD)).status == 303


async def _browser(house: Any) -> str:
    """Log in and out, and return what the browser keeps."""
    await house.log_in()
    assert (await house.post("/logout")).status == 303
    kept = [cookie for cookie in house.cookie.split("; ") if "deskhand-browser=" in cookie]
    assert len(kept) == 1
    return kept[0]


async def test_known_browser_waits_for_no_stranger_of_its_address(house: Any) -> None:
    cookie = await _browser(house)
    for _ in range(20):
        await house.try_password("wrong")
    assert (await house.try_password(PASSWORD)).status == 429
    answer = await house.try_password(PASSWORD, cookie=cookie)
    assert answer.status == 303
    assert [name for name in answer.cookies() if "browser" in name] == [], "it stays the one that it was"


async def test_known_browser_has_the_same_limit_for_itself(house: Any) -> None:
    cookie = await _browser(house)
    assert [(await house.try_password("wrong", cookie=cookie)).status for _ in range(9)] == [401] * 8 + [429]
    assert (await house.try_password(PASSWORD)).status == 303, "strangers do not wait for it"


@pytest.mark.parametrize("change", ["forged", "empty", "password"])
async def test_browser_that_is_not_known_waits_as_strangers_do(
    house: Any, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    cookie = await _browser(house)
    name, _, token = cookie.partition("=")
    if change == "password":
        monkeypatch.setenv("DESKHAND_PASSWORD", "another")
    else:
        cookie = f"{name}=" + {"forged": "x" + token, "empty": ""}[change]
    assert [(await house.try_password("wrong", cookie=cookie)).status for _ in range(8)] == [401] * 8
    assert (await house.try_password("another", cookie=cookie)).status == 429


async def test_what_a_browser_keeps_opens_nothing(house: Any) -> None:
    house.cookie = await _browser(house)
    assert (await house.get("/")).status == 401
    name, _, token = house.cookie.partition("=")
    house.cookie = f"{name.removesuffix('-browser')}={token}"
    assert (await house.get("/")).status == 401


async def test_refused_login_keeps_the_name_and_the_way_on_and_no_password(house: Any) -> None:
    for status in [401] * 8 + [429]:
        page = await house.try_password("a wrong one", "Maria K", way_on="/runs/run-1")
        assert page.status == status
        assert form_value(page.text, "name") == "Maria K" and form_value(page.text, "next") == "/runs/run-1"
        assert "a wrong one" not in page.text
