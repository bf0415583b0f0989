import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest

from deskhand.actions import Action, ActionVerdict, Decision, Receipt, ReviewRequest
from deskhand.answers import Draft
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError
from deskhand.records import RunResult
from deskhand.testing import NOON, SequentialIds, build_ticket
from deskhand_runs import RunStore


@pytest.fixture
def store(tmp_path):
    with RunStore(tmp_path / "runs.db") as opened:
        opened.ids = SequentialIds()
        yield opened


def claim(store, text="hello", graph="support", again=False, **changes):
    ticket = build_ticket(text, **changes)
    return store.claim(ticket, graph, again=again, new_id=partial(store.ids.new, "run"), now=NOON)


def result(run_id="run-0001", status="parked", **fields):
    return RunResult(run_id=run_id, ticket_id="T-1", graph="support", status=status, needs_human=True, **fields)


def review(run_id="run-0001", ask_id="ask-1", **fields):
    return ReviewRequest(run_id=run_id, ask_id=ask_id, draft=Draft(text="Dear Ann"), **fields)


def decision(verdict="approve", ask_id="ask-1", by="kim", at=NOON, **fields):
    return Decision(ask_id=ask_id, verdict=verdict, by=by, at=at, **fields)


def parked(store, **fields):
    run = claim(store).record
    store.park(run.run_id, result(run.run_id), review(run.run_id, **fields), NOON)
    return run.run_id


def test_new_ticket_is_claimed_once_and_then_found(store):
    first, second = claim(store), claim(store)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.record == second.record
    assert (first.record.status, first.record.ticket, first.record.created_at) == (
        "running",
        build_ticket("hello"),
        NOON,
    )


def test_other_text_graph_or_wish_makes_another_run(store):
    claims = [claim(store, "hello!"), claim(store, graph="mine"), claim(store)]
    store.finish(claims[2].record.run_id, result(claims[2].record.run_id, "done"), NOON)
    claims.append(claim(store, again=True))
    assert all(each.is_new for each in claims)
    assert claim(store).record.run_id == claims[3].record.run_id, "the newest one is found"


def test_again_goes_on_with_a_run_that_was_cut_off(store):
    first, second = claim(store, again=True), claim(store, again=True)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.record.run_id == second.record.run_id


def test_new_run_supersedes_what_waits_and_nothing_else(store):
    waiting = parked(store)
    other_graph = claim(store, graph="mine").record.run_id
    store.park(other_graph, result(other_graph), review(other_graph), NOON)
    other_source = claim(store, source="zendesk").record.run_id
    store.park(other_source, result(other_source), review(other_source), NOON)
    answered = claim(store, "asked before").record.run_id
    assert store.load(waiting).error == f"superseded by {answered}"
    store.park(answered, result(answered), review(answered), NOON)
    store.decide(answered, decision(), NOON)
    newest = claim(store, again=True).record.run_id
    assert store.load(waiting).status == "done"
    assert store.load(other_graph).status == store.load(other_source).status == store.load(answered).status == "parked"
    with pytest.raises(InputError, match=f"superseded by {answered}"):
        store.decide(waiting, decision(), NOON)
    assert newest != answered


def test_run_parks_is_decided_and_is_done(store):
    run_id = parked(store)
    assert store.load(run_id).review.ask_id == "ask-1"
    assert store.decide(run_id, decision(), NOON) is True
    assert store.finish(run_id, result(run_id, "done"), NOON + timedelta(hours=1)) is True
    record = store.load(run_id)
    assert (record.status, record.result.status, record.decisions) == ("done", "done", (decision(),))
    assert record.updated_at == NOON + timedelta(hours=1)


def test_failed_run_keeps_its_error_until_it_goes_on(store):
    run_id = claim(store).record.run_id
    store.fail(run_id, "KeyError: 'x'", NOON)
    assert (store.load(run_id).status, store.load(run_id).error) == ("failed", "KeyError: 'x'")
    assert claim(store).record.run_id == run_id
    store.park(run_id, result(), review(), NOON)
    assert (store.load(run_id).status, store.load(run_id).error) == ("parked", "")


def test_done_run_stays_as_it_is(store):
    run_id = claim(store).record.run_id
    store.finish(run_id, result(status="done"), NOON)
    before = store.load(run_id)
    assert store.finish(run_id, result(status="done", values={"x": 1}), NOON + timedelta(1)) is False
    assert store.fail(run_id, "late", NOON) is False
    assert store.park(run_id, result(), review(), NOON) is False
    assert store.load(run_id) == before


