import asyncio
import json
import signal
import subprocess
import sys
from datetime import timedelta
from functools import partial

import pytest

from deskhand.actions import Action, ActionVerdict, Decision, Effect, Receipt, ReviewRequest
from deskhand.answers import Draft
from deskhand.errors import ConfigError, InputError, StoreError, ToolFailed, Unavailable
from deskhand.records import RunResult
from deskhand.schema import Model
from deskhand.testing import NOON, FixedClock, MemoryHelpdesk, build_ticket
from deskhand_helpdesks import FolderHelpdesk
from deskhand_runs import RunStore, write_back
from deskhand_runs.write_back import give_up
from deskhand_tools import Policy, Rule, Tool, Toolbox

TAG = Action(
    id="act-1", kind="helpdesk", name="add_tag", args={"tag": "late"}, provenance={"tag": "model"}, key="k1",
    verdict="needs_approval",
)  # fmt: skip
PAY = Action(id="act-2", kind="tool", name="pay", args={"cents": 5}, provenance={"cents": "record:x"}, key="k2",
             verdict="needs_approval")  # fmt: skip
REFUSED = TAG.model_copy(update={"id": "act-3", "key": "k3", "verdict": ActionVerdict.refused})
RULES = tuple(Rule(tool=name, verdict=ActionVerdict.needs_approval) for name in ("add_tag", "pay"))
POLICY = Policy(RULES)
APPROVE = Decision(ask_id="ask-1", verdict="approve", by="kim", at=NOON)


