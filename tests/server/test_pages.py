from __future__ import annotations

import html
from typing import Any

import pytest
from parked_runs import PASSAGE, REPLY, actions, park, park_everywhere
from server_house import CONFIG, build_entry

from deskhand.answers import Finding, Reason, Summary
from deskhand.errors import InputError, OwnedElsewhere, StoreError
from deskhand.testing import NOON
from deskhand.tickets import Attachment, Event, EventKind, Priority

XSS = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">\'"{{7*7}}</textarea>'


async def test_queue_shows_what_should_be_answered_first(house: Any) -> None:
    store = house.engine.store
    park(store, "T-1", subject="ordinary")
    park(store, "T-2", subject="alarming", reasons=(Reason(code="safety"),))
    park(store, "T-3", subject="pressing", priority=Priority.urgent)
    await house.log_in()
    text = (await house.get("/")).text
    assert text.index("pressing") < text.index("alarming") < text.index("ordinary")
    assert "A danger to people" in text and "90 %" in text and "1 cited" in text


async def test_queue_is_filtered_by_text_category_and_reason(house: Any) -> None:
    park(house.engine.store, "T-1", subject="first lamp")
    park(house.engine.store, "T-2", subject="second", category="delivery", reasons=(Reason(code="spam"),))
    await house.log_in()
    for query, shown in (("q=LAMP", "first"), ("category=delivery", "second"), ("reason=spam", "second")):
        text = (await house.get(f"/?{query}")).text
        other = "second" if shown == "first" else "first lamp"
        assert shown in text and other not in text and "1 of 2" in text
    assert "Nothing matches" in (await house.get("/?q=nothing")).text


