import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from deskhand.actions import Action, ActionVerdict, ReceiptStatus
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import InputError, Unavailable
from deskhand.interfaces import ChatMessage, Completion, Request
from deskhand.jsonio import parse_json, read_lines, read_text
from deskhand.testing import (
    NOON,
    FixedClock,
    MemoryHelpdesk,
    ScriptedChatModel,
    SequentialIds,
    article,
    build_orders,
    build_passage,
    build_ticket,
    build_workspace,
    copy_workspace,
    until,
)
from deskhand.tickets import Event, EventKind, Ticket


class Label(BaseModel):
    label: str


def ask(model, **more):
    return model.complete("small", [ChatMessage("user", "hi")], deadline_s=1, ctx=RunContext("r"), **more)


async def test_scripted_model_answers_in_order_and_then_is_unavailable():
    model = ScriptedChatModel(
        ["text", Completion("made", "m"), Unavailable("down"), lambda messages: messages[0].content]
    )
    assert (await ask(model)).text == "text"
    assert (await ask(model)).text == "made"
    with pytest.raises(Unavailable, match="down"):
        await ask(model)
    assert (await ask(model)).text == "hi"
    with pytest.raises(Unavailable, match="only 4 answers; add one"):
        await ask(model)
    assert len(model.calls) == 4


async def test_scripted_model_validates_what_a_schema_asks_for():
    model = ScriptedChatModel(['{"label": "a"}', '{"other": 1}'])
    completion = await ask(model, output_schema=Label)
    assert completion.parsed == Label(label="a") and completion.model == "scripted/small"
    with pytest.raises(ValidationError):
        await ask(model, output_schema=Label)


async def test_memory_helpdesk_applies_each_key_once():
    desk = MemoryHelpdesk({"T-1": build_ticket()})
    action = Action(id="a", kind="helpdesk", name="reply", args={}, key="k1", verdict=ActionVerdict.allowed)
    receipts = [await desk.apply(action.model_copy(update={"key": key}), "T-1") for key in ("k1", "k2", "k2")]
    assert [receipt.status for receipt in receipts] == [ReceiptStatus.done, ReceiptStatus.done, ReceiptStatus.already]
    assert [receipt.ref for receipt in receipts] == ["0", "1", "1"]
    assert (await desk.fetch("T-1")).id == "T-1"
    with pytest.raises(InputError, match="T-2"):
        await desk.fetch("T-2")


async def test_memory_helpdesk_verifies_parses_and_polls():
    event = Event(source="s", delivery_id="d", ticket_id="T-1", kind=EventKind.message, at=NOON)
    desk = MemoryHelpdesk(events=[event, event])
    request = Request("POST", "http://x", {"x-test-secret": "secret"}, event.model_dump_json().encode())
    desk.verify(request, NOON)
    assert desk.parse(request) == [event]
    with pytest.raises(InputError, match="send 'secret'"):
        desk.verify(Request("POST", "http://x", {}, b""), NOON)
    assert (await desk.poll("")).events == (event, event)
    page = await desk.poll("1")
    assert (page.events, page.cursor) == ((event,), "2")


def test_clock_moves_by_its_step_and_ids_count():
    clock, ids = FixedClock(step=timedelta(seconds=1)), SequentialIds()
    assert [clock.now(), clock.now()] == [NOON, NOON + timedelta(seconds=1)]
    assert [ids.new("run"), ids.new("ask")] == ["run-0001", "ask-0002"]
    assert FixedClock().now() == FixedClock().now()


def test_built_workspace_is_whole_and_its_copy_has_no_state(tmp_path):
    root = build_workspace(tmp_path / "one", tickets=[build_ticket("Grüße")])
    (root / ".deskhand").mkdir()
    copy = WorkspaceFolder(copy_workspace(root, tmp_path / "two"))
    assert copy.config.brand.name == "Testware" and [c.id for c in copy.taxonomy.category] == ["delivery", "returns"]
    assert not copy.state.exists()
    assert len(list(read_lines(copy.labelled))) == 6
    assert Ticket(**parse_json(read_text(copy.incoming / "T-1.json"), "x")) == build_ticket("Grüße")
    assert sorted(file.name for file in copy.knowledge.iterdir()) == ["delivery.md", "returns.md"]


def test_article_has_its_front_matter():
    text = article("late-parcel", "Body.", version=3, valid_to="2026-12-31")
    assert text.startswith("---\nid: late-parcel\ntitle: Late parcel\nversion: 3\n")
    assert "valid_to: 2026-12-31\n---\nBody.\n" in text


async def test_until_waits_for_what_happens_and_gives_up_in_the_end():
    looks = []
    await until(lambda: looks.append(1) or len(looks) == 3)
    assert len(looks) == 3
    with pytest.raises(TimeoutError):
        await until(lambda: False, timeout_s=0.05)


def test_passage_is_named_after_its_article():
    passage = build_passage("Text.", source_id="late-parcel", score=0.2)
    assert (passage.id, passage.title, passage.text, passage.score) == ("late-parcel@1#0", "Late parcel", "Text.", 0.2)


def test_order_database_has_the_rows_that_it_was_given(tmp_path):
    rows = "INSERT INTO customers(id, email) VALUES('C-1', 'ann@example.com');"
    with closing(sqlite3.connect(build_orders(tmp_path / "orders.db", rows))) as connection:
        assert connection.execute("SELECT id, email FROM customers").fetchall() == [("C-1", "ann@example.com")]
        assert connection.execute("SELECT COUNT(*) FROM orders").fetchone() == (0,)
