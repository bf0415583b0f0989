from datetime import timedelta

import pytest

from deskhand.errors import StoreError, Unavailable
from deskhand.interfaces import Page, Unreadable
from deskhand.testing import NOON, MemoryHelpdesk
from deskhand.tickets import Event
from deskhand_runs import GuardTables, RunStore
from deskhand_runs.polls import BACKLOG_AGE, OVERLAP, Intake, poll


@pytest.fixture
def tables(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        yield GuardTables(store)


class Inbox:
    def __init__(self):
        self.seen = []
        self.full_after = None
        self.aside = {}

    async def accept(self, event):
        if self.full_after is not None and len(self.seen) >= self.full_after:
            raise StoreError("the disk is full; free some space")
        is_new = event.delivery_id not in self.seen
        if is_new:
            self.seen.append(event.delivery_id)
        return is_new

    async def set_aside(self, event, state, reason):
        is_new = event.delivery_id not in self.aside
        self.aside.setdefault(event.delivery_id, state)
        return is_new


class Desk(MemoryHelpdesk):
    """Gives two events a page and keeps the cursors it was asked with."""

    def __init__(self, n_events=0):
        super().__init__()
        self.asked = []
        self.add(n_events)

    def add(self, n_events):
        first = len(self.events)
        self.events += [
            Event(source="desk", delivery_id=f"d{first + n}", ticket_id="T-1", kind="message", at=NOON)
            for n in range(n_events)
        ]

    async def poll(self, cursor):
        self.asked.append(cursor)
        start = int(cursor or 0)
        page = tuple(self.events[start : start + 2])
        return Page(page, str(start + len(page)))


def go(tables, desk, inbox, minutes=0.0, backlog="run"):
    intake = Intake(inbox.accept, inbox.set_aside)
    return poll("desk", desk, tables, intake, NOON + timedelta(minutes=minutes), backlog=backlog)


async def test_all_pages_are_taken_in_and_the_next_poll_finds_only_what_is_new(tables):
    desk, inbox = Desk(5), Inbox()
    assert await go(tables, desk, inbox) == (5, 5)
    assert inbox.seen == ["d0", "d1", "d2", "d3", "d4"]
    desk.add(1)
    assert (await go(tables, desk, inbox, 60)).n_new == 1
    assert (await go(tables, desk, inbox, 120)).n_new == 0


async def test_polls_overlap_so_that_late_commits_are_found(tables):
    desk, inbox = Desk(), Inbox()
    for minute in (0, 1, 2, 3, 4):
        desk.add(2)
        await go(tables, desk, inbox, minute)
    assert OVERLAP == timedelta(minutes=2)  # noqa: SIM300 - the constant is what is looked at
    assert desk.asked[-3:] == ["6", "8", "10"], "what was found since two minutes before is looked at again"
    assert len(inbox.seen) == 10


async def test_a_full_disk_loses_nothing(tables):
    desk, inbox = Desk(5), Inbox()
    inbox.full_after = 3
    with pytest.raises(StoreError):
        await go(tables, desk, inbox)
    inbox.full_after = None
    await go(tables, desk, inbox, 60)
    assert inbox.seen == ["d0", "d1", "d2", "d3", "d4"]


async def test_a_helpdesk_that_is_down_is_polled_from_the_same_place(tables):
    desk, inbox = Desk(2), Inbox()
    await go(tables, desk, inbox)
    works, desk.poll = desk.poll, _down
    with pytest.raises(Unavailable):
        await go(tables, desk, inbox, 10)
    desk.poll = works
    desk.add(1)
    assert (await go(tables, desk, inbox, 20)).n_new == 1


async def _down(cursor):
    raise Unavailable("no answer; try again")


async def test_quiet_hours_do_not_grow_the_row(tables):
    desk, inbox = Desk(2), Inbox()
    for minute in range(300):
        await go(tables, desk, inbox, minute)
    with tables.reading() as connection:
        row = connection.execute("SELECT cursor FROM cursors WHERE source = 'desk'").fetchone()
    assert len(row["cursor"]) < 200
    assert desk.asked[-1] == "2"


async def test_a_busy_source_keeps_few_cursors(tables):
    desk, inbox = Desk(), Inbox()
    for second in range(600):
        desk.add(1)
        await go(tables, desk, inbox, second / 60)
    with tables.reading() as connection:
        row = connection.execute("SELECT cursor FROM cursors WHERE source = 'desk'").fetchone()
    assert row["cursor"].count("[") <= 52
    assert len(inbox.seen) == 600


def aged(desk, **ages):
    """Give the helpdesk events by their age before noon."""
    desk.events = [
        Event(source="desk", delivery_id=name, ticket_id="T-1", kind="message", at=NOON - age)
        for name, age in ages.items()
    ]


DAY = timedelta(days=1)


async def test_the_first_poll_leaves_the_backlog_to_people_and_takes_what_is_fresh(tables):
    desk, inbox = Desk(), Inbox()
    aged(desk, old=DAY, older=2 * DAY, fresh=BACKLOG_AGE / 2)
    assert await go(tables, desk, inbox, backlog="skip") == (3, 3)
    assert (inbox.aside, inbox.seen) == ({"old": "skipped", "older": "skipped"}, ["fresh"])
    desk.events += [desk.events[0].model_copy(update={"delivery_id": "late"})]
    await go(tables, desk, inbox, 1, backlog="skip")
    assert inbox.seen == ["fresh", "late"], "what comes later is no backlog, whatever its date"


async def test_a_backlog_that_is_wanted_is_taken_in(tables):
    desk, inbox = Desk(), Inbox()
    aged(desk, old=DAY, older=2 * DAY)
    await go(tables, desk, inbox, backlog="run")
    assert (inbox.aside, inbox.seen) == ({}, ["old", "older"])


async def test_a_first_poll_that_breaks_off_is_the_first_one_again(tables):
    desk, inbox = Desk(), Inbox()
    aged(desk, a=DAY, b=DAY, fresh=BACKLOG_AGE / 2, c=DAY, d=DAY)
    inbox.full_after = 0
    with pytest.raises(StoreError):
        await go(tables, desk, inbox, backlog="skip")
    inbox.full_after = None
    await go(tables, desk, inbox, 1, backlog="skip")
    assert (set(inbox.aside), inbox.seen) == ({"a", "b", "c", "d"}, ["fresh"])


async def test_what_cannot_be_read_is_held_for_a_person(tables):
    desk, inbox = Desk(1), Inbox()
    event = Event(source="desk", delivery_id="bad", ticket_id="bad", kind="created", at=NOON)
    works = desk.poll

    async def with_a_bad_one(cursor):
        page = await works(cursor)
        return Page(page.events, page.cursor, (Unreadable(event, "mail 3 cannot be read"),))

    desk.poll = with_a_bad_one
    assert await go(tables, desk, inbox) == (3, 2), "each page tells of it, and it is kept once"
    assert (inbox.aside, inbox.seen) == ({"bad": "held"}, ["d0"])
