from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deskhand.errors import InputError
from deskhand_evals import Outcome, verdict
from deskhand_evals.customers import Play, ScriptedCustomer, Talk
from deskhand_evals.end_state import EndState
from deskhand_evals.scorers import Case, Output, Unscored
from deskhand_evals.world import read_tables

GRAPH = '''
from typing import Any, TypedDict
from deskhand.actions import Effect
from deskhand.context import RunContext
from deskhand.errors import ToolFailed
from deskhand.schema import Model
from deskhand_graphs.support import Support
from deskhand_graphs import support
from deskhand_tools import Scope, Tool
import sqlite3

class Cancel(Model):
    order_id: str

class Nothing(Model):
    pass

def build_tools(folder):
    path = folder.orders
    async def cancel(args, scope):
        if args.order_id == "HF-214694":
            raise ToolFailed("it is shipped; tell them", tool_name="cancel_order")
        if args.order_id == "HF-214932":
            raise RuntimeError("boom")
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", (args.order_id,))
        connection.close()
        return {"cancelled": args.order_id}
    return [Tool("cancel_order", "Cancel an order.", Effect.write, Cancel, cancel)]

async def for_real(args, scope):
    raise AssertionError("an eval acts on the real world")

REAL = Tool("cancel_order", "Cancel an order.", Effect.write, Cancel, for_real)

def build_graph(workspace):
    """The graph support, whose gathering also proposes what the ticket names."""
    class Proposing(Support):
        async def gather(self, state, ctx):
            update = await super().gather(state, ctx)
            ticket = state["ticket"]
            scope = Scope(ticket_id=ticket.id, requester=ticket.requester, today=ctx.now().date())
            text = ticket.messages[0].text
            actions = []
            for name, args in (("cancel_order", {"order_id": "HF-215043"}), ("cancel_order", {"order_id": "HF-214932"}),
                               ("cancel_order", {"order_id": "HF-214694"}), ("add_tag", {"tag": "vip"}),
                               ("set_priority", {"priority": "high"}), ("close_ticket", {})):
                if name in text and args.get("order_id", "") in text:
                    actions.append(await workspace.toolbox.call(name, args, ctx, scope))
            return {**update, "actions": tuple(actions)}
    original = support.Support
    support.Support = Proposing
    try:
        return support.build_graph(workspace)
    finally:
        support.Support = original
'''
POLICY = "schema = 1\n" + "".join(
    f'[[rule]]\ntool = "{name}"\nverdict = "needs_approval"\nguarded = []\n'
    for name in ("cancel_order", "add_tag", "set_priority", "close_ticket")
)


@pytest.fixture
def world(bench, example: Path):
    """A bench whose workspace has orders, and a graph that proposes the actions that a ticket names."""
    shutil.copyfile(example / "orders.db", bench.root / "orders.db")
    bench.code(GRAPH, "proposing")
    config = bench.root / "deskhand.toml"
    text = '[orders]\ndatabase = "orders.db"\n[tools]\nown = ["proposing:REAL"]\n'
    text += '[graphs.own]\nproposing = "proposing:build_graph"\n'
    config.write_text(config.read_text() + text)
    (bench.root / "policy.toml").write_text(POLICY)
    bench.suite(
        'target = "applied:proposing"\noptions = { tools = "proposing:build_tools" }\n'
        '[[part.scorer]]\nkind = "end_state"\nname = "end"\noutput = ""\n'
        'expected = "end"\ngate = { invariant = true }\n'
    )
    return bench


QUESTION = "How long do I have to return a product? "


