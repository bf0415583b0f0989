import asyncio
import itertools
import json
from dataclasses import replace

import pytest

from deskhand.actions import Action, ActionVerdict, Effect
from deskhand.context import RunContext
from deskhand.errors import ConfigError, ToolFailed, ToolRetry, Unavailable
from deskhand.recorder import FileRecorder, load_recording, replay
from deskhand.schema import Model
from deskhand.testing import FixedClock, SequentialIds
from deskhand.vault import PatternVault
from deskhand_tools import Policy, Records, Rule, Tool, Toolbox, helpdesk_tools, order_tools
from deskhand_tools.toolbox import MAX_ERROR_CHARS, MAX_RESULT_CHARS

REFUND = Rule(tool="refund_order", verdict=ActionVerdict.needs_approval)


class Text(Model):
    text: str = "nothing"


def reader(run, **fields):
    return Tool("look", "Look.", Effect.read, Text, run, **fields)


def box(run, *rules, **options):
    return Toolbox([reader(run)], Policy(tuple(rules)), **options)


@pytest.fixture
def desk(orders_db):
    return Toolbox([*order_tools(orders_db), *helpdesk_tools()], Policy((REFUND,)))


async def test_tool_sees_plain_values_and_the_model_sees_masked_ones(ctx, scope):
    seen = []

    async def run(args, scope):
        seen.append(args.text)
        return {"bob@example.com": [args.text, "call +49 170 7654321"], "n": 3, "none": None}

    masked = ctx.vault.mask("ann@example.com")
    result = await box(run).call("look", {"text": f"to {masked}"}, ctx, scope)
    assert seen == ["to ann@example.com"]
    assert result == {"[EMAIL_2]": ["to [EMAIL_1]", "call [PHONE_1]"], "n": 3, "none": None}


async def test_recording_holds_masked_text_only_and_replays_without_the_tool(tmp_path, scope):
    async def run(args, scope):
        return {"seen": args.text}

    async def fail(args, scope):
        raise AssertionError("a replay must not call the tool")

    def context(recorder):
        return RunContext("run-1", clock=FixedClock(), ids=SequentialIds(), recorder=recorder)

    recorder = FileRecorder(tmp_path / "run.jsonl")
    first = await box(run).call("look", {"text": "ann@example.com"}, context(recorder), scope)
    recorder.close()
    assert "ann@" not in (tmp_path / "run.jsonl").read_text()
    again = context(replay(load_recording(tmp_path / "run.jsonl")))
    assert await box(fail).call("look", {"text": "ann@example.com"}, again, replace(scope, records=Records())) == first


async def test_failures_are_recorded_masked_and_replayed(tmp_path, scope):
    async def run(args, scope):
        raise RuntimeError("no mailbox bob@example.com")

    recorder = FileRecorder(tmp_path / "run.jsonl")
    with pytest.raises(ToolFailed, match=r"no mailbox \[EMAIL_1\]") as first:
        await box(run).call("look", {}, RunContext("run-1", recorder=recorder), scope)
    recorder.close()
    assert "bob@" not in (tmp_path / "run.jsonl").read_text()
    with pytest.raises(ToolFailed) as again:
        recorded = replay(load_recording(tmp_path / "run.jsonl"))
        await box(run).call("look", {}, RunContext("run-1", recorder=recorded), scope)
    assert (str(again.value), again.value.tool_name) == (str(first.value), "look")


