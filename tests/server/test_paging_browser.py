"""The pages of a queue that is longer than one page, in a real browser: by mouse, by keyboard, and filtered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from parked_runs import park
from playwright.sync_api import expect
from reviewer import Reviewer

from deskhand.records import RunStatus

N_RETURNS, N_SHIPPING = 120, 110
LONG = "About a subject that goes on and on, as subjects of forwarded mails do " * 6


@pytest.fixture(scope="module")
def full_queue(live: Any) -> Any:
    """The live server with 230 tickets in its queue, of two categories, some with long subjects."""
    store = live.engine.store
    for record in store.list(status=RunStatus.parked, limit=1_000):
        store.close_parked(record.ticket.source, record.ticket.id, "cleared", live.engine.clock.now())
    for n in range(N_RETURNS):
        park(store, f"R-{n:03d}", subject=f"{LONG} {n}" if n % 10 == 0 else f"Return of lamp {n}")
    for n in range(N_SHIPPING):
        park(store, f"S-{n:03d}", subject=f"Parcel {n}", category="shipping")
    live.serving.app.state.desk.queue.forget()
    return live


@pytest.fixture
def page(sit_down: Callable[..., Reviewer], full_queue: Any, request: pytest.FixtureRequest) -> Any:
    """A page of somebody who has logged in and sees the queue."""
    page = sit_down(**getattr(request, "param", {})).page
    expect(page.locator("table.rows a.open").first).to_be_visible()
    return page


def tickets(page: Any) -> list[str]:
    """Return the ids of the tickets on the page, in their order."""
    return page.locator("table.rows tr:has(a.open) .sub bdi:first-child").all_inner_texts()


def turn(page: Any, name: str, number: int) -> list[str]:
    """Click on a link to another page, and return the tickets there."""
    page.get_by_role("navigation", name="Pages of the queue").get_by_role("link", name=name).click()
    page.wait_for_url(re.compile(rf"sheet={number}(&|$)"))
    return tickets(page)


def test_every_ticket_is_on_one_page_by_mouse(page: Any) -> None:
    first = tickets(page)
    pages = page.get_by_role("navigation", name="Pages of the queue")
    expect(pages).to_contain_text("Page 1 of 3")
    assert pages.get_by_role("link", name="Earlier page").count() == 0
    second, third = turn(page, "Next page", 2), turn(page, "Next page", 3)
    assert (len(first), len(second), len(third)) == (100, 100, 30)
    assert len({*first, *second, *third}) == N_RETURNS + N_SHIPPING
    assert pages.get_by_role("link", name="Next page").count() == 0
    assert turn(page, "Earlier page", 2) == second
    page.go_back()
    assert tickets(page) == third


def test_filter_is_kept_from_page_to_page_and_begins_at_the_first(page: Any) -> None:
    turn(page, "Next page", 2)
    page.get_by_label("Category").select_option("shipping")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile("category=shipping"))
    pages = page.get_by_role("navigation", name="Pages of the queue")
    first = tickets(page)
    expect(pages).to_contain_text("Page 1 of 2")
    second = turn(page, "Next page", 2)
    assert page.get_by_label("Category").input_value() == "shipping"
    assert sorted([*first, *second]) == [f"S-{n:03d}" for n in range(N_SHIPPING)]
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url(re.compile(r"/$"))
    expect(pages).to_contain_text("Page 1 of 3")


def test_pages_are_turned_by_keyboard_alone(page: Any) -> None:
    link = page.get_by_role("link", name="Next page")
    rows = page.locator("table.rows a.open")
    rows.last.focus()
    page.keyboard.press("Tab")
    expect(link).to_be_focused()  # the next stop after the last ticket
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("sheet=2"))
    rows.last.focus()
    for stop in ("Earlier page", "Next page"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=stop)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("sheet=1"))


def test_j_goes_down_the_rows_of_a_long_queue(page: Any) -> None:
    for row in (0, 1):
        page.keyboard.press("j")
        expect(page.locator("table.rows a.open").nth(row)).to_be_focused()
    assert "sheet=2" not in page.url


def test_page_beyond_the_last_shows_the_last(page: Any, full_queue: Any) -> None:
    page.goto(f"{full_queue.url}/?sheet=99")
    expect(page.get_by_role("navigation", name="Pages of the queue")).to_contain_text("Page 3 of 3")
    assert len(tickets(page)) == 30


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    ],
    indirect=True,
    ids=["wide", "phone"],
)
def test_long_subjects_do_not_widen_the_page(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tallest = page.evaluate("Math.max(...[...document.querySelectorAll('a.open')].map(a => a.offsetHeight))")
    assert tallest < 100, "a subject of 400 characters leaves room for others"