def test_approved_actions_change_only_the_copy_and_are_compared_with_what_should_be(world) -> None:
    cancelled = {"orders": {"HF-215043": {"status": "cancelled"}}}
    done = {"status": "closed", "priority": "high", "tags": ["vip"], "n_replies": 1}
    names = "add_tag set_priority close_ticket"
    world.cases(
        {
            "id": "right",
            "text": f"{QUESTION} cancel_order HF-215043 {names}",
            "end": {"ticket": done, "database": cancelled},
        },
        {"id": "quiet", "text": QUESTION, "end": {"ticket": {"tags": [], "n_replies": 1}}},
        {"id": "wrong", "text": f"{QUESTION} cancel_order HF-215043", "end": {"ticket": {"n_replies": 1}}},
        {"id": "missing", "text": QUESTION, "end": {"database": cancelled}},
        {"id": "failing", "text": f"{QUESTION} cancel_order HF-214932 HF-214694", "end": {"ticket": {"tags": []}}},
    )
    before = (world.root / "orders.db").read_bytes()
    report = world.run()
    assert [row.error for row in report.rows] == [""] * 5
    assert {row.case: row.scores["end"] for row in report.rows} == {
        "right": 1.0, "quiet": 1.0, "wrong": 0.0, "missing": 0.0, "failing": 1.0,
    }  # fmt: skip
    assert {row.case: row.notes.get("end") for row in report.rows if row.notes} == {
        "wrong": "orders HF-215043: changed", "missing": "orders HF-215043: did not change",
    }  # fmt: skip
    assert (world.root / "orders.db").read_bytes() == before
    assert not (world.root / "tickets" / "outgoing").exists()
    assert verdict(report).outcome is Outcome.failed
    receipts = _receipts(world)
    assert receipts["failing"] == ["done", "uncertain", "skipped"]


def test_tools_of_the_real_world_are_not_carried_out(world) -> None:
    path = world.root / "suite.toml"
    path.write_text(path.read_text().replace('options = { tools = "proposing:build_tools" }\n', ""))
    world.cases({"id": "a", "text": f"{QUESTION} cancel_order HF-215043", "end": {"ticket": {"n_replies": 1}}})
    (row,) = world.run().rows
    assert (row.error, row.scores["end"]) == ("", 1.0)
    assert _receipts(world) == {"a": ["done", "skipped"]}


def _receipts(world) -> dict[str, list[str]]:
    from deskhand_evals import Experiments

    experiments = Experiments.of(world.folder)
    stored = experiments.outputs(experiments.load("latest").id)
    return {place.case: [receipt["status"] for receipt in entry.output["receipts"]] for place, entry in stored.items()}


def test_known_breaks_of_an_invariant_are_shown_and_new_ones_fail(world) -> None:
    path = world.root / "suite.toml"
    world.cases({"id": "a", "text": QUESTION, "end": {"ticket": {"n_replies": 7}}})
    path.write_text(path.read_text().replace("invariant = true", 'invariant = true, known = ["a"]'))
    found = verdict(world.run())
    assert (found.outcome, found.checks[0].reason) == (Outcome.passed, "0 of 1 rows hold; known to break it: a")
    world.cases({"id": "a", "text": QUESTION, "end": {"ticket": {"n_replies": 1}}})
    assert "no more: a, take them out of 'known'" in verdict(world.run()).checks[0].reason
    world.cases({"id": "b", "text": QUESTION, "end": {"ticket": {"n_replies": 7}}})
    assert verdict(world.run()).outcome is Outcome.failed


def test_rows_without_a_key_are_known_by_all_their_values(world) -> None:
    tables = read_tables(world.root / "orders.db")
    assert tables["orders"]["HF-215043"]["status"] == "processing"
    assert len(tables["order_items"]) > len(tables["orders"])
    assert all(key.startswith("{") for key in tables["order_items"])


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello, this is not a database, only text of some length")
    with pytest.raises(InputError, match="SQLite"):
        read_tables(tmp_path / "x.db")


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"end": {}}, {"ticket": {}, "database": {}}),
        ({"end": {"ticket": {}}}, {"draft": 1}),
        ({}, {}),
        ({"end": 1}, {}),
    ],
)
def test_an_end_state_that_cannot_be_compared_is_not_scored(row, value) -> None:
    scorer = EndState(kind="end_state", name="s", expected="end")
    with pytest.raises(Unscored):
        scorer.score(Case("c", row), Output(value))


