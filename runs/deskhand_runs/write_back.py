"""Doing what was approved: each action once, judged again right before, with a receipt for every one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deskhand.actions import Action, ActionVerdict, Decision, Effect, Receipt, ReceiptStatus, Verdict
from deskhand.clock import Clock
from deskhand.errors import InputError, StoreError, ToolFailed, ToolRetry, Unavailable
from deskhand.interfaces import Helpdesk
from deskhand.jsonio import content_hash
from deskhand.records import Outcome, RunRecord, RunStatus
from deskhand_runs.store import RunStore, is_same_decision
from deskhand_tools import REPLY, Policy, Scope, Tool, Toolbox, helpdesk_tools

_APPROVALS = (Verdict.approve, Verdict.edit)


async def write_back(
    record: RunRecord,
    decision: Decision | None,
    helpdesk: Helpdesk,
    policy: Policy,
    store: RunStore,
    clock: Clock,
    *,
    mode: Literal["review", "shadow"] = "review",
    toolbox: Toolbox | None = None,
) -> tuple[Receipt, ...]:
    """Send the reply, then carry out the approved actions, and return a receipt for each.

    It may be repeated at any time, after a crash too: an action with a receipt is not touched again, and the
    others are known to the helpdesk by their keys. Hold the run's lock meanwhile.

    Args:
        record: The run.
        decision: What a person said, stored before; ``reject`` and ``retry`` write nothing. None for a run that
            ended with ``send``: then only what the policy allows without a person is done.
        helpdesk: Where the ticket came from.
        policy: As it is now; what it refuses now is ``skipped``, whoever approved it.
        store: Where receipts are kept.
        clock: For the day in a tool's scope and the time of the end.
        mode: ``shadow`` writes nothing and says so in every receipt.
        toolbox: The tools that carry out actions of kind ``tool``; without it such an action is ``skipped``.

    Raises:
        InputError: The decision is not the one that is stored.
        StoreError: A disk or a database failed; nothing is lost, call it again.
    """
    record = store.load(record.run_id)
    if not _is_due(record, decision):
        return ()
    job = _Job(record, decision, helpdesk, policy, store, clock, mode, toolbox)
    receipts = tuple([await job.carry_out(action) for action in _actions(record, decision)])
    store.close_write_back(record.run_id, clock.now())
    return receipts


def _is_due(record: RunRecord, decision: Decision | None) -> bool:
    if decision is None:
        result = record.result
        return record.status is RunStatus.done and result is not None and result.decision is Outcome.send
    if not any(is_same_decision(stored, decision) for stored in record.decisions):
        raise InputError(f"run {record.run_id}: this decision is not stored; decide it first with 'deskhand review'")
    if record.review is None or record.review.ask_id != decision.ask_id:
        raise InputError(f"run {record.run_id}: this decision is on an earlier question; see 'deskhand review'")
    return decision.verdict in _APPROVALS


def _actions(record: RunRecord, decision: Decision | None) -> Iterator[Action]:
    """Yield what is to be done: the reply first, then the approved actions in the order of their proposal."""
    asked = record.result if decision is None else record.review
    assert asked is not None, "a decision is stored only for a question"
    edited = decision.text if decision else None
    text = edited if edited is not None else asked.draft.text if asked.draft else ""
    if text.strip():
        yield _reply(record.run_id, text, decision.by if decision and edited is not None else "draft")
    chosen = decision.action_ids if decision else None
    for action in asked.actions:
        if action.verdict is not ActionVerdict.refused if chosen is None else action.id in chosen:
            yield action


def _reply(run_id: str, text: str, written_by: str) -> Action:
    return Action(
        id=REPLY,
        kind="helpdesk",
        name=REPLY,
        args={"text": text},
        provenance={"text": written_by},
        key=content_hash([run_id, REPLY]),  # without the text: one run sends one reply
        verdict=ActionVerdict.needs_approval,
    )


@dataclass(frozen=True)
class _Job:
    """One write-back under way."""

    record: RunRecord
    decision: Decision | None
    helpdesk: Helpdesk
    policy: Policy
    store: RunStore
    clock: Clock
    mode: str
    toolbox: Toolbox | None

    async def carry_out(self, action: Action) -> Receipt:
        """Return the receipt of an action, which is carried out when there is none yet."""
        stored = _find(self.record, action.id)
        if stored is not None:
            return stored
        refusal = self._refusal(action)
        if refusal is not None:
            return self._keep(_skipped(action, refusal))
        if action.kind == "tool":
            return await self._by_tool(action)
        return self._keep(await self._by_helpdesk(action))

    def _refusal(self, action: Action) -> str | None:
        """Return why the action must not be done now, or None."""
        if self.mode == "shadow":
            return "shadow mode: nothing is written"
        judged = self.policy.judge(action.name, self._effect(action), action.args, action.provenance)
        if judged.verdict is ActionVerdict.refused:
            return f"the policy refuses it now: {judged.reason}"
        if judged.verdict is ActionVerdict.needs_approval and self.decision is None:
            return f"nobody has approved it: {judged.reason}"
        return None

    def _effect(self, action: Action) -> Effect:
        if action.name == REPLY and action.kind == "helpdesk":
            return Effect.write
        tools = [tool for tool in helpdesk_tools() if action.kind == "helpdesk"]
        tool = next((tool for tool in tools if tool.name == action.name), None) or self._tool(action)
        return tool.effect if tool else Effect.money  # what nobody knows is judged by the strictest rule

    def _tool(self, action: Action) -> Tool | None:
        return self.toolbox.find(action.name) if self.toolbox else None

    async def _by_helpdesk(self, action: Action) -> Receipt:
        try:
            return await self.helpdesk.apply(action, self.record.ticket.id)
        except StoreError:
            raise  # our own disk, not the helpdesk: nothing was done, and all of it can be done later
        except InputError as exc:
            return _skipped(action, f"the helpdesk refuses it: {exc}")
        except Unavailable as exc:
            return _uncertain(action, f"no answer from the helpdesk: {exc}")
        except Exception as exc:  # the edge to a connector: what it did before it failed, nobody knows
            return _uncertain(action, f"{type(exc).__name__}: {exc}")

    async def _by_tool(self, action: Action) -> Receipt:
        tool = self._tool(action)
        if tool is None or self.toolbox is None:
            return self._keep(_skipped(action, f"there is no tool {action.name!r} to carry it out; add it again"))
        if tool.is_keyed:
            return self._keep(await self._called(action, self.toolbox))
        # The receipt is written first: after a crash it is there, and what cannot be repeated is not repeated.
        begun = _uncertain(action, "begun, and cut off before the tool answered")
        if not self.store.add_receipt(self.record.run_id, begun):
            return self._keep(begun)
        receipt = await self._called(action, self.toolbox)
        self.store.settle_receipt(self.record.run_id, receipt)
        return receipt

    async def _called(self, action: Action, toolbox: Toolbox) -> Receipt:
        ticket = self.record.ticket
        scope = Scope(ticket.id, ticket.requester, self.clock.now().date(), action_key=action.key)
        try:
            result = await toolbox.carry_out(action, scope)
        except (ToolFailed, ToolRetry) as exc:
            return _skipped(action, str(exc))
        except Exception as exc:  # the edge to code of others, a timeout included
            return _uncertain(action, f"{type(exc).__name__}: {exc}")
        # whatever it answered, it is done: an answer that is not JSON must not turn that into an error
        ref = result if isinstance(result, str) else json.dumps(result, default=str, sort_keys=True)
        return Receipt(action_id=action.id, status=ReceiptStatus.done, ref=ref)

    def _keep(self, receipt: Receipt) -> Receipt:
        """Store a receipt and return it, or the one that somebody else stored meanwhile."""
        if self.store.add_receipt(self.record.run_id, receipt):
            return receipt
        return _find(self.store.load(self.record.run_id), receipt.action_id) or receipt


def _find(record: RunRecord, action_id: str) -> Receipt | None:
    return next((receipt for receipt in record.receipts if receipt.action_id == action_id), None)


def _skipped(action: Action, why: str) -> Receipt:
    return Receipt(action_id=action.id, status=ReceiptStatus.skipped, detail=why)


def _uncertain(action: Action, why: str) -> Receipt:
    detail = f"{why}; look at the ticket, and do by hand what is missing"
    return Receipt(action_id=action.id, status=ReceiptStatus.uncertain, detail=detail)
