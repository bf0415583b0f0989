from datetime import timedelta
from functools import partial

import pytest

from deskhand.actions import Decision, Receipt, ReviewRequest
from deskhand.answers import Draft
from deskhand.helpdesk_settings import FolderSettings
from deskhand.records import RunResult
from deskhand.service_settings import RunsSettings
from deskhand.testing import NOON, FixedClock, SequentialIds, build_ticket
from deskhand.tickets import Event, Message
from deskhand_runs import GuardTables, RunStore, handling_of, release, take_over
from deskhand_runs.guards import judge_event, last_seen, replies_of
from deskhand_runs.own_writes import remember

SETTINGS = FolderSettings(kind="folder", actor_ids=("bot-7",))
KEY = "k" * 64


@pytest.fixture
def tables(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        yield GuardTables(store)


ids = SequentialIds()


def message(number, role="customer", text=None, author=None, at=0, is_public=True, name=None):
    return Message(
        id=name or f"m{number}",
        author=author or {"customer": "Ann Lee", "agent": "kim", "bot": "bot-7", "system": "system"}[role],
        role=role,
        text=text or f"text {number}",
        at=NOON + timedelta(minutes=at),
        is_public=is_public,
    )


def ticket(*messages, **changes):
    return build_ticket(messages=messages or (message(1),), **changes)


def event(kind="message", actor="C-1", delivery_id="d-1", raw=""):
    return Event(source="file", delivery_id=delivery_id, ticket_id="T-1", kind=kind, actor=actor, at=NOON, raw=raw)


def ran(tables, seen, status="done", at=NOON, reply=None):
    """A run that saw the ticket and came to an end; with ``reply`` it was approved and sent."""
    store = tables.store
    run = store.claim(seen, "support", again=True, new_id=partial(ids.new, "run"), now=at).record
    result = RunResult(run_id=run.run_id, ticket_id="T-1", graph="support", status=status, needs_human=True)
    if status == "failed":
        store.fail(run.run_id, "cut off", at)
    elif reply is not None:
        asked = ReviewRequest(run_id=run.run_id, ask_id=f"ask-{run.run_id}", draft=Draft(text=reply))
        store.park(run.run_id, result, asked, at)
        store.decide(run.run_id, Decision(ask_id=asked.ask_id, verdict="approve", by="kim", at=at), at)
        store.finish(run.run_id, result, at)
        store.add_receipt(run.run_id, Receipt(action_id="reply", status="done"))
        store.close_write_back(run.run_id, at)
    elif status == "done":
        store.finish(run.run_id, result, at)
    return run.run_id


def judge(tables, happened, now_is=None, clock=None, **limits):
    return judge_event(
        happened,
        now_is,
        helpdesk_settings=SETTINGS,
        tables=tables,
        clock=clock or FixedClock(),
        settings=RunsSettings(**limits),
    )


def test_a_customers_message_is_run(tables):
    assert judge(tables, event(), ticket()) == ("run", "")
    assert judge(tables, event(), None) == ("run", ""), "before the ticket is fetched"


def test_our_own_actor_is_skipped_with_and_without_the_ticket(tables):
    ran(tables, ticket())
    assert judge(tables, event(actor="bot-7"), None) == ("skip", "our own doing (actor bot-7)")
    after = ticket(message(1), message(2, "bot"))
    assert judge(tables, event(actor="bot-7"), after).verdict == "skip"


def test_our_own_actor_never_hides_what_a_customer_wrote_meanwhile(tables):
    ran(tables, ticket())
    crossed = ticket(message(1), message(2), message(3, "bot"))
    assert judge(tables, event(actor="bot-7"), crossed).verdict == "run"


@pytest.mark.parametrize("name", [KEY, "followup-17"])
def test_a_delivery_named_after_our_write_is_ours_whoever_did_it(tables, name):
    remember(tables, "file", "T-1", KEY, "followup-17", NOON)
    assert judge(tables, event(delivery_id=name, actor="RT_System"), None) == ("skip", "our own write came back")
    assert judge(tables, event(delivery_id="followup-18"), ticket()).verdict == "run"


@pytest.mark.parametrize(
    ("echo", "why"),
    [
        (message(2, "agent", text=f"Dear Ann [{KEY}]", author="RT_System"), "its marker"),
        (message(2, "agent", name="followup-17", author="RT_System"), "its ref"),
        (message(2, "agent", author="bot-7"), "its actor"),
        (message(2, "bot", author="anybody"), "its role"),
        (message(2, "agent", text="Dear  Ann,\nit comes on Monday.\n-- \nsent by RT", author="RT_System"), "its text"),
    ],
)
def test_the_echo_of_our_reply_starts_no_run_and_is_no_take_over(tables, echo, why):
    ran(tables, ticket(), reply="Dear Ann, it comes on Monday.")
    remember(tables, "file", "T-1", KEY, "followup-17", NOON)
    judged = judge(tables, event(kind="changed", actor="RT_System"), ticket(message(1), echo))
    assert judged == ("skip", "nothing new from a customer"), why
    assert handling_of(tables, "file", "T-1").who == "bot"


def test_a_customer_who_quotes_our_marker_is_answered(tables):
    ran(tables, ticket(), reply="Dear Ann, it comes on Monday.")
    remember(tables, "file", "T-1", KEY, "17", NOON)
    quoting = message(2, text=f"Dear Ann, it comes on Monday. [{KEY}] No, it did not!", name="17")
    assert judge(tables, event(), ticket(message(1), quoting)).verdict == "run"


def test_mail_of_ours_that_comes_back_as_a_customers_is_known_by_its_id(tables):
    ran(tables, ticket())
    remember(tables, "file", "T-1", KEY, f"<{KEY}@testware.example>", NOON)
    looped = message(2, name=f"<{KEY}@testware.example>")
    assert judge(tables, event(), ticket(message(1), looped)) == ("skip", "nothing new from a customer")


def test_nothing_new_since_the_run_is_skipped_and_an_edited_message_is_new(tables):
    ran(tables, ticket())
    assert judge(tables, event(kind="changed"), ticket(tags=("late",))).reason == "nothing new from a customer"
    assert judge(tables, event(kind="changed"), ticket(message(1, text="edited"))).verdict == "run"


def test_a_run_that_failed_has_answered_nothing(tables):
    ran(tables, ticket(), status="failed")
    assert last_seen(tables, ticket()) is None
    assert judge(tables, event(), ticket()).verdict == "run"


def test_internal_notes_and_system_lines_start_nothing(tables):
    ran(tables, ticket())
    noted = ticket(message(1), message(2, "agent", is_public=False), message(3, "system"))
    assert judge(tables, event(actor="kim"), noted).reason == "nothing new from a customer"
    assert handling_of(tables, "file", "T-1").who == "bot"
    assert judge(tables, event(), ticket(message(1), message(2, "agent", is_public=False), message(3))).verdict == "run"


def test_a_person_who_answered_has_the_ticket_until_it_is_released(tables):
    ran(tables, ticket())
    answered = ticket(message(1), message(2, "agent", at=1))
    assert judge(tables, event(actor="kim"), answered) == ("skip", "a person has taken the ticket over (kim answered)")
    again = ticket(message(1), message(2, "agent", at=1), message(3, at=2))
    assert judge(tables, event(delivery_id="d-2"), again) == ("skip", "a person has taken the ticket over")
    assert judge(tables, event(delivery_id="d-2"), None).verdict == "skip"
    release(tables, "file", "T-1", "released by kim", NOON + timedelta(minutes=5))
    more = ticket(*again.messages, message(4, at=6))
    assert judge(tables, event(delivery_id="d-3"), more).verdict == "run"
    assert handling_of(tables, "file", "T-1").is_given_back


def test_a_ticket_that_a_person_answered_before_we_came_is_left(tables):
    answered = ticket(message(1), message(2, "agent"))
    assert judge(tables, event(), answered) == ("skip", "kim has answered already")
    assert judge(tables, event(), ticket(*answered.messages, message(3))).verdict == "run"


def test_closed_tickets_are_left_and_a_new_message_on_one_is_held(tables):
    closed = ticket(status="Closed")
    assert judge(tables, event(kind="closed"), ticket()) == ("skip", "the ticket is closed")
    assert judge(tables, event(), closed) == ("skip", "the ticket is closed")
    ran(tables, ticket())
    late = ticket(message(1), message(2), status="resolved")
    assert judge(tables, event(), late) == ("hold", "a customer wrote to a closed ticket")


def test_the_breaker_holds_after_so_many_runs_and_lets_go_after_the_window(tables):
    limits = {"breaker_runs": 3, "breaker_minutes": 10}
    for minute in (1, 2, 3):
        assert judge(tables, event(), ticket(message(minute)), **limits).verdict == "run"
        ran(tables, ticket(message(minute)), at=NOON + timedelta(minutes=minute))
    clock = FixedClock(NOON + timedelta(minutes=4))
    assert judge(tables, event(), ticket(message(9)), clock, **limits) == ("hold", "3 runs in 10 minutes: a loop?")
    other = build_ticket(ticket_id="T-2")
    assert judge(tables, event().model_copy(update={"ticket_id": "T-2"}), other, clock, **limits).verdict == "run"
    clock = FixedClock(NOON + timedelta(minutes=11, seconds=1))
    assert judge(tables, event(), ticket(message(9)), clock, **limits).verdict == "run"


def test_automatic_mail_is_skipped_and_held_when_something_else_waits(tables):
    ran(tables, ticket())
    headers = {"headers": {"Auto-Submitted": "auto-replied"}}
    away = ticket(message(1), message(2, text="I am away"), fields=headers)
    assert judge(tables, event(), away) == ("skip", "automatic mail (Auto-Submitted: auto-replied)")
    both = ticket(message(1), message(2), message(3, text="I am away"), fields=headers)
    assert judge(tables, event(), both).verdict == "hold"
    real = event(raw='{"headers": {"Subject": "my question"}}')
    assert judge(tables, real, both).verdict == "run", "the event's own headers say which mail it was"


def test_a_damaged_row_does_not_stop_what_a_customer_wrote(tables):
    run_id = ran(tables, ticket(), reply="Dear Ann")
    with tables.changing() as connection:
        connection.execute("UPDATE runs SET ticket = '{', review = '{' WHERE run_id = ?", (run_id,))
    assert replies_of(tables, "file", "T-1") == ()
    assert judge(tables, event(), ticket()).verdict == "run"


def test_a_ticket_taken_over_by_hand_is_left_alone(tables):
    take_over(tables, "file", "T-1", "taken over by kim", NOON)
    assert judge(tables, event(), ticket()) == ("skip", "a person has taken the ticket over")


def test_a_source_without_settings_has_no_actor(tables):
    judged = judge_event(
        event(actor=""), ticket(), helpdesk_settings=None, tables=tables, clock=FixedClock(), settings=RunsSettings()
    )
    assert judged.verdict == "run"