def test_run_that_waits_takes_no_end_and_no_other_question_before_the_answer(store):
    run_id = parked(store)
    for change in (
        lambda: store.finish(run_id, result(status="done"), NOON),
        lambda: store.fail(run_id, "x", NOON),
        lambda: store.park(run_id, result(), review(ask_id="ask-2"), NOON),
    ):
        with pytest.raises(StoreError, match="waits for an answer to question ask-1"):
            change()
    assert store.park(run_id, result(), review(), NOON) is True, "the same question again is a repeated step"
    store.decide(run_id, decision("retry", instruction="shorter"), NOON)
    store.park(run_id, result(), review(ask_id="ask-2"), NOON)
    assert store.load(run_id).review.ask_id == "ask-2"
    with pytest.raises(InputError, match="already decided retry"):
        store.decide(run_id, decision(ask_id="ask-1"), NOON)
    assert store.decide(run_id, decision(ask_id="ask-2"), NOON)


def test_answered_question_that_is_parked_again_is_not_open_again(store):
    run_id = parked(store)
    store.decide(run_id, decision(), NOON)
    store.park(run_id, result(), review(), NOON)  # a step that was cut off ran once more
    assert store.finish(run_id, result(status="done"), NOON) is True


def test_second_click_is_no_second_decision(store):
    run_id = parked(store)
    assert store.decide(run_id, decision(), NOON) is True
    assert store.decide(run_id, decision(at=NOON + timedelta(seconds=2)), NOON) is False
    store.finish(run_id, result(status="done"), NOON)
    assert store.decide(run_id, decision(at=NOON + timedelta(days=2)), NOON) is False
    assert store.load(run_id).decisions == (decision(),)


@pytest.mark.parametrize("other", [decision("reject"), decision(by="lou"), decision("edit", text="Hi")])
def test_other_decision_on_the_same_question_names_who_decided(store, other):
    run_id = parked(store)
    store.decide(run_id, decision(), NOON)
    with pytest.raises(InputError, match="kim has already decided approve at 2026-11-20 12:00 UTC"):
        store.decide(run_id, other, NOON)


def test_decision_that_does_not_fit_is_refused(store):
    running = claim(store, "other").record.run_id
    with pytest.raises(InputError, match=r"does not wait .*running"):
        store.decide(running, decision(), NOON)
    refund = Action(id="act-1", kind="tool", name="pay", args={}, key="k", verdict="refused")
    run_id = parked(
        store, actions=(refund, refund.model_copy(update={"id": "act-2", "verdict": ActionVerdict.needs_approval}))
    )
    for wrong, shown in [
        (decision(ask_id="ask-7"), "'ask-7' is not its open question"),
        (decision("edit"), "an edit needs the new text"),
        (decision("edit", text=" \n"), "an edit needs the new text"),
        (decision(action_ids=("act-1",)), "'act-1' cannot be approved; choose from: act-2"),
        (decision(action_ids=("act-3",)), "'act-3' cannot be approved"),
    ]:
        with pytest.raises(InputError, match=shown):
            store.decide(run_id, wrong, NOON)
    assert store.decide(run_id, decision(action_ids=("act-2",)), NOON)


def test_run_is_found_by_a_unique_beginning(store):
    ids = iter(["run-abc", "run-abd", "run-abc-2", "a_b%"])
    for number in range(4):
        store.claim(build_ticket(str(number)), "support", new_id=lambda: next(ids), now=NOON)
    assert store.load("run-abd").run_id == "run-abd"
    assert store.load("run-abc").run_id == "run-abc", "a whole id is never ambiguous"
    assert store.load("a_").run_id == "a_b%"
    with pytest.raises(InputError, match=r"several begin like this \(run-abc-2, run-abd, run-abc\)"):
        store.load("run-ab")
    for missing in ("run-x", "", "%", "a%b", "run-abd' OR '1'='1"):
        with pytest.raises(InputError, match="there is none"):
            store.load(missing)


def test_unknown_run_is_an_input_error_everywhere(store):
    for call in (
        lambda: store.park("run-9", result(), review(), NOON),
        lambda: store.finish("run-9", result(), NOON),
        lambda: store.fail("run-9", "x", NOON),
        lambda: store.decide("run-9", decision(), NOON),
        lambda: store.add_receipt("run-9", Receipt(action_id="a", status="done")),
        lambda: store.lock("run-9"),
    ):
        with pytest.raises(InputError, match="there is none"):
            call()


def test_list_is_newest_first_and_filtered(store):
    first = claim(store, ticket_id="A").record.run_id
    second = claim(store, ticket_id="B").record.run_id
    third = claim(store, "more", ticket_id="A").record.run_id
    store.fail(third, "x", NOON)
    assert [run.run_id for run in store.list()] == [third, second, first]
    assert [run.run_id for run in store.list(limit=1)] == [third]
    assert [run.run_id for run in store.list(ticket_id="A")] == [third, first]
    assert [run.run_id for run in store.list(ticket_id="A", status=store.load(first).status)] == [first]
    assert store.list(limit=-1) == store.list(limit=0) == []


