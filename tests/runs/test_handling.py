from datetime import timedelta

import pytest

from deskhand.actions import Receipt
from deskhand.errors import Unavailable
from deskhand.testing import NOON, FixedClock, MemoryHelpdesk, build_ticket
from deskhand.tickets import Message
from deskhand_runs import GuardTables, RunStore, handling_of, release, sources_of, take_over, taken_over
from deskhand_runs.handling import is_closed, newer_person_reply, reason_to_give_up
from deskhand_runs.own_writes import OwnWrites, remember

LATER = NOON + timedelta(minutes=5)
KEY = "k" * 64


@pytest.fixture
def tables(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        yield GuardTables(store)


def said(role="agent", text="I take care of it.", name="m2", author="kim", at=LATER, is_public=True):
    return Message(id=name, author=author, role=role, text=text, at=at, is_public=is_public)


def with_(*messages, **changes):
    before = build_ticket()
    return before.model_copy(update={"messages": (*before.messages, *messages)} | changes)


async def asked(tables, now, **options):
    run = tables.store.claim(build_ticket(), "support", new_id=lambda: "run-1", now=NOON).record
    desk = MemoryHelpdesk({"T-1": now} if now else {})
    return await reason_to_give_up(run, desk, tables, FixedClock(LATER), **options)


def test_states_are_bot_person_and_bot_again(tables):
    first = handling_of(tables, "file", "T-1")
    assert (first.who, first.at, first.is_given_back) == ("bot", None, False)
    assert not release(tables, "file", "T-1", "nobody had it", NOON)
    assert take_over(tables, "file", "T-1", "kim answered", NOON)
    assert not take_over(tables, "file", "T-1", "lee answered", LATER), "the first one has it"
    taken = handling_of(tables, "file", "T-1")
    assert (taken.who, taken.reason, taken.at) == ("person", "kim answered", NOON)
    assert taken_over(tables) == (taken,)
    assert handling_of(tables, "mail", "T-1").who == "bot", "another helpdesk's ticket of the same id"
    assert release(tables, "file", "T-1", "released by kim", LATER)
    assert not release(tables, "file", "T-1", "again", LATER)
    again = handling_of(tables, "file", "T-1")
    assert (again.who, again.is_given_back, again.at) == ("bot", True, LATER)
    assert taken_over(tables) == ()
    assert take_over(tables, "file", "T-1", "once more", LATER)


def test_sources_of_a_ticket_come_from_runs_and_handling(tables):
    assert sources_of(tables, "T-1") == ()
    tables.store.claim(build_ticket(), "support", new_id=lambda: "run-1", now=NOON)
    take_over(tables, "mail", "T-1", "kim", NOON)
    assert sources_of(tables, "T-1") == ("file", "mail")


def test_newest_public_answer_of_a_person_is_found():
    older, newer = said(name="m2"), said(name="m3", at=LATER + timedelta(minutes=1))
    assert newer_person_reply(build_ticket(), with_(newer, older)) == newer


@pytest.mark.parametrize(
    "message",
    [
        said(is_public=False),
        said(role="customer"),
        said(role="system"),
        said(role="bot"),
        said(author="bot-7"),
        said(text=f"Dear Ann {KEY}"),
        said(name="17"),
    ],
)
def test_notes_customers_and_ourselves_are_no_take_over(message):
    own = OwnWrites(actor_ids=("bot-7",), keys=(KEY,), refs=("17",))
    assert newer_person_reply(build_ticket(), with_(message), own) is None


def test_an_answer_that_the_run_had_seen_is_none():
    answered = with_(said())
    assert newer_person_reply(answered, answered) is None


@pytest.mark.parametrize(
    ("status", "closed"), [("closed", True), (" Resolved ", True), ("open", False), ("new", False)]
)
def test_closed_is_known_by_the_status(status, closed):
    assert is_closed(build_ticket(status=status)) is closed


async def test_nothing_happened_and_the_write_goes_on(tables):
    assert await asked(tables, build_ticket()) is None
    assert await asked(tables, with_(said(role="customer"))) is None


async def test_a_persons_answer_stops_the_write_and_takes_the_ticket_over(tables):
    reason = await asked(tables, with_(said()))
    assert reason == "kim answered meanwhile, at 2026-11-20 12:05 UTC"
    taken = handling_of(tables, "file", "T-1")
    assert (taken.who, taken.reason, taken.at) == ("person", reason, LATER)
    assert "taken the ticket over" in await asked(tables, build_ticket()), "and it stays so"


async def test_our_own_reply_found_after_a_crash_is_no_take_over(tables):
    remember(tables, "file", "T-1", KEY, "", NOON)
    assert await asked(tables, with_(said(text=f"Dear Ann\n\n[{KEY}]"))) is None
    unmarked = with_(said(text="Dear Ann,\n it  comes on Monday.", author="api user"))
    assert await asked(tables, unmarked, reply="Dear Ann, it comes on Monday.") is None
    assert await asked(tables, with_(said(author="api")), actor_ids=("api",)) is None
    assert handling_of(tables, "file", "T-1").who == "bot"


async def test_a_ticket_closed_meanwhile_stops_the_write_unless_we_had_begun(tables):
    assert await asked(tables, build_ticket(status="closed")) == "the ticket was closed meanwhile (closed)"
    tables.store.add_receipt("run-1", Receipt(action_id="close", status="done"))
    assert await asked(tables, build_ticket(status="closed")) is None


async def test_a_ticket_that_is_nowhere_else_is_written_to(tables):
    assert await asked(tables, None) is None


async def test_a_helpdesk_that_does_not_answer_is_asked_again_later(tables):
    class Down(MemoryHelpdesk):
        async def fetch(self, ticket_id):
            raise Unavailable("no answer; try again")

    run = tables.store.claim(build_ticket(), "support", new_id=lambda: "run-1", now=NOON).record
    with pytest.raises(Unavailable):
        await reason_to_give_up(run, Down(), tables, FixedClock())
