"""Finding what is new in a list that can only be read page by page, oldest first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PAGE_SIZE = 50
MAX_PAGES = 20
"""Most pages that one reading returns; what is left comes with the next."""


class Row(BaseModel):
    """One row, with whatever else it has."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: Annotated[int, Field(ge=0, le=2**63 - 1)]


class Listing(BaseModel):
    """One page of Django REST framework: ``count`` rows in all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    count: Annotated[int, Field(ge=0, le=2**63 - 1)]
    next: str | None = None
    previous: str | None = None
    results: tuple[Row, ...]

    def last_id(self) -> int:
        """Return the highest id on the page, 0 for an empty one."""
        return max((row.id for row in self.results), default=0)

    def first_id(self) -> int:
        """Return the lowest id on the page, 0 for an empty one."""
        return min((row.id for row in self.results), default=0)

    def above(self, since: int) -> list[Row]:
        """Return the rows with higher ids than ``since``."""
        return [row for row in self.results if row.id > since]


ListPage = Callable[[str], Awaitable[Listing | None]]
"""Gives a page by its number, or ``last``; None when there is no such page."""


async def read_newer(list_page: ListPage, since: int) -> list[Row]:
    """Return the rows with ids above ``since``, the oldest ``MAX_PAGES`` pages of them.

    Usually this is one request, for the last page, or a few more. Otherwise the first page is found by halving.
    """
    last = await list_page("last")
    if last is None or last.last_id() <= since:
        return []
    if last.previous is None or last.first_id() <= since:
        return last.above(since)
    number = -(-last.count // PAGE_SIZE) - 1
    before = await list_page(str(number)) if number > 0 else None
    if before is None or before.first_id() > since:
        # one page earlier too: a row that was deleted meanwhile moves all later ones up
        number = max(1, await _find_page(list_page, since) - 1)
    return await _read_on(list_page, number, since)


async def _find_page(list_page: ListPage, since: int) -> int:
    """Return the number of the first page with an id above ``since``."""
    first = await list_page("1")
    if first is None or first.last_id() > since:
        return 1
    size = len(first.results) or 1  # the server may give fewer than were asked for
    low, high = 2, max(2, -(-first.count // size))
    while low < high:
        middle = (low + high) // 2
        page = await list_page(str(middle))
        if page is not None and page.last_id() <= since:
            low = middle + 1
        else:
            high = middle
    return low


async def _read_on(list_page: ListPage, first: int, since: int) -> list[Row]:
    rows: list[Row] = []
    for number in range(first, first + MAX_PAGES):
        page = await list_page(str(number))
        if page is None:
            break
        rows += page.above(since)
        if page.next is None:
            break
    return rows