async def test_long_queue_is_whole_and_in_order_over_its_pages(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deskhand_server.queue.PAGE_ROWS", 3)
    for n in range(7):
        park(house.engine.store, f"T-{n}", subject=f"lamp {n}", priority=Priority.urgent if n == 6 else None)
    await house.log_in()
    first, last = (await house.get("/")).text, (await house.get("/?sheet=3")).text
    assert first.index("lamp 6") < first.index("lamp 0") < first.index("lamp 1") and "lamp 2" not in first
    assert "Page 1 of 3" in first and 'rel="next"' in first and 'rel="prev"' not in first
    assert "lamp 5" in last and "Page 3 of 3" in last and 'rel="next"' not in last
    assert (await house.get("/?sheet=99")).text.count("Page 3 of 3") == 1
    filtered = (await house.get("/?q=lamp&sheet=2")).text
    assert "/?q=lamp&amp;category=&amp;reason=&amp;sheet=3" in filtered
    assert (await house.get("/?sheet=0")).status == 422


async def test_queue_longer_than_one_reading_takes_goes_on_with_the_next(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deskhand_server.queue.MAX_NEW", 2)
    for n in range(3):
        park(house.engine.store, f"T-{n}", subject=f"lamp {n}")
    queue = house.app.state.desk.queue
    assert [row.subject for row in queue.rows()] == ["lamp 0", "lamp 1"]
    queue.forget()
    assert [row.subject for row in queue.rows()] == ["lamp 0", "lamp 1", "lamp 2"]
    house.engine.store.close_parked("file", "T-1", "closed", NOON)
    queue.forget()
    assert [row.subject for row in queue.rows()] == ["lamp 0", "lamp 2"]


async def test_empty_queue_says_so(house: Any) -> None:
    await house.log_in()
    assert "Nothing waits for you" in (await house.get("/")).text
    assert "Nothing ran yet" in (await house.get("/recent")).text


async def test_ticket_page_shows_the_draft_beside_its_sources(house: Any) -> None:
    run_id = park(house.engine.store, actions=actions())
    await house.log_in()
    text = (await house.get(f"/runs/{run_id}")).text
    assert '<mark class="cite" data-cites="1" id="sentence-1">You can return any product within 30 days' in text
    assert '<mark class="cite" data-cites="1">within 30 days of delivery</mark>' in text
    assert ">no source<" in text and ">has a source<" in text and "origin 1" in text and "refused by policy" in text
    assert text.count('name="action"') == 3 and "because 2" in text


async def test_what_came_with_a_ticket_is_shown_in_plain_words(house: Any) -> None:
    run_id = park(
        house.engine.store,
        attachments=(Attachment(name="photo.jpg", media_type="image/jpeg", size_bytes=212_345),),
        findings=(Finding(tool="find_order", subject="Order 1042", facts={"paid_on": "2026-11-02"}),),
        summary=Summary(text="Ann asks how long she may return a lamp.", method="extractive"),
        draft=None,
    )
    await house.log_in()
    text = (await house.get(f"/runs/{run_id}")).text
    assert "photo.jpg" in text and "212.3 kB" in text
    assert "paid on" in text and "in the ticket&#39;s own words" in text and "1 more passage found" in text


async def test_quote_that_is_not_in_its_passage_is_shown_as_such(house: Any) -> None:
    run_id = park(house.engine.store, quote="within 90 days")
    await house.log_in()
    assert "This quote is not in the passage" in (await house.get(f"/runs/{run_id}")).text


async def test_unknown_run_is_a_page_of_its_own(house: Any) -> None:
    await house.log_in()
    answer = await house.get("/runs/run-x")
    assert answer.status == 404 and "there is none" in answer.text
    assert (await house.post("/runs/run-x/decide", {"verdict": "approve"})).status == 404
    assert (await house.get("/runs/run-x/state")).status == 404


@pytest.mark.parametrize("verdict", ["approve", "edit", "reject", "retry"])
async def test_decision_is_stored_and_the_next_ticket_shown(house: Any, verdict: str) -> None:
    first, second = park(house.engine.store, "T-1"), park(house.engine.store, "T-2")
    await house.log_in("Maria")
    fields = {"ask_id": f"{first}:0", "verdict": verdict, "text": "Dear Ann,\r\nyes.", "instruction": "shorter"}
    answer = await house.post(f"/runs/{first}/decide", fields)
    assert answer.status == 303 and answer.header("location") == f"/runs/{second}?after={first}"
    [decision] = house.engine.store.load(first).decisions
    assert (decision.verdict.value, decision.by) == (verdict, "Maria")
    assert decision.text == ("Dear Ann,\nyes." if verdict == "edit" else None)
    assert decision.instruction == ("shorter" if verdict == "retry" else "") and decision.action_ids is None
    assert "Maria" in (await house.get(answer.header("location"))).text
    shown = (await house.get(f"/runs/{first}")).text
    assert "by <bdi>Maria</bdi>" in shown and 'id="decision"' not in shown


async def test_last_decision_leads_back_to_the_queue(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in()
    answer = await house.post(f"/runs/{run_id}/decide", {"ask_id": f"{run_id}:0", "verdict": "reject"})
    assert answer.header("location") == f"/?after={run_id}"
    assert "rejected by" in (await house.get(f"/?after={run_id}")).text
    assert (await house.get("/?after=run-x")).status == 200


async def test_actions_that_are_not_checked_are_not_approved(house: Any) -> None:
    run_id = park(house.engine.store, actions=actions())
    await house.log_in()
    fields = {"ask_id": f"{run_id}:0", "verdict": "approve", "action": ["a1"]}
    await house.post(f"/runs/{run_id}/decide", fields)
    assert house.engine.store.load(run_id).decisions[0].action_ids == ("a1",)


async def test_no_action_checked_approves_none(house: Any) -> None:
    run_id = park(house.engine.store, actions=actions())
    await house.log_in()
    await house.post(f"/runs/{run_id}/decide", {"ask_id": f"{run_id}:0", "verdict": "approve"})
    assert house.engine.store.load(run_id).decisions[0].action_ids == ()


async def test_edit_that_changes_nothing_is_an_approval(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in()
    fields = {"ask_id": f"{run_id}:0", "verdict": "edit", "text": REPLY.replace("\n", "\r\n") + "\r\n"}
    await house.post(f"/runs/{run_id}/decide", fields)
    assert house.engine.store.load(run_id).decisions[0].verdict.value == "approve"


async def test_decision_of_another_is_shown_and_the_typed_text_kept(house: Any) -> None:
    run_id = park(house.engine.store)
    ask = {"ask_id": f"{run_id}:0"}
    await house.api("POST", f"/api/v1/runs/{run_id}/decisions", {**ask, "verdict": "reject", "by": "Ben"})
    await house.log_in("Maria")
    answer = await house.post(f"/runs/{run_id}/decide", {**ask, "verdict": "edit", "text": "my own words"})
    assert answer.status == 409 and "Ben has already decided reject" in answer.text
    assert house.engine.store.load(run_id).decisions[0].by == "Ben"


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("no; look again"), 409), (StoreError("the disk is full; free some"), 503)],
)
async def test_decision_that_was_not_taken_in_keeps_what_was_typed(
    house: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    run_id = park(house.engine.store, actions=actions())

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(house.engine, "decide", fail)
    await house.log_in()
    fields = {"ask_id": f"{run_id}:0", "verdict": "edit", "text": "my <own> words", "action": ["a0"]}
    answer = await house.post(f"/runs/{run_id}/decide", fields)
    assert answer.status == status and "my &lt;own&gt; words" in answer.text and "Not taken in" in answer.text
    assert 'value="a0" checked' in answer.text and 'value="a1" checked' not in answer.text


@pytest.mark.parametrize(
    "fields",
    [{"verdict": "maybe"}, {}, {"verdict": "edit", "text": " \n "}, {"verdict": "retry", "instruction": "x" * 3_000}],
)
async def test_form_that_is_not_whole_changes_nothing(house: Any, fields: dict[str, str]) -> None:
    run_id = park(house.engine.store)
    await house.log_in()
    answer = await house.post(f"/runs/{run_id}/decide", {"ask_id": f"{run_id}:0", **fields})
    assert answer.status == 400 and house.engine.store.load(run_id).waits


async def test_form_that_is_no_form_or_too_long_is_refused(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in()
    headers = {"cookie": house.cookie, "accept": "text/html"}
    assert (await house.ask("POST", f"/runs/{run_id}/decide", b"\xff", headers)).status == 400
    assert (await house.ask("POST", f"/runs/{run_id}/decide", b"a" * 2_000_001, headers)).status == 413
    assert (await house.ask("POST", f"/runs/{run_id}/decide", b"a&" * 600, headers)).status == 400


async def test_nothing_of_a_ticket_is_ever_markup(house: Any) -> None:
    run_id = park_everywhere(
        house.engine.store, "T-1", XSS, passage_text=f"{XSS} within 30 days of delivery", email=f"{XSS}@x"
    )
    await house.log_in(XSS[:60])
    house.engine.stuck = [_stuck("dead", XSS)]
    for path in ("/", f"/runs/{run_id}", "/recent", f"/?q={html.escape('x')}"):
        text = (await house.get(path)).text
        assert "<script>window" not in text and "<img" not in text and "49" not in text.split("{{7*7}}")[0][-9:]


async def test_direction_marks_and_controls_are_made_visible(house: Any) -> None:
    run_id = park(house.engine.store, text="pay \u202egnp.exe\x07 now", subject="\u2066hidden")
    await house.log_in()
    text = (await house.get(f"/runs/{run_id}")).text
    assert "\u202e" not in text and "\u2066" not in text and "\x07" not in text and "pay \ufffdgnp.exe" in text


def _stuck(state: str, reason: str) -> Any:
    event = Event(source="shop", delivery_id="d-1", ticket_id="T-7", kind=EventKind.created, at=NOON)
    return build_entry(7, event, None, state, reason)


async def test_stuck_deliveries_are_shown_and_settled(house: Any) -> None:
    house.engine.stuck = [_stuck("dead", "the mail server is down"), _stuck("held", "too many runs")]
    await house.log_in("Maria")
    text = (await house.get("/")).text
    assert "the mail server is down" in text and "too many runs" in text and "given up" in text
    assert (await house.post("/deliveries/7/retry")).status == 303
    assert (await house.post("/deliveries/7/skip")).status == 303
    assert house.engine.settled == [("retry", 7, ""), ("skip", 7, "Maria")]
    assert (await house.post("/deliveries/7/burn")).status == 404


async def test_delivery_that_cannot_be_settled_says_why(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.engine.stuck = [_stuck("dead", "x")]
    await house.log_in()

    async def fail(*_: object) -> None:
        raise OwnedElsewhere("7: somebody is at work on it; wait")

    monkeypatch.setattr(house.engine, "skip", fail)
    answer = await house.post("/deliveries/7/skip")
    assert answer.status == 409 and "somebody is at work" in answer.text


async def test_recent_shows_what_became_of_runs(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in("Maria")
    await house.post(f"/runs/{run_id}/decide", {"ask_id": f"{run_id}:0", "verdict": "reject"})
    text = (await house.get("/recent")).text
    assert "reject" in text and "Maria" in text


async def test_states_for_open_pages(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in("Maria")
    assert (await house.get("/queue/state")).json["waiting"] == 1
    assert (await house.get(f"/runs/{run_id}/state")).json["waits"] is True
    await house.post(f"/runs/{run_id}/decide", {"ask_id": f"{run_id}:0", "verdict": "approve"})
    state = (await house.get(f"/runs/{run_id}/state")).json
    assert (state["waits"], state["by"], state["verdict"]) == (False, "Maria", "approve")


async def test_pause_and_shadow_mode_are_shown(house: Any, make_house: Any) -> None:
    await house.log_in()
    assert "paused" not in (await house.get("/")).text
    house.engine.paused = ("",)
    assert "Write-back is paused:" in (await house.get("/")).text
    house.engine.paused = ("shop",)
    assert "Write-back is paused for shop" in (await house.get("/")).text
    shadow = make_house(CONFIG.replace("schema = 1", 'schema = 1\nmode = "shadow"'))
    await shadow.log_in()
    assert "Shadow mode" in (await shadow.get("/")).text


async def test_run_without_a_draft_offers_to_write_one(house: Any) -> None:
    run_id = park(house.engine.store, draft=None)
    await house.log_in()
    text = (await house.get(f"/runs/{run_id}")).text
    assert "There is no draft" in text and 'value="approve"' not in text and "Write the reply" in text


async def test_error_of_a_page_is_a_page(house: Any) -> None:
    await house.log_in()
    answer = await house.get("/nothing")
    assert answer.status == 404 and "<title>Not found" in answer.text and "no page at this address" in answer.text
    bad = await house.get("/?sheet=abc")
    assert bad.status == 422 and "sheet: input should be a valid integer" in bad.text and "To the queue" in bad.text


async def test_title_names_the_ticket(house: Any) -> None:
    run_id = park(house.engine.store, "T-1", subject="Return a lamp")
    await house.log_in()
    assert "<title>T-1 Return a lamp" in (await house.get(f"/runs/{run_id}")).text
    assert "<title>Queue (1)" in (await house.get("/")).text


async def test_header_of_a_table_stands_only_above_its_rows(house: Any) -> None:
    for name, text in (("T-1", "| EUR 5 | 2 days |"), ("T-2", "Labels are free.")):
        passage = PASSAGE.model_copy(update={"text": f"{text}\nwithin 30 days of delivery", "header": "| price |"})
        park(house.engine.store, name, passage=passage)
    await house.log_in()
    shown = [("| price |" in (await house.get(f"/runs/run-{name}")).text) for name in ("t-1", "t-2")]
    assert shown == [True, False]