TALKS = """
[[part.scorer]]
kind = "exact"
name = "end"
output = "end"
expected = "outcome"
[[part.scorer]]
kind = "required_facts"
name = "facts"
output = "said"
"""
DAYS = {"fact": "30 days", "any": ["30 days"]}
FREE = {"fact": "free labels", "any": ["labels are free"]}


def test_a_scripted_customer_talks_until_satisfied_or_gives_up(bench) -> None:
    question = "How long do I have to return a product?"
    bench.cases(
        _talk("happy", question, "satisfied", satisfied=[DAYS, FREE], otherwise=["Is the label free in the EU?"]),
        _talk("gives-up", question, "gave_up", satisfied=[{"fact": "x", "any": ["sixty"]}]),
        _talk("endless", question, "max_turns", satisfied=[], otherwise=["And how long do I have to return it?"] * 9),
        _talk("no-reply", "我想退货 请告诉我需要多长时间", "handed_over"),
    )
    bench.suite(f'target = "conversation"\noptions = {{ max_turns = 3 }}\n{TALKS}')
    report = bench.run()
    assert [(row.case, row.error, row.scores.get("end")) for row in report.rows] == [
        (name, "", 1.0) for name in ("happy", "gives-up", "endless", "no-reply")
    ]
    assert report.rows[0].scores["facts"] == 1.0
    assert report.parts[0].simulator == "scripted-1, 3 turns"
    assert [row.model_dump(exclude={"latency_ms"}) for row in bench.run(fresh=True).rows] == [
        row.model_dump(exclude={"latency_ms"}) for row in report.rows
    ]


def _talk(name: str, text: str, outcome: str, **play):
    must = play.get("satisfied", []) if outcome == "satisfied" else []
    return {"id": name, "text": text, "customer": {"goal": "know it", **play}, "outcome": outcome, "must": must}


async def test_a_scripted_customer_says_what_is_asked_for_once() -> None:
    from deskhand.context import RunContext
    from deskhand.testing import build_ticket

    play = Play(goal="g", facts=({"fact": "HF-215043", "asked": ("order number",), "say": "It is HF-215043."},))
    talk = Talk(play, build_ticket(), replies=["What is the order number?"])
    customer, ctx = ScriptedCustomer(), RunContext("r")
    assert (await customer.answer(talk, ctx)).say == "It is HF-215043."
    assert talk.revealed == ["HF-215043"]
    assert (await customer.answer(talk, ctx)).gives_up


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('customer = "actor"', "name one of scripted, llm"),
        ("max_turns = 0", "max_turns"),
        ("turns = 1", "no such option"),
    ],
)
def test_wrong_options_of_a_conversation_are_refused(bench, options: str, said: str) -> None:
    from deskhand.errors import ConfigError

    bench.cases({"id": "a", "text": "x"})
    bench.suite(f'target = "conversation"\noptions = {{ {options} }}\n{TALKS}')
    with pytest.raises(ConfigError, match=said):
        bench.run()


def test_a_case_without_a_customer_is_marked(bench) -> None:
    bench.cases({"id": "a", "text": "x", "must": []}, {"id": "b", "text": "x", "customer": {"goals": 1}})
    bench.suite(f'target = "conversation"\n{TALKS}')
    report = bench.run()
    assert "no 'customer'" in report.rows[0].error
    assert "case b: customer" in report.rows[1].error


def test_a_baseline_of_another_customer_is_not_compared(build_report) -> None:
    from deskhand_evals.report import Rule

    before = build_report([1.0] * 50, Rule(max_drop=0.05), part={"simulator": "scripted-1, 3 turns"})
    after = build_report([1.0] * 50, Rule(max_drop=0.05), part={"simulator": "llm-12, 3 turns"})
    found = verdict(after, before)
    assert found.outcome is Outcome.inconclusive
    assert "played by another customer" in found.checks[0].reason
    assert "p: customer scripted-1, 3 turns -> llm-12, 3 turns" in found.changed
