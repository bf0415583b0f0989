"""Deliveries that bring the whole ticket, from a helpdesk that cannot be asked again, overtake each other."""

from dataclasses import replace
from datetime import timedelta

from deskhand.testing import NOON, build_ticket, until
from deskhand.tickets import Message, Role


def ticket_with(n_messages):
    messages = tuple(
        Message(id=f"m{n}", author="Ann", role=Role.customer, text=f"text {n}", at=NOON + timedelta(minutes=n))
        for n in range(1, n_messages + 1)
    )
    return build_ticket(source="desk", messages=messages, updated_at=messages[-1].at)


async def test_the_newest_state_counts_whichever_came_last(bench, make_event):
    async with bench.open() as engine:
        await engine.accept(make_event(2), ticket_with(2))
        await engine.accept(make_event(1), ticket_with(1))
        assert await engine.wait_idle(60)
        (run,) = engine.store.list()
        assert run.review.draft.text == "Re: text 2"
        assert [entry.state for entry in engine.entries()] == ["done", "done"]


async def test_an_older_state_that_comes_late_starts_no_run(bench, make_event):
    async with bench.open() as engine:
        await engine.accept(make_event(2), ticket_with(2))
        assert await engine.wait_idle(60)
        await engine.accept(make_event(1), ticket_with(1))
        assert await engine.wait_idle(60)
        (run,) = engine.store.list()
        assert run.status.value == "parked" and run.review.draft.text == "Re: text 2"


async def test_a_delivery_tried_again_leaves_a_decided_run_to_its_decision(bench, approve):
    bench.pace = replace(bench.pace, tick_s=3600)  # nobody else looks for what is decided
    async with bench.open() as engine:
        run = await bench.park(engine)
        engine.store.decide(run.run_id, approve(run), NOON)
        delivery = replace(engine.entry(1), state="queued", n_attempts=1)
        end = await engine._work._do(delivery)
        assert (end.state, end.run_id, bench.desk.sent) == ("done", run.run_id, [])
    async with bench.open() as engine:  # which is looked for at the next start
        await until(lambda: bench.desk.sent == ["Re: hello"])