async def test_unknown_tool_is_said_to_be_none(desk, ctx, scope):
    with pytest.raises(ToolRetry, match=r"^delete_order \[EMAIL_1\]: there is no such tool; use one that there is"):
        await desk.call("delete_order ann@example.com", {}, ctx, scope)


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ({}, "order_id: Field required"),
        ({"order_id": 7}, "order_id: Input should be a valid string"),
        ({"order_id": "HF-1", "customer_id": "C-2"}, "customer_id: Extra inputs are not permitted"),
        ({"order_id": "x" * 101}, "at most 100"),
        ({"order_id": float("nan")}, "not JSON"),
        ({"order_id": "\ud800"}, "not JSON"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(desk, ctx, scope, args, shown):
    with pytest.raises(ToolRetry, match="get_order") as caught:
        await desk.call("get_order", args, ctx, scope)
    assert shown in str(caught.value)


@pytest.mark.parametrize("limit", [0, 51, 10**30, -1, "10; DROP TABLE orders"])
async def test_limit_beyond_its_range_is_refused(desk, ctx, scope, limit):
    with pytest.raises(ToolRetry, match="limit"):
        await desk.call("list_orders", {"limit": limit}, ctx, scope)


async def test_validation_message_does_not_quote_unmasked_values(ctx, scope):
    class Number(Model):
        n: int

    tool = Tool("count", "Count.", Effect.read, Number, lambda args, scope: None)
    with pytest.raises(ToolRetry) as caught:
        await Toolbox([tool], Policy()).call("count", {"n": "ann@example.com"}, ctx, scope)
    assert "ann" not in str(caught.value)


async def test_slow_tool_fails_in_time(ctx, scope):
    async def run(args, scope):
        await asyncio.sleep(5)

    with pytest.raises(ToolFailed, match=r"no answer within 0\.02 s"):
        await box(run, timeout_s=0.02).call("look", {}, ctx, scope)


ERRORS = [Unavailable("shop is down"), KeyError("x"), RecursionError(), TimeoutError(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", ERRORS)
async def test_any_error_of_a_tool_becomes_tool_failed(ctx, scope, error):
    async def run(args, scope):
        raise error

    with pytest.raises(ToolFailed, match="look: "):
        await box(run).call("look", {}, ctx, scope)


async def test_run_that_is_cancelled_does_not_wait_for_its_tool(ctx, scope):
    started = asyncio.Event()

    async def run(args, scope):
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(box(run, timeout_s=600.0).call("look", {}, ctx, scope))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", [ToolRetry, ToolFailed])
async def test_what_a_tool_says_to_the_model_is_masked(ctx, scope, kind):
    async def run(args, scope):
        raise kind("bob@example.com is unknown; ask again", tool_name="other")

    with pytest.raises(kind, match=r"\[EMAIL_1\] is unknown") as caught:
        await box(run).call("look", {}, ctx, scope)
    assert caught.value.tool_name == "look"


HIDDEN = "ann\u200b@exam\u00adple.com"


@pytest.mark.parametrize("kind", [ToolRetry, ToolFailed, None])
async def test_endless_error_of_a_tool_is_cut_after_it_was_masked(tmp_path, scope, kind):
    said = ("\u200b" * MAX_RESULT_CHARS + f"{HIDDEN} ") * 20 + "ann@example.com " * 60_000

    async def run(args, scope):
        raise kind(said, tool_name="look") if kind else OSError(said)

    ctx = RunContext("run-1", recorder=FileRecorder(tmp_path / "run-1.jsonl"))
    with pytest.raises(kind or ToolFailed) as caught:
        await box(run).call("look", {}, ctx, scope)
    recorded = (tmp_path / "run-1.jsonl").read_text()
    for text in (str(caught.value), recorded):
        assert "[EMAIL_1] [EMAIL_1]" in text
        assert "ann" not in text
    assert len(str(caught.value)) <= MAX_ERROR_CHARS + 50
    assert len(recorded) < 2 * MAX_ERROR_CHARS
    assert str(caught.value).endswith("...); go on without it" if kind is None else "...")


@pytest.mark.parametrize("call", [("x" * 9_000, {}), ("look", {"x" * 9_000: 1})])
async def test_call_that_cannot_be_is_not_repeated_in_full(desk, ctx, scope, call):
    with pytest.raises(ToolRetry) as caught:
        await box(None).call(*call, ctx, scope)
    assert len(str(caught.value)) < MAX_ERROR_CHARS + 100


async def test_address_with_a_hidden_character_in_a_result_is_masked(ctx, scope):
    async def run(args, scope):
        return {"note": [HIDDEN], HIDDEN: " two  words\u202e "}

    assert await box(run).call("look", {}, ctx, scope) == {"note": ["[EMAIL_1]"], "[EMAIL_1]": "two  words"}


@pytest.mark.parametrize("result", [object(), {"x": {1, 2}}, float("inf"), "x" * MAX_RESULT_CHARS])
async def test_result_that_is_not_json_or_too_long_fails(ctx, scope, result):
    async def run(args, scope):
        return result

    with pytest.raises(ToolFailed, match="its result"):
        await box(run).call("look", {}, ctx, scope)


async def test_read_tool_that_the_policy_refuses_does_not_run(ctx, scope):
    async def run(args, scope):
        raise AssertionError("it ran")

    rule = Rule(tool="look", verdict=ActionVerdict.refused, reason="not here")
    with pytest.raises(ToolFailed, match="not here"):
        await box(run, rule).call("look", {}, ctx, scope)


async def test_write_without_a_rule_becomes_a_refused_action(desk, ctx, scope):
    action = await desk.call("add_tag", {"tag": "late"}, ctx, scope)
    assert (action.kind, action.verdict, action.provenance) == ("helpdesk", "refused", {"tag": "model"})
    assert "no rule for add_tag" in action.reason


async def test_equal_proposals_of_one_run_have_one_key_and_others_do_not(desk, ctx, scope):
    calls = [
        ("add_tag", {"tag": "a"}),
        ("add_tag", {"tag": "a"}),
        ("add_tag", {"tag": "b"}),
        ("set_priority", {"priority": "low"}),
    ]
    actions = [await desk.call(name, args, ctx, scope) for name, args in calls]
    other = await desk.call("add_tag", {"tag": "a"}, replace(ctx, run_id="run-2"), scope)
    assert actions[0].key == actions[1].key
    assert len({action.key for action in [*actions, other]}) == 4
    assert len({action.id for action in actions}) == 4


async def test_refund_with_the_values_of_one_order_needs_approval(desk, ctx, scope):
    await desk.call("get_order", {"order_id": "HF-1"}, ctx, scope)
    action = await desk.call("refund_order", {"order_id": "HF-1", "amount_cents": 12900, "currency": "EUR"}, ctx, scope)
    assert action.verdict is ActionVerdict.needs_approval
    assert action.provenance["amount_cents"] == "record:get_order:1#total/cents"


async def test_refund_of_one_item_is_within_its_order(desk, ctx, scope):
    await desk.call("get_order", {"order_id": "HF-1"}, ctx, scope)
    # the item's record holds the order's id, and the price its currency
    action = await desk.call("refund_order", {"order_id": "HF-1", "amount_cents": 900, "currency": "EUR"}, ctx, scope)
    assert action.verdict is ActionVerdict.needs_approval


@pytest.mark.parametrize(
    "args",
    [
        {"order_id": "HF-1", "amount_cents": 99900, "currency": "EUR"},  # an amount of nowhere
        {"order_id": "HF-9", "amount_cents": 12900, "currency": "EUR"},  # another customer's order
        {"order_id": "HF-2", "amount_cents": 12900, "currency": "EUR"},  # the amount of another order
        {"order_id": "HF-1", "amount_cents": 4242, "currency": "EUR"},  # an amount that the customer wrote
        {"order_id": "HF-1", "amount_cents": 12900, "currency": "USD"},
    ],
)
async def test_refund_with_a_value_of_no_or_another_record_is_refused(desk, ctx, scope, args):
    await desk.call("get_order", {"order_id": "HF-1"}, ctx, scope)
    await desk.call("list_orders", {}, ctx, scope)
    await desk.call("get_return", {"return_id": "RMA-1"}, ctx, scope)
    action = await desk.call("refund_order", args, ctx, scope)
    assert action.verdict is ActionVerdict.refused


async def test_whatever_a_model_tries_only_real_pairs_of_order_and_amount_pass(desk, ctx, scope):
    """A model under an attacker's control: it reads all it can, then tries every value it saw with every other."""
    await desk.call("list_orders", {}, ctx, scope)
    for name, args in [("get_order", {"order_id": "HF-1"}), ("get_order", {"order_id": "HF-2"}), ("list_returns", {})]:
        await desk.call(name, args, ctx, scope)
    ids, amounts = ["HF-1", "HF-2", "HF-9", "RMA-1"], [12900, 5000, 490, 6000, 900, 77700, 4242, 1]
    passed = set()
    for order_id, cents in itertools.product(ids, amounts):
        args = {"order_id": order_id, "amount_cents": cents, "currency": "EUR"}
        action = await desk.call("refund_order", args, ctx, scope)
        if action.verdict is not ActionVerdict.refused:
            passed.add((order_id, cents))
    # 490 is the shipping, 6000 and 900 are prices of items, 1 is a quantity: none is more than was paid
    assert passed == {("HF-1", cents) for cents in (12900, 490, 6000, 900, 1)} | {("HF-2", 5000)}


async def test_what_another_run_has_read_vouches_for_nothing(desk, ctx, scope):
    await desk.call("get_order", {"order_id": "HF-1"}, ctx, scope)
    args = {"order_id": "HF-1", "amount_cents": 12900, "currency": "EUR"}
    action = await desk.call("refund_order", args, ctx, replace(scope, records=Records()))
    assert action.verdict is ActionVerdict.refused


async def test_default_of_a_tool_counts_as_configuration_and_the_models_word_does_not(ctx, scope):
    class Voucher(Model):
        cents: int = 500

    async def run(args, scope):
        raise AssertionError("a money tool ran inside a graph")

    rule = Rule(tool="voucher", verdict=ActionVerdict.allowed)
    toolbox = Toolbox([Tool("voucher", "Give one.", Effect.money, Voucher, run)], Policy((rule,)))
    by_default = await toolbox.call("voucher", {}, ctx, scope)
    by_model = await toolbox.call("voucher", {"cents": 500}, ctx, scope)
    assert (by_default.verdict, by_default.args) == ("allowed", {"cents": 500})
    assert by_model.verdict == "refused"


async def test_action_is_masked_recorded_and_replayed(tmp_path, orders_db, scope):
    def context(recorder):
        return RunContext("run-1", ids=SequentialIds(), recorder=recorder, vault=PatternVault())

    async def note(args, scope):
        raise AssertionError("a write tool ran inside a graph")

    toolbox = Toolbox([Tool("note", "Note.", Effect.write, Text, note)], Policy())
    recorder = FileRecorder(tmp_path / "run.jsonl")
    action = await toolbox.call("note", {"text": "ann@example.com"}, context(recorder), scope)
    recorder.close()
    assert action.args == {"text": "[EMAIL_1]"}
    assert "ann@" not in (tmp_path / "run.jsonl").read_text()
    again = context(replay(load_recording(tmp_path / "run.jsonl")))
    assert await toolbox.call("note", {"text": "ann@example.com"}, again, scope) == action


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("add_tag", {"tag": ""}),
        ("add_tag", {"tag": "a\nb"}),
        ("set_priority", {"priority": "panic"}),
        ("close_ticket", {"ticket_id": "T-2"}),
        ("refund_order", {"order_id": "HF-1", "amount_cents": -5, "currency": "EUR"}),
        ("refund_order", {"order_id": "HF-1", "amount_cents": True, "currency": "EUR"}),
        ("refund_order", {"order_id": "HF-1", "amount_cents": 5, "currency": "eur"}),
    ],
)
async def test_proposal_with_bad_arguments_is_sent_back(desk, ctx, scope, name, args):
    with pytest.raises(ToolRetry, match=name):
        await desk.call(name, args, ctx, scope)


async def test_helpdesk_tool_never_acts_by_itself(desk, scope):
    for tool in helpdesk_tools():
        with pytest.raises(ToolFailed, match="carried out by the helpdesk"):
            await tool.run(None, scope)


@pytest.mark.parametrize(
    ("names", "rules", "shown"),
    [
        (["reply"], [], "not a name"),
        (["Look"], [], "not a name"),
        (["look", "look"], [], "two of this name"),
        (["look"], [Rule(tool="lock", verdict=ActionVerdict.refused)], "no such tool"),
        (["look"], [Rule(tool="look", verdict=ActionVerdict.allowed, guarded=("txt",))], "no argument 'txt'"),
        (["look"], [Rule(tool="look", verdict=ActionVerdict.needs_approval)], "only reads"),
    ],
)
def test_toolbox_that_cannot_be_right_is_a_config_error(names, rules, shown):
    tools = [Tool(name, "", Effect.read, Text, lambda args, scope: None) for name in names]
    with pytest.raises(ConfigError, match=shown):
        Toolbox(tools, Policy(tuple(rules)))


def test_rule_for_a_built_in_tool_that_is_not_loaded_is_fine():
    rules = tuple(Rule(tool=name, verdict=ActionVerdict.refused) for name in ("reply", "get_order", "refund_order"))
    assert Toolbox([], Policy(rules)).names == ()


def action_for(**fields):
    defaults = {"id": "a", "kind": "tool", "name": "pay", "args": {"text": "x"}, "key": "k", "verdict": "allowed"}
    return Action(**(defaults | fields))


async def test_approved_action_is_carried_out_under_its_key(scope):
    async def run(args, scope):
        return {"text": args.text, "key": scope.action_key}

    toolbox = Toolbox([Tool("pay", "", Effect.money, Text, run)], Policy())
    done = await toolbox.carry_out(action_for(), replace(scope, action_key="k"))
    assert done == {"text": "x", "key": "k"}


@pytest.mark.parametrize("fields", [{"name": "gone"}, {"name": "add_tag"}, {"args": {"other": 1}}])
def test_action_that_fits_no_tool_is_not_carried_out(scope, fields):
    async def run(args, scope):
        raise AssertionError("it ran")

    toolbox = Toolbox([Tool("pay", "", Effect.money, Text, run), *helpdesk_tools()], Policy())
    with pytest.raises(ToolFailed):
        toolbox.carry_out(action_for(**fields), replace(scope, action_key="k"))


async def test_calls_at_once_on_a_shared_toolbox_do_not_mix(desk, scope):
    async def one(number):
        ctx = RunContext(f"run-{number}", vault=PatternVault())
        return await desk.call("get_order", {"order_id": "HF-1"}, ctx, replace(scope, records=Records()))

    results = await asyncio.gather(*(one(number) for number in range(20)))
    assert len({json.dumps(result, sort_keys=True) for result in results}) == 1