@pytest.fixture
def store(tmp_path):
    with RunStore(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def desk():
    return MemoryHelpdesk()


def decided(store, decision=APPROVE, actions=(TAG,), draft="Dear Ann", run_id="run-1"):
    store.claim(build_ticket(), "support", again=True, new_id=lambda: run_id, now=NOON)
    asked = ReviewRequest(run_id=run_id, ask_id="ask-1", draft=Draft(text=draft) if draft else None, actions=actions)
    result = RunResult(run_id=run_id, ticket_id="T-1", graph="support", status="parked", needs_human=True)
    store.park(run_id, result, asked, NOON)
    store.decide(run_id, decision, NOON)
    return store.load(run_id)


async def go(store, desk, record, decision=APPROVE, policy=POLICY, **options):
    receipts = await write_back(record, decision, desk, policy, store, FixedClock(), **options)
    return [(receipt.action_id, receipt.status.value) for receipt in receipts]


def told(store):
    return " ".join(receipt.detail for receipt in store.load("run-1").receipts)


async def test_approved_reply_and_actions_are_done_once(store, desk):
    record = decided(store)
    assert await go(store, desk, record) == [("reply", "done"), ("act-1", "done")]
    assert [(ticket, action.name, action.args) for ticket, action in desk.applied] == [
        ("T-1", "reply", {"text": "Dear Ann"}),
        ("T-1", "add_tag", {"tag": "late"}),
    ]
    assert store.pending_write_back() == []
    assert await go(store, desk, record) == [("reply", "done"), ("act-1", "done")], "the stored receipts"
    assert len(desk.applied) == 2


async def test_edited_text_is_sent_instead_of_the_draft(store, desk):
    edit = Decision(ask_id="ask-1", verdict="edit", text="Hello Ann", by="kim", at=NOON)
    await go(store, desk, decided(store, edit), edit)
    assert desk.applied[0][1].args == {"text": "Hello Ann"}
    assert desk.applied[0][1].provenance == {"text": "kim"}


@pytest.mark.parametrize(
    ("action_ids", "names"), [(None, ["reply", "add_tag"]), ((), ["reply"]), (("act-1",), ["reply", "add_tag"])]
)
async def test_only_approved_actions_are_done_and_refused_ones_never(store, desk, action_ids, names):
    decision = APPROVE.model_copy(update={"action_ids": action_ids})
    await go(store, desk, decided(store, decision, (TAG, REFUSED)), decision)
    assert [action.name for _, action in desk.applied] == names


async def test_run_without_a_draft_sends_no_reply(store, desk):
    assert await go(store, desk, decided(store, draft=None)) == [("act-1", "done")]


@pytest.mark.parametrize("verdict", ["reject", "retry"])
async def test_no_is_no(store, desk, verdict):
    decision = Decision(ask_id="ask-1", verdict=verdict, by="kim", at=NOON)
    assert await go(store, desk, decided(store, decision), decision) == []
    assert desk.applied == []


async def test_decision_that_is_not_stored_is_refused(store, desk):
    record = decided(store)
    with pytest.raises(InputError, match="not stored"):
        await go(store, desk, record, APPROVE.model_copy(update={"by": "mallory"}))
    later = APPROVE.model_copy(update={"at": NOON + timedelta(minutes=1)})
    assert await go(store, desk, record, later), "a second click is the same decision"


async def test_decision_on_an_earlier_question_is_refused(store, desk):
    retry = Decision(ask_id="ask-1", verdict="retry", by="kim", at=NOON)
    record = decided(store, retry)
    store.park("run-1", record.result, record.review.model_copy(update={"ask_id": "ask-2"}), NOON)
    with pytest.raises(InputError, match="earlier question"):
        await go(store, desk, record, retry)


async def test_shadow_mode_writes_nothing_and_says_so(store, desk):
    record = decided(store, actions=(TAG, PAY))
    assert await go(store, desk, record, mode="shadow", toolbox=box()) == [
        ("reply", "skipped"), ("act-1", "skipped"), ("act-2", "skipped")
    ]  # fmt: skip
    assert "shadow mode: nothing is written" in told(store)
    assert desk.applied == []
    assert await go(store, desk, record) == [("reply", "skipped"), ("act-1", "skipped"), ("act-2", "skipped")]
    assert desk.applied == [], "leaving shadow mode sends nothing that was approved in it"


async def test_policy_is_asked_again_right_before(store, desk):
    record = decided(store)
    stricter = Policy((Rule(tool="reply", verdict=ActionVerdict.refused, reason="no mail today"),))
    assert await go(store, desk, record, policy=stricter) == [("reply", "skipped"), ("act-1", "skipped")]
    assert "no mail today" in told(store)
    assert "no rule for add_tag" in told(store)
    assert desk.applied == []


async def test_action_that_nothing_knows_is_judged_as_money(store, desk):
    strange = TAG.model_copy(update={"name": "wire_money"})
    rules = (Rule(tool="wire_money", verdict=ActionVerdict.needs_approval),)
    await go(store, desk, decided(store, actions=(strange,), draft=None), policy=Policy(rules))
    assert "in no record" in told(store)
    assert desk.applied == []


async def test_tool_that_calls_itself_reply_is_not_judged_as_the_reply(store, desk):
    disguised = PAY.model_copy(update={"name": "reply"})
    assert await go(store, desk, decided(store, actions=(disguised,), draft=None)) == [("act-2", "skipped")]


class Failing(MemoryHelpdesk):
    def __init__(self, error, after=True):
        super().__init__()
        self.error, self.after = error, after

    async def apply(self, action, ticket_id):
        if self.after:
            await super().apply(action, ticket_id)
        raise self.error


@pytest.mark.parametrize(
    "error", [Unavailable("503"), TimeoutError("read"), RuntimeError("?"), ConfigError("the token is refused")]
)
async def test_unknown_outcome_is_tried_again_and_found_by_its_key(store, error):
    record, desk = decided(store), Failing(error)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await go(store, desk, record)
        assert len(desk.applied) == 1  # it looks before it acts, every time
        assert store.load("run-1").receipts == ()
        assert [run.run_id for run in store.pending_write_back()] == ["run-1"]
    desk.apply = partial(MemoryHelpdesk.apply, desk)
    assert await go(store, desk, record) == [("reply", "already"), ("act-1", "done")]
    assert store.pending_write_back() == []


async def test_what_is_given_up_is_uncertain_and_never_tried_again(store, desk):
    record = decided(store)
    give_up(store.load("run-1"), store, "given up by kim", FixedClock())
    assert await go(store, desk, record) == [("reply", "uncertain"), ("act-1", "uncertain")]
    assert "given up by kim; look at the ticket" in told(store)
    assert (desk.applied, store.pending_write_back()) == ([], [])


class Asked:
    """A guard that says what it was told to say, and keeps what it was told."""

    def __init__(self, *answers):
        self.answers, self.told = list(answers), []

    async def before(self, record, action):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def after(self, record, action, receipt):
        self.told.append((action.id, receipt.status.value))


async def test_guard_stops_one_action_and_is_told_of_the_others(store, desk):
    guard = Asked("kim answered meanwhile", None)
    assert await go(store, desk, decided(store), guard=guard) == [("reply", "skipped"), ("act-1", "done")]
    assert "kim answered meanwhile" in told(store)
    assert guard.told == [("act-1", "done")]


async def test_guard_that_says_later_leaves_everything_open(store, desk):
    record = decided(store)
    with pytest.raises(Unavailable):
        await go(store, desk, record, guard=Asked(Unavailable("paused")))
    assert (desk.applied, [run.run_id for run in store.pending_write_back()]) == ([], ["run-1"])


async def test_cancelled_between_two_actions_stops_before_the_second(store):
    class Cancelling(MemoryHelpdesk):
        async def apply(self, action, ticket_id):
            store.cancel("run-1", "kim", NOON)
            return await super().apply(action, ticket_id)

    desk = Cancelling()
    assert await go(store, desk, decided(store)) == [("reply", "done")]
    assert len(desk.applied) == 1
    assert await go(store, desk, store.load("run-1")) == []


async def test_helpdesk_that_refuses_leaves_a_skipped_receipt_and_the_rest_is_done(store, desk):
    class Picky(MemoryHelpdesk):
        async def apply(self, action, ticket_id):
            if action.name == "reply":
                raise InputError("T-1 is closed; reopen it")
            return await super().apply(action, ticket_id)

    assert await go(store, Picky(), decided(store)) == [("reply", "skipped"), ("act-1", "done")]
    assert "T-1 is closed" in told(store)


async def test_disk_that_fails_stops_and_is_tried_again(store, desk):
    record = decided(store)
    with pytest.raises(StoreError):
        await go(store, Failing(StoreError("disk full"), after=False), record)
    assert store.load("run-1").receipts == ()
    assert [run.run_id for run in store.pending_write_back()] == ["run-1"]
    assert await go(store, desk, record) == [("reply", "done"), ("act-1", "done")]


async def test_cancelled_write_back_goes_on_without_a_second_effect(store):
    applied = asyncio.Event()

    class Slow(MemoryHelpdesk):
        async def apply(self, action, ticket_id):
            receipt = await super().apply(action, ticket_id)
            if not applied.is_set():
                applied.set()
                await asyncio.Event().wait()  # it is done there, and its answer never comes
            return receipt

    record, desk = decided(store), Slow()
    cut_off = asyncio.create_task(go(store, desk, record))
    await applied.wait()
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    desk.applied.append(("other", TAG.model_copy(update={"key": "x"})))
    assert await go(store, desk, record) == [("reply", "already"), ("act-1", "done")]


def sent(store, policy_actions=(TAG,), decision="send"):
    store.claim(build_ticket(), "support", new_id=lambda: "run-1", now=NOON)
    result = RunResult(
        run_id="run-1", ticket_id="T-1", graph="support", status="done", needs_human=False, decision=decision,
        draft=Draft(text="Dear Ann"), actions=policy_actions,
    )  # fmt: skip
    store.finish("run-1", result, NOON)
    return store.load("run-1")


async def test_without_a_person_only_what_the_policy_allows_is_done(store, desk):
    policy = Policy((*RULES, Rule(tool="reply", verdict=ActionVerdict.allowed)))
    assert await go(store, desk, sent(store), None, policy) == [("reply", "done"), ("act-1", "skipped")]
    assert "nobody has approved it" in told(store)


async def test_run_that_was_not_to_be_sent_writes_nothing_without_a_person(store, desk):
    assert await go(store, desk, sent(store, decision="nothing"), None) == []
    assert desk.applied == []


class Pay(Model):
    cents: int


def box(run=None, *, timeout_s=60, **fields):
    async def pay(args, scope):
        return {"paid": args.cents, "key": scope.action_key, "for": scope.ticket_id}

    return Toolbox([Tool("pay", "Pay.", Effect.money, Pay, run or pay, **fields)], Policy(RULES), timeout_s=timeout_s)


async def test_tool_carries_out_its_action_under_its_key(store, desk):
    record = decided(store, actions=(PAY,), draft=None)
    assert await go(store, desk, record, toolbox=box()) == [("act-2", "done")]
    assert json.loads(store.load("run-1").receipts[0].ref) == {"for": "T-1", "key": "k2", "paid": 5}


@pytest.mark.parametrize("toolbox", [None, Toolbox([], Policy())])
async def test_action_without_its_tool_is_skipped(store, desk, toolbox):
    record = decided(store, actions=(PAY,), draft=None)
    assert await go(store, desk, record, toolbox=toolbox) == [("act-2", "skipped")]
    assert "no tool 'pay'" in told(store)


async def slow(args, scope):
    await asyncio.Event().wait()


async def unlucky(args, scope):
    raise ConnectionError("reset")


async def unwilling(args, scope):
    raise ToolFailed("the order is paid back already; nothing was done", tool_name="pay")


@pytest.mark.parametrize(("run", "status"), [(slow, "uncertain"), (unlucky, "uncertain"), (unwilling, "skipped")])
async def test_tool_without_a_key_that_fails_is_uncertain_unless_it_did_nothing(store, desk, run, status):
    record = decided(store, actions=(PAY,), draft=None)
    assert await go(store, desk, record, toolbox=box(run, timeout_s=0.2, is_keyed=False)) == [("act-2", status)]


@pytest.mark.parametrize("run", [slow, unlucky])
async def test_tool_with_a_key_that_fails_is_tried_again(store, desk, run):
    record = decided(store, actions=(PAY,), draft=None)
    with pytest.raises(Unavailable):
        await go(store, desk, record, toolbox=box(run, timeout_s=0.2, is_keyed=True))
    assert await go(store, desk, record, toolbox=box(unwilling, is_keyed=True)) == [("act-2", "skipped")]


@pytest.mark.parametrize(("is_keyed", "statuses", "n_calls"), [(True, ["done"], 2), (False, ["uncertain"], 1)])
async def test_tool_that_was_cut_off_is_repeated_only_with_a_key(store, desk, is_keyed, statuses, n_calls):
    calls = []

    async def pay(args, scope):
        calls.append(scope.action_key)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return "ref-1"

    record, toolbox = decided(store, actions=(PAY,), draft=None), box(pay, is_keyed=is_keyed)
    with pytest.raises(asyncio.CancelledError):
        await go(store, desk, record, toolbox=toolbox)
    assert [status for _, status in await go(store, desk, record, toolbox=toolbox)] == statuses
    assert len(calls) == n_calls


async def test_of_two_write_backs_at_once_one_pays(store, desk):
    calls, other_is_back = [], asyncio.Event()

    async def pay(args, scope):
        calls.append(scope.action_key)
        await other_is_back.wait()
        return "ref"

    record, toolbox = decided(store, actions=(PAY,), draft=None), box(pay)
    both = [asyncio.create_task(go(store, desk, record, toolbox=toolbox)) for _ in range(2)]
    [first], [paying] = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    other_is_back.set()
    assert [await first, await paying] == [[("act-2", "uncertain")], [("act-2", "done")]]
    assert len(calls) == 1
    assert store.load("run-1").receipts[0].status == "done"


@pytest.mark.parametrize("is_keyed", [True, False])
async def test_receipt_that_somebody_else_stored_meanwhile_stays(store, desk, is_keyed):
    class Racing(Policy):
        def judge(self, *args):
            store.add_receipt("run-1", Receipt(action_id="act-2", status="done", ref="theirs"))
            return super().judge(*args)

    record, toolbox = decided(store, actions=(PAY,), draft=None), box(is_keyed=is_keyed)
    receipts = await write_back(record, APPROVE, desk, Racing(RULES), store, FixedClock(), toolbox=toolbox)
    assert [receipt.ref for receipt in receipts] == ["theirs"]


async def test_tool_that_answers_with_something_odd_is_done_all_the_same(store, desk):
    async def pay(args, scope):
        return {"at": NOON}

    record = decided(store, actions=(PAY,), draft=None)
    assert await go(store, desk, record, toolbox=box(pay)) == [("act-2", "done")]
    assert "2026-11-20" in store.load("run-1").receipts[0].ref


CRASHING = """
import asyncio, os, signal, sys
from pathlib import Path
from deskhand.testing import FixedClock
from deskhand_helpdesks import FolderHelpdesk
from deskhand_runs.store import RunStore
from deskhand_runs.write_back import write_back
from deskhand_tools import Policy, Rule
folder, moment, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0
def dying(function):
    def call(*args):
        global count
        before = moment == "before receipt"
        count += 1
        if before and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args)
        if not before and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
RunStore.add_receipt = dying(RunStore.add_receipt)
with RunStore(folder / "runs.db") as store:
    record = store.load("run-1")
    policy = Policy((Rule(tool="add_tag", verdict="needs_approval"),))
    desk = FolderHelpdesk(folder / "in", folder / "out")
    asyncio.run(write_back(record, record.decisions[0], desk, policy, store, FixedClock()))
"""


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("moment", "answer"), [("before receipt", "already"), ("after receipt", "done")])
def test_process_killed_between_action_and_receipt_repeats_nothing(tmp_path, store, moment, answer, number):
    record = decided(store)
    command = [sys.executable, "-c", CRASHING, str(tmp_path), moment, str(number)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    written = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert len(written) == number
    assert [run.run_id for run in store.pending_write_back()] == ["run-1"]
    receipts = asyncio.run(go(store, FolderHelpdesk(tmp_path / "in", tmp_path / "out"), record))
    assert [action_id for action_id, _ in receipts] == ["reply", "act-1"]
    assert receipts[number - 1][1] == answer
    after = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert len(after) == 2
    assert written.items() <= after.items(), "no file was written again"
    assert store.pending_write_back() == []


def test_receipt_of_the_helpdesk_is_kept_as_it_came(store):
    class Desk(MemoryHelpdesk):
        async def apply(self, action, ticket_id):
            return Receipt(action_id=action.id, status="already", ref="comment-7")

    asyncio.run(go(store, Desk(), decided(store)))
    assert [receipt.ref for receipt in store.load("run-1").receipts] == ["comment-7", "comment-7"]