def test_receipts_are_kept_in_order_and_only_an_uncertain_one_is_settled(store):
    run_id = claim(store).record.run_id
    assert store.add_receipt(run_id, Receipt(action_id="b", status="uncertain")) is True
    assert store.add_receipt(run_id, Receipt(action_id="a", status="done", ref="1")) is True
    assert store.add_receipt(run_id, Receipt(action_id="a", status="already", ref="2")) is False
    assert store.settle_receipt(run_id, Receipt(action_id="a", status="already")) is False
    assert store.settle_receipt(run_id, Receipt(action_id="b", status="done", ref="3")) is True
    assert [(one.action_id, one.status, one.ref) for one in store.load(run_id).receipts] == [
        ("b", "done", "3"),
        ("a", "done", "1"),
    ]


def test_write_back_is_pending_from_approval_to_its_end(store):
    rejected, approved = parked(store), claim(store, "b", ticket_id="T-2").record.run_id
    store.park(approved, result(approved), review(approved), NOON)
    sent, nothing = (claim(store, text, ticket_id=text).record.run_id for text in ("c", "d"))
    assert store.pending_write_back() == []
    store.decide(rejected, decision("reject"), NOON)
    store.decide(approved, decision("edit", text="Hi"), NOON)
    store.finish(sent, result(sent, "done", decision="send"), NOON)
    store.finish(nothing, result(nothing, "done", decision="nothing"), NOON)
    assert [run.run_id for run in store.pending_write_back()] == [approved, sent]
    store.close_write_back(approved, NOON)
    store.finish(approved, result(approved, "done", decision="send"), NOON)
    assert [run.run_id for run in store.pending_write_back()] == [sent]


def test_store_of_a_workspace_lies_in_its_state_folder(tmp_path):
    with RunStore.open(WorkspaceFolder(tmp_path)) as store:
        assert store.path == tmp_path / ".deskhand" / "runs.db"
        assert store.path.is_file()


def test_damaged_or_newer_database_is_a_store_error(tmp_path):
    (tmp_path / "bad.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match="damaged or not a database"):
        RunStore(tmp_path / "bad.db")
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StoreError, match="upgrade deskhand"):
        RunStore(tmp_path / "new.db")


def test_row_that_cannot_be_read_is_a_store_error_with_its_id(store):
    run_id = claim(store).record.run_id
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("UPDATE runs SET ticket = '{}'")
    with pytest.raises(StoreError, match=f"run {run_id} cannot be read"):
        store.load(run_id)


def test_table_that_vanished_is_a_store_error(store):
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE receipts")
    claim_failed = partial(claim, store)
    with pytest.raises(StoreError):
        claim_failed()
    with pytest.raises(StoreError):
        store.list(limit=1) or claim_failed()


def test_claim_that_fails_leaves_no_row(store):
    def no_id():
        raise RuntimeError("no id")

    with pytest.raises(RuntimeError):
        store.claim(build_ticket(), "support", new_id=no_id, now=NOON)
    assert store.list() == []


def test_threads_on_one_store_make_one_run_and_one_decision(store):
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claim(store), range(40)))
    assert sum(each.is_new for each in claims) == 1
    run_id = claims[0].record.run_id
    store.park(run_id, result(run_id), review(run_id), NOON)

    def decide(number):
        try:
            return store.decide(run_id, decision(by=f"p{number % 4}"), NOON)
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(decide, range(40)))
    assert (answers.count(True), answers.count(False), answers.count(None)) == (1, 9, 30)


RACER = """
import json, os, sys
from pathlib import Path
from deskhand.testing import NOON, build_ticket
from deskhand_runs.store import RunStore
with RunStore(Path(sys.argv[1])) as store:
    made = []
    for number in range(25):
        ids = iter([f"run-{os.getpid()}-{number}"])
        claim = store.claim(build_ticket(str(number)), "support", new_id=lambda: next(ids), now=NOON)
        made.append([claim.record.run_id, claim.is_new])
print(json.dumps(made))
"""


def test_processes_that_open_and_claim_at_once_agree(tmp_path):
    command = [sys.executable, "-c", RACER, str(tmp_path / "runs.db")]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    made = [json.loads(racer.communicate(timeout=300)[0]) for racer in racers]
    for number in range(25):
        assert len({claims[number][0] for claims in made}) == 1
        assert sum(claims[number][1] for claims in made) == 1
